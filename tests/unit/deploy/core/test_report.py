"""Last line of a deploy."""

from dataclasses import replace

import pytest

from healthd_deploy.core.exit import FAILED, INCONCLUSIVE, PROMOTED
from healthd_deploy.core.report import Report
from healthd_gates.domain.standing import Reason, Standing, Verdict
from healthd_gates.schema.gate import GateDocument
from tests.fakes.gate_states import PASSED
from tests.fakes.monitoring import MIDNIGHT

SENTENCE = "Proven safe by every critical criterion. Compared with nothing (latency): no past yet."
STANDING = Standing(MIDNIGHT, 60.0, Verdict.PASS, Reason.PROVEN_SAFE, SENTENCE, 0.0, 5.0, ())


@pytest.mark.parametrize(
    ("by", "code", "line"),
    [
        (None, PROMOTED, f"2.0: promoted: p{SENTENCE[1:-1]}"),
        ("ann", PROMOTED, "2.0: promoted"),
        (None, INCONCLUSIVE, "2.0: inconclusive"),
    ],
)
def test_a_promoted_version_is_told_with_what_its_pass_stands_on(by: str | None, code: int, line: str) -> None:
    """A pass that compared nothing is another one; that of a person says nothing of the numbers."""
    assert PASSED.decision is not None
    gate = replace(PASSED, standing=STANDING, decision=replace(PASSED.decision, by=by))
    assert Report("2.0", gates=[GateDocument.of(gate)]).sentence(code) == line


@pytest.mark.parametrize(
    ("code", "reason", "line"),
    [
        (FAILED, "fail: Harmful.", "2.0: failed: Harmful"),
        (INCONCLUSIVE, "inconclusive: Too few.", "2.0: inconclusive: Too few"),
        (FAILED, "gate failed", "2.0: failed: gate failed"),
    ],
)
def test_an_ending_is_said_once(code: int, reason: str, line: str) -> None:
    assert Report("2.0", reason=reason).sentence(code) == line
