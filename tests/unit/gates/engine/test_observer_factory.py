"""A gate whose service, or what was named of it, left the configuration can observe nothing, and says why."""

from pathlib import Path
from typing import Any

import pytest

from healthd_gates.domain.gate import Gate
from healthd_gates.domain.request import Version
from healthd_gates.engine.observer_factory import NotObservable, build_observer, open_traffic
from healthd_gates.engine.spec import GateSpec
from healthd_gates.sources.contract import ArmError
from tests.fakes.gates import replica
from tests.unit.gates.engine.values import NOW, gate, spec

SCRIPTED: dict[str, Any] = {"source": {"kind": "scripted"}}


async def observed(file: Path, what: Gate, by: GateSpec, *, whole: bool = True) -> None:
    async with replica(file) as running:
        context = running.gates.gate_service._supervisor.observer_context
        if whole:
            build_observer(what, by, context, {}, NOW)
        else:
            open_traffic(what, by, context, None)


@pytest.mark.parametrize(
    ("service", "source", "why"),
    [
        (None, None, "service api is not configured any more"),
        ({}, None, "service api has no source of traffic numbers"),
        (SCRIPTED, "jobs", "source names 'jobs'"),
    ],
)
async def test_what_is_gone_is_told(file: Path, service: dict[str, Any] | None, source: str | None, why: str) -> None:
    by = spec(service or {}, criteria=[{"kind": "error_rate", **({"source": source} if source else {})}])
    with pytest.raises(NotObservable, match=why):
        await observed(file, gate(), by if service is not None else GateSpec(by.policy, None))


async def test_a_target_that_is_gone_is_told(file: Path) -> None:
    targets = {"targets": {"blue": "http://a", "green": "http://b"}}
    with pytest.raises(NotObservable, match="service api has no target 'red' any more"):
        await observed(file, gate(candidate=Version(version="2", target="red")), spec(SCRIPTED | targets))


async def test_a_rollback_is_confirmed_by_the_services_source_alone(file: Path) -> None:
    with pytest.raises(NotObservable, match="service api has no source of traffic numbers"):
        await observed(file, gate(), spec(), whole=False)
    await observed(file, gate(), spec(SCRIPTED), whole=False)


async def test_arms_that_a_source_cannot_tell_apart_any_more_are_told(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise ArmError("candidate.labels.pod", "it needs the label pod")

    monkeypatch.setattr("tests.fakes.gates.Scripted.__init__", refuse)
    with pytest.raises(NotObservable, match=r"candidate\.labels\.pod: it needs the label pod"):
        await observed(file, gate(), spec(SCRIPTED))
