"""PM2 with a home of its own, and archives of a small application to release under it."""

import io
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.servers.process import own_folder
from tests.servers.programs import require

INSTALLED = Path(sys.prefix) / "pm2"
_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Pm2:
    """An empty PM2. What uses it gets `env`."""

    env: dict[str, str]

    def run(self, *words: str) -> str:
        done = subprocess.run(["pm2", *words], env={**os.environ, **self.env}, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def processes(self) -> list[dict[str, Any]]:
        """As `pm2 jlist` lists them."""
        lists = [line for line in self.run("jlist").splitlines() if line.startswith("[") and line.endswith("]")]
        return list(json.loads(lists[-1]))


@contextmanager
def running() -> Iterator[Pm2]:
    """PM2 starts with its first command, and ends here with all that runs under it."""
    folders = dict.fromkeys(str(require(program).parent) for program in ("pm2", "node", "npm"))
    with own_folder() as folder:
        path = os.pathsep.join([*folders, os.environ["PATH"]])
        pm2 = Pm2({"PATH": path, "PM2_HOME": str(folder), "HOME": str(folder), "npm_config_update_notifier": "false"})
        try:
            yield pm2
        finally:
            pm2.run("kill")


def archive(file: Path, version: str, *, failing: float = 0.0, sick: bool = False, broken: bool = False) -> Path:
    """The application as `npm pack` would pack it. A sick one says so on /health, a broken one does not start."""
    package = {"name": "shop", "version": version, "private": True}
    lock = {**package, "lockfileVersion": 3, "packages": {"": package}}
    content = {
        "package.json": json.dumps(package),
        "package-lock.json": json.dumps(lock),
        "behaviour.json": json.dumps({"failing": failing, "sick": sick, "broken": broken}),
        "server.js": (_HERE / "app" / "server.js").read_text(),
    }
    with tarfile.open(file, "w:gz") as tar:
        for name, text in content.items():
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(text.encode())
            tar.addfile(member, io.BytesIO(text.encode()))
    return file
