"""docs/deploy/host.md, followed: the shipped files, the page's configuration and its drill, on a real PM2."""

import asyncio
import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tests.acceptance.guide import Shell, blocks, carry_out
from tests.servers import daemon, forked, pm2
from tests.servers.ports import HOST, free_port
from tests.servers.requests import Load

_ROOT = Path(__file__).parents[3]
_PAGE, _SHIPPED = _ROOT / "docs/deploy/host.md", _ROOT / "deploy/host"
TIMES = {"initial_delay": "0s", "interval": "1s", "observe": {"min": "0s", "max": "60s"}}
"""All that is not as it ships: what is judged, and at which limits, is."""
_LEFT_OUT = ("variables", "shared", "migrations", "backup")  # of the databases


def _settings(folder: Path, yaml: str) -> Mapping[str, Any]:
    settings = YAML(typ="safe").load(yaml)
    settings["actions"]["back"]["pass_env"].append("PATH")  # as the page says where pm2 is elsewhere
    return {
        "journal": f"sqlite:///{folder}/journal.db",
        "checks": {"here": {"kind": "process", "interval": "1s", "timeout": "1s"}},
        "groups": {"preflight": {"checks": ["here"]}},
        "policies": {"post-switch": TIMES},
        **settings,
    }


def _release(folder: Path, places: Mapping[str, str]) -> dict[str, Any]:
    text = (_SHIPPED / "release.yaml").read_text()
    for place, other in places.items():
        text = text.replace(place, other)
    shipped = {key: value for key, value in YAML(typ="safe").load(text).items() if key not in _LEFT_OUT}
    archive = {"archive": f"{folder}/api-$version.tar.gz"}
    health = {**shipped["health"], "interval": "500ms"}
    return {
        **shipped,
        "source": archive,
        "health": health,
        "free": "1MiB",
    }


async def _promote(folder: Path, version: str, env: Mapping[str, str]) -> None:
    """Release a version, which passes the gate."""
    pm2.archive(folder / f"api-{version}.tar.gz", version)
    words = ["host", "release", version, "--config", str(folder / "release.yaml")]
    process = await asyncio.create_subprocess_exec(
        forked.program("healthd-deploy"), *words, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
    assert "✓ gate post-switch: " in said.decode()


async def test_the_page_ends_with_a_rollback_that_is_confirmed(tmp_path: Path) -> None:
    """As it is written: two releases with the shipped files, and the drill through an action of a real daemon."""
    port, home = free_port(), tmp_path / "srv" / "api"
    places = {
        "/srv/api": str(home),
        "/etc/healthd/release.yaml": str(tmp_path / "release.yaml"),
        **{str(3000 + n): str(port + n) for n in range(3)},
    }
    written = dict(blocks(_PAGE, places))
    (home / "shared").mkdir(parents=True)
    ecosystem = (_SHIPPED / "ecosystem.config.js").read_text()
    (home / "ecosystem.config.js").write_text(ecosystem.replace("/srv/api", str(home)).replace('3000"', f'{port}"'))
    (tmp_path / "release.yaml").write_text(json.dumps(_release(tmp_path, places)))
    with pm2.running() as manager:
        async with daemon.running(_settings(tmp_path, written["yaml"]), env=manager.env) as healthd:
            env = {**manager.env, "HEALTHD_URL": healthd.url, "HEALTHD_TOKEN": daemon.TOKEN}
            async with Load(f"http://{HOST}:{port}/courses").running():
                for version in ("1.4.0", "1.5.0"):
                    await _promote(tmp_path, version, env)
                path = f"{forked.program('healthd').parent}:{manager.env['PATH']}"
                shell = Shell(tmp_path, healthd.url, **{**env, "PATH": path})
                try:
                    await asyncio.to_thread(carry_out, shell, written["console"])
                finally:
                    await asyncio.to_thread(shell.close)
    assert (home / "current").readlink().name == "1.5.0"
