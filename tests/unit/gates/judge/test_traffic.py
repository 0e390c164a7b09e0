"""Silence of the candidate is noticed, and pauses of little traffic are not taken for it."""

from dataclasses import replace

import pytest

from healthd_gates.criteria.error_rate import ErrorRate
from healthd_gates.domain.evidence import Evidence
from healthd_gates.domain.standing import Finding, Reason
from healthd_gates.judge.judge import Judge
from healthd_gates.judge.risk import Timing
from healthd_gates.judge.rules import Rules
from healthd_gates.judge.traffic import Traffic
from tests.unit.gates.judge.evidence import interval

RULES = Rules((ErrorRate(limit=0.05),), timing=Timing(interval=1.0, initial_delay=1.0, minimum=30.0, maximum=60.0))
_SCRAPED, _IDLE = (replace(interval((requests, 0), seconds=1), span=2.0) for requests in (30, 0))
BUSY, QUIET, NONE, MISSING = interval((500, 0)), interval((1, 0)), interval((0, 0)), interval()


@pytest.mark.parametrize(
    ("stream", "silence"),
    [
        ([MISSING], Finding.NO_TELEMETRY),
        ([NONE], Finding.NO_TRAFFIC),
        ([BUSY], None),
        ([BUSY, *[MISSING] * 6], None),
        ([BUSY, *[MISSING] * 7], Finding.NO_TELEMETRY),
        ([BUSY, *[MISSING] * 7, BUSY], None),
        ([BUSY, NONE], Finding.NO_TRAFFIC),
        ([QUIET] * 30 + [NONE] * 5, None),
        ([QUIET] * 30 + [NONE] * 20, Finding.NO_TRAFFIC),
    ],
)
def test_silence(stream: list[Evidence], silence: Finding | None) -> None:
    """Telemetry is missed after a minute, traffic after ten requests that were due."""
    traffic = Traffic(60.0)
    for item in stream:
        traffic.step(item)
    assert traffic.silence is silence


def test_a_process_without_requests_that_reports_between_two_scrapes_of_the_busy_one_tells_of_no_loss() -> None:
    """`up` selects the processes of both versions: the idle one's news come at every second look. Nothing passes before
    those of the other, which may have died; once it has reported none, or nothing at all, the traffic is lost."""
    judge = Judge(RULES)
    said = [judge.step(shown) for shown in [_IDLE, _SCRAPED] * 6]
    assert {shown.reason for shown in said[2:]} == {Reason.OBSERVING, Reason.NOT_FRESH}
    assert Finding.NO_TRAFFIC not in {each.finding for shown in said[2:] for each in shown.criteria}
    assert [judge.step(_IDLE).reason for _ in range(3)] == [Reason.NOT_FRESH, *[Reason.TRAFFIC_LOST] * 2]


def test_a_source_may_be_later_than_a_minute() -> None:
    """CloudWatch tells of each minute some minutes after it: between two of its numbers nothing is wrong."""
    traffic = Traffic(360.0)
    for item in [BUSY, *[MISSING] * 36]:
        traffic.step(item)
    assert traffic.silence is None
    traffic.step(MISSING)
    assert traffic.silence is Finding.NO_TELEMETRY


@pytest.mark.parametrize("beside", [True, False])
@pytest.mark.parametrize("begins", [25, 40, 60, 80])
def test_a_fade_is_noticed_while_most_of_the_traffic_is_there(begins: int, *, beside: bool) -> None:
    """Traffic that halves every 20 s lets nothing pass from 15 s on."""
    traffic = Traffic(60.0)
    for second in range(5, begins + 35, 5):
        left = 0.5 ** (max(0, second - begins) / 20)
        traffic.step(interval((250 * left, 0), (250, 0) if beside else None, seconds=5))
        if second >= begins + 15:
            assert traffic.doubt is Reason.TRAFFIC_FALLING


@pytest.mark.parametrize("beside", [True, False])
@pytest.mark.parametrize("begins", [35, 45, 120, 600])
@pytest.mark.parametrize(("halves", "left"), [(0.1, 0.1), (60.0, 0.02), (90.0, 0.05)])
def test_a_loss_hides_itself_behind_no_mean(halves: float, left: float, begins: int, *, beside: bool) -> None:
    """Neither a sudden loss nor a slow one passes once it has lasted: it is no part of what the candidate had."""
    traffic = Traffic(60.0)
    for second in range(5, begins + 600, 5):
        share = max(left, 0.5 ** (max(0, second - begins) / halves))
        traffic.step(interval((250 * share, 0), (250, 0) if beside else None, seconds=5))
        if second >= begins + 15 + halves / 3:
            assert traffic.doubt in (Reason.TRAFFIC_FALLING, Reason.TRAFFIC_LOST), second
    assert traffic.loss is Reason.TRAFFIC_LOST


def test_a_quarter_of_the_traffic_that_there_was_is_no_loss() -> None:
    """It is a fall, and then what is usual."""
    traffic = Traffic(60.0)
    for look in range(480):
        traffic.step(interval((250 * (1.0 if look < 120 else 0.25), 0), seconds=5))
        assert traffic.silence is None
    assert traffic.doubt is None


def test_a_second_report_that_is_short_of_requests_passes_nothing() -> None:
    """A process that is scraped once a minute, and was a black hole for most of the second."""
    traffic = Traffic(60.0)
    for at in range(5, 100, 5):
        traffic.step(interval({35: (1750, 0), 95: (1200, 0)}.get(at), seconds=5))
    assert traffic.doubt is Reason.TRAFFIC_FALLING


@pytest.mark.parametrize("apart", [15, 60])
def test_nothing_passes_between_two_reports(apart: int) -> None:
    """A process that was scraped and then died is known from its next report alone, or from that it does not come."""
    timing = Timing(interval=5.0, initial_delay=30.0, minimum=60.0, maximum=600.0)
    judge, seconds = Judge(Rules((ErrorRate(limit=0.05),), timing=timing)), range(5, 200, 5)
    said = [judge.step(interval((50 * apart, 0) if at % apart == 0 else None, seconds=5)) for at in seconds]
    assert {at % apart for at, each in zip(seconds, said, strict=True) if each.verdict} == {0}
    assert {each.reason for each in said[24:]} == {Reason.PROVEN_SAFE, Reason.NOT_FRESH}


def test_at_its_end_a_gate_waits_for_the_next_report() -> None:
    """A minute after the last before it, and some seconds more."""
    timing = Timing(interval=5.0, initial_delay=30.0, minimum=600.0, maximum=600.0)
    judge, said = Judge(Rules((ErrorRate(limit=0.05),), timing=timing)), dict[int, Reason]()
    reports = dict.fromkeys(range(55, 600, 60), 3000) | {625: 1500, 685: 3000}
    for at in range(5, 705, 5):
        said[at] = judge.step(interval((reports[at], 0) if at in reports else None, seconds=5)).reason
    assert said[630] is said[680] is Reason.NOT_FRESH
    assert said[685] is Reason.PROVEN_SAFE


def test_one_report_of_a_minute_shows_that_the_traffic_ended_in_it() -> None:
    """A process that is scraped once a minute, and had requests in 45 s of the last."""
    traffic = Traffic(60.0)
    for at, requests in ((40, 2000), (100, 3000), (160, 2250)):
        for _ in range(5, at - 5 if at == 40 else 60, 5):
            traffic.step(interval(seconds=5))
        traffic.step(interval((requests, 0), seconds=5))
        assert traffic.doubt is (Reason.TRAFFIC_FALLING if at == 160 else None)


def test_what_falls_in_both_versions_is_no_fade() -> None:
    """The evening comes for both."""
    traffic = Traffic(60.0)
    for look in range(40):
        requests = 250 * 0.95 ** max(0, look - 15)
        traffic.step(interval((requests, 0), (requests, 0), seconds=5))
        assert traffic.doubt is None


def test_where_nobody_has_requests_a_pass_waits_though_the_candidate_had_too_few_to_miss() -> None:
    """A proxy that was stopped while the baseline had nearly all of the traffic."""
    traffic = Traffic(60.0, whole=True)
    for _ in range(4):
        traffic.step(interval((2, 0), (500, 0)))
    traffic.step(interval((0, 0), (0, 0)))
    assert (traffic.silence, traffic.is_nowhere, traffic.doubt) == (None, True, Reason.NO_TRAFFIC)
