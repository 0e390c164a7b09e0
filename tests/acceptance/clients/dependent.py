"""A daemon that is ready as long as its Redis answers: what every client test watches through its own eyes."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import aiohttp

from tests.servers import daemon, redis
from tests.servers.waiting import until


@asynccontextmanager
async def on(
    server: redis.Redis, *, http: Mapping[str, object] | None = None, shared_failure: str = "fail"
) -> AsyncIterator[daemon.Daemon]:
    """healthd that is ready, and notices within two seconds that `server` is paused or back."""
    check = {"kind": "redis", "uri": server.url, "critical": True, "interval": "500ms", "timeout": "500ms"}
    settings = {
        "http": http or {},
        "checks": {"redis": {**check, "fall": 2, "rise": 1}},
        "groups": {"ready": {"checks": ["redis"], "shared_failure": shared_failure}},
    }
    async with daemon.running(settings) as healthd, aiohttp.ClientSession() as client:

        async def ready() -> bool:
            async with client.get(f"{healthd.url}/health/ready") as response:
                return response.status == 200

        await until(ready, "the daemon is ready")
        yield healthd
