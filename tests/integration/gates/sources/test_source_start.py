"""A gate's start and `healthd source test` judge a source that does not tell its numbers by the same rule."""

from __future__ import annotations

from typing import Any

import pytest

from healthd.runtime.redaction import Redactor, secrets_of
from healthd_gates.config.builtin_policies import SHIPPED
from healthd_gates.config.policy import Policy
from healthd_gates.domain.errors import InvalidRequest
from healthd_gates.domain.standing import Bound
from healthd_gates.engine.source_check import check_before_start
from healthd_gates.engine.source_test import try_source
from healthd_gates.sources import find_kind
from healthd_gates.sources.contract import Arm, Arms, SourceConfig, SourceContext
from tests.fakes.sources import HandClock
from tests.integration.gates.sources.vendors import START, VENDORS
from tests.servers.peers import Answer, Peer
from tests.servers.telemetry.store import Store

OTHERS: dict[str, dict[str, Any]] = {
    "sentry": {
        "token": "sntrys-1234",
        "organization": "acme",
        "requests": "sessions",
        "errors": "crashed_sessions",
    },
    "prometheus": {"requests": "requests_total", "errors": 'requests_total{status="500"}'},
    "scrape": {"requests": "requests_total", "errors": 'requests_total{status="500"}'},
    "http": {"requests": "requests", "errors": "errors"},
}
MISSPELT = """SELECT count("took") FROM "requests" WHERE "verion" = '$version'"""
KINDS = (*(vendor.kind for vendor in VENDORS), *OTHERS)
REDIRECT = Answer(302, headers={"Location": "https://login.example.com/"})
PAGE = Answer(body="<html>Sign in</html>", headers={"Content-Type": "text/html; charset=utf-8"})


def _config(kind: str, peer: Peer) -> SourceConfig:
    for vendor in VENDORS:
        if vendor.kind == kind:
            return vendor.config(peer)
    place = {} if kind == "scrape" else {"url": peer.url}
    return find_kind(kind).config_model.model_validate({"kind": kind, **place, **OTHERS[kind]})


async def _both(kind: str, peer: Peer, answer: Answer) -> tuple[str, str, str]:
    """Return why a start is refused, and what a test calls refused and missing."""
    peer.fallback = answer
    config = _config(kind, peer)
    arms = Arms("shop", Arm("2", urls=(peer.url,)))
    context = SourceContext(HandClock(START), Redactor(secrets_of(config)))
    tested = await try_source(config, arms, context, 0.0)
    assert not tested.able
    missing = "; ".join((*tested.missing, *tested.doubtful))
    try:
        await check_before_start(config, arms, context)
    except InvalidRequest as refusal:
        return str(refusal.fields["problem"]), "; ".join(tested.refused), missing
    return "", "; ".join(tested.refused), missing


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("answer", "told"), [(REDIRECT, "redirects are not followed"), (Answer(401), "401")], ids=["redirect", "401"]
)
async def test_what_does_not_heal_is_refused_by_both(kind: str, answer: Answer, told: str, peer: Peer) -> None:
    refused, tested, _ = await _both(kind, peer, answer)
    assert told in refused
    assert told in tested


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "scrape"])  # a page that is no exposition
async def test_a_page_for_people_is_refused_by_both(kind: str, peer: Peer) -> None:
    refused, tested, _ = await _both(kind, peer, PAGE)
    assert refused
    assert tested


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("answer", [Answer(503), Answer(hang_up=True)], ids=["503", "no answer"])
async def test_what_may_heal_is_refused_by_neither(kind: str, answer: Answer, peer: Peer) -> None:
    refused, tested, missing = await _both(kind, peer, answer)
    assert (refused, tested) == ("", "")
    assert missing


@pytest.mark.parametrize(
    ("took", "options", "told"),
    [
        (
            0.04,
            {"edges": []},
            "everything up to 5s is in one bucket, in which several times slower would not show",
        ),
        (40.0, {}, "most requests took longer than 5 s, the highest latency that is counted at: is the unit right"),
        (0.04, {}, ""),
    ],
    ids=["blind", "another unit", "as it ships"],
)
async def test_buckets_that_tell_too_little_are_doubtful(
    peer: Peer, took: float, options: dict[str, Any], told: str
) -> None:
    """The comparison that `post-switch` asks for would be blind with the limit as the only edge."""
    store = Store(START.timestamp())
    vendor = next(each for each in VENDORS if each.kind == "influxdb")
    vendor.double(peer, store)
    for minute in range(-9, -1):
        vendor.add(store, minute, 10, took=took)
    config = vendor.config(peer, latency=vendor.latency, **options)
    criteria = Policy.model_validate(SHIPPED["post-switch"]).criteria
    arms = Arms("shop", Arm("2"))
    context = SourceContext(HandClock(START), Redactor(secrets_of(config)), edges=(5.0,))
    tested = await try_source(config, arms, context, 0.0, criteria=criteria)
    doubts = await check_before_start(config, arms, context, criteria)
    assert told in " ".join(tested.doubtful)
    assert bool(tested.doubtful) is bool(told)
    assert ("one bucket" in " ".join(doubts)) is (options != {})
    assert set(tested.arms["candidate"].bounds.values()) == {Bound.ABOVE if took > 5 else Bound.AT_MOST}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"requests": MISSPELT}, "candidate: more errors (70) than requests (0)"),
        ({"requests": MISSPELT, "errors": MISSPELT}, "is a measurement, field or tag misspelt"),
    ],
    ids=["requests misspelt", "both misspelt"],
)
async def test_a_misspelt_name_is_told_though_influxdb_gives_no_error(
    peer: Peer, changes: dict[str, str], told: str
) -> None:
    """To InfluxDB what is not there is empty: errors without requests, or nothing at all."""
    store = Store(START.timestamp())
    vendor = next(each for each in VENDORS if each.kind == "influxdb")
    vendor.double(peer, store)
    for minute in range(-9, -1):
        vendor.add(store, minute, 10, status=500.0)
    config = vendor.config(peer, **changes)
    arms = Arms("shop", Arm("2"))
    context = SourceContext(HandClock(START), Redactor(secrets_of(config)))
    tested = await try_source(config, arms, context, 0.0)
    assert not tested.able
    assert told in " ".join((*tested.missing, *tested.doubtful))
