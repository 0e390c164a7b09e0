"""Stripe and SendGrid: what they answer, as documented, over real HTTP."""

import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from healthd.model import FailureKind, Result, Status
from tests.integration.healthd.checks.probing import watched
from tests.servers import third_parties
from tests.servers.peers import Answer, Peer
from tests.servers.third_parties import SENDGRID_SCOPES, STRIPE_BALANCE

KEY = "sk_test_MARK0123456789"
SENDGRID_KEY = "SG.MARK0123.456789"
Row = tuple[Answer, Status, FailureKind | None]

ALIKE: list[Row] = [
    (Answer(200, body="<html>"), Status.UNHEALTHY, FailureKind.UNEXPECTED_RESPONSE),
    (Answer(200, json=["no", "object"]), Status.UNHEALTHY, FailureKind.UNEXPECTED_RESPONSE),
    (Answer(200, json={}), Status.UNHEALTHY, FailureKind.UNEXPECTED_RESPONSE),
    (
        Answer(301, headers={"Location": "https://elsewhere.example/"}),
        Status.UNHEALTHY,
        FailureKind.UNEXPECTED_RESPONSE,
    ),
    (Answer(500), Status.UNHEALTHY, FailureKind.UNEXPECTED_RESPONSE),
    (Answer(hang_up=True), Status.UNHEALTHY, FailureKind.CONNECT),
    (Answer(delay=30), Status.UNHEALTHY, FailureKind.TIMEOUT),
]


async def ask(peer: Peer, kind: str, path: str, answer: Answer, /, **options: Any) -> Result:
    """One probe against that answer; the key must have been sent, and not be told."""
    peer.answer("GET", path, answer)
    key = KEY if kind == "stripe" else SENDGRID_KEY
    config = {"key": key, "base_url": peer.url, "timeout": "3s" if answer.delay else "10s"} | options
    async with watched(kind, **config) as check:
        result = await check.look()
    assert peer.received[-1].headers["Authorization"] == f"Bearer {config['key']}"
    assert "MARK" not in repr(result)
    return result


@pytest.mark.parametrize(
    ("answer", "status", "kind"),
    [
        (third_parties.stripe_balance(), Status.HEALTHY, None),
        (third_parties.stripe_invalid_key(), Status.UNHEALTHY, FailureKind.AUTH),
        (third_parties.stripe_lacks_permission(), Status.DEGRADED, FailureKind.PERMISSION),
        (third_parties.stripe_rate_limited(30), Status.DEGRADED, FailureKind.RATE_LIMITED),
        (third_parties.stripe_broken(), Status.UNHEALTHY, FailureKind.UNEXPECTED_RESPONSE),
        *ALIKE,
    ],
)
async def test_stripe(peer: Peer, answer: Answer, status: Status, kind: FailureKind | None) -> None:
    """Each answer gives its status and kind."""
    result = await ask(peer, "stripe", STRIPE_BALANCE, answer)
    assert (result.status, result.kind) == (status, kind)


@pytest.mark.parametrize(
    ("answer", "status", "kind"),
    [
        (third_parties.sendgrid_scopes(), Status.HEALTHY, None),
        (third_parties.sendgrid_scopes("alerts.read"), Status.DEGRADED, FailureKind.PERMISSION),
        (third_parties.sendgrid_invalid_key(), Status.UNHEALTHY, FailureKind.AUTH),
        (third_parties.sendgrid_forbidden(), Status.DEGRADED, FailureKind.PERMISSION),
        (third_parties.sendgrid_rate_limited(0), Status.DEGRADED, FailureKind.RATE_LIMITED),
        *ALIKE,
    ],
)
async def test_sendgrid(peer: Peer, answer: Answer, status: Status, kind: FailureKind | None) -> None:
    """Each answer gives its status and kind; a key that may not send mail is not healthy."""
    result = await ask(peer, "sendgrid", SENDGRID_SCOPES, answer)
    assert (result.status, result.kind) == (status, kind)


@pytest.mark.parametrize(
    ("key", "mode", "restricted"),
    [
        ("sk_live_MARK", "live", False),
        ("rk_test_MARK", "test", True),
        ("whatever-MARK", None, False),
    ],
)
async def test_stripe_says_the_mode(peer: Peer, key: str, mode: str | None, restricted: bool) -> None:
    """Live or test, restricted or not, by the key's prefix."""
    result = await ask(peer, "stripe", STRIPE_BALANCE, third_parties.stripe_balance(), key=key)
    assert result.observed == {"statusCode": 200, "mode": mode, "restricted": restricted}


async def test_stripe_with_a_key_of_the_other_mode(peer: Peer) -> None:
    """A test key where a live one is wanted is a fault of the configuration, found without a request."""
    async with watched("stripe", key=KEY, base_url=peer.url, mode="live") as check:
        await check.finds(Status.UNHEALTHY, FailureKind.MISCONFIGURED)
    assert not peer.received


async def test_stripe_version_and_path(peer: Peer) -> None:
    """The API version is sent as a header, and another path is asked where one is configured."""
    options = {"path": "/v1/account", "api_version": "2025-06-30.basil"}
    result = await ask(peer, "stripe", "/v1/account", Answer(json={"object": "account"}), **options)
    assert result.status is Status.HEALTHY
    assert peer.received[-1].headers["Stripe-Version"] == "2025-06-30.basil"


async def test_stripe_organization(peer: Peer) -> None:
    """Its key tells an account and a version with each request; what it may do its prefix does not tell."""
    options = {"key": "sk_org_live_MARK", "context": "acct_1/acct_2", "api_version": "2025-06-30.basil", "mode": "live"}
    result = await ask(peer, "stripe", STRIPE_BALANCE, third_parties.stripe_balance(), **options)
    assert result.observed == {"statusCode": 200, "mode": "live", "restricted": None}
    assert peer.received[-1].headers["Stripe-Context"] == "acct_1/acct_2"


async def test_sendgrid_profile_has_no_scopes(peer: Peer) -> None:
    """On another path the key alone is judged."""
    answer = Answer(json={"username": "seven"})
    result = await ask(peer, "sendgrid", "/v3/user/profile", answer, path="/v3/user/profile")
    assert result.status is Status.HEALTHY


async def test_retry_after(peer: Peer) -> None:
    """Both forms are honoured, SendGrid's own as well; a 403 of SendGrid is left alone without being asked."""
    limited = third_parties.stripe_rate_limited
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    assert (await ask(peer, "stripe", STRIPE_BALANCE, limited(30))).retry_after == 30
    by_date = await ask(peer, "stripe", STRIPE_BALANCE, Answer(429, headers={"Retry-After": date}))
    assert by_date.retry_after == pytest.approx(90, abs=2)
    assert (await ask(peer, "stripe", STRIPE_BALANCE, limited())).retry_after is None
    reset = third_parties.sendgrid_rate_limited(int(time.time()) + 50)
    assert (await ask(peer, "sendgrid", SENDGRID_SCOPES, reset)).retry_after == pytest.approx(50, abs=2)
    forbidden = await ask(peer, "sendgrid", SENDGRID_SCOPES, third_parties.sendgrid_forbidden())
    assert forbidden.retry_after == 300
