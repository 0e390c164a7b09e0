"""The dns check against a name server of the tests' own, over UDP and TCP."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import dns.rcode
import psutil
import pytest

from healthd.model import FailureKind, Status
from tests.integration.healthd.checks.probing import watched
from tests.servers import dns as name_servers
from tests.servers import ports
from tests.servers.waiting import until


@pytest.fixture
async def server() -> AsyncIterator[name_servers.NameServer]:
    async with name_servers.serving() as serving:
        serving.hold("api.example", "A", "10.0.0.1", "10.0.0.2")
        serving.hold("www.example", "CNAME", "API.example.")
        serving.hold("dangling.example", "CNAME", "gone.example.")
        serving.hold("example", "MX", "10 mx1.example.", "20 mx2.example.")
        serving.hold("example", "TXT", '"v=spf1 include:" "sendgrid.net -all"', '"other"')
        serving.hold("large.example", "TXT", *(f'"{number:03} {"x" * 200}"' for number in range(20)))
        serving.fail("broken.example", dns.rcode.SERVFAIL)
        serving.fail("private.example", dns.rcode.REFUSED)
        yield serving


@pytest.mark.parametrize(
    "options",
    [
        {"name": "api.example"},
        {"name": "api.example", "exactly": ["10.0.0.2", "10.0.0.1"]},
        {"name": "API.example.", "contains": ["10.0.0.2"]},
        {"name": "www.example", "record": "CNAME", "exactly": ["api.EXAMPLE"]},
        {"name": "example", "record": "MX", "exactly": ["10 mx1.example", "20 mx2.example."]},
        {"name": "example", "record": "TXT", "contains": ["v=spf1 include:sendgrid.net -all"]},
        {"name": "api.example", "record": "AAAA", "exactly": []},
    ],
)
async def test_expected_records(server: name_servers.NameServer, options: dict[str, Any]) -> None:
    """Whatever the order, the case of names, the final dot and the split of a text."""
    async with watched("dns", name_servers=[server.address], **options) as check:
        await check.finds(Status.HEALTHY)


async def test_records_are_observed(server: name_servers.NameServer) -> None:
    """The whole set and its TTL; and every probe asks anew."""
    async with watched("dns", name="api.example", name_servers=[server.address]) as check:
        assert (await check.finds(Status.HEALTHY)).observed == {"records": ["10.0.0.1", "10.0.0.2"], "ttl": 300}
        server.hold("api.example", "A", "10.0.0.3")
        assert (await check.finds(Status.HEALTHY)).observed["records"] == ["10.0.0.3"]
    assert server.asked == ["api.example A"] * 2


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"name": "absent.example"}, FailureKind.DNS, "absent.example does not exist (NXDOMAIN)"),
        ({"name": "dangling.example"}, FailureKind.DNS, "is an alias, and its target gone.example does not exist"),
        ({"name": "broken.example"}, FailureKind.DNS, "SERVFAIL"),
        ({"name": "private.example"}, FailureKind.DNS, "REFUSED"),
        ({"name": "api.example", "record": "AAAA"}, FailureKind.UNEXPECTED_RESPONSE, "no such record"),
        ({"name": "api.example", "contains": ["10.0.0.9"]}, FailureKind.UNEXPECTED_RESPONSE, "missing 10.0.0.9"),
        ({"name": "api.example", "exactly": ["10.0.0.1"]}, FailureKind.UNEXPECTED_RESPONSE, "not expected 10.0.0.2"),
    ],
)
async def test_wrong_records(
    server: name_servers.NameServer, options: dict[str, Any], kind: FailureKind, words: str
) -> None:
    """A name that is not there, a server that fails, and another set than expected are told apart."""
    async with watched("dns", name_servers=[server.address], **options) as check:
        assert words in (await check.finds(Status.UNHEALTHY, kind)).message


async def test_large_answer_comes_over_tcp(server: name_servers.NameServer) -> None:
    """What does not fit into a datagram is asked again over TCP."""
    async with watched("dns", name="large.example", record="TXT", name_servers=[server.address]) as check:
        assert len(list((await check.finds(Status.HEALTHY)).observed["records"] or ())) == 20  # type: ignore[arg-type]


async def test_silent_server_is_a_timeout(server: name_servers.NameServer) -> None:
    """Within the deadline, and with nothing left behind."""
    server.silent = True
    async with watched("dns", name="api.example", name_servers=[server.address], timeout="1s") as check:
        before, tasks = psutil.Process().num_fds(), len(asyncio.all_tasks())
        for _ in range(3):
            await check.gives_up()
        await until(lambda: psutil.Process().num_fds() <= before, "the sockets are closed")
        await until(lambda: len(asyncio.all_tasks()) <= tasks, "the tasks have ended")


async def test_second_server_answers_for_a_dead_first(server: name_servers.NameServer) -> None:
    """One of two suffices; where there is no way to any the kind is `connect`."""
    dead = f"127.0.0.1:{ports.free_port()}"
    async with watched("dns", name="api.example", name_servers=[dead, server.address]) as check:
        await check.finds(Status.HEALTHY)
    async with watched("dns", name="api.example", name_servers=["255.255.255.255"]) as check:
        await check.finds(Status.UNHEALTHY, FailureKind.CONNECT)
