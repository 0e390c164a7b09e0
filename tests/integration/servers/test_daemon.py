"""The daemon that acceptance tests start is the one that users run."""

import aiohttp

from tests.servers import daemon


async def test_runs_answers_and_ends() -> None:
    """It listens where told, ends on SIGTERM with a code of its own, and starts again."""
    async with daemon.running({"http": {"drain": "10ms"}}) as healthd, aiohttp.ClientSession(healthd.url) as client:
        async with client.get("/health/live") as response:
            assert response.status == 200
        assert await healthd.stop() == 0
        await healthd.start()
        async with client.get("/health/live") as response:
            assert response.status == 200
        assert healthd.log()
