"""The mongodb check's truth table, against a server that speaks its protocol and members in chosen states."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager, AsyncExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
from pydantic import SecretStr

from healthd.checks.mongodb_client import FAILURES, Client
from healthd.checks.mongodb_driver import Driver
from healthd.model import FailureKind, Status
from tests.integration.healthd.checks.probing import Watched, watched
from tests.servers import mongodb, mongodb_peer, peers, ports, tcp, tls
from tests.servers.mongodb_peer import hello, primary, recovering, secondary
from tests.servers.waiting import until

Checked = Callable[..., AbstractAsyncContextManager[Watched]]


@pytest.fixture(params=list(Driver))
def checked(request: pytest.FixtureRequest) -> Checked:
    """`watched` with each of the drivers: what one of them does in silence and on TLS is its own."""
    return partial(watched, "mongodb", driver=request.param)


@pytest.fixture(scope="module")
def guarded() -> Iterator[mongodb.MongoDB]:
    """A replica set of one that demands logins; a test may pause it as long as it wakes it up again."""
    with mongodb.primary(authenticates=True) as server:
        yield server


async def test_primary_is_healthy(guarded: mongodb.MongoDB, checked: Checked) -> None:
    """A writable primary of the set that the URI names; `latency` is the answer alone, not connecting."""
    async with checked(uri=guarded.uri) as check:
        result = await check.finds(Status.HEALTHY)
        assert result.latency is not None
        assert 0 < result.latency < 1
        assert (result.observed["role"], result.observed["setName"]) == ("primary", guarded.set_name)
        assert str(result.observed["version"])[0].isdigit()


async def test_standalone_is_healthy(mongodb_uri: str) -> None:
    """Whatever server the tests are given."""
    async with watched("mongodb", uri=mongodb_uri) as check:
        await check.finds(Status.HEALTHY)


async def test_failed_login(guarded: mongodb.MongoDB, checked: Checked) -> None:
    """Said as such at every probe, although the driver then takes the server for lost."""
    async with checked(uri=guarded.uri_with("watcher", "marked-s3cret")) as check:
        for _ in range(3):
            await check.finds(Status.UNHEALTHY, FailureKind.AUTH)


async def test_another_replica_set(guarded: mongodb.MongoDB) -> None:
    """The URI names a set and the server belongs to another one, or to none."""
    uri = guarded.uri.replace(f"replicaSet={guarded.set_name}", "replicaSet=rs7")
    async with watched("mongodb", uri=uri) as check:
        result = await check.finds(Status.UNHEALTHY, FailureKind.UNEXPECTED_RESPONSE)
        assert "rs7" in result.message


@pytest.mark.parametrize(
    ("answer", "require", "status", "kind"),
    [
        (primary(), "primary", Status.HEALTHY, None),
        (primary(), "any", Status.HEALTHY, None),
        (primary(), "replica", Status.UNHEALTHY, FailureKind.UNEXPECTED_RESPONSE),
        (secondary(), "primary", Status.UNHEALTHY, FailureKind.NOT_PRIMARY),
        (secondary(), "replica", Status.HEALTHY, None),
        (secondary(), "any", Status.HEALTHY, None),
        (recovering(), "primary", Status.UNHEALTHY, FailureKind.NOT_PRIMARY),
        (recovering(), "any", Status.UNHEALTHY, FailureKind.NOT_PRIMARY),
        (hello(readOnly=True), "primary", Status.UNHEALTHY, FailureKind.READ_ONLY),
        (hello(msg="isdbgrid"), "primary", Status.HEALTHY, None),
    ],
)
async def test_members_in_every_state(
    answer: dict[str, Any], require: str, status: Status, kind: FailureKind | None
) -> None:
    """`ping` is answered by all of them; `hello` tells them apart."""
    async with mongodb_peer.peer({"hello": answer}) as peer, watched("mongodb", uri=peer.uri, require=require) as check:
        await check.finds(status, kind)


async def test_secondary_that_fell_behind() -> None:
    """The last write that it has is old by its own clock."""
    now = datetime.now(UTC)
    behind = {"localTime": now, "lastWrite": {"lastWriteDate": now - timedelta(seconds=40)}}
    async with mongodb_peer.peer({"hello": secondary() | behind}) as peer:
        async with watched("mongodb", uri=peer.uri, require="replica") as check:
            result = await check.finds(Status.UNHEALTHY, FailureKind.LAGGING)
            assert result.observed["lagSeconds"] == 40.0
        async with watched("mongodb", uri=peer.uri, require="replica", max_lag="1m") as check:
            await check.finds(Status.HEALTHY)


def _taken(command: Mapping[str, Any]) -> dict[str, Any]:
    """What findAndModify answers, as its page has it: the new document under `value`."""
    return {"ok": 1.0, "value": {"_id": command["query"]["_id"], "value": command["update"]["$set"]["value"]}}


FULL = {"ok": 0.0, "code": 14031, "codeName": "OutOfDiskSpace", "errmsg": "available disk space is less than required"}
LATE = {"ok": 1.0, "value": {}, "writeConcernError": {"code": 64, "errmsg": "waiting for replication timed out"}}


@pytest.mark.parametrize(
    ("answer", "status", "words"),
    [
        (_taken, Status.HEALTHY, ""),
        (FULL, Status.UNHEALTHY, "the canary fails: available disk space"),
        (LATE, Status.UNHEALTHY, "the canary fails"),
        ({"ok": 1.0, "value": {"value": "of yesterday"}}, Status.UNHEALTHY, "reads differently"),
    ],
)
async def test_a_dead_store_behind_a_well_server(answer: Any, status: Status, words: str) -> None:
    """`hello` comes from memory; the canary asks for a write that the majority has."""
    async with mongodb_peer.peer({"hello": hello()}) as peer:
        peer.answer("findAndModify", answer)
        async with watched("mongodb", uri=peer.uri, canary="healthd.canary") as check:
            result = await check.look()
        assert (result.status, words in result.message) == (status, True)
        async with watched("mongodb", uri=peer.uri) as check:
            await check.finds(Status.HEALTHY)


async def test_set_without_a_primary(checked: Checked) -> None:
    """Members that answer and have no primary among them: the message says who is there and who is not."""
    with tcp.silent() as dead:
        alone = secondary() | {"hosts": [f"{dead.host}:{dead.port}"]}
        async with mongodb_peer.peer({"hello": alone}) as peer:
            alone["hosts"].append(f"{peer.host}:{peer.port}")
            uri = f"mongodb://{peer.host}:{peer.port}/?replicaSet=rs0"
            async with checked(uri=uri, timeout="3s") as check:
                result = await check.finds(Status.UNHEALTHY, FailureKind.NOT_PRIMARY)
                assert "no primary among 2 members, only 1 secondary" in result.message


async def test_paused_server(guarded: mongodb.MongoDB, checked: Checked) -> None:
    """SIGSTOP: the driver gives up before the deadline, so that one client survives it; then recovery."""
    async with checked(uri=guarded.uri, timeout="5s") as check:
        await check.finds(Status.HEALTHY)
        guarded.pause()
        try:
            await check.finds(Status.UNHEALTHY, FailureKind.TIMEOUT)
            await check.finds(Status.UNHEALTHY, FailureKind.TIMEOUT)
        finally:
            guarded.resume()
        await check.finds(Status.HEALTHY)


async def test_stopped_and_started_again(checked: Checked) -> None:
    """A server that ends says connect; when it is back, so is the check, without a restart."""
    with mongodb.standalone() as server:
        async with checked(uri=server.uri, timeout="3s") as check:
            await check.finds(Status.HEALTHY)
            server.stop()
            await check.finds(Status.UNHEALTHY, FailureKind.CONNECT)
            server.start()
            await check.finds(Status.HEALTHY)


@pytest.mark.parametrize("hole", [tcp.silent, tcp.unconnectable])
async def test_threads_stay_flat_in_front_of_a_black_hole(
    hole: Callable[[], AbstractContextManager[tcp.Listener]],
    checked: Checked,
) -> None:
    """Many hung probes, with a timeout too short for the driver's own: threads, tasks and sockets do not grow. Motor's
    pool has a few more on a busy machine, and not one for every second probe."""
    with hole() as listener:
        uri = f"mongodb://watcher:marked-s3cret@{listener.host}:{listener.port}/"
        async with checked(uri=uri, timeout="200ms") as check:
            for _ in range(4):
                await check.finds(Status.UNHEALTHY, FailureKind.TIMEOUT)
            threads, sockets = threading.active_count(), len(psutil.Process().net_connections())
            for _ in range(12):
                await check.finds(Status.UNHEALTHY, FailureKind.TIMEOUT)
            await until(lambda: threading.active_count() < threads + 6, "the threads of twelve probes end")
            await until(lambda: len(psutil.Process().net_connections()) < sockets + 6, "their sockets are closed")
        await until(lambda: not _works_of_the_driver(), "the driver's threads and tasks end")
        assert len(asyncio.all_tasks()) == 1


@pytest.mark.parametrize("driver", list(Driver))
async def test_tls_to_a_server_that_speaks_none(driver: Driver) -> None:
    """It says nothing: that is told with what may be its reason, where the driver gives up before the check does."""
    with tcp.silent() as listener:
        client = Client(SecretStr(f"mongodb://{listener.host}:{listener.port}/?tls=true"), 3.0, driver)
        opened = await client.open()
        with pytest.raises(FAILURES) as silence:
            await opened.admin.command("ping")
        result = client.failure(silence.value)
        client.drop()
    assert result.kind is FailureKind.TIMEOUT
    assert result.message.endswith("; perhaps it speaks no TLS at this port")


@pytest.mark.parametrize("driver", list(Driver))
async def test_one_client_survives_silence(driver: Driver) -> None:
    """With the default timeout the driver is always the first to give up: the same one waits on for ever."""
    with tcp.silent() as listener:
        uri = f"mongodb://{listener.host}:{listener.port}/"
        async with watched("mongodb", uri=uri, timeout="3s", driver=driver) as check:
            await check.finds(Status.UNHEALTHY, FailureKind.TIMEOUT)
            before = _works_of_the_driver()
            await check.finds(Status.UNHEALTHY, FailureKind.TIMEOUT)
            assert before == _works_of_the_driver() != set()


def _works_of_the_driver() -> set[object]:
    """The threads and tasks by which a driver watches members, or closes."""
    names = ("pymongo_server", "mongodb-close")
    threads = {thread for thread in threading.enumerate() if thread.name.startswith(names)}
    return threads | {task for task in asyncio.all_tasks() if task.get_name().startswith(names)}


async def test_name_that_does_not_resolve() -> None:
    """Known before the driver is asked, which would only say that nobody answers."""
    async with watched("mongodb", uri="mongodb://watcher:marked-s3cret@nowhere.invalid/") as check:
        await check.finds(Status.UNHEALTHY, FailureKind.DNS)


async def test_hung_resolver_never_gets_to_the_driver(monkeypatch: pytest.MonkeyPatch, checked: Checked) -> None:
    """While names cannot be looked up there is no client, and so none of its threads."""

    async def hang(*_: object, **__: object) -> None:
        await asyncio.sleep(3600)

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", hang)
    before = threading.active_count()
    async with checked(uri="mongodb://db.example/", timeout="100ms") as check:
        for _ in range(5):
            await check.finds(Status.UNHEALTHY, FailureKind.TIMEOUT)
    assert threading.active_count() <= before


async def test_one_seed_of_many_is_enough(guarded: mongodb.MongoDB, checked: Checked) -> None:
    """A set whose first seed has left the DNS is still reached through the others."""
    uri = guarded.uri.replace("127.0.0.1", "nowhere.invalid:1,127.0.0.1")
    async with checked(uri=uri) as check:
        await check.finds(Status.HEALTHY)


async def test_peer_that_speaks_something_else(peer: peers.Peer, checked: Checked) -> None:
    """An HTTP server on MongoDB's port is no MongoDB."""
    uri = f"mongodb://watcher:marked-s3cret@{peer.host}:{peer.port}/"
    async with checked(uri=uri, timeout="10s") as check:
        await check.finds(Status.UNHEALTHY, FailureKind.UNEXPECTED_RESPONSE)


@pytest.mark.parametrize(
    ("certificate", "kind"),
    [
        (tls.Authority.good, FailureKind.TIMEOUT),  # the peer says nothing after the handshake
        (tls.Authority.expired, FailureKind.EXPIRED),
        (tls.Authority.wrong_host, FailureKind.TLS),
    ],
)
async def test_certificates(
    authority: tls.Authority,
    tmp_path: Path,
    certificate: Callable[[tls.Authority], tls.Certificate],
    kind: FailureKind,
    checked: Checked,
) -> None:
    """The URI's TLS options count: a certificate that does not verify is red, and an expired one says so."""
    async with tls.serving(certificate(authority), tmp_path) as server:
        uri = f"mongodb://{server.host}:{server.port}/?tls=true&tlsCAFile={authority.trust}"
        async with checked(uri=uri, timeout="1200ms" if kind is FailureKind.TIMEOUT else "10s") as check:
            await check.finds(Status.UNHEALTHY, kind)


async def test_service_record_that_does_not_exist(checked: Checked) -> None:
    """`mongodb+srv://` with a name that has no such record, or nobody to ask."""
    uri = "mongodb+srv://watcher:marked-s3cret@cluster.nowhere.invalid/"
    async with checked(uri=uri) as check:
        await check.finds(Status.UNHEALTHY, FailureKind.DNS)


async def test_a_closed_port_is_told_at_once(checked: Checked) -> None:
    """The driver itself looks for servers until the probe's time is over, and counts that as silence."""
    place = f"127.0.0.1:{ports.free_port()}"
    for uri in (f"mongodb://{place}/shop", f"mongodb://{place},{place}/shop?replicaSet=rs"):
        async with checked(uri=uri, interval="1h", timeout="10m") as check:
            for _ in range(2):
                result = await check.finds(Status.UNHEALTHY, FailureKind.CONNECT)
                assert result.message == f"nobody listens on {place}"


async def test_a_server_that_goes_away_is_told_at_once(checked: Checked) -> None:
    """From the second probe without it on: the first finds a broken connection."""
    async with AsyncExitStack() as stack:
        peer = await stack.enter_async_context(mongodb_peer.peer({"hello": primary()}))
        async with checked(uri=peer.uri, interval="1h", timeout="10m") as check:
            await check.finds(Status.HEALTHY)
            await stack.aclose()
            await check.look()
            result = await check.finds(Status.UNHEALTHY, FailureKind.CONNECT)
            assert "nobody listens on" in (result.message or "")
