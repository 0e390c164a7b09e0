"""A host with PM2, a database, archives to release, and the daemon that judges the releases."""

import json
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.servers import daemon, forked, pm2
from tests.servers.command import Outcome, Running, started
from tests.servers.daemon import Daemon
from tests.servers.pm2 import Pm2
from tests.servers.ports import HOST, free_port
from tests.servers.programs import require

INSTANCES = 2
POLICIES = {
    "post-switch": {
        "initial_delay": "0s",
        "interval": "1s",
        "observe": {"min": "3s", "max": "30s"},
        "criteria": [{"kind": "error_rate", "limit": "3%"}],
        "confirm_timeout": "15s",
        "watch": "0s",
    },
    # For tests of what is around the gate.
    "quick": {
        "initial_delay": "0s",
        "interval": "1s",
        "observe": {"min": "0s", "max": "20s"},
        "criteria": [{"kind": "checks", "checks": ["here"]}],
        "watch": "0s",
    },
    # For tests that end before any verdict.
    "patient": {
        "initial_delay": "0s",
        "interval": "1s",
        "observe": {"min": "20m", "max": "30m"},
        "criteria": [{"kind": "checks", "checks": ["here"]}],
        "watch": "0s",
    },
    "smoke": {"criteria": [{"kind": "smoke", "requests": [{"get": "/health", "status": 200}]}]},
}


@dataclass(frozen=True)
class Stage:
    """Nothing is released yet."""

    folder: Path
    pm2: Pm2
    daemon: Daemon
    port: int
    env: dict[str, str]

    @property
    def home(self) -> Path:
        return self.folder / "app"

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def current(self) -> str:
        return (self.home / "current").readlink().name

    def pack(self, version: str, **behaviour: Any) -> None:
        pm2.archive(self.folder / f"shop-{version}.tar.gz", version, **behaviour)

    def configure(self, **changes: Any) -> None:
        file = self.folder / "release.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))

    async def start(self, *words: str, env: Mapping[str, str] | None = None) -> Running:
        argv = ["host", *words, "--config", str(self.folder / "release.json")]
        return await started("healthd-deploy", *argv, env={**os.environ, **self.env, **(env or {})})

    async def run(self, *words: str, env: Mapping[str, str] | None = None) -> Outcome:
        process = await self.start(*words, env=env)
        out, err = await process.communicate()
        assert b"Traceback" not in err, err.decode()
        assert process.returncode is not None
        return Outcome(process.returncode, out.decode(), err.decode())

    def releases(self) -> set[str]:
        """All that is in the folder of releases, half of a release included."""
        return {each.name for each in (self.home / "releases").iterdir()}

    def backups(self) -> list[Path]:
        """All that is in the folder of backups, half of a backup included."""
        return sorted((self.home / "backups").iterdir())

    def running(self) -> list[str]:
        """The release that each instance runs from."""
        return [Path(f"/proc/{one['pid']}/cwd").readlink().name for one in self.pm2.processes()]


@asynccontextmanager
async def staged(folder: Path, database: str) -> AsyncIterator[Stage]:
    port = free_port()
    home = folder / "app"
    home.mkdir()
    with pm2.running() as manager:
        env = {**manager.env, "POSTGRESQL_URI": database, "PATH": f"{require('pg_dump').parent}:{manager.env['PATH']}"}
        async with daemon.running(_settings(folder, port), env=env) as gates:
            (folder / "ecosystem.config.json").write_text(json.dumps(_ecosystem(home, port)))
            (folder / "release.json").write_text(json.dumps(_release(folder, home, port, gates.url)))
            yield Stage(folder, manager, gates, port, env)


def _ecosystem(home: Path, port: int) -> dict[str, Any]:
    app = {
        "name": "shop",
        "cwd": str(home / "current"),
        "script": "server.js",
        "exec_mode": "cluster",
        "instances": INSTANCES,
        "wait_ready": True,
        "listen_timeout": 5_000,
        "env": {"PORT": str(port)},
    }
    return {"apps": [app]}


def _release(folder: Path, home: Path, port: int, daemon_url: str) -> dict[str, Any]:
    return {
        "service": "shop",
        "target": "here",
        "healthd": {"url": daemon_url, "token": daemon.TOKEN, "retry_for": "5s"},
        "gates": {"before": ["preflight"]},
        "smoke": ["smoke"],
        "home": str(home),
        "variables": ["POSTGRESQL_URI"],
        "free": "1MiB",
        "source": {"archive": f"{folder}/shop-$version.tar.gz"},
        "install": {"argv": ["npm", "ci", "--omit=dev", "--offline", "--no-audit", "--no-fund"], "timeout": "60s"},
        "backup": {"postgresql": {}},
        "pm2": {"app": "shop", "ecosystem": str(folder / "ecosystem.config.json"), "timeout": "60s"},
        "health": {"url": f"http://{HOST}:{port}/health", "times": 20, "interval": "500ms"},
    }


def _settings(folder: Path, port: int) -> dict[str, Any]:
    tool = str(forked.program("healthd-deploy"))
    back = [tool, "host", "rollback", "--to", "$baseline", "--config", str(folder / "release.json")]
    return {
        "journal": f"sqlite:///{folder}/journal.db",
        "checks": {"here": {"kind": "process", "interval": "1s", "timeout": "1s"}},
        "groups": {"preflight": {"checks": ["here"]}},
        "services": {
            "shop": {
                "targets": {"here": [f"http://{HOST}:{port + 1 + n}" for n in range(INSTANCES)]},
                "source": {
                    "kind": "scrape",
                    "requests": 'http_requests_total{version="$version"}',
                    "errors": 'http_requests_total{version="$version",status="500"}',
                },
                "on_fail": ["back"],
            }
        },
        "policies": POLICIES,
        "actions": {"back": {"kind": "command", "argv": back, "pass_env": ["PATH", "HOME", "PM2_HOME"]}},
    }
