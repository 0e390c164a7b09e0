"""Labels of a request that nothing reads: told where they look misspelt."""

import pytest

from healthd_gates.config.settings import Config
from healthd_gates.domain.request import VerifyRequest
from healthd_gates.engine.unread_labels import unread_labels
from healthd_gates.engine.validation import validate
from tests.fakes.gates import POLICY
from tests.fakes.monitoring import MIDNIGHT

SOURCE = {
    "kind": "prometheus",
    "url": "http://127.0.0.1:9",
    "requests": 'http_requests_total{version="$version",track="$track"}',
    "errors": 'http_requests_total{version="$version",track="$track",status=~"5.."}',
}
CONFIG = Config.model_validate(
    {
        "policies": {"quick": POLICY},
        "services": {"api": {"source": SOURCE, "policy": "quick", "on_fail": ["back"]}},
        "actions": {"back": {"kind": "command", "argv": ["/bin/true", "$service"]}},
    }
)


@pytest.mark.parametrize(
    ("label", "told"),
    [
        ("versoin", "nothing reads the label versoin; did you mean version?"),
        ("trak", "nothing reads the label trak; did you mean track?"),
        ("track", ""),
        ("services", ""),
        ("ticket", ""),
    ],
)
def test_a_misspelt_label_is_told(label: str, told: str) -> None:
    candidate = {"version": "2.0", "labels": {label: "x", "track": "b"}}
    asked = VerifyRequest.model_validate({"service": "api", "candidate": candidate})
    notes = list(unread_labels(asked, CONFIG.policies["quick"], CONFIG.services["api"], CONFIG.actions))
    assert [note.partition(" (")[0] for note in notes] == ([told] if told else [])
    admission, _ = validate(asked, CONFIG, caller="ci", key=None, replica="r", moment=MIDNIGHT)
    assert admission.gate.notes == tuple(notes)
