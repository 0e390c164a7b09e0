"""What listens here."""

import socket

import pytest

from healthd_gates.commands.init.processes import Listening, listening
from tests.servers.ports import free_port


@pytest.mark.parametrize(
    ("port", "process", "may"),
    [
        (3000, "node", True),
        (3000, None, False),
        (6380, "redis-server", False),
        (5432, "docker-proxy", False),
        (80, "x", False),
    ],
)
def test_no_database_is_sent_http(port: int, process: str | None, may: bool) -> None:
    """Only the process of an application is asked."""
    assert Listening(port, process).may_be_a_service is may


def test_what_listens_is_seen() -> None:
    """The system's own list has a port of this process."""
    with socket.create_server(("127.0.0.1", free_port())) as server:
        assert server.getsockname()[1] in {each.port for each in listening()}
