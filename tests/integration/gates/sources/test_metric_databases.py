"""InfluxDB and Graphite: what is theirs alone. What they share with services of telemetry is in test_windows.py."""

from __future__ import annotations

import pytest

from healthd.model import FailureKind
from healthd_gates.domain.evidence import Counts
from healthd_gates.sources.contract import HistoricalSource, Series, SourceUnavailable
from tests.integration.gates.sources.test_windows import look_at
from tests.integration.gates.sources.vendors import START, VENDORS, desk
from tests.servers.peers import Answer, Peer
from tests.servers.telemetry.graphite import Graphite
from tests.servers.telemetry.influxdb import InfluxDB
from tests.servers.telemetry.store import Store

INFLUXDB, GRAPHITE = (next(each for each in VENDORS if each.kind == kind) for kind in ("influxdb", "graphite"))


@pytest.fixture
def store() -> Store:
    return Store(START.timestamp())


async def test_conditions_stay_one_beside_the_window(peer: Peer, store: Store) -> None:
    """An OR among them must not let in points of another time; a WHERE within something is not theirs."""
    texts = {
        "SELECT count(a) FROM r WHERE b = 1 OR c = 2": "SELECT count(a) FROM r WHERE (b = 1 OR c = 2) AND ",
        "SELECT count(a) FROM r": "SELECT count(a) FROM r WHERE ",
        """SELECT count(a) FROM "where" WHERE b = '(where' """: (
            """SELECT count(a) FROM "where" WHERE (b = '(where') AND """
        ),
        "SELECT sum(n) FROM (SELECT count(a) AS n FROM r WHERE b =~ /)where/ GROUP BY c)": (
            "SELECT sum(n) FROM (SELECT count(a) AS n FROM r WHERE b =~ /)where/ GROUP BY c) WHERE "
        ),
    }
    InfluxDB(peer, store)
    peer.answer("GET", "/query", Answer(json={"results": [{"statement_id": 0}]}))
    for text, head in texts.items():
        gate = desk(INFLUXDB.config(peer, requests=text, errors=text))
        await gate.look()
        await gate.source.close()
        asked = peer.received[-1].query["q"]
        assert asked.startswith(f"{head}time >= ")
        assert asked.endswith("s GROUP BY time(60s) fill(none)")


async def test_a_part_of_influxdb_s_answer_is_none(peer: Peer, store: Store) -> None:
    """What is cut off, or of several series or columns; and a database that is not there lasts."""
    double = InfluxDB(peer, store)
    gate = desk(INFLUXDB.config(peer))
    await gate.look()
    INFLUXDB.add(store, 0, 10)
    double.partial = True
    with pytest.raises(SourceUnavailable, match="the answer is cut off"):
        await look_at(gate, store, 1.5)
    double.partial = False
    series = {"name": "requests", "columns": ["time", "count", "count_1"], "values": [[0, 1, 2]]}
    for several in ([series], [{**series, "columns": ["time", "count"]}] * 2):
        peer.answer_once("GET", "/query", Answer(json={"results": [{"series": several}, {"statement_id": 1}]}))
        with pytest.raises(SourceUnavailable, match="several numbers: select one"):
            await look_at(gate, store, 1.5)
    look = await look_at(gate, store, 1.6)
    await gate.source.close()
    assert look.evidence.candidate == Counts(10, 0)
    gate = desk(INFLUXDB.config(peer, database="shpo"))
    with pytest.raises(SourceUnavailable, match="database not found: shpo") as absent:
        await gate.look()
    await gate.source.close()
    assert absent.value.kind is FailureKind.MISCONFIGURED
    gate = desk(INFLUXDB.config(peer))
    unmapped = {"statement_id": 0, "error": "default retention policy not set for: shop"}
    peer.answer("GET", "/query", Answer(json={"results": [unmapped]}))
    with pytest.raises(
        SourceUnavailable, match=r"not set for: shop; .* by its mapping: influx v1 dbrp create"
    ) as unknown:
        await gate.look()
    await gate.source.close()
    assert unknown.value.kind is FailureKind.MISCONFIGURED


async def test_a_version_is_one_node_of_a_path(peer: Peer, store: Store) -> None:
    """A dot would begin another node: clients write `_` for it. Within quotes, which tags are in, it stays."""
    Graphite(peer, store)
    gate = desk(GRAPHITE.config(peer, latency=GRAPHITE.latency), edges=(0.5,), version="1.4.1")
    await gate.look()
    targets = [value for name, value in peer.received[-1].pairs if name == "target"]
    wanted = [f"sumSeries(stats.shop.1_4_1.{what}.count)" for what in ("requests", "errors", "le_0_5")]
    assert targets == [f'alias({path},"q{place}")' for place, path in enumerate(wanted)]
    GRAPHITE.add(store, 0, 7, version="1_4_1")
    look = await look_at(gate, store, 1.5)
    await gate.source.close()
    peer.answer("GET", "/render", Answer(json=[]))
    tags = "seriesByTag('name=requests','version=$version')"
    gate = desk(GRAPHITE.config(peer, requests=tags, errors=tags), version="1.4.1")
    await gate.look()
    await gate.source.close()
    assert look.evidence.candidate is not None
    assert look.evidence.candidate.requests == 7
    assert peer.received[-1].query["target"] == "alias(seriesByTag('name=requests','version=1.4.1'),\"q0\")"


async def test_increases_of_a_counter_are_whole_where_windows_meet(peer: Peer, store: Store) -> None:
    """An increase is known from the second point on, which must not be the window's."""
    minutes = {0: 5.0, 1: 8.0, 2: 9.0}
    for minute, value in minutes.items():
        for place in range(6):
            store.add(START.timestamp() + 40 + 60 * minute + 10 * place, version="2", value=value + place * 10)
    Graphite(peer, store)
    grown = "nonNegativeDerivative(stats.gauges.shop.$version.value)"
    gate = desk(GRAPHITE.config(peer, requests=grown, errors=grown))
    await gate.look()
    looks = [await look_at(gate, store, minute) for minute in (1.5, 2.5, 3.5)]
    await gate.source.close()
    assert [look.evidence.candidate.requests for look in looks if look.evidence.candidate is not None] == [50, 50, 50]


async def test_points_that_are_no_windows_are_refused(peer: Peer, store: Store) -> None:
    """Those of a coarser archive, several series, and a function that Graphite does not know, in its own words."""
    double = Graphite(peer, store)
    GRAPHITE.add(store, -3, 10)
    double.step = 300
    gate = desk(GRAPHITE.config(peer))
    assert isinstance(gate.source, HistoricalSource)
    with pytest.raises(SourceUnavailable, match="the points are 300 s apart, which is more than a window"):
        await gate.source.history(START.replace(hour=11), START, 120.0)
    double.step = 10
    peer.answer_once("GET", "/render", Answer(json=[{"target": "q0", "datapoints": []}] * 2))
    with pytest.raises(SourceUnavailable, match=r"several series: add sumSeries\(\)"):
        await gate.look()
    await gate.source.close()
    gate = desk(GRAPHITE.config(peer, requests=None, errors=None), Series("a", "values", {"value": "rank(a)"}))
    with pytest.raises(SourceUnavailable, match=r"400: Invalid parameters .*unknown function: rank"):
        await gate.look()
    await gate.source.close()


async def test_a_server_that_takes_one_statement_is_asked_one_a_call(peer: Peer, store: Store) -> None:
    """InfluxDB 3 refuses several, and is tried with them once."""
    double = InfluxDB(peer, store)
    double.one_statement = True
    gate = desk(INFLUXDB.config(peer))
    await gate.look()
    INFLUXDB.add(store, 0, 10)
    asked = len(peer.received)
    look = await look_at(gate, store, 1.5)
    await gate.source.close()
    assert (look.evidence.candidate, asked, len(peer.received)) == (Counts(10, 0), 3, 5)
