"""Last line of a deploy."""

from dataclasses import replace

import pytest

from healthd_deploy.core.exit import FAILED, INCONCLUSIVE, PROMOTED
from healthd_deploy.core.platform import Strayed
from healthd_deploy.core.report import Report
from healthd_gates.domain.standing import CriterionReport, Finding, Reason, Standing, Verdict
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


@pytest.mark.parametrize("requests", [0.0, 50.0])
def test_traffic_that_a_proxy_gave_away_is_the_cause(requests: float) -> None:
    """What healthd could not see in the end follows from it, and what it saw before is not denied in the same line."""
    criterion = CriterionReport(
        "error_rate", True, Finding.NO_TRAFFIC, "The error rate is unknown.", requests=requests, bad=requests / 10
    )
    standing = replace(STANDING, verdict=Verdict.INCONCLUSIVE, reason=Reason.NOT_SWITCHED, criteria=(criterion,))
    report = Report(
        "2.0", "inconclusive: It was not switched.", gates=[GateDocument.of(replace(PASSED, standing=standing))]
    )
    report.exposed()
    report.stray(Strayed("HAProxy gives green 0 %: was it reloaded?", in_part=False))
    report.back()
    line = report.sentence(INCONCLUSIVE)
    assert line.startswith("2.0: inconclusive: HAProxy gives green 0 %: was it reloaded?; ")
    assert "It was not switched" not in line
    assert ("healthd saw none of the traffic" in line) is not bool(requests)
    assert ("it had the traffic for at most 0 s" in line) is bool(requests)
