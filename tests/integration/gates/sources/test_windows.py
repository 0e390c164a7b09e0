"""Closed windows of counts: each counted once, when it no longer changes, whatever the service of telemetry."""

from __future__ import annotations

from math import inf
from typing import Any
from urllib.parse import quote_plus

import pytest

from healthd.model import FailureKind
from healthd_gates.domain.evidence import Counts, Events, Histogram, Values
from healthd_gates.sources.contract import HistoricalSource, Series, SourceUnavailable
from healthd_gates.sources.inspection import InspectableSource
from healthd_gates.sources.windows import halves_below
from tests.fakes.sources import Desk
from tests.integration.gates.sources.vendors import FIRST, START, VENDORS, Vendor, desk
from tests.servers import peers
from tests.servers.peers import Answer, Peer
from tests.servers.telemetry.store import Store

each_vendor = pytest.mark.parametrize("vendor", VENDORS, ids=lambda vendor: vendor.kind)


async def look_at(gate: Desk, store: Store, minute: float) -> Any:
    """Look so many minutes after the gate's first whole one."""
    store.now = FIRST + minute * 60
    gate.clock.forward(store.now - gate.clock.now().timestamp())
    return await gate.look()


@pytest.fixture
def store() -> Store:
    return Store(START.timestamp())


@each_vendor
async def test_each_closed_window_is_counted_once_of_both_versions(vendor: Vendor, peer: Peer, store: Store) -> None:
    """Not the minute in which the gate began, and none before it has been over for the delay."""
    double = vendor.double(peer, store)
    gate = desk(vendor.config(peer), baseline=True)
    vendor.add(store, -1, 77)
    vendor.add(store, 0, 10)
    vendor.add(store, 0, 2, status=500.0)
    vendor.add(store, 0, 5, version="1")
    vendor.add(store, 1, 20)
    assert (await gate.look()).evidence is None
    early = await look_at(gate, store, 1.4)
    asked = len(peer.received)
    first = await look_at(gate, store, 1.6)
    again = await look_at(gate, store, 1.8)
    assert len(peer.received) > asked
    asked = len(peer.received)
    second = await look_at(gate, store, 2.5)
    await gate.source.close()
    assert early.evidence.candidate is None
    assert (first.evidence.candidate, first.evidence.baseline) == (Counts(12, 2), Counts(5, 0))
    assert again.evidence.candidate is None
    assert second.evidence.candidate == Counts(20, 0)
    assert second.evidence.baseline is None
    assert len(peer.received) > asked
    assert double.store is store


@each_vendor
async def test_latencies_are_counted_at_the_limits(vendor: Vendor, peer: Peer, store: Store) -> None:
    vendor.double(peer, store)
    gate = desk(vendor.config(peer, latency=vendor.latency, edges=[]), edges=(0.5, 2.0))
    await gate.look()
    vendor.add(store, 0, 10)
    vendor.add(store, 0, 4, took=1.5)
    vendor.add(store, 0, 3, took=9.0)
    look = await look_at(gate, store, 1.5)
    await gate.source.close()
    assert look.evidence.candidate == Counts(17, 0, Histogram((0.5, 2.0, inf), (10, 4, 3)))


@each_vendor
async def test_below_a_limit_there_are_edges_to_compare_at(vendor: Vendor, peer: Peer, store: Store) -> None:
    """With the limit alone, 40 ms and 4 s would be in one bucket. Graphite has the buckets that were written."""
    vendor.double(peer, store)
    gate = desk(vendor.config(peer, latency=vendor.latency), edges=(5.0,))
    await gate.look()
    vendor.add(store, 0, 10, took=0.04)
    vendor.add(store, 0, 4, took=0.2)
    vendor.add(store, 0, 3, took=4.0)
    look = await look_at(gate, store, 1.5)
    await gate.source.close()
    if vendor.kind == "graphite":
        assert look.evidence.candidate.latency.edges == (5.0, inf)
        return
    edges = (0.078, 0.16, 0.31, 0.62, 1.2, 2.5, 5.0, inf)
    assert look.evidence.candidate.latency == Histogram(edges, (10, 0, 4, 0, 0, 0, 3, 0))


@pytest.mark.parametrize(
    ("limits", "edges"),
    [
        ((), ()),
        ((5.0, 10.0), (0.078, 0.16, 0.31, 0.62, 1.2, 2.5)),
        ((0.3, 5.0), (0.0047, 0.0094, 0.019, 0.037, 0.075, 0.15, 0.62, 1.2, 2.5)),
        ((0.5, 0.6), (0.0078, 0.016, 0.031, 0.062, 0.12, 0.25)),
    ],
)
def test_edges_are_halves_of_limits(limits: tuple[float, ...], edges: tuple[float, ...]) -> None:
    """None stands right beside a limit."""
    assert tuple(sorted(halves_below(limits))) == edges


@each_vendor
async def test_what_arrives_late_is_counted_when_it_is_there(vendor: Vendor, peer: Peer, store: Store) -> None:
    """Silence is no telemetry, not zero requests: its windows are asked for until later ones are known."""
    vendor.double(peer, store)
    gate = desk(vendor.config(peer))
    await gate.look()
    for minute in range(3):
        vendor.add(store, minute, 10, late=200.0 - 60 * minute)
    silent = await look_at(gate, store, 2.2)
    there = await look_at(gate, store, 3.5)
    await gate.source.close()
    assert silent.evidence.candidate is None
    assert there.evidence.candidate == Counts(30, 0)


@each_vendor
async def test_silence_for_long_is_told_and_asked_for_once_a_window(vendor: Vendor, peer: Peer, store: Store) -> None:
    """It is no telemetry of either version, and never zero requests."""
    vendor.double(peer, store)
    gate = desk(vendor.config(peer))
    await gate.look()
    look = await look_at(gate, store, 9.5)
    asked = len(peer.received)
    again = await look_at(gate, store, 9.6)
    vendor.add(store, 9, 4)
    back = await look_at(gate, store, 10.6)
    await gate.source.close()
    for silent in (look, again):
        assert (silent.evidence.candidate, silent.evidence.gaps) == (None, 1)
        assert any("nothing arrived for" in note and "name `up`" in note for note in silent.notes)
    assert len(peer.received) == asked + 1
    assert back.evidence.candidate == Counts(4, 0)


@each_vendor
async def test_with_a_sign_of_life_no_requests_are_no_traffic(vendor: Vendor, peer: Peer, store: Store) -> None:
    vendor.double(peer, store)
    gate = desk(vendor.config(peer, up=vendor.up))
    await gate.look()
    for minute in (0, 2):
        vendor.add(store, minute, 10, version="1")
    look = await look_at(gate, store, 3.5)
    await gate.source.close()
    assert (look.evidence.candidate, look.evidence.gaps) == (Counts(0, 0), 1)


@each_vendor
async def test_criteria_have_series_of_their_own(vendor: Vendor, peer: Peer, store: Store) -> None:
    """A ratio, events with their time, and a value; zero events are known by the requests."""
    vendor.double(peer, store)
    series = [
        Series("checkouts", "counts", {"of": vendor.requests, "bad": vendor.errors}),
        Series("crashes", "events", {"events": vendor.errors}),
    ]
    if vendor.value is not None:
        series.append(Series("value", "values", {"value": vendor.value}))
    gate = desk(vendor.config(peer), *series, baseline=True)
    await gate.look()
    vendor.add(store, 0, 10, value=3.0)
    vendor.add(store, 0, 10, version="1", value=7.0)
    vendor.add(store, 1, 5, status=500.0, value=9.0)
    streams = (await look_at(gate, store, 2.5)).evidence.streams
    await gate.source.close()
    assert (streams["checkouts"].candidate, streams["checkouts"].baseline) == (Counts(15, 5), Counts(10, 0))
    assert streams["crashes"].candidate == Events(5, None, None, 120.0)
    assert streams["crashes"].baseline == Events(0, None, None, 60.0)
    if vendor.value is not None:
        assert (streams["value"].candidate, streams["value"].baseline) == (Values((9.0,)), Values((7.0,)))


@each_vendor
async def test_another_process_goes_on_where_the_first_was_killed(vendor: Vendor, peer: Peer, store: Store) -> None:
    vendor.double(peer, store)
    killed = desk(vendor.config(peer))
    await killed.look()
    vendor.add(store, 0, 10)
    await look_at(killed, store, 1.5)
    await killed.source.close()
    vendor.add(store, 1, 7)
    gate = desk(vendor.config(peer))
    gate.cursor = killed.cursor
    look = await look_at(gate, store, 2.5)
    await gate.source.close()
    assert look.evidence.candidate == Counts(7, 0)


@each_vendor
async def test_an_outage_is_no_telemetry_and_what_was_counted_meanwhile_comes(
    vendor: Vendor, peer: Peer, store: Store
) -> None:
    vendor.double(peer, store)
    gate = desk(vendor.config(peer))
    await gate.look()
    for minute in range(2):
        vendor.add(store, minute, 10)
    path, method = peer.received[-1].path, peer.received[-1].method
    no_answers = [] if vendor.kind == "graphite" else [Answer(json=[])]  # to Graphite no series is an answer
    for answer in (Answer(status=503), Answer(body="<html>"), Answer(json=[{}]), Answer(json={}), *no_answers):
        peer.answer_once(method, path, answer)
        with pytest.raises(SourceUnavailable) as outage:
            await look_at(gate, store, 1.5)
        assert vendor.kind in str(outage.value).lower().replace(" ", "")
    look = await look_at(gate, store, 2.5)
    await gate.source.close()
    assert look.evidence.candidate == Counts(20, 0)


@each_vendor
async def test_an_outage_is_told_when_it_begins(vendor: Vendor, peer: Peer, store: Store) -> None:
    """And not at the end of the next window, which may be counted whole: it is no gap.

    What is paid for by the question is asked once a window."""
    vendor.double(peer, store)
    gate = desk(vendor.config(peer))
    await gate.look()
    path, method = peer.received[-1].path, peer.received[-1].method
    asked = len(peer.received)
    await look_at(gate, store, 0.0)
    assert len(peer.received) == asked + vendor.config(peer).asks_between
    await look_at(gate, store, 0.1)
    assert len(peer.received) == asked + vendor.config(peer).asks_between, "not at every look"
    peer.answer_once(method, path, Answer(status=503))
    if vendor.config(peer).asks_between:
        away = await look_at(gate, store, 0.4)
        assert ("answered 503" in away.notes[0], away.evidence.gaps) == (True, 0)
    back = await look_at(gate, store, 0.5)
    assert (back.evidence is not None, back.notes) == (True, ())
    await gate.source.close()


@each_vendor
async def test_a_wrong_key_is_said_without_the_key(vendor: Vendor, peer: Peer, store: Store) -> None:
    vendor.double(peer, store)
    gate = desk(vendor.config(peer, **vendor.wrong_key))
    with pytest.raises(SourceUnavailable) as refused:
        await gate.look()
    await gate.source.close()
    assert refused.value.kind in (FailureKind.AUTH, FailureKind.PERMISSION)
    assert "wrong-wrong" not in str(refused.value)


async def test_what_a_server_echoes_is_left_out(peer: Peer) -> None:
    """The reason stands before it; nothing ends in the middle of a word."""
    headers = ", ".join(f"'X-Header-{number}': 'value'" for number in range(40))
    peer.fallback = Answer(403, json={"errors": [f"Forbidden for {{'Host': 'api', 'DD-API-KEY': '***', {headers}}}"]})
    gate = desk(VENDORS[0].config(peer))
    with pytest.raises(SourceUnavailable, match=r"answered 403: Forbidden for …$"):
        await gate.look()
    await gate.source.close()


@each_vendor
async def test_a_limit_of_requests_is_kept_and_told(vendor: Vendor, peer: Peer, store: Store) -> None:
    """Nothing is asked before the pause is over that the answer names."""
    vendor.double(peer, store)
    gate = desk(vendor.config(peer))
    await gate.look()
    vendor.add(store, 0, 10)
    path, method = peer.received[-1].path, peer.received[-1].method
    header = "X-RateLimit-Reset" if vendor.kind == "datadog" else "Retry-After"
    peer.answer_once(method, path, Answer(status=429, json={}, headers={header: "17"}))
    with pytest.raises(SourceUnavailable, match="limit of requests is reached, asked again in 17 s") as limited:
        await look_at(gate, store, 1.5)
    asked = len(peer.received)
    with pytest.raises(SourceUnavailable, match="was reached, asked again in"):
        await look_at(gate, store, 1.6)
    assert (limited.value.kind, len(peer.received)) == (FailureKind.RATE_LIMITED, asked)
    look = await look_at(gate, store, 1.9)
    await gate.source.close()
    assert look.evidence.candidate == Counts(10, 0)


@each_vendor
async def test_the_past_and_what_is_seen_now(vendor: Vendor, peer: Peer, store: Store) -> None:
    """As far as it no longer changes: whole steps of the past, and whole windows of the present."""
    vendor.double(peer, store)
    for minute in range(-9, -1):
        vendor.add(store, minute, 10, status=500.0 if minute == -5 else 200.0)
    gate = desk(vendor.config(peer), Series("failed", "events", {"events": vendor.errors}))
    assert isinstance(gate.source, HistoricalSource)
    assert isinstance(gate.source, InspectableSource)
    past = await gate.source.history(START.replace(minute=0, hour=11, second=0), START, 120.0)
    found = await gate.source.inspect()
    await gate.source.close()
    counted = [each.candidate for each in past if each.candidate is not None]
    assert (sum(each.requests for each in counted), sum(each.errors for each in counted)) == (60, 10)
    assert {each.seconds for each in past} == {120.0}
    seen = found.arms["candidate"]
    assert (seen.counts, seen.counted, seen.numbers) == (Counts(70, 10), 600.0, {"failed.events": 10.0})


@each_vendor
@pytest.mark.parametrize("failed", [False, True])
async def test_errors_that_nothing_finds_are_told(vendor: Vendor, peer: Peer, store: Store, *, failed: bool) -> None:
    """By a slip in their query every release would pass. One of the version before shows that they are found."""
    vendor.double(peer, store)
    vendor.add(store, -3, 900)
    vendor.add(store, -3, 100, version="1")
    vendor.add(store, -3, int(failed), version="1", status=500.0)
    gate = desk(vendor.config(peer), baseline=True)
    assert isinstance(gate.source, InspectableSource)
    found = await gate.source.inspect()
    await gate.source.close()
    told = "errors: none of 1,000 requests in 10m: either none failed, or `errors` does not find what fails"
    assert (told in found.doubtful) is (not failed)
    assert found.refused == ()


@each_vendor
def test_a_text_that_gives_no_counts_is_refused(vendor: Vendor) -> None:
    with pytest.raises(ValueError, match="requests: "):
        vendor.config(Peer("http"), requests=vendor.not_counts)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"window": "15s"}, "window: use a multiple of 10s"),
        ({"latency": "sum:a{b:c}.as_count()"}, r"latency: must count .* and has no \$le"),
        ({"errors": None}, "errors is missing"),
        ({"requests": "sum:a{b:c} by {host}.as_count()"}, "requests: by .* gives several series"),
        ({"up": "avg:a{*}"}, "gives no counts"),
    ],
)
def test_what_cannot_be_asked_is_refused(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        VENDORS[0].config(Peer("http"), **options)


def test_events_need_something_that_shows_that_telemetry_arrives() -> None:
    config = VENDORS[2].config(Peer("http"), requests=None, errors=None)
    with pytest.raises(ValueError, match="up: is needed"):
        config.check_series(Series("logged", "events", {"events": VENDORS[2].errors}))
    config.check_series(Series("logged", "events", {"events": VENDORS[2].errors, "up": VENDORS[2].up}))


async def test_parts_that_are_missing_make_the_whole_unusable(peer: Peer, store: Store) -> None:
    """Shards that failed, a search that timed out, one query of several that failed: any could hide errors."""
    double = VENDORS[3].double(peer, store)
    gate = desk(VENDORS[3].config(peer))
    double.failed = 1
    with pytest.raises(SourceUnavailable, match="1 of 2 shards failed"):
        await gate.look()
    double.failed, double.timed_out = 0, True
    with pytest.raises(SourceUnavailable, match="timed out"):
        await gate.look()
    await gate.source.close()
    for index, says in (("nothing-*", "no index has the name"), ("absent", "404: index_not_found_exception: no such")):
        gate = desk(VENDORS[3].config(peer, index=index))
        with pytest.raises(SourceUnavailable, match=says):
            await gate.look()
        await gate.source.close()
    async with peers.peer() as other:
        relic = VENDORS[1].double(other, store)
        relic.failing = {"message": "An error occurred", "extensions": {"errorClass": "TIMEOUT"}}
        gate = desk(VENDORS[1].config(other))
        with pytest.raises(SourceUnavailable, match="An error occurred") as failed:
            await gate.look()
        assert failed.value.kind is FailureKind.TIMEOUT
        relic.failing = {"message": "…", "extensions": {"errorClass": "TOO_MANY_REQUESTS"}}
        with pytest.raises(SourceUnavailable, match="limit of requests is reached, asked again in 30 s"):
            await gate.look()
        await gate.source.close()
        gate = desk(VENDORS[1].config(other, account=1))
        with pytest.raises(SourceUnavailable, match="sees no such account"):
            await gate.look()
        await gate.source.close()


async def test_a_version_cannot_widen_a_query(peer: Peer, store: Store) -> None:
    """What has a meaning in the language of a query stands for itself in a version."""
    vendor = VENDORS[3]
    vendor.double(peer, store)
    gate = desk(vendor.config(peer), version="2-rc.1/x")
    await gate.look()
    vendor.add(store, 0, 3, version="2-rc.1/x")
    vendor.add(store, 0, 100, version="2")
    look = await look_at(gate, store, 1.5)
    await gate.source.close()
    assert look.evidence.candidate == Counts(3, 0)


@each_vendor
async def test_a_window_is_one_call_whatever_the_edges(vendor: Vendor, peer: Peer, store: Store) -> None:
    """Of both versions, with requests, errors, latencies at seven edges and what shows that telemetry arrives."""
    vendor.double(peer, store)
    edges = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2)
    gate = desk(vendor.config(peer, latency=vendor.latency, up=vendor.up, edges=edges), baseline=True, edges=(5.0,))
    await gate.look()
    vendor.add(store, 0, 10, took=0.3)
    vendor.add(store, 0, 5, version="1", took=1.0)
    asked = len(peer.received)
    look = await look_at(gate, store, 1.5)
    await gate.source.close()
    assert len(peer.received) == asked + 1
    for counts, requests, place in ((look.evidence.candidate, 10, 3), (look.evidence.baseline, 5, 5)):
        assert counts.latency.counts == tuple(requests if at == place else 0 for at in range(9))


async def test_new_relic_reads_for_all_edges_at_once(peer: Peer, store: Store) -> None:
    """What selects from the same is one query; a text of several functions, or with names, stays as it is."""
    VENDORS[1].double(peer, store)
    gate = desk(VENDORS[1].config(peer, latency=VENDORS[1].latency, edges=[0.2, 0.5]), edges=(5.0,))
    await gate.look()
    await gate.source.close()
    asked: Any = peer.received[-1].json()
    texts = [text.partition(" SINCE ")[0] for name, text in asked["variables"].items() if name != "account"]
    selected = ", ".join(
        f"filter(count(*), WHERE took <= {edge}) AS 'n{n}'" for n, edge in enumerate(("0.2", "0.5", "5"))
    )
    own = [VENDORS[1].requests, VENDORS[1].errors]
    assert texts == [
        *(text.replace("$version", "2") for text in own),
        f"SELECT {selected} FROM Transaction WHERE version = '2'",
    ]


@pytest.mark.parametrize("vendor", [each for each in VENDORS if each.kind in ("loki", "influxdb", "graphite")])
async def test_an_address_stays_short_enough_for_proxies(vendor: Vendor, peer: Peer, store: Store) -> None:
    """As many calls as that takes, each of whole queries."""
    vendor.double(peer, store)
    edges = [0.1 * number for number in range(1, 13)]
    gate = desk(vendor.config(peer, latency=vendor.latency, edges=edges), baseline=True, version="2" * 128)
    await gate.look()
    vendor.add(store, 0, 10, version="2" * 128, took=0.25)
    asked = len(peer.received)
    look = await look_at(gate, store, 1.5)
    await gate.source.close()
    assert asked + 1 < len(peer.received) <= asked + 3
    assert all(sum(len(quote_plus(value)) for _, value in each.pairs) < 6200 for each in peer.received)
    assert look.evidence.candidate.latency.counts == (0, 0, 10, *[0] * 10)
