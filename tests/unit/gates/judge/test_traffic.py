"""Silence of the candidate is noticed, and pauses of little traffic are not taken for it."""

import pytest

from healthd_gates.domain.evidence import Evidence, Finding
from healthd_gates.judge.traffic import Traffic
from tests.unit.gates.judge.evidence import interval

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


def test_a_source_may_be_later_than_a_minute() -> None:
    """CloudWatch tells of each minute some minutes after it: between two of its numbers nothing is wrong."""
    traffic = Traffic(360.0)
    for item in [BUSY, *[MISSING] * 36]:
        traffic.step(item)
    assert traffic.silence is None
    traffic.step(MISSING)
    assert traffic.silence is Finding.NO_TELEMETRY
