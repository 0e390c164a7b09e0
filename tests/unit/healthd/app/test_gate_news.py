"""What is told of a gate's steps."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from healthd.app.gates import GatePart
from healthd_gates.config.settings import Config
from healthd_gates.engine import notifications as gate_news
from tests.fakes.gate_states import PASSED


def test_a_bug_in_what_is_told_does_not_reach_who_made_the_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """The step is stored: a caller who is refused would make it again."""

    def broken(*_: Any) -> None:
        raise AssertionError("no standing")

    monkeypatch.setattr(gate_news, "notices", broken)
    part = cast("Any", object.__new__(GatePart))
    part._health = SimpleNamespace(settings=Config())
    with capture_logs() as logs:
        part._changed(PASSED, PASSED)
    assert [log["event"] for log in logs if log["log_level"] == "error"] == ["a gate's change could not be told"]
