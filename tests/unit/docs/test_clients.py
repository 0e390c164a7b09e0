"""The programs of the clients' pages: only a verdict ends with 1, by which a pipeline rolls back."""

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.servers.ports import free_port
from tests.servers.programs import require

ROOT = Path(__file__).parents[3]
NODE = ROOT / "clients" / "node"


class Refusing(BaseHTTPRequestHandler):
    """A daemon that refuses every gate, with the document that the gate API has for it."""

    def do_POST(self) -> None:
        body = json.dumps(
            {"title": "Invalid request", "detail": "candidate.target: is missing", "status": 422}
        ).encode()
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(422)
        self.send_header("Content-Type", "application/problem+json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def refusing() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", free_port()), Refusing) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def python(folder: Path) -> list[str]:
    page = (ROOT / "docs" / "embedding.md").read_text(encoding="utf-8")
    (text,) = [text for text in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "GateClient" in text]
    (folder / "gate.py").write_text(text)
    return [sys.executable, "gate.py"]


def node(folder: Path) -> list[str]:
    program = require("node")
    installed = folder / "node_modules" / "healthd-gates"
    installed.mkdir(parents=True)
    for name in ("index.js", "package.json"):
        shutil.copy(NODE / name, installed)
    (text,) = re.findall(r"```js\n(.*?)```", (NODE / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    (folder / "gate.mjs").write_text(text)
    return [str(program), "gate.mjs"]


@pytest.mark.parametrize("client", [python, node])
@pytest.mark.parametrize("configured", [True, False])
def test_a_gate_that_could_not_be_asked_is_not_a_failed_version(
    client: Callable[[Path], list[str]], configured: bool, refusing: str, tmp_path: Path
) -> None:
    """Refused, or without an address: 3 and the reason in one line."""
    command = client(tmp_path)
    environ = {key: value for key, value in os.environ.items() if not key.startswith("HEALTHD_")}
    if configured:
        environ |= {"HEALTHD_URL": refusing, "HEALTHD_TOKEN": "t"}
    ended = subprocess.run([*command, "api", "2.0"], cwd=tmp_path, env=environ, capture_output=True, text=True)
    assert ended.returncode == 3, ended.stderr
    assert ("candidate.target" if configured else "HEALTHD_URL") in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
