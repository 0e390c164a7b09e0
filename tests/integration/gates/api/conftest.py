"""One daemon for all tests of the API that one worker runs."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.gating import Gating, gating


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def api(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gating]:
    async with gating(tmp_path_factory.mktemp("gating")) as running:
        yield running
