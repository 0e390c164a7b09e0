"""Servers that many tests share: one of each for a pytest-xdist worker, started when first asked for.

A test that pauses, stops or breaks a server starts one of its own from `tests.servers`. Drivers are imported where a
server is asked for: importing them all costs a test that needs none more than the test itself.
"""

from __future__ import annotations

import gc
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from healthd.http.outgoing import Way, put_in_force
from tests.fakes import names

_HERE = Path(__file__).parent
settings.load_profile("ci")  # how long an example takes is the machine's matter, here as there
names.keep_to_the_machine()

# jsonschema imports it for the formats of IRIs, which no schema here has: it parses 39 grammars, in every worker.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]

# A suite that a script runs in the background has Ctrl-C ignored, and so would have what its tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Collection makes millions of objects that stay: looking through them for garbage is a sixth of its time, and would be
# most of each full look afterwards.
gc.disable()


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


def pytest_itemcollected(item: pytest.Item) -> None:
    """Let virtual time go on as soon as nothing is left to do: before each step looptime turns the loop 42 times with
    nothing to do, which is most of what a test of an hour costs. A thread's answer is waited for in any case."""
    if item.get_closest_marker("looptime"):
        item.add_marker(pytest.mark.looptime(noop_cycles=0))


if TYPE_CHECKING:
    from jsonschema import Draft202012Validator

    from tests.servers import moto, peers, postgresql, redis, tls


_SPREAD = {"acceptance": 0.85, "integration": 0.95, "unit": 1.0}
"""Over which part of a run the files of a folder are spread: what takes long is not to be begun last, and alone."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where several workers share the machine, mix the files of each kind evenly among all others: acceptance tests
    mostly wait for programs, and unit tests compute. One kind after the other would first leave processors idle, and
    then fight for them."""
    if not hasattr(config, "workerinput"):
        return
    files = dict.fromkeys(item.path for item in items)
    places: dict[Path, float] = {}
    for kind, part in _SPREAD.items():
        paths = [path for path in files if path.is_relative_to(_HERE / kind)]
        places |= {path: index / len(paths) * part for index, path in enumerate(paths)}
    items.sort(key=lambda item: places.get(item.path, 0.0))


@pytest.fixture(autouse=True)
def direct_way() -> Iterator[None]:
    """What a test puts in force, or a command that it runs in the process, leads no other test through a proxy."""
    yield
    put_in_force(Way())


@pytest.fixture
async def hung_resolver(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """Each lookup of `hung.example` hangs until the test ends; addresses need none. It ends before the event loop,
    which waits for the threads that look up."""
    with names.hanging(monkeypatch):
        yield


@pytest.fixture(scope="session")
def file_schema() -> Draft202012Validator:
    """Validates against the JSON schema of a whole file, as an editor does; to build and to check it takes a second.
    Change nothing in it."""
    from jsonschema import Draft202012Validator

    from healthd.config.json_schema import config_schema
    from healthd_gates.config.settings import Config

    schema = config_schema(Config)
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[postgresql.PostgreSQL]:
    """A primary. Change nothing in it but what is in a database of your own."""
    from tests.servers import postgresql

    with postgresql.primary() as server:
        yield server


@pytest.fixture
async def postgresql_dsn(postgresql_server: postgresql.PostgreSQL) -> AsyncIterator[str]:
    """An empty database, and the ordinary role that owns it."""
    async with postgresql_server.database() as dsn:
        yield dsn


@pytest.fixture(scope="session")
def _redis_of_worker() -> Iterator[redis.Redis]:
    from tests.servers import redis

    with redis.standalone() as server:
        yield server


@pytest.fixture
def redis_server(_redis_of_worker: redis.Redis) -> redis.Redis:
    """A Redis with no keys."""
    with _redis_of_worker.client() as client:
        client.flushall()
    return _redis_of_worker


@pytest.fixture(scope="session")
def mongodb_uri() -> Iterator[str]:
    """A MongoDB that accepts writes: the one HEALTHD_TEST_MONGODB_URI names, else the tests' own."""
    from tests.servers import mongodb

    given = mongodb.given_uri()
    if given:
        yield given
        return
    with mongodb.primary() as server:
        yield server.uri


@pytest.fixture(scope="session")
def _aws_of_worker() -> Iterator[moto.Moto]:
    from tests.servers import moto

    with moto.running() as server:
        yield server


@pytest.fixture(scope="module")
def aws(_aws_of_worker: moto.Moto) -> moto.Moto:
    """AWS's APIs without a resource, for the tests of one file."""
    _aws_of_worker.reset()
    return _aws_of_worker


@pytest.fixture
async def peer() -> AsyncIterator[peers.Peer]:
    """An HTTP peer that answers 404 until told what to answer."""
    from tests.servers import peers

    async with peers.peer() as answering:
        yield answering


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tls.Authority:
    """A certificate authority of the tests' own."""
    from tests.servers import tls

    return tls.Authority(Path(tmp_path_factory.mktemp("authority")))
