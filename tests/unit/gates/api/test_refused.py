"""What a refusal looks like from outside."""

from datetime import UTC, datetime

import pytest

from healthd_gates.api.problems import problem_of
from healthd_gates.domain import errors as refusals

UNTIL = datetime(2026, 11, 1, 12, 30, tzinfo=UTC)


def leaves(kind: type[refusals.Refusal]) -> list[type[refusals.Refusal]]:
    """Every kind of refusal of which there is none more exact."""
    return [leaf for each in kind.__subclasses__() for leaf in leaves(each)] or [kind]


EVERY_KIND = leaves(refusals.Refusal)


class _Anything(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return "something"


@pytest.mark.parametrize("kind", EVERY_KIND, ids=lambda kind: kind.__name__)
def test_every_refusal_has_a_status(kind: type[refusals.Refusal], monkeypatch: pytest.MonkeyPatch) -> None:
    """A refusal that is new in the gate service cannot become a 500."""
    monkeypatch.setattr(kind, "__doc__", "A message.")
    problem = problem_of(kind(gate_id="0123"))
    assert problem.status in {404, 409, 422, 503}
    assert problem.extra["type"].startswith("urn:healthd:")


def test_a_conflict_tells_who_and_until_when() -> None:
    """In words for people and in members for programs."""
    problem = problem_of(refusals.Locked(holder="ci-7", service="api", until=UNTIL, reason="migration"))
    assert (problem.status, problem.title) == (409, "Locked")
    assert problem.detail == (
        "ci-7 holds the deploy lock of api until 2026-11-01 12:30:00 UTC: migration. Wait; or, once you know that its "
        "deploy is over, `healthd gate unlock api --holder ci-7`."
    )
    assert problem.extra == {
        "type": "urn:healthd:locked",
        "holder": "ci-7",
        "service": "api",
        "until": "2026-11-01T12:30:00.000Z",
        "reason": "migration",
    }


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("strikt", "No policy is called 'strikt'; there are: batch, canary."),
        ("canarry", "No policy is called 'canarry'; there are: batch, canary. Did you mean canary?"),
    ],
)
def test_an_unknown_name_is_an_error_of_its_field(name: str, told: str) -> None:
    """The one who typed it sees which field, what there is to choose from, and what was probably meant."""
    problem = problem_of(refusals.UnknownPolicy(policy=name, known={"canary", "batch"}))
    assert problem.status == 404
    assert problem.extra["errors"] == [{"field": "policy", "problem": told}]
    assert problem.extra["known"] == "batch, canary"


@pytest.mark.parametrize(("reason", "told"), [("above 5 %.", "above 5 %."), ("above 5 %", "above 5 %."), ("…", "….")])
def test_a_reason_with_its_own_full_stop(reason: str, told: str) -> None:
    """It ends the sentence once, whoever wrote it."""
    kept = refusals.Quarantined(version="2.0", service="api", gate_id="g1", since=UNTIL, reason=reason)
    assert f"by gate g1: {told} Let it out with" in str(kept)
    assert kept.fields["reason"] == reason


def test_a_hint_ends_its_sentence() -> None:
    problem = "no target is called 'gren'; there are: blue, green. Did you mean green?"
    assert str(refusals.InvalidRequest(field="candidate.target", problem=problem)) == f"candidate.target: {problem}"


def test_a_journal_that_is_down_is_worth_another_try() -> None:
    """503 comes with the time after which to ask again."""
    problem = problem_of(refusals.JournalUnavailable(problem="disk full"))
    assert (problem.status, problem.headers) == (503, {"Retry-After": "1"})


def test_a_journal_that_is_down_is_told_in_the_words_of_the_call() -> None:
    """Who only looks has started nothing anyway."""
    refusal = refusals.JournalUnavailable(problem="disk full")
    assert problem_of(refusal, reads=True).detail == "The journal cannot be read now: disk full."
    assert problem_of(refusal).detail == (
        "The journal cannot be written, so nothing was started or changed: disk full."
    )
    assert problem_of(refusal).extra["type"] == problem_of(refusal, reads=True).extra["type"]
