"""What callers may send, and what they may not."""

import json
from datetime import UTC, datetime
from math import inf
from typing import Any

import pytest
from pydantic import ValidationError

from healthd_gates.api.requests import ListQuery, LockBody, ReasonBody, VerifyBody, WaitQuery
from healthd_gates.domain.gate import GateState
from healthd_gates.engine.validation import new_id

FINE: dict[str, Any] = {"service": "api", "candidate": {"version": "1.4.2"}}
HOSTILE_NAMES = ["", "../api", "api/../../etc", "a b", "api\n", "$(id)", "http://169.254.169.254/", "ü", "a" * 65, "\0"]
HOSTILE_VERSIONS = [
    "",
    "-rf",
    "1 2",
    "1\n2",
    '1"',
    "1'",
    "1`id`",
    "$(id)",
    "${HOME}",
    "../../etc/passwd",
    "1/../../admin",
    "1//host",
    "1/.",
    "a" * 129,
    "1;ls",
    "1|ls",
    "1&2",
    "1\\",
    "{}",
]


def verify(**changes: Any) -> VerifyBody:
    return VerifyBody.model_validate_json(json.dumps({**FINE, **changes}), strict=True)


@pytest.mark.parametrize("service", HOSTILE_NAMES)
def test_a_service_is_a_name_and_nothing_else(service: str) -> None:
    """No path, address or command gets as far as a look-up."""
    with pytest.raises(ValidationError, match="service"):
        verify(service=service)


@pytest.mark.parametrize("version", HOSTILE_VERSIONS)
def test_a_version_carries_no_syntax(version: str) -> None:
    """Nothing that a shell, a query or a URL would read as more than a word."""
    with pytest.raises(ValidationError, match=r"candidate\.version"):
        verify(candidate={"version": version})


@pytest.mark.parametrize(
    "change",
    [
        {"url": "http://169.254.169.254/"},
        {"candidate": {"version": "1", "url": "http://169.254.169.254/"}},
        {"deployment": {"callback": "http://10.0.0.1/"}},
        {"rollback": "now"},
        {"rollback": True},
        {"candidate": {"version": 1}},
        {"candidate": {"version": "1", "labels": {"a b": "c"}}},
        {"candidate": {"version": "1", "labels": {"zone": "a\u0000"}}},
        {"candidate": {"version": "1", "labels": {f"l{i}": "x" for i in range(17)}}},
        {"idempotency_key": "a b"},
        {"override": {"of": [], "reason": "x"}},
        {"override": {"of": ["quarantine"]}},
        {"override": {"of": ["everything"], "reason": "x"}},
    ],
    ids=str,
)
def test_what_the_model_does_not_know_is_refused(change: dict[str, Any]) -> None:
    """Unknown fields, wrong types and empty overrides alike."""
    with pytest.raises(ValidationError):
        verify(**change)


@pytest.mark.parametrize("version", ["2", "v1.4.2-rc.1+build~7", "feature/search_v2", "shop@sha256:0a1b", "2026.11.01"])
def test_versions_are_written_in_many_ways(version: str) -> None:
    """Semantic ones, branches, digests, dates."""
    assert verify(candidate={"version": version}).candidate.version == version


def test_the_key_is_not_part_of_the_request() -> None:
    """The same request under two keys is the same request."""
    one, other = verify(idempotency_key="1"), verify(idempotency_key="2")
    assert one.request() == other.request() == verify().request()


@pytest.mark.parametrize(("text", "seconds"), [("0s", 0), ("250ms", 0.25), ("1m30s", 90), ("verdict", inf)])
def test_a_wait_is_a_duration_or_until_the_verdict(text: str, seconds: float) -> None:
    """In the notation of the configuration."""
    assert WaitQuery.model_validate({"wait": text}).wait == seconds


def test_a_wait_is_bounded() -> None:
    """A day is cut to an hour: nobody can hold a connection for ever but for a verdict, which comes."""
    assert WaitQuery.model_validate({"wait": "1d"}).wait == 3600


@pytest.mark.parametrize("text", ["", "5", "-5s", "5 parsecs", "inf", "nan", "1e9s"])
def test_a_wait_that_is_none_is_refused(text: str) -> None:
    """A number without a unit could mean anything."""
    with pytest.raises(ValidationError, match="wait"):
        WaitQuery.model_validate({"wait": text})


def test_active_gates_are_those_that_are_not_over() -> None:
    """A held gate and a watch are active, too."""
    states = ListQuery(state="active").states
    assert GateState.HELD in states
    assert GateState.WATCHING in states
    assert not any(state.is_over for state in states)
    assert ListQuery(state=GateState.HELD).states == (GateState.HELD,)
    assert ListQuery().states == ()


@pytest.mark.parametrize("duration", ["0s", "8d", "30"])
def test_a_lock_lasts_a_second_to_a_week(duration: str) -> None:
    """A lock for ever would be forgotten by its holder and stop everyone else."""
    with pytest.raises(ValidationError, match="for"):
        LockBody.model_validate({"holder": "ci", "for": duration, "reason": "x"})
    assert LockBody.model_validate({"holder": "ci", "for": "30m", "reason": "x"}).duration == 1800


@pytest.mark.parametrize("reason", ["", "x" * 201, "two\nlines", "\x1b[2J", None, 7])
def test_a_reason_can_be_printed(reason: Any) -> None:
    """It ends up in audits and on terminals, where control characters would do things."""
    with pytest.raises(ValidationError, match="reason"):
        ReasonBody.model_validate({"reason": reason})


def test_a_page_begins_at_a_gate() -> None:
    """What is no id would be the newest page, or none."""
    assert ListQuery(before=new_id(datetime(2026, 1, 2, tzinfo=UTC))).before
    for cursor in ("x", "0123", "A" * 32, "f" * 33):
        with pytest.raises(ValidationError):
            ListQuery(before=cursor)
