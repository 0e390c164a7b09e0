"""A gate whose caller sets the weight: it is told the allowed one, and nothing else changes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from healthd.web.pages.renderer import Renderer
from healthd_gates.commands.gate_words import line
from healthd_gates.config.allowance import Allowance as Options
from healthd_gates.config.settings import Config
from healthd_gates.domain.allowance import Allowance
from healthd_gates.domain.errors import InvalidRequest
from healthd_gates.domain.evidence import Counts
from healthd_gates.domain.gate import EventKind, Gate
from healthd_gates.domain.request import VerifyRequest, Version
from healthd_gates.domain.standing import Verdict
from healthd_gates.engine.spec import load_spec, policy_body
from healthd_gates.pages import view
from healthd_gates.pages.page import _PARTS, FOLDER
from healthd_gates.schema.gate import GateDocument
from tests.fakes.gates import Note, Replica, Script, config, replica
from tests.fakes.gates import request as requested

COMPARE = [{"kind": "error_rate", "limit": "5%", "compare": {"to": "concurrent"}}]
TRAFFIC = 100.0  # requests a second
Share = Callable[[float], float]


def told(allowance: dict[str, Any] | None, **changes: Any) -> Config:
    policy = {"criteria": COMPARE, "allowance": allowance, **changes}
    return config(policy=policy)


def request() -> VerifyRequest:
    return requested(baseline=Version(version="1.0"), rollback="off")


def traffic(share: Share, bad: float = 0.0, base: float = 0.0) -> None:
    def counts(seconds: float) -> tuple[Counts | None, Counts | None]:
        n = TRAFFIC * 5 * share(seconds)
        m = TRAFFIC * 5 - n
        return (Counts(n, n * bad) if n else None, Counts(m, m * base))

    Script.act = counts


async def allowances(running: Replica) -> tuple[Gate, list[Allowance]]:
    """The gate with its verdict, and what was told before it, look by look."""
    started = await running.keeper.start(request(), caller="pipeline")
    gate = await running.keeper.wait(started.id, 7200)
    looks = [event.body["standing"] async for event in running.keeper.events(gate.id) if event.kind is EventKind.LOOK]
    return gate, [Allowance(**look["allowance"]) for look in looks if look["allowance"] and not look["verdict"]]


async def test_a_caller_is_allowed_more_as_the_evidence_grows(file: Path) -> None:
    """From the little that a release of which everything fails would bear, to all of it; healthd orders nothing."""
    traffic(lambda _seconds: 0.01)
    async with replica(file, told({"budget": 100, "way_back": "30s"})) as running:
        gate, seen = await allowances(running)
        first, last = seen[0], seen[-1]
        assert first.allowed_weight <= 100 / (TRAFFIC * 30)
        assert first.allowed_weight < 0.02 < last.allowed_weight
        assert last.allowed_weight * last.traffic * last.excess * last.reaction <= 100 or last.allowed_weight == 1.0
        assert last.share == pytest.approx(0.01)
        assert not any(each.exceeded or each.held for each in seen)
        assert Note.tried == []
        assert await running.keeper.orders(gate.id) == []
        assert gate.ramp is None


@pytest.mark.parametrize(("share", "bad", "verdict"), [(0.5, 0.0, Verdict.PASS), (0.5, 0.3, Verdict.FAIL)])
async def test_it_is_judged_as_without_an_allowance(file: Path, share: float, bad: float, verdict: Verdict) -> None:
    """Also where it has far more than allowed: at the weight that the caller chose, by the same look."""
    decided = []
    for allowance in (None, {"budget": 20}):
        traffic(lambda _seconds: share, bad)
        async with replica(file.with_name(f"{allowance is None}.db"), told(allowance)) as running:
            gate, _ = await allowances(running)
            assert gate.decision is not None
            decided.append((gate.decision.verdict, gate.decision.at - gate.created_at, gate.decision.sentence))
    assert decided[0] == decided[1]
    assert decided[0][0] is verdict


async def test_a_share_wider_than_allowed_is_said(file: Path) -> None:
    traffic(lambda _seconds: 0.5)
    async with replica(file, told({"budget": 20}, initial_delay="2m", observe={"min": "5m", "max": "10m"})) as running:
        started = await running.keeper.start(request(), caller="pipeline")
        gate = await running.keeper.wait(started.id, 60)
        document = GateDocument.of(gate)
        assert document.allowance is not None
        assert document.allowance.exceeded
        assert "and it has 50 %, which is wider than its harm budget bears" in document.allowance.told
        assert document.decision is None
        assert document.allowance.told in line(document)
        renderer = Renderer()
        renderer.add(FOLDER)
        renderer._environment = renderer._load()
        drawn = renderer.part(_PARTS, "evidence", None, [], view.allowance(gate))
        assert document.allowance.told in drawn


async def test_no_more_is_allowed_while_the_baseline_is_in_trouble_too(file: Path) -> None:
    traffic(lambda _seconds: 0.02, bad=0.2, base=0.2)
    async with replica(file, told({"budget": 1000}, observe={"min": "60s", "max": "2m"})) as running:
        _, seen = await allowances(running)
        held = [each for each in seen if each.held]
        assert held
        assert all(each.allowed_weight <= 0.02 for each in held)


async def test_little_traffic_allows_half_before_there_is_anything_to_compare(file: Path) -> None:
    """The budget covers everything that can fail: but a release that has everything at once is never compared."""
    traffic(lambda seconds: 0.0 if seconds < 20 else 0.3)
    async with replica(file, told({"budget": 1e6})) as running:
        _, seen = await allowances(running)
        assert {each.allowed_weight for each in seen if not each.share and not each.held} == {0.5}
        assert seen[-1].allowed_weight == 1.0


async def test_another_replica_goes_on_where_the_first_was(file: Path) -> None:
    """The evidence is brought back: what was allowed does not fall to what a new release is allowed."""
    traffic(lambda _seconds: 0.05)
    slow = told({"budget": 100, "way_back": "30s"}, initial_delay="0s", observe={"min": "20m", "max": "30m"})
    async with replica(file, slow) as running:
        started = await running.keeper.start(request(), caller="pipeline")
        before = (await running.keeper.wait(started.id, 300)).allowance
    async with replica(file, slow) as running:
        after = (await running.keeper.wait(started.id, 30)).allowance
    assert before is not None
    assert after is not None
    assert after.allowed_weight >= before.allowed_weight > 0.05


def test_gates_without_one_stay_readable_for_the_release_before() -> None:
    """It refuses options that it does not know, and ignores what it does not know of a standing."""
    assert "allowance" not in policy_body(told(None).policies["quick"])
    kept = policy_body(told({"budget": 100}).policies["quick"])
    assert load_spec(kept, "quick", "api", told(None)).policy.allowance == Options(budget=100)


def test_a_source_that_does_not_see_the_traffic_is_refused() -> None:
    with pytest.raises(ValueError, match="policy is quick, which has an allowance, and a probe source cannot see"):
        config(
            policy={"criteria": COMPARE, "allowance": {"budget": 100}},
            service={"source": {"kind": "probe"}, "targets": {"blue": "http://127.0.0.1:1"}},
        )


async def test_a_request_without_a_baseline_is_refused(file: Path) -> None:
    async with replica(file, told({"budget": 100})) as running:
        with pytest.raises(InvalidRequest, match="name that one"):
            await running.keeper.start(requested(), caller="pipeline")
