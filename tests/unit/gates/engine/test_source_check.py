"""A source that cannot work is refused before anything is switched; one that is only down for now is not."""

import asyncio
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any

import pytest

from healthd.model import FailureKind
from healthd_gates.domain.errors import InvalidRequest
from healthd_gates.domain.request import Version
from healthd_gates.domain.standing import Verdict
from healthd_gates.engine.source_check import check_before_start, doubts_about
from healthd_gates.sources.contract import Arm, Arms, Look, SourceContext, SourceUnavailable
from healthd_gates.sources.inspection import ArmInspection, Inspection
from tests.fakes.gates import (
    Script,
    Scripted,
    ScriptedConfig,
    broken,
    config,
    hanging,
    healthy,
    later,
    replica,
    request,
)
from tests.fakes.monitoring import LoopClock


def _answers(said: Any) -> Any:
    async def inspect(_self: Scripted) -> Inspection:
        if isinstance(said, Exception):
            raise said
        if callable(said):
            await said(0)
        assert isinstance(said, Inspection)
        return said

    return inspect


@pytest.mark.parametrize(
    "said",
    [
        SourceUnavailable(FailureKind.AUTH, "Prometheus answered 401"),
        SourceUnavailable(FailureKind.MISCONFIGURED, "answered 404; check the url and its path"),
        Inspection({}, refused=("errors: no series of x has the label status",)),
    ],
    ids=["expired token", "wrong path", "misnamed label"],
)
async def test_what_no_gate_could_be_judged_by_is_refused(
    file: Path, monkeypatch: pytest.MonkeyPatch, said: Any
) -> None:
    """With the cause, and while the old version still has the traffic. A preflight needs no source."""
    monkeypatch.setattr(Scripted, "inspect", _answers(said), raising=False)
    async with replica(file, config(checks={"memory": {"kind": "memory", "critical": True}})) as running:
        with pytest.raises(InvalidRequest, match="healthd source test") as refusal:
            await running.keeper.start(request(), caller="ci")
        cause = str(said) if isinstance(said, Exception) else said.refused[0]
        assert cause in refusal.value.fields["problem"]
        assert not (await running.keeper.list()).gates
        await running.keeper.start(request(policy="preflight"), caller="ci")


@pytest.mark.parametrize(
    ("said", "notes"),
    [
        (SourceUnavailable(FailureKind.CONNECT, "connection refused"), ("connection refused",)),
        (SourceUnavailable(FailureKind.TIMEOUT, "no answer"), ("no answer",)),
        (Inspection({}, doubtful=("the buckets end at 1s",)), ("the buckets end at 1s",)),
        (hanging, ("the source gave no answer within 5 s",)),
        (RuntimeError("a bug"), ()),
    ],
    ids=["down", "slow", "doubtful", "hangs", "has a bug"],
)
async def test_what_may_heal_refuses_nothing(
    file: Path, monkeypatch: pytest.MonkeyPatch, said: Any, notes: tuple[str, ...]
) -> None:
    """What is doubtful is told with the gate."""
    monkeypatch.setattr(Scripted, "inspect", _answers(said), raising=False)
    async with replica(file, config()) as running:
        gate = await running.keeper.start(request(), caller="ci")
        assert gate.notes == notes


async def test_a_verdict_names_what_is_misnamed(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the nearest word that there is, as `healthd source test` has it: a pipeline shows nothing but the verdict.

    It is asked again for the verdict, and not at every look in between.
    """
    asked: list[str] = []

    async def inspect(_self: Scripted) -> Inspection:
        asked.append("inspect")
        return Inspection({}, unseen=("no metric request_total. Did you mean requests_total?",))

    async def observe(_self: Scripted, _since: object) -> Look:
        raise SourceUnavailable(FailureKind.UNEXPECTED_RESPONSE, "no series matches request_total")

    monkeypatch.setattr(Scripted, "inspect", inspect, raising=False)
    monkeypatch.setattr(Scripted, "observe", observe)
    async with replica(file, config(policy={"observe": {"max": "2m"}})) as running:
        gate = await running.keeper.start(request(), caller="ci")
        assert gate.notes == ()
        gate = await running.keeper.wait(gate.id, 900)
        assert gate.decision is not None
        assert "Did you mean requests_total?; no series matches request_total." in gate.decision.sentence
        assert len(asked) == 3


async def test_two_versions_with_the_same_numbers_are_not_compared(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They would be alike, whatever the candidate does; without a comparison it is the operator's choice."""
    monkeypatch.setattr(ScriptedConfig, "tells_apart", lambda _self, _arms: False)
    compare = [{"kind": "error_rate", "compare": {"to": "concurrent"}}]
    asked = request(baseline=Version(version="1.0"))
    async with replica(file, config(policy={"criteria": compare})) as running:
        with pytest.raises(InvalidRequest, match="counts the same requests for both versions"):
            await running.keeper.start(asked, caller="ci")
        running.configure(config())
        await running.keeper.start(asked, caller="ci")


async def test_every_gate_ends_by_its_announced_time(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its source goes silent shortly before the end, and neither a look nor an inspection is ever answered."""

    async def stuck(_self: Scripted) -> Inspection:
        await asyncio.Event().wait()
        raise AssertionError("never set")

    monkeypatch.setattr(Scripted, "inspect", stuck, raising=False)
    Script.act = later(60, healthy, hanging)
    async with replica(file, config(policy={"observe": {"min": "70s", "max": "70s"}})) as running:
        gate = await running.keeper.start(request(), caller="ci")
        ended = await running.keeper.wait(gate.id, 900)
        assert ended.decision is not None
        assert ended.decision.at <= gate.decides_by


async def test_proven_harm_waits_for_no_explanation(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A verdict that rolls back is told at once, whatever the source's inspection takes."""
    asked: list[str] = []

    async def inspect(_self: Scripted) -> Inspection:
        asked.append("inspect")
        return Inspection({})

    observe = Scripted.observe

    async def with_note(self: Scripted, since: Any) -> Look:
        return replace(await observe(self, since), notes=("no series matches errors",))

    monkeypatch.setattr(Scripted, "inspect", inspect, raising=False)
    monkeypatch.setattr(Scripted, "observe", with_note)
    Script.act = later(60, healthy, broken)
    async with replica(file, config()) as running:
        gate = await running.keeper.start(request(), caller="ci")
        ended = await running.keeper.wait(gate.id, 900)
        assert ended.decision is not None
        assert ended.decision.verdict is Verdict.FAIL
        assert len(asked) == 2  # at the start and at the first note


@pytest.mark.parametrize(
    ("said", "doubts"),
    [
        (Inspection({}, ("no such label",), ("odd",), ("not there",)), ("no such label", "odd", "not there")),
        (SourceUnavailable(FailureKind.TIMEOUT, "it is slow"), ()),
        (hanging, ()),
        (ZeroDivisionError(), ()),
    ],
    ids=["doubtful", "down", "hangs", "bug"],
)
async def test_a_source_that_is_asked_for_a_verdict_delays_it_by_no_more_than_a_look(
    monkeypatch: pytest.MonkeyPatch, said: Any, doubts: tuple[str, ...]
) -> None:
    """And a bug of it costs the verdict its doubts alone."""
    monkeypatch.setattr(Scripted, "inspect", _answers(said), raising=False)
    began = asyncio.get_running_loop().time()
    assert await doubts_about(_scripted()) == doubts
    assert asyncio.get_running_loop().time() - began <= 5.0


async def test_a_start_or_a_verdict_whose_caller_goes_asks_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Scripted, "inspect", _answers(hanging), raising=False)
    arms, context = Arms("api", Arm("2")), SourceContext(LoopClock(), str)
    for asking in (doubts_about(_scripted()), check_before_start(ScriptedConfig(), arms, context)):
        task = asyncio.create_task(asking)
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


def _scripted() -> Scripted:
    return Scripted(ScriptedConfig(), Arms("api", Arm("2")), SourceContext(LoopClock(), str))


@pytest.mark.parametrize(
    ("edges", "limit", "more", "refused", "told"),
    [
        ((1.0, 10.0, inf), "500ms", {}, True, "everything up to 1s is in the first bucket"),
        ((inf,), "500ms", {}, True, "there is one bucket"),
        ((1.0, 10.0, inf), "500ms", {"critical": False}, False, "everything up to 1s is in the first bucket"),
        ((1.0, 10.0, inf), "3s", {}, False, "and buckets end at 1s and 10s: between the two nothing is ever proven"),
        ((0.5, 10.0, inf), "500ms", {}, False, ""),
        ((), "500ms", {}, False, ""),
    ],
)
async def test_a_limit_that_the_buckets_hide_is_refused_where_nothing_could_be_proven(
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
    edges: tuple[float, ...],
    limit: str,
    more: dict[str, Any],
    refused: bool,
    told: str,
) -> None:
    """With the cure. Between two edges a quicker version is proven, so that it is only told."""
    found = Inspection({"candidate": ArmInspection(edges=edges)})
    monkeypatch.setattr(Scripted, "inspect", _answers(found), raising=False)
    criteria = [{"kind": "error_rate"}, {"kind": "latency", "limit": limit, **more}]
    async with replica(file, config(policy={"criteria": criteria})) as running:
        try:
            notes = "; ".join((await running.keeper.start(request(), caller="ci")).notes)
        except InvalidRequest as refusal:
            notes, was_refused = str(refusal.fields["problem"]), True
        else:
            was_refused = False
    assert was_refused is refused
    assert told in notes
    assert ('put an edge at the limit where the histogram is written (le="' in notes) is bool(told)


async def test_buckets_of_the_baseline_refuse_no_release(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The candidate, which has none before it starts, may be the one that has the edge."""
    arms = {"candidate": ArmInspection(), "baseline": ArmInspection(edges=(1.0, 10.0, inf))}
    monkeypatch.setattr(Scripted, "inspect", _answers(Inspection(arms)), raising=False)
    criteria = [{"kind": "error_rate"}, {"kind": "latency", "limit": "500ms"}]
    async with replica(file, config(policy={"criteria": criteria})) as running:
        gate = await running.keeper.start(request(), caller="ci")
        assert "nothing is ever proven to be below the limit" in gate.notes[0]
