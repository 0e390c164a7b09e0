"""The task of Amazon ECS, started as its definition says: with the configuration of its secret, to a first gate."""

import asyncio
import json
import os
import stat
from pathlib import Path

import pytest

from healthd.web.auth import hash_token
from tests.servers import forked
from tests.servers.command import healthd
from tests.servers.daemon import TOKEN
from tests.servers.peers import Answer, Peer
from tests.servers.ports import HOST, free_port
from tests.servers.waiting import until

ECS = Path(__file__).parents[3] / "deploy/ecs"
(CONTAINER,) = json.loads((ECS / "task-definition.json").read_text())["containerDefinitions"]
ARGV = [*CONTAINER["entryPoint"], *CONTAINER["command"]]
STATE = "/var/lib/healthd"


def environment(folder: Path, config: str) -> dict[str, str]:
    """What ECS gives the container; its own folder is `folder`."""
    set_there = {each["name"]: each["value"].replace(STATE, str(folder)) for each in CONTAINER["environment"]}
    addresses = {"JOURNAL_URI": f"sqlite:///{folder}/healthd.db", "POSTGRESQL_URI": "postgresql://127.0.0.1:1/shop"}
    path = f"{forked.program('healthd').parent}:{os.environ['PATH']}"
    return {"PATH": path, **set_there, **addresses, "HEALTHD_YAML": config}


async def test_from_the_secret_to_a_first_gate(peer: Peer, tmp_path: Path) -> None:
    """The shipped file but for its addresses and the token's hash; nobody else may read what was written of it."""
    peer.answer("GET", "/health", Answer())
    port = free_port()
    config = (ECS / "config.yaml").read_text(encoding="utf-8")
    no_hash = f"sha256:{'0' * 64}"
    for place, other in {
        "0.0.0.0:8080": f"{HOST}:{port}",
        "drain: 20s": "drain: 100ms",
        "http://api.internal:3000": peer.url,
        f'deploy, hash: "{no_hash}"': f'deploy, hash: "{hash_token(TOKEN)}"',
    }.items():
        assert place in config
        config = config.replace(place, other)
    process = await asyncio.create_subprocess_exec(
        *ARGV, env=environment(tmp_path, config), stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        env = {"HEALTHD_URL": f"http://{HOST}:{port}", "HEALTHD_TOKEN": TOKEN}

        async def answers() -> bool:
            assert process.returncode is None
            return (await asyncio.to_thread(healthd, "status", env=env)).code in (0, 1)

        await until(answers, "the daemon answers")
        words = ("gate", "verify", "api", "1.0", "--target", "live", "--policy", "smoke")
        done = await asyncio.to_thread(healthd, *words, env=env)
        assert done.code == 0, done
        assert stat.S_IMODE((tmp_path / "config.yaml").stat().st_mode) == 0o600
        assert b"HEALTHD_YAML" not in Path(f"/proc/{process.pid}/environ").read_bytes()
    finally:
        process.terminate()
        code = await asyncio.wait_for(process.wait(), 60)
    assert code == 0


@pytest.mark.parametrize("config", ["", "checks: {a: {kind: nonsense}}"])
async def test_a_configuration_that_is_none_ends_the_task(tmp_path: Path, config: str) -> None:
    """With why, so that ECS counts it as failed instead of running one that watches nothing."""
    process = await asyncio.create_subprocess_exec(
        *ARGV, env=environment(tmp_path, config), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 2
    assert str(tmp_path / "config.yaml").encode() in said
