"""NGINX as the Compose file runs it: the real script and configuration, switched from outside by the deploy tool."""

import asyncio
import subprocess
import sys
from pathlib import Path

import aiohttp

from healthd_deploy.nginx.settings import Upstream
from healthd_deploy.nginx.switch import UpstreamSwitch
from tests.servers import version
from tests.servers.ports import HOST, free_port
from tests.servers.programs import require
from tests.servers.waiting import HANGS, until

FOLDER = Path(__file__).parents[3] / "deploy" / "compose"


async def test_the_switch_is_seen_and_a_broken_one_is_not(tmp_path: Path) -> None:
    """NGINX follows the file that another container writes; one that it refuses changes nothing; SIGTERM ends it."""
    port, nginx = free_port(), require("nginx")
    text = (FOLDER / "nginx" / "nginx.conf").read_text()
    text = text.replace("/tmp/", f"{tmp_path}/").replace("/switch/", f"{tmp_path}/").replace("8000", f"{HOST}:{port}")
    configuration, switch = tmp_path / "nginx.conf", tmp_path / "shop.conf"
    configuration.write_text(text)
    with version.running("1.0") as blue, version.running("2.0") as green:
        targets = {"blue": (f"{HOST}:{blue.port}",), "green": (f"{HOST}:{green.port}",)}
        settings = {"file": switch, "name": "shop", "targets": targets, "test": ["true"], "reload": ["true"]}
        upstream = UpstreamSwitch(Upstream.model_validate(settings))
        await upstream.switch("blue")
        path = f"{nginx.parent}:/usr/bin:/bin"
        running = await asyncio.create_subprocess_exec(
            "sh", FOLDER / "nginx" / "run.sh", configuration, switch, env={"PATH": path}, stderr=subprocess.PIPE
        )

        async def serves(name: str) -> bool:
            try:
                async with aiohttp.ClientSession() as client, client.get(f"http://{HOST}:{port}/") as answer:
                    return await answer.text() == name
            except aiohttp.ClientError:
                return False

        try:
            await until(lambda: serves("1.0"), "blue")
            await upstream.switch("green")
            await until(lambda: serves("2.0"), "green")
            switch.write_text("upstream shop { nonsense; }")
            assert running.stderr is not None
            async with asyncio.timeout(HANGS):
                while b"is refused" not in await running.stderr.readline():
                    pass
            assert await serves("2.0")
        finally:
            running.terminate()
            _, rest = await running.communicate()
    assert running.returncode == 0, rest


async def test_a_release_is_one_when_the_version_answers() -> None:
    """The step waits for it, and does not take another version for it."""
    with version.running("shop 2.0") as shop:
        script: list[str | Path] = [sys.executable, FOLDER / "healthd" / "released.py", shop.url]
        there = await asyncio.create_subprocess_exec(*script, "2.0")
        assert await there.wait() == 0
        elsewhere = await asyncio.create_subprocess_exec(*script, "3.0")
        try:
            await asyncio.wait_for(elsewhere.wait(), 1.5)
            raise AssertionError("it took 2.0 for 3.0")
        except TimeoutError:
            elsewhere.kill()
            await elsewhere.wait()
