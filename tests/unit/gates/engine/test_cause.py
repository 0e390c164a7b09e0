"""The verdict says why there were no numbers, or what was odd about them: a pipeline shows nothing else."""

from datetime import timedelta
from pathlib import Path

import pytest

from healthd_gates.domain.evidence import Counts, Evidence
from healthd_gates.domain.standing import Reason, Standing, Verdict
from healthd_gates.engine.transitions import decision_of
from healthd_gates.sources.contract import Cursor, Look
from tests.fakes.gates import Script, Scripted, config, replica, request, unreachable
from tests.fakes.monitoring import MIDNIGHT


async def test_an_outage_of_the_source_is_named_in_the_verdict(file: Path) -> None:
    """Also on the page of a gate that is over, which shows the decision's sentence."""
    Script.act = unreachable
    async with replica(file, config(policy={"observe": {"max": "2m"}})) as running:
        gate = await running.keeper.start(request(), caller="ci")
        gate = await running.keeper.wait(gate.id, 900)
        assert gate.decision is not None
        assert gate.decision.verdict is Verdict.INCONCLUSIVE
        assert "The source says: connection refused." in gate.decision.sentence


@pytest.mark.parametrize(
    ("reason", "notes", "sentence"),
    [
        (Reason.NO_TELEMETRY, ["Prometheus answered 401"], "Silent. The source says: Prometheus answered 401."),
        (Reason.PROVEN_SAFE, ["no series matches errors"], "Silent. The source says: no series matches errors."),
        (Reason.NO_TELEMETRY, ["Did you mean green?"], "Silent. The source says: Did you mean green?"),
        (Reason.PROVEN_SAFE, [], "Silent."),
        (Reason.NO_TELEMETRY, list("abcde"), "Silent. The source says: a; b; c."),
    ],
)
def test_what_the_source_says_stands_in_the_sentence(reason: Reason, notes: list[str], sentence: str) -> None:
    """A few of its notes: forty pods may say the same."""
    standing = Standing(MIDNIGHT + timedelta(seconds=60), 60, Verdict.PASS, reason, "Silent.", 0.0, 4.6, ())
    assert decision_of(standing, MIDNIGHT, promotes=True, notes=notes).sentence == sentence


@pytest.mark.parametrize(("errors", "is_told"), [(0, False), (500, True)])
async def test_a_baseline_that_was_replaced_is_no_caveat_of_a_pass(
    file: Path, monkeypatch: pytest.MonkeyPatch, errors: int, is_told: bool
) -> None:
    """However the source words it. Harm is told with all that is known."""
    observe, gone, odd = Scripted.observe, "baseline: nothing writes that measurement", "candidate: one pod is away"

    async def replaced(self: Scripted, since: Cursor | None) -> Look:
        look = await observe(self, since)
        return Look(look.evidence, look.cursor, (odd, gone), (gone,))

    monkeypatch.setattr(Scripted, "observe", replaced)
    Script.act = lambda _seconds: Evidence(MIDNIGHT, 5.0, Counts(1000, errors))
    async with replica(file, config()) as running:
        gate = await running.keeper.wait((await running.keeper.start(request(), caller="ci")).id, 900)
        assert gate.decision is not None
        assert gate.decision.verdict is (Verdict.FAIL if errors else Verdict.PASS)
        assert odd in gate.decision.sentence
        assert (gone in gate.decision.sentence) is is_told
        assert gone in gate.notes
