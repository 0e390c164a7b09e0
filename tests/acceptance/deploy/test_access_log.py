"""The page on NGINX's access log is true: a Node service with nothing but that log gets its configuration by `healthd
init`, is deployed, and put back.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.guide import Shell, blocks, carry_out
from tests.servers import nginx
from tests.servers.ports import HOST, free_port
from tests.servers.process import own_folder
from tests.servers.programs import require

PAGE = Path(__file__).parents[3] / "docs/deploy/access-log.md"
_FILES = {"// server.js": "server.js", "# actions.yaml": "actions.yaml", "# blue-green.yaml": "blue-green.yaml"}
_BARE = "server { listen @LISTEN@; return 404; }"


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where the page's files are; NGINX's workers may pass through it."""
    with own_folder() as folder:
        yield folder


def written(folder: Path, text: str, balancer: nginx.Nginx) -> None:
    """Write a file of the page. NGINX is not the host's own, which the deploy tool would test and reload."""
    name = next((name for mark, name in _FILES.items() if text.startswith(mark)), "release.sh")
    if name == "blue-green.yaml":
        own = ["nginx", "-e", "stderr", "-p", str(balancer.file.parent), "-c", str(balancer.file)]
        said = {"test": [*own, "-t", "-q"], "reload": [*own, "-s", "reload"], "pid": str(balancer.file.parent / "pid")}
        commands = "".join(f"  {key}: {json.dumps(value)}\n" for key, value in said.items())
        text = text.replace("upstream:\n", f"upstream:\n{commands}")
    (folder / name).write_text(text, encoding="utf-8")


def listen_at(port: str, file: Path) -> None:
    """Have the file that `healthd init` has written listen at the test's own port."""
    if file.exists():
        http = f'http: {{listen: "{HOST}:{port}", drain: 100ms}}'
        file.write_text(re.sub(r"(?m)^http: .*$", http, file.read_text()))


def test_a_node_service_with_nothing_but_the_log(folder: Path) -> None:
    """Whoever follows the page sees what it shows, up to a rollback that is carried out and confirmed."""
    require("node")
    with nginx.running(_BARE) as balancer:
        ports = {port: str(free_port()) for port in ("8080", "3001", "3002")} | {"8000": str(balancer.port)}
        places = {"/etc/nginx/healthd": str(folder), "/var/log/nginx": str(folder)}
        shell = Shell(folder, f"http://{HOST}:{ports['8080']}")
        try:
            for kind, text in blocks(PAGE, ports):
                for place, other in places.items():
                    text = text.replace(place, other)
                if kind == "nginx":
                    bare = _BARE.replace("@LISTEN@", f"{HOST}:{balancer.port}")
                    text = text.replace(f"listen {balancer.port}", f"listen {HOST}:{balancer.port}")
                    balancer.file.write_text(balancer.file.read_text().replace(bare, text))
                elif kind == "console":
                    carry_out(shell, text.replace("init --yes", f"init --yes --nginx {balancer.file}"))
                    listen_at(ports["8080"], folder / "healthd.yaml")
                elif not text.startswith("# as healthd init"):
                    written(folder, text, balancer)
        finally:
            for target in ("blue", "green"):
                pid = folder / f"{target}.pid"
                if pid.exists():
                    shell.run(f"kill {pid.read_text().strip()} || true")
            shell.close()
