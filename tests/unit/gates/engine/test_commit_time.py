"""Times of a commit from which no lead time can count are told with the gate."""

from datetime import timedelta

import pytest

from healthd_gates.config.settings import Config
from healthd_gates.domain.request import VerifyRequest
from healthd_gates.engine.validation import validate
from tests.fakes.gates import config
from tests.fakes.monitoring import MIDNIGHT


@pytest.mark.parametrize(
    ("at", "told"),
    [
        (MIDNIGHT + timedelta(days=30), "is in the future: no lead time is counted"),
        (MIDNIGHT - timedelta(days=20_000), "is 20,000 days ago"),
        (MIDNIGHT + timedelta(minutes=2), ""),
        (MIDNIGHT - timedelta(days=90), ""),
        (None, ""),
    ],
    ids=["a month ahead", "decades ago", "another clock", "a quarter ago", "not given"],
)
def test_an_odd_time_is_told(at: object, told: str) -> None:
    given: Config = config()
    asked = VerifyRequest.model_validate(
        {"service": "api", "candidate": {"version": "2.0"}, "deployment": {"committed_at": at}}
    )
    admission, _ = validate(asked, given, caller="ci", key=None, replica="r", moment=MIDNIGHT)
    assert len(admission.gate.notes) == bool(told)
    assert told in "".join(admission.gate.notes)
