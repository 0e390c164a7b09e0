"""Last line of a deploy."""

from dataclasses import replace
from datetime import timedelta

import pytest

from healthd_deploy.core.exit import FAILED, INCONCLUSIVE, NOT_UNDONE, PROMOTED
from healthd_deploy.core.platform import Strayed
from healthd_deploy.core.report import Report
from healthd_gates.domain.standing import CriterionReport, Finding, Reason, Standing, Verdict
from healthd_gates.schema.gate import GateDocument
from tests.fakes.gate_states import DECIDED, PASSED
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


def test_harm_that_was_only_observed_is_told_as_that() -> None:
    """Nothing follows, so that the version is promoted: without these words the line would contradict itself."""
    decided = DECIDED["fail", Verdict.FAIL]
    assert decided.decision is not None
    said = "Only observed, so that nothing follows. The candidate is proven harmful."
    standing = replace(STANDING, verdict=Verdict.FAIL, sentence="The candidate is proven harmful.")
    gate = replace(decided, standing=standing, decision=replace(decided.decision, sentence=said, observed=True))
    line = Report("2.0", gates=[GateDocument.of(gate)]).sentence(PROMOTED)
    assert line.startswith("2.0: promoted: only observed, so that nothing follows. The candidate is proven harmful")


def criterion(requests: float, bad: float) -> CriterionReport:
    return CriterionReport("error_rate", True, Finding.OPEN, "The error rate is open.", requests=requests, bad=bad)


def test_a_watch_that_has_begun_takes_nothing_from_the_verdict() -> None:
    """Whichever of them the tool reads last: the watch counts anew, and has seen nothing yet."""
    assert PASSED.decision is not None
    decision = replace(PASSED.decision, sentence="Proven safe. The error rate is proven safe: 0 % (0 of 109 requests).")
    watched = Standing(
        decision.at + timedelta(seconds=0.3), 0.3, None, Reason.OBSERVING, "Watching.", 0.0, 5.0, (criterion(9, 0),)
    )
    report = Report("1.6", gates=[GateDocument.of(replace(PASSED, standing=watched, decision=decision))])
    report.exposed()
    line = report.sentence(PROMOTED)
    assert line == "1.6: promoted: proven safe. The error rate is proven safe: 0 % (0 of 109 requests)"
    assert report.document(PROMOTED)["requests"] is None


@pytest.mark.parametrize("goes_back", [True, False])
def test_no_command_that_gives_the_traffic_to_what_was_not_let_through(goes_back: bool) -> None:
    """Once it is put back; a version that keeps its place is to have it again."""
    report, cure = (
        Report(version="2.0", reason="nobody knows"),
        "`healthd-deploy nginx switch green` gives all of it back",
    )
    report.exposed()
    report.stray(Strayed("shop.conf gives green 0 %: who wrote it?", in_part=False, cure=cure))
    if goes_back:
        report.back()
    assert (cure in report.sentence(2), cure in str(report.document(2)["strayed"])) == (not goes_back, not goes_back)
    assert "shop.conf gives green 0 %: who wrote it?" in report.sentence(2)


def test_the_seconds_of_an_earlier_run_are_not_left_out() -> None:
    """A run that goes on after a kill knows how long its version had the traffic in it, and not how long before."""
    report = Report(version="2.0", reason="fail: it fails one request in five")
    report.exposed(before=True)
    report.exposed()
    report.back()
    assert report.sentence(1).endswith("; it had the traffic before this run already, and for at most 0 s of it")
    assert report.document(1)["exposed_seconds"] is None


def test_a_watch_that_saw_nothing_yet_denies_no_traffic() -> None:
    """A person who rolls back right after the pass: the gate passed on requests."""
    assert PASSED.decision is not None
    watched = replace(STANDING, at=PASSED.decision.at + timedelta(seconds=1), verdict=None, reason=Reason.NO_TRAFFIC)
    reason = "rolled back, as ann called for; the traffic is back at blue"
    report = Report("1.6", reason, gates=[GateDocument.of(replace(PASSED, standing=watched))])
    report.exposed()
    report.back()
    assert report.sentence(FAILED) == (
        f"1.6: failed: {reason}; it had the traffic for at most 0 s, from the switch until it was put back"
    )


def test_what_is_counted_and_the_seconds_are_each_of_the_time_that_they_say() -> None:
    """A version that did not even start had no traffic, and one that hangs is asked after its verdict too."""
    refused = DECIDED["fail", Verdict.FAIL]
    gate = replace(refused, standing=replace(STANDING, verdict=Verdict.FAIL, criteria=(criterion(543, 55),)))
    report = Report("3.3", "fail: Harmful.", gates=[GateDocument.of(gate)])
    report.exposed()
    report.back()
    assert report.sentence(FAILED) == (
        "3.3: failed: Harmful; 55 of its 543 requests that healthd saw until the verdict failed; "
        "it had the traffic for at most 0 s, from the switch until it was put back"
    )
    report.gates = [GateDocument.of(replace(gate, decision=None))]
    assert "; 55 of its 543 requests that healthd saw failed; " in report.sentence(FAILED)


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
    report.reason = "gate 7 was cancelled: the traffic stays where it is"
    assert report.sentence(NOT_UNDONE).startswith(
        f"2.0: not undone: {report.reason} (HAProxy gives green 0 %: was it reloaded?); "
    )
