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
from healthd_gates.domain.gate import Gate, Page, RollbackState
from healthd_gates.engine.history import BEFORE, HistoryFetch, as_baseline, begin_fetch, merged
from healthd_gates.engine.source_readers import Past, SourceReaders
from healthd_gates.sources.contract import Arm, Arms, SourceContext, SourceUnavailable
from healthd_gates.store.gate_store import GateStore
from tests.fakes.gate_states import ROLLBACK, RUNNING
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


@pytest.mark.parametrize(
    ("state", "left_out"),
    [
        (RollbackState.ROLLED_BACK, True),
        (RollbackState.UNSEEN, True),
        (RollbackState.UNCONFIRMED, False),
        (None, False),
    ],
)
async def test_the_time_of_a_release_that_was_rolled_back_is_no_past(
    state: RollbackState | None, left_out: bool
) -> None:
    """Or a release as bad as the last one would be no worse than usual. Where the rollback was not seen to help, it may
    be the service itself."""
    began, ended = MIDNIGHT - timedelta(minutes=30, seconds=10), MIDNIGHT - timedelta(minutes=20)
    rollback = replace(ROLLBACK, state=state) if state is not None else None
    earlier = replace(RUNNING, created_at=began, finished_at=ended, rollback=rollback)
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
