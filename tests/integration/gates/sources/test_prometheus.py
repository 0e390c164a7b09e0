"""A real Prometheus with a past made for each test: what is stored, at which times, is all there is to count."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from math import inf, nan
from typing import Any

import pytest

from healthd.model import FailureKind
from healthd_gates.domain.evidence import Counts
from healthd_gates.sources.contract import Arm, HistoricalSource, SourceUnavailable
from healthd_gates.sources.inspection import InspectableSource
from tests.fakes.sources import Desk, HandClock, desk
from tests.servers import prometheus

BEGIN = float(int(time.time()) // 10 * 10 - 1800)
Samples = list[tuple[float, float]]
"""(seconds after BEGIN, value)"""


class Past:
    """Samples to be stored before the server starts."""

    def __init__(self) -> None:
        self._families: dict[str, list[str]] = {}

    def add(self, name: str, labels: Mapping[str, str], samples: Samples) -> None:
        text = ",".join(f'{label}="{value}"' for label, value in labels.items())
        lines = [f"{name}{{{text}}} {value} {BEGIN + at:.3f}" for at, value in samples]
        self._families.setdefault(name, []).extend(lines)

    def pod(self, case: str, pod: str, samples: Samples, *, version: str = "2", status: str = "200") -> None:
        labels = {"case": case, "job": "shop", "instance": pod, "version": version, "status": status}
        self.add("requests_total", labels, samples)

    def text(self) -> str:
        return "\n".join([*(line for lines in self._families.values() for line in lines), "# EOF\n"])


def every(step: float, first: float, last: float, per_step: float, start: float = 0) -> Samples:
    """A counter that grows evenly."""
    count = round((last - first) / step) + 1
    return [(first + step * n, start + per_step * n) for n in range(count)]


@pytest.fixture(scope="module")
def server() -> Iterator[prometheus.Prometheus]:
    past = Past()
    # Two pods of the candidate and one of the baseline, scraped out of step; errors and buckets beside them.
    for pod, shift in (("a", -3), ("b", -7)):
        past.pod("steady", pod, every(10, shift - 50, shift + 310, 5, start=1000))
        past.pod("steady", pod, every(10, shift - 50, shift + 310, 1, start=50), status="500")
        for edge, amount in (("0.1", 2.0), ("0.5", 5.0), ("+Inf", 6.0)):
            labels = {"case": "steady", "job": "shop", "instance": pod, "version": "2", "le": edge}
            past.add("seconds_bucket", labels, every(10, shift - 50, shift + 310, amount, start=100))
        labels = {"case": "steady", "job": "shop", "instance": pod, "version": "2"}
        past.add("seconds_sum", labels, every(10, shift - 50, shift + 310, 1.5))
    past.pod("steady", "c", every(10, -50, 310, 7), version="1")
    # A restart at 30 in which the errors overtake what they were before.
    past.pod("restart", "a", [*every(10, -50, 20, 100, start=5000), (30, 40), (40, 60)])
    past.pod("restart", "a", [*every(10, -50, 20, 0, start=3), (30, 4), (40, 6)], status="500")
    # A busy restart that only the start time shows.
    past.pod("busy", "a", [(0, 100), (10, 110), (20, 500), (30, 510)])
    started = {"case": "busy", "job": "shop", "instance": "a", "version": "2"}
    past.add("start_seconds", started, [(at, BEGIN + (15 if at > 15 else -900)) for at in (0, 10, 20, 30)])
    past.add("there", started, every(10, 0, 30, 0, start=1))
    # A pod that starts in the middle, and one that comes back after twenty minutes.
    past.pod("pods", "old", every(10, -50, 60, 10))
    past.pod("pods", "old", every(10, 70, 100, 0, start=110))
    past.pod("pods", "new", [(80, 7), (90, 17), (100, 27)])
    past.pod("pods", "back", [(-1200, 400), (20, 9000), (30, 9005), (80, 9005)])
    # A pod that Prometheus found 6 s after the gate began, with the readiness probes that it refused before; and two
    # that state when they began.
    past.pod("found", "old", every(10, -50, 60, 10))
    past.pod("found", "booted", [(6, 0), (16, 10), (26, 20)])
    past.pod("found", "booted", [(6, 60), (16, 60), (26, 61)], status="503")
    past.pod("stated", "old", every(10, -50, 60, 10))
    for pod, began in (("before", -3), ("within", 3)):
        past.pod("stated", pod, [(6, 40), (16, 50)])
        stated = {"case": "stated", "job": "shop", "instance": pod, "version": "2"}
        past.add("start_seconds", stated, [(at, BEGIN + began) for at in (6, 16)])
    # A server that was down when the gate began.
    past.pod("down", "a", [*every(5, -55, -35, 10), (20, 5000), (30, 5010)])
    # The first error.
    past.pod("first", "a", every(10, -50, 60, 10))
    past.pod("first", "a", [(30, 2), (40, 2)], status="500")
    # Nothing was ever requested, but the target is there; nothing is left of another.
    past.add("there", {"case": "idle", "job": "shop", "instance": "a", "version": "2"}, every(10, -50, 60, 0, start=1))
    past.pod("idle", "a", [(40, 3)])
    past.pod("gone", "a", every(10, -50, 10, 10))
    past.pod("nan", "a", [*every(10, -50, 0, 10), (10, nan), (20, nan), (30, 90), (40, 100)])
    past.pod("lost", "a", [(0, nan), (10, nan)])
    # Samples that arrive out of step with looks, and one series that has no process.
    past.add("requests_total", {"case": "alone", "version": "2", "status": "200"}, [(0, 5), (10, 9), (20, 2)])
    with prometheus.running(history=past.text()) as running:
        yield running


def config(server: prometheus.Prometheus, case: str, **more: Any) -> dict[str, Any]:
    chosen = f'case="{case}",version="$version"'
    return {
        "kind": "prometheus",
        "url": server.url,
        "requests": f"requests_total{{{chosen}}}",
        "errors": f'requests_total{{{chosen},status=~"5.."}}',
        **{key: value.replace("CHOSEN", chosen) if isinstance(value, str) else value for key, value in more.items()},
    }


def at(seconds: float) -> HandClock:
    return HandClock(datetime.fromtimestamp(BEGIN + seconds, UTC))


async def looked(desk: Desk, *, until: float, every: float = 5.0) -> Desk:
    """First look at the clock's time, then `every` so often."""
    await desk.look()
    while desk.clock.steady() < BEGIN + until:
        await desk.look(after=every)
    await desk.source.close()
    return desk


@pytest.mark.parametrize("step", [5.0, 7.0, 60.0])
async def test_counts_are_exact_however_often_one_looks(server: prometheus.Prometheus, step: float) -> None:
    """Requests, errors, buckets and the sum of both pods, and the baseline's, to the last one; nothing is smoothed."""
    given = config(server, "steady", latency="seconds_bucket{CHOSEN}")
    gate = await looked(desk(given, at(0), baseline=Arm("1")), until=300, every=step)
    candidate, baseline = gate.total(), gate.total("baseline")
    assert candidate is not None
    assert candidate.latency is not None
    scrapes = 2 * 30
    assert (candidate.requests, candidate.errors) == (6 * scrapes, scrapes)
    assert candidate.latency.edges == (0.1, 0.5, inf)
    assert candidate.latency.counts == (2 * scrapes, 3 * scrapes, scrapes)
    assert candidate.latency.sum_seconds == pytest.approx(1.5 * scrapes)
    assert baseline is not None
    assert (baseline.requests, baseline.errors, baseline.latency) == (7 * 30, 0, None)
    assert (gate.resets, gate.gaps) == (0, 0)


async def test_a_look_between_two_scrapes_says_nothing_yet(server: prometheus.Prometheus) -> None:
    """The next one covers it: an arm without news is None, not without traffic."""
    gate = desk(config(server, "steady"), at(0), candidate=Arm("1"))
    await gate.look()
    first, second = await gate.look(after=5), await gate.look(after=5)
    await gate.source.close()
    assert first.evidence is not None
    assert first.evidence.candidate is None
    assert second.evidence is not None
    assert second.evidence.candidate is not None
    assert second.evidence.candidate.requests == 7


async def test_a_restart_is_counted_from_zero(server: prometheus.Prometheus) -> None:
    """Also for the errors that have overtaken what they were before it."""
    gate = await looked(desk(config(server, "restart"), at(0)), until=40)
    total = gate.total()
    assert total is not None
    assert (total.requests, total.errors) == (200 + 60 + 6, 6)
    assert gate.resets == 1


async def test_a_start_time_shows_a_busy_restart(server: prometheus.Prometheus) -> None:
    """Without it, 110 → 500 would be 390 requests."""
    given = config(server, "busy", started="start_seconds{CHOSEN}")
    gate = await looked(desk(given, at(0)), until=30)
    total = gate.total()
    assert total is not None
    assert total.requests == 10 + 510
    assert gate.resets == 1


async def test_a_restart_at_the_address_of_both_versions_is_the_candidates(server: prometheus.Prometheus) -> None:
    """Neither `up` nor the start times are told apart by version, and the baseline has no series any more."""
    given = config(server, "busy", started='start_seconds{case="busy"}', up='there{case="busy"}')
    gate = await looked(desk(given, at(0), baseline=Arm("1")), until=30)
    found = [look.evidence for look in gate.looks if look.evidence is not None]
    assert sum(evidence.lives.restarts for evidence in found) == 1
    assert sum(evidence.baseline_lives.restarts for evidence in found) == 0


async def test_a_new_pod_counts_from_zero_and_an_old_one_does_not(server: prometheus.Prometheus) -> None:
    """One that comes back after twenty minutes has counted long before the gate; that it did is a gap."""
    gate = await looked(desk(config(server, "pods"), at(0)), until=100)
    total = gate.total()
    assert total is not None
    assert total.requests == 60 + 27 + 5
    assert gate.gaps == 1


async def test_what_a_process_counted_before_the_gate_is_set_aside(server: prometheus.Prometheus) -> None:
    """Service discovery finds it only after the gate began; what it states of its age decides, if it does."""
    for case, counted in (("found", (60 + 20 + 1, 1)), ("stated", (60 + 10 + 50, 0))):
        gate = await looked(desk(config(server, case, started="start_seconds{CHOSEN}"), at(0)), until=60)
        total = gate.total()
        assert total is not None
        assert (total.requests, total.errors, gate.gaps) == (*counted, 0), case


async def test_what_was_counted_before_the_gate_is_not_of_it(server: prometheus.Prometheus) -> None:
    """Where scrapes had stopped when it began, counting starts with the first that comes; that is a gap."""
    gate = await looked(desk(config(server, "down"), at(0)), until=40)
    total = gate.total()
    assert total is not None
    assert (total.requests, gate.gaps) == (10, 1)


async def test_the_first_error_is_one(server: prometheus.Prometheus) -> None:
    """Before it no series matches the errors: zero errors, as of every good version, and nothing to note."""
    gate = await looked(desk(config(server, "first"), at(0)), until=60)
    total = gate.total()
    assert total is not None
    assert (total.requests, total.errors) == (60 + 2, 2)
    assert not any(look.notes for look in gate.looks if look.evidence and look.evidence.candidate)


async def test_errors_that_are_perhaps_misnamed_are_told(server: prometheus.Prometheus) -> None:
    """No error has this status: zero errors, and a note in case it is a slip of the pen."""
    errors = 'requests_total{CHOSEN,status="5OO"}'
    gate = await looked(desk(config(server, "first", errors=errors), at(0)), until=60)
    (note,) = next(look.notes for look in gate.looks if look.evidence and look.evidence.candidate)
    assert note.startswith('candidate: no series matches requests_total{case="first"')


async def test_a_baseline_that_no_series_has_any_more_is_told_apart(server: prometheus.Prometheus) -> None:
    """A pass does not need its numbers; a misnamed series of the candidate is a caveat all the same."""
    errors = 'requests_total{CHOSEN,status="5OO"}'
    gate = await looked(desk(config(server, "first", errors=errors), at(0), baseline=Arm("0.9")), until=60)
    look = next(look for look in gate.looks if look.evidence and look.evidence.candidate)
    candidate, baseline = sorted(look.notes, reverse=True)
    assert candidate.startswith("candidate: no series matches")
    assert 'version="0.9"' in baseline
    assert look.departed == (baseline,)


async def test_no_traffic_is_not_no_telemetry(server: prometheus.Prometheus) -> None:
    """Targets that are there and have no requests: zero. Not even a target: nobody knows."""
    gate = await looked(desk(config(server, "idle", up="there{CHOSEN}"), at(0)), until=30)
    total = gate.total()
    assert total is not None
    assert total.requests == 0
    silent = desk(config(server, "idle"), at(0))
    await silent.look()
    with pytest.raises(SourceUnavailable, match=r'no series matches requests_total\{case="idle",version="2"\}'):
        await silent.look(after=10)
    await silent.source.close()


async def test_the_first_request_of_an_idle_target_counts(server: prometheus.Prometheus) -> None:
    """It was there with none, so that all that it says is new."""
    gate = await looked(desk(config(server, "idle", up="there{CHOSEN}"), at(0)), until=60)
    total = gate.total()
    assert total is not None
    assert total.requests == 3


async def test_targets_that_fall_silent_are_no_telemetry(server: prometheus.Prometheus) -> None:
    """What was last heard of them does not go on counting as no traffic."""
    gate = desk(config(server, "gone"), at(0))
    await gate.look()
    assert (await gate.seen(after=10)).candidate == Counts(10, 0)
    assert (await gate.seen(after=30)).candidate is None
    with pytest.raises(SourceUnavailable, match="old, and lookback is 1m: is a clock off"):
        await gate.look(after=40)
    await gate.source.close()


async def test_nan_is_no_telemetry_and_loses_nothing(server: prometheus.Prometheus) -> None:
    """The next number covers the gap."""
    gate = desk(config(server, "nan"), at(0))
    await gate.look()
    with pytest.raises(SourceUnavailable, match="1 samples are not numbers"):
        await gate.look(after=10)
    evidence = (await gate.look(after=20)).evidence
    await gate.source.close()
    assert evidence is not None
    assert evidence.candidate is not None
    assert evidence.candidate.requests == 40
    assert evidence.seconds == 30


async def test_a_pod_that_left_nothing_but_nan_is_no_telemetry(server: prometheus.Prometheus) -> None:
    """It ended before the look, and its samples are still looked back at."""
    gate = desk(config(server, "lost"), at(20))
    await gate.look()
    with pytest.raises(SourceUnavailable, match="none of its samples is a number"):
        await gate.look(after=10)
    await gate.source.close()


async def test_a_series_that_belongs_to_no_process_is_followed_by_itself(server: prometheus.Prometheus) -> None:
    """As a recording rule or a collector gives it."""
    gate = await looked(desk(config(server, "alone"), at(0)), until=20)
    total = gate.total()
    assert total is not None
    assert total.requests == 4 + 2


async def test_history_gives_the_same_counts(server: prometheus.Prometheus) -> None:
    """A baseline before the switch, or a whole deploy for a replay, step by step."""
    gate = desk(config(server, "steady", latency="seconds_bucket{CHOSEN}"), baseline=Arm("1"))
    assert isinstance(gate.source, HistoricalSource)
    start = datetime.fromtimestamp(BEGIN, UTC)
    steps = await gate.source.history(start, start + timedelta(seconds=305), 20)
    await gate.source.close()
    assert len(steps) == 15
    assert {step.candidate and (step.candidate.requests, step.candidate.errors) for step in steps} == {(24, 4)}
    assert {step.baseline and step.baseline.requests for step in steps} == {14}
    assert steps[-1].at == start + timedelta(seconds=300)


async def test_history_knows_restarts_and_pods(server: prometheus.Prometheus) -> None:
    """The past is counted by the same rules as the present."""
    start = datetime.fromtimestamp(BEGIN, UTC)
    for case, requests in (("restart", 266), ("pods", 92), ("first", 62)):
        gate = desk(config(server, case))
        assert isinstance(gate.source, HistoricalSource)
        steps = await gate.source.history(start, start + timedelta(seconds=100), 10)
        await gate.source.close()
        assert sum(step.candidate.requests for step in steps if step.candidate) == requests, case


async def test_a_server_that_is_down_or_hangs_is_no_telemetry() -> None:
    """And once it is back, nothing was lost."""
    past = Past()
    past.pod("down", "a", every(10, -50, 100, 10))
    with prometheus.running(history=past.text()) as own:
        gate = desk({**config(own, "down"), "timeout": "1s"}, at(0))
        await gate.look()
        own.pause()
        with pytest.raises(SourceUnavailable) as hung:
            await gate.look(after=10)
        own.kill()
        with pytest.raises(SourceUnavailable) as down:
            await gate.look(after=10)
        own.start()
        look = await gate.look(after=10)
        await gate.source.close()
    assert (hung.value.kind, down.value.kind) == (FailureKind.TIMEOUT, FailureKind.CONNECT)
    assert look.evidence is not None
    assert look.evidence.candidate is not None
    assert look.evidence.candidate.requests == 30


async def test_what_is_stored_now_is_shown(server: prometheus.Prometheus) -> None:
    """Series, age, spacing and buckets of each arm; the buckets end below the policy's limit."""
    given = config(server, "steady", latency="seconds_bucket{CHOSEN}")
    gate = desk(given, at(300), baseline=Arm("1"), edges=(5.0,))
    assert isinstance(gate.source, InspectableSource)
    seen = await gate.source.inspect()
    await gate.source.close()
    candidate = seen.arms["candidate"]
    assert candidate.series == {"requests": 4, "errors": 2, "bucket": 6, "sum": 2}
    assert (candidate.spacing, candidate.edges) == (10, (0.1, 0.5, inf))
    assert candidate.newest == pytest.approx(3)
    assert seen.arms["baseline"].series == {"requests": 1}
    assert seen.refused == ()
    assert any("end at 500ms, below the limit of 5s" in each for each in seen.doubtful)


@pytest.mark.parametrize("edges", [(), (0.5,)])
async def test_a_classic_histogram_is_not_taken_for_a_native_one(
    server: prometheus.Prometheus, edges: tuple[float, ...]
) -> None:
    """Its name alone has no series: no gate that limits latency could ever be decided by it."""
    gate = desk(config(server, "steady", latency="seconds{CHOSEN}"), at(300), edges=edges)
    assert isinstance(gate.source, InspectableSource)
    seen = await gate.source.inspect()
    await gate.source.close()
    told = "there is no native histogram seconds, only a classic one: write seconds_bucket"
    assert any(told in each for each in (seen.refused if edges else seen.doubtful)), seen
    assert bool(seen.refused) is bool(edges)


@pytest.mark.parametrize(
    ("changes", "refused", "doubtful"),
    [
        (
            {"errors": 'requests_total{CHOSEN,code=~"5.."}'},
            "errors: no series of requests_total has the label code",
            "",
        ),
        ({"errors": 'requests_total{CHOSEN,stat=~"5.."}'}, "Did you mean status?", ""),
        ({"errors": 'requests_total{CHOSEN,status="503"}'}, "", ""),
        ({"requests": "request_total{CHOSEN}"}, "", "there is no metric request_total. Did you mean requests_total?"),
        ({"requests": 'requests_total{CHOSEN,color="$color"}'}, "", "has the label color"),
        ({"errors": 'requests_total{CHOSEN,status!="200"}'}, "", ""),
        ({"up": 'there{app="shop"}'}, "", "up: no series of there has the label app"),
        (
            {"up": 'there{job="shoop"}'},
            "",
            'no series of there has job="shoop"; its values are: shop. Did you mean',
        ),
        ({"requests": 'requests_total{CHOSEN,job="shoop"}'}, "", 'requests: no series of requests_total has job="sho'),
    ],
)
async def test_what_is_misnamed_is_found_before_a_gate_starts(
    server: prometheus.Prometheus, changes: dict[str, str], refused: str, doubtful: str
) -> None:
    """A label that only the version to come may bring is doubtful; one that errors are told by is refused."""
    gate = desk(config(server, "steady", **changes), at(300), candidate=Arm("2", {"color": "red"}))
    assert isinstance(gate.source, InspectableSource)
    seen = await gate.source.inspect()
    await gate.source.close()
    assert refused in "; ".join(seen.refused)
    assert doubtful in "; ".join(seen.doubtful)
    assert (bool(seen.refused), bool(seen.doubtful)) == (bool(refused), bool(doubtful)), seen


async def test_a_version_that_has_no_series_is_named_with_those_that_have(server: prometheus.Prometheus) -> None:
    """Which is right before it has started, and so is no doubt at a gate's start."""
    gate = desk(config(server, "steady"), at(300), candidate=Arm("v2"))
    assert isinstance(gate.source, InspectableSource)
    seen = await gate.source.inspect()
    await gate.source.close()
    assert (seen.refused, seen.doubtful) == ((), ())
    assert seen.unseen == (
        'candidate: no series of requests_total has version="v2"; its values are: 1, 2. Did you mean 2?',
    )


async def test_errors_that_cannot_be_told_are_no_telemetry(server: prometheus.Prometheus) -> None:
    """Half of the requests may fail: the label is called otherwise, and zero errors would be a pass."""
    gate = desk(config(server, "steady", errors='requests_total{CHOSEN,code=~"5.."}'), at(100))
    with pytest.raises(SourceUnavailable, match="no series of requests_total has the label code") as error:
        await gate.look()
    assert error.value.kind is FailureKind.MISCONFIGURED
    await gate.source.close()
