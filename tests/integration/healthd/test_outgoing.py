"""The way to other hosts in a whole daemon: of checks and notifiers, and after a reload."""

import os
import signal
from pathlib import Path

import aiohttp

from tests.servers import daemon, peers, proxy
from tests.servers.peers import Answer
from tests.servers.ports import free_port
from tests.servers.waiting import until


async def test_checks_and_notifiers_and_a_reload(tmp_path: Path) -> None:
    """A proxy that is away is told as the proxy's; the next reload leads through the one that is there."""
    async with peers.peer() as shop, proxy.running({"shop.test": shop.port}, "a:s3cr3t-MARK") as way:
        shop.answer("GET", "/up", Answer())
        shop.answer("POST", "/told", Answer())
        away = f"http://127.0.0.1:{free_port()}"
        configuration = {
            "journal": f"sqlite:///{tmp_path}/journal.db",
            "outgoing": {"proxy": away},
            "auth": {"trust_loopback": True},
            "defaults": {"interval": "1s", "fall": 1, "rise": 1},
            "checks": {
                name: {"kind": "http", "url": f"http://{name}.test/up", "timeout": "500ms"} for name in ("shop", "gone")
            },
            "notifiers": {"team": {"kind": "webhook", "url": "http://shop.test/told"}},
            "routes": [{"to": ["team"]}],
            "otlp": {"endpoint": "http://shop.test:4318", "interval": "1s"},
        }
        async with daemon.running(configuration) as healthd, aiohttp.ClientSession() as session:

            async def finds(words: str) -> None:
                async def found() -> bool:
                    async with session.get(f"{healthd.url}/health") as response:
                        return words in await response.text()

                await until(found, words)

            await finds(f"the proxy is not reached: {away.removeprefix('http://')} refused the connection")
            healthd.configure(configuration | {"outgoing": {"proxy": way.url.replace("//", "//a:s3cr3t-MARK@")}})
            os.kill(healthd.pid, signal.SIGHUP)
            await finds(f"answered 502, not 2xx, through the proxy 127.0.0.1:{way.port}")
            await until_asked(way, "http://shop.test/told")
            await until_asked(way, "http://shop.test:4318/v1/metrics")
            healthd.configure(configuration | {"outgoing": {"proxy": way.url}})
            os.kill(healthd.pid, signal.SIGHUP)
            await finds("asks for a login (407)")
            assert "MARK" not in healthd.log()
        assert not way.malformed


async def until_asked(way: proxy.Proxy, target: str) -> None:
    async def asked() -> bool:
        return ("POST", target) in way.asked

    await until(asked, target)
