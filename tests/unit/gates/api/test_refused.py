"""What a refusal looks like from outside."""

from datetime import UTC, datetime

import pytest

from healthd_gates.api.problems import problem_of
from healthd_gates.domain import errors as refusals

UNTIL = datetime(2026, 11, 1, 12, 30, tzinfo=UTC)
EVERY_KIND = refusals.Refusal.__subclasses__()


class _Anything(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return "something"


@pytest.mark.parametrize("kind", EVERY_KIND, ids=lambda kind: kind.__name__)
def test_every_refusal_has_a_status(kind: type[refusals.Refusal], monkeypatch: pytest.MonkeyPatch) -> None:
    """A refusal that is new in the gate service cannot become a 500."""
    monkeypatch.setattr(kind, "__doc__", "A message.")
    problem = problem_of(kind())
    assert problem.status in {404, 409, 422, 503}
    assert problem.extra["type"].startswith("urn:healthd:")


def test_a_conflict_tells_who_and_until_when() -> None:
    """In words for people and in members for programs."""
    problem = problem_of(refusals.Locked(holder="ci-7", service="api", until=UNTIL, reason="migration"))
    assert (problem.status, problem.title) == (409, "Locked")
    assert problem.detail == "ci-7 holds the deploy lock of api until 2026-11-01 12:30:00 UTC: migration."
    assert problem.extra == {
        "type": "urn:healthd:locked",
        "holder": "ci-7",
        "service": "api",
        "until": "2026-11-01T12:30:00.000Z",
        "reason": "migration",
    }


def test_an_unknown_name_is_an_error_of_its_field() -> None:
    """The one who typed it sees which field and what there is to choose from."""
    problem = problem_of(refusals.UnknownPolicy(policy="strikt", known="batch, canary"))
    assert problem.status == 404
    assert problem.extra["errors"] == [
        {"field": "policy", "problem": "No policy is called 'strikt'; there are: batch, canary."}
    ]


def test_a_journal_that_is_down_is_worth_another_try() -> None:
    """503 comes with the time after which to ask again."""
    problem = problem_of(refusals.JournalUnavailable(problem="disk full"))
    assert (problem.status, problem.headers) == (503, {"Retry-After": "1"})
