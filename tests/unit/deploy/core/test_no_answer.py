"""Words of the deploy tools for a host that does not answer: no text of a library."""

import re
import socket
from pathlib import Path
from typing import Any

import pytest

from healthd_deploy.core.exit import StepFailed
from healthd_deploy.host import archive
from healthd_deploy.host.settings import Source
from healthd_deploy.nginx.able import refuse_dead
from healthd_deploy.nginx.settings import Upstream
from tests.servers.ports import free_port

RAW = re.compile(r"ssl:|Connect call|\[Errno|Error\b|Cannot connect")


@pytest.fixture
def closed() -> str:
    """An address of this host on which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", free_port()))
        return f"127.0.0.1:{taken.getsockname()[1]}"


@pytest.mark.parametrize("health", [None, "/health"])
async def test_a_target_that_nobody_is_at(closed: str, health: str | None, tmp_path: Path) -> None:
    places: dict[str, Any] = {"file": tmp_path / "u.conf", "name": "u", "health": health}
    upstream = Upstream(**places, targets={"blue": (closed,), "green": ("127.0.0.1:9",)})
    with pytest.raises(StepFailed, match="Connection refused") as told:
        await refuse_dead(upstream, "blue")
    assert not RAW.search(str(told.value))


async def test_an_archive_that_nobody_has(closed: str, tmp_path: Path) -> None:
    source = Source(archive=f"https://{closed}/app-$version.tgz", sha256="0" * 64)
    with pytest.raises(StepFailed, match=r"cannot be fetched: .* refused the connection") as told:
        await archive.fetch(source, "1.0", tmp_path)
    assert not RAW.search(str(told.value))
