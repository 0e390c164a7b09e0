"""A list of hosts of which one is silent."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from healthd.checks.postgresql_hosts import without_silent_hosts
from tests.servers.ports import free_port


@pytest.fixture
def silent() -> Iterator[int]:
    """The port of a listener whose queue is full: who comes gets no answer."""
    with socket.socket() as listener, ExitStack() as callers:
        listener.bind(("127.0.0.1", free_port()))
        listener.listen(0)
        for _ in range(3):
            caller = callers.enter_context(socket.socket())
            caller.setblocking(False)
            caller.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


async def test_a_silent_host_is_left_out(silent: int) -> None:
    """And one that refuses; user, password, database and options stay as they are."""
    with socket.create_server(("127.0.0.1", free_port())) as good:
        port = good.getsockname()[1]
        uri = f"postgresql://u:p%40@127.0.0.1:{silent},127.0.0.1:1,localhost:{port}/db?target_session_attrs=primary"
        left = f"postgresql://u:p%40@localhost:{port}/db?target_session_attrs=primary"
        assert await without_silent_hosts(uri, 1.5) == left


@pytest.mark.parametrize("hosts", ["one.invalid", "127.0.0.1:1,127.0.0.1:2", "", "/run/postgresql"])
async def test_otherwise_nothing_changes(hosts: str) -> None:
    """One host, or none that accepts: the driver says why."""
    uri = f"postgresql://u:p@{hosts}/db"
    assert await without_silent_hosts(uri, 1.5) == uri
    assert await without_silent_hosts(uri, None) == uri


async def test_a_socket_among_hosts_stays() -> None:
    """Its folder is no name to look up."""
    with socket.create_server(("127.0.0.1", free_port())) as good:
        uri = f"postgresql://u:p@%2Frun%2Fpostgresql,127.0.0.1:1,127.0.0.1:{good.getsockname()[1]}/db"
        left = f"postgresql://u:p@%2Frun%2Fpostgresql,127.0.0.1:{good.getsockname()[1]}/db"
        assert await without_silent_hosts(uri, 1.5) == left
