"""The numbers before the switch, fetched while the gate judges already."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from healthd.model import FailureKind
from healthd_gates.config.observed import ReadSource
from healthd_gates.domain.evidence import Counts, Evidence, Stream
from healthd_gates.domain.gate import Gate, GateState, Page, RollbackState
from healthd_gates.domain.standing import CriterionReport, Finding, Reason, Standing, Verdict
from healthd_gates.engine.history import BEFORE, BadTime, HistoryFetch, as_baseline, begin_fetch, merged, without
from healthd_gates.engine.source_readers import Past, SourceReaders
from healthd_gates.sources.contract import Arm, Arms, SourceContext, SourceUnavailable
from healthd_gates.store.gate_store import GateStore
from tests.fakes.gate_states import DECIDED, PASSED, ROLLBACK, RUNNING
from tests.fakes.gates import Scripted, ScriptedConfig
from tests.fakes.monitoring import MIDNIGHT, LoopClock
from tests.fakes.past import Remembering, RememberingConfig

OWN = Stream(Counts(5, 0), None)


def fetch(source: type[Scripted] = Remembering, config: ScriptedConfig | None = None) -> HistoryFetch:
    config = config or RememberingConfig()
    build = lambda: source(config, Arms("api", Arm("2")), SourceContext(LoopClock(), str))  # noqa: E731
    return HistoryFetch([Past(ReadSource(None, config), build)], MIDNIGHT, 5.0, "g1")


async def taken(pending: HistoryFetch) -> list[Evidence]:
    while (found := pending.take()) is None:
        await asyncio.sleep(1)
    return found


async def test_it_is_taken_once_and_is_the_baselines() -> None:
    """In steps that are no finer than the judge needs."""
    pending = fetch()
    assert pending.take() is None
    past = await taken(pending)
    assert Remembering.asked_past == [(MIDNIGHT - BEFORE, MIDNIGHT, 30.0)]
    assert past[0].baseline == past[0].candidate == Counts(100, 0)
    assert pending.take() is None
    await pending.close()
    assert Remembering.closed == 1


async def test_a_source_without_a_past_has_none() -> None:
    assert await taken(fetch(Scripted, ScriptedConfig())) == []


async def test_an_outage_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """And does without, in the end."""
    outages = [SourceUnavailable(FailureKind.TIMEOUT, "it is slow")]

    def down(_at: datetime) -> tuple[Counts | None, Counts | None]:
        if outages:
            raise outages.pop()
        return Counts(1, 0), None

    monkeypatch.setattr(Remembering, "past", staticmethod(down))
    assert (await taken(fetch()))[0].candidate == Counts(1, 0)
    outages += [SourceUnavailable(FailureKind.TIMEOUT, "it is slow")] * 3
    with capture_logs() as logged:
        assert await taken(fetch()) == []
    assert [entry["attempt"] for entry in logged] == [0, 1, 2]


async def test_a_bug_of_a_source_costs_the_history_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Remembering, "past", staticmethod(lambda _at: 1 / 0))
    with capture_logs() as logged:
        assert await taken(fetch()) == []
    assert [entry["event"] for entry in logged] == ["source failed with an internal error"]
    assert Remembering.closed == 1


async def test_a_gate_that_is_over_waits_for_no_history(monkeypatch: pytest.MonkeyPatch) -> None:
    async def hang(*_: object) -> list[Evidence]:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(Remembering, "history", hang)
    pending = fetch()
    await asyncio.sleep(1)
    await pending.close()
    assert Remembering.closed == 1


def test_the_histories_of_several_sources_are_one() -> None:
    """Interval by interval, of the source's own streams too."""
    first, second = ReadSource(None, ScriptedConfig()), ReadSource("jobs", ScriptedConfig(), streams=("jobs",))
    later = MIDNIGHT + timedelta(seconds=30)
    past = merged(
        [
            (first, [Evidence(MIDNIGHT, 30.0, Counts(1, 0))]),
            (second, [Evidence(MIDNIGHT, 30.0, Counts(7, 0)), Evidence(later, 30.0, Counts(8, 0), gaps=1)]),
        ]
    )
    assert [each.candidate for each in past] == [Counts(1, 0), None]
    assert [each.streams["jobs"].candidate for each in past] == [Counts(7, 0), Counts(8, 0)]
    assert past[1].gaps == 1
    [alone] = as_baseline([Evidence(MIDNIGHT, 30.0, streams={"jobs": OWN})])
    assert alone.streams["jobs"].baseline == Counts(5, 0)


class Listed(GateStore):
    """A journal in which there are these gates, and no evidence yet."""

    def __init__(self, *gates: Gate) -> None:
        self._gates = gates

    async def evidence(self, *_: Any, **__: Any) -> list[Evidence]:
        return []

    async def page(self, *_: Any, **__: Any) -> Page:
        return Page(self._gates, None, ())


REFUSED = DECIDED["fail", Verdict.FAIL]
UNDECIDED = DECIDED["inconclusive", Verdict.FAIL]
CANCELLED = replace(RUNNING, state=GateState.CANCELLED)


def judged(gate: Gate, log_e_harm: float | None = 0.0) -> Gate:
    """The gate with the standing of a criterion of its traffic, or of a check."""
    criterion = CriterionReport("errors", critical=True, finding=Finding.OPEN, sentence="", log_e_harm=log_e_harm)
    standing = Standing(MIDNIGHT, 60.0, None, Reason.OBSERVING, "", 0.0, 4.6, (criterion,))
    return replace(gate, standing=standing)


@pytest.mark.parametrize(
    ("earlier", "state", "left_out"),
    [
        (judged(PASSED), RollbackState.ROLLED_BACK, True),
        (judged(REFUSED), RollbackState.UNSEEN, True),
        (judged(REFUSED), RollbackState.UNCONFIRMED, False),
        (judged(REFUSED), RollbackState.FAILED, True),
        (judged(PASSED), RollbackState.LEFT, True),
        (judged(REFUSED), None, True),
        (judged(UNDECIDED), None, True),
        (judged(CANCELLED), None, True),
        (judged(PASSED), None, False),
        (judged(DECIDED["inconclusive", Verdict.PASS]), None, False),
        (judged(REFUSED, log_e_harm=None), None, False),
        (CANCELLED, None, False),
    ],
)
async def test_the_time_of_a_release_that_did_not_stay_is_no_past(
    earlier: Gate, state: RollbackState | None, left_out: bool
) -> None:
    """Or a release as bad as the last one would be no worse than usual, whoever has put that back. Where a rollback was
    not seen to help, it may be the service itself; and a preflight is about what runs already."""
    began, ended = MIDNIGHT - timedelta(minutes=30, seconds=10), MIDNIGHT - timedelta(minutes=20)
    rollback = replace(ROLLBACK, state=state) if state is not None else None
    earlier = replace(earlier, created_at=began, finished_at=ended, rollback=rollback)
    config = RememberingConfig()
    build = lambda: Remembering(config, Arms("api", Arm("2")), SourceContext(LoopClock(), str))  # noqa: E731

    class Readers(SourceReaders):
        def __init__(self) -> None: ...

        @property
        def historical(self) -> Sequence[Past]:
            return [Past(ReadSource(None, config), build)]

    pending = await begin_fetch(Readers(), replace(RUNNING, id="g2", created_at=MIDNIGHT), 5.0, Listed(earlier))
    assert pending is not None
    past = await taken(pending)
    assert len(past) == 360 - 21 * left_out
    inside = [each for each in past if began < each.at <= ended]
    assert (not inside) is left_out


def minutes(*failed: int) -> list[Evidence]:
    """Half minutes with so many of a hundred requests failed, and one a minute before MIDNIGHT is the last."""
    last = len(failed) + 1
    at = [MIDNIGHT - timedelta(seconds=30 * (last - place)) for place in range(len(failed))]
    return [Evidence(moment, 30.0, Counts(100, bad)) for moment, bad in zip(at, failed, strict=True)]


def bad_time(past: list[Evidence], first: int, last: int, *, helped: bool = False) -> BadTime:
    return BadTime(past[first].at - timedelta(seconds=20), past[last].at - timedelta(seconds=10), helped)


def test_what_went_on_until_it_was_put_back_is_no_past_either() -> None:
    past = minutes(1, 10, 12, 9, 8, 2, 1, 0)
    assert without([bad_time(past, 1, 2)], past) == [past[0], *past[5:]]


def test_trouble_that_outlasts_the_gate_by_minutes_is_the_services_own() -> None:
    """Unless healthd has seen that it helped to put the release back."""
    past = minutes(1, *[10] * 14, 1)
    assert without([bad_time(past, 1, 2)], past) == past
    assert without([bad_time(past, 1, 2, helped=True)], past) == [past[0], *past[3:]]
    past = minutes(1, *[10] * 11, 1)
    assert without([bad_time(past, 1, 2)], past) == [past[0], past[-1]]


def test_releases_one_after_the_other_are_each_left_out() -> None:
    """The next one is no trouble that outlasts the first; nor does one matter that is older than the past."""
    past = minutes(1, *[10] * 25, 1)
    times = [bad_time(past, 1, 8), bad_time(past, 9, 16), bad_time(past, 17, 25)]
    before = BadTime(past[0].at - timedelta(hours=5), past[0].at - timedelta(hours=4), helped=False)
    assert without([before, *times], past) == [past[0], past[-1]]


def test_the_streams_of_a_source_tell_as_well() -> None:
    past = [replace(each, candidate=None, streams={"jobs": Stream(each.candidate)}) for each in minutes(1, 9, 8, 0)]
    assert without([bad_time(past, 1, 1)], past) == [past[0], past[3]]
