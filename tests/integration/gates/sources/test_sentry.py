"""New issues and crash-free sessions of a release, against a double of Sentry."""

from __future__ import annotations

from typing import Any

import pytest

from healthd.model import FailureKind
from healthd_gates.domain.evidence import Counts, Events
from healthd_gates.sources.contract import Series, SourceUnavailable
from healthd_gates.sources.sentry import SentryConfig
from tests.fakes.sources import Desk
from tests.integration.gates.sources.vendors import FIRST, START, desk
from tests.servers.peers import Answer, Peer
from tests.servers.telemetry.sentry import ORGANIZATION, TOKEN, Sentry
from tests.servers.telemetry.store import Store

SESSIONS, CRASHED = "sessions release:shop@$version", "crashed_sessions release:shop@$version"
ISSUES = Series("new_issues", "events", {"events": "new_issues firstRelease:shop@$version"})


def config(peer: Peer, **more: Any) -> SentryConfig:
    raw = {"kind": "sentry", "url": peer.url, "organization": ORGANIZATION, "token": TOKEN, "delay": "30s"}
    return SentryConfig.model_validate({**raw, "requests": SESSIONS, "errors": CRASHED, **more})


def sessions(store: Store, minute: float, count: int, status: str = "healthy", version: str = "2") -> None:
    fields: dict[str, Any] = {"release": f"shop@{version}", "session.status": status}
    store.add(FIRST + minute * 60 + 5, count, **fields)


def issues(store: Store, minute: float, count: int, version: str = "2") -> None:
    store.add(FIRST + minute * 60 + 7.123456, count, firstRelease=f"shop@{version}")


async def look_at(gate: Desk, store: Store, minute: float) -> Any:
    store.now = FIRST + minute * 60
    gate.clock.forward(store.now - gate.clock.now().timestamp())
    return await gate.look()


async def test_new_issues_and_crashed_sessions_of_both_releases(peer: Peer) -> None:
    """By page, and none of before the gate; that there are sessions shows that no new issue is none."""
    store = Store(START.timestamp())
    Sentry(peer, store).page = 2
    gate = desk(config(peer), ISSUES, baseline=True)
    await gate.look()
    for status, count in (("healthy", 90), ("errored", 7), ("abnormal", 1), ("crashed", 2)):
        sessions(store, 0, count, status)
        sessions(store, 1, count, status, version="1")
    issues(store, -3, 3)
    issues(store, 0, 5)
    issues(store, 1, 9)
    look = await look_at(gate, store, 2.5)
    await gate.source.close()
    assert (look.evidence.candidate, look.evidence.baseline) == (Counts(100, 2), Counts(100, 2))
    own = look.evidence.streams["new_issues"]
    assert (own.candidate, own.baseline) == (Events(14, None, None, 120.0), Events(0, None, None, 120.0))


async def test_an_organization_that_counts_by_the_hour_is_no_telemetry_by_the_minute(peer: Peer) -> None:
    """Its hour would be taken for a minute."""
    store = Store(START.timestamp())
    Sentry(peer, store).finest = 3600
    gate = desk(config(peer))
    with pytest.raises(SourceUnavailable, match="does not count sessions by 60 s here"):
        await gate.look()
    await gate.source.close()


@pytest.mark.parametrize(
    ("answer", "kind", "says"),
    [
        (Answer(status=401, json={"detail": "Invalid token"}), FailureKind.AUTH, "answered 401: Invalid token"),
        (Answer(status=403, json={"detail": {"message": "No scope"}}), FailureKind.PERMISSION, "No scope"),
        (Answer(json={"groups": []}), FailureKind.UNEXPECTED_RESPONSE, "is no sessions"),
        (
            Answer(status=429, json={}, headers={"X-Sentry-Rate-Limit-Reset": str(int(START.timestamp()) + 12)}),
            FailureKind.RATE_LIMITED,
            "asked again in 12 s",
        ),
    ],
)
async def test_an_outage_is_no_telemetry(peer: Peer, answer: Answer, kind: FailureKind, says: str) -> None:
    Sentry(peer, Store(START.timestamp()))
    peer.answer("GET", f"/api/0/organizations/{ORGANIZATION}/sessions/", answer)
    gate = desk(config(peer))
    with pytest.raises(SourceUnavailable, match=says) as outage:
        await gate.look()
    await gate.source.close()
    assert outage.value.kind is kind


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"errors": "crash_free_rate(session)"}, "errors: .*counts nothing: write new_issues, sessions or crashed"),
        ({"latency": "sessions took:<$le"}, "no durations"),
        ({"window": "30s"}, "multiple of 1m"),
        ({"organization": "shop/eu"}, "organization"),
        ({"requests": "sessions", "errors": "new_issues firstRelease:shop@$version"}, "errors: issues are no part of"),
        ({"requests": "new_issues", "errors": "crashed_sessions"}, "errors: issues are no part of"),
        ({"token": ""}, "token\n.*is empty"),
    ],
)
def test_what_cannot_be_asked_is_refused(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        config(Peer("http"), **options)
