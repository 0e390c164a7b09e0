"""Sentry, to an HTTP peer that takes envelopes as Sentry's ingestion does."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
import structlog

from healthd import logs, sentry
from healthd.config.outgoing import Outgoing
from healthd.config.settings import Settings
from healthd.model import FailureKind, Probe, Result, Status, Transition
from healthd.runtime.redaction import Redactor, secrets_of
from tests.fakes.monitoring import MIDNIGHT
from tests.servers import peers, proxy
from tests.servers.peers import Answer, Peer

SECRET = "hunter22-correct-horse"


@pytest.fixture
async def ingestion(peer: Peer) -> Peer:
    peer.answer("POST", "/api/42/envelope/", Answer(json={"id": "1"}))
    return peer


@pytest.fixture
async def reports(ingestion: Peer) -> AsyncIterator[sentry.Reports]:
    """Reports to that peer, with logs configured as in the daemon."""
    dsn = f"http://{SECRET}@{ingestion.host}:{ingestion.port}/42"
    settings = Settings.model_validate({"environment": "staging", "sentry": {"dsn": dsn}})
    redact = Redactor(secrets_of(settings))
    root = logging.getLogger()
    handlers, shown = root.handlers[:], structlog.get_config()
    logs.configure(settings.log, redact)
    started = sentry.start(settings, redact)
    assert started is not None
    yield started
    await asyncio.to_thread(started.close)
    root.handlers[:] = handlers
    structlog.configure(**shown)


async def events(ingestion: Peer, count: int) -> list[dict[str, Any]]:
    """The events that arrived, after waiting for as many envelopes."""
    found = []
    for request in await ingestion.received_at_least(count):
        lines = request.body.splitlines()
        assert SECRET.encode() not in b"".join(lines[1:])
        found += [json.loads(body) for head, body in zip(lines[1::2], lines[2::2], strict=True) if b'"event"' in head]
    return found


def transition(message: str) -> Transition:
    probe = Probe(MIDNIGHT, 0.1, Result.unhealthy(FailureKind.AUTH, message))
    return Transition("db", Status.HEALTHY, Status.UNHEALTHY, MIDNIGHT, probe)


async def test_an_error_with_the_transitions_before_it(ingestion: Peer, reports: sentry.Reports) -> None:
    """An exception in the log becomes an event that says who, where, and which checks changed before."""
    reports.changed(transition(f"password {SECRET} refused"))
    local_value = 31 * 1_000_003
    try:
        raise ConnectionError(f"cannot reach postgresql://app:{SECRET}@db/app")
    except ConnectionError:
        structlog.get_logger("healthd.journal").exception("not stored", uri=f"x://a:{SECRET}@b")
    (event,) = await events(ingestion, 1)
    assert event["environment"] == "staging"
    assert event["release"].startswith("healthd@")
    error = event["exception"]["values"][-1]
    assert (error["type"], error["value"]) == ("ConnectionError", "cannot reach postgresql://***@db/app")
    assert [crumb["message"] for crumb in event["breadcrumbs"]["values"]] == [
        "db: healthy → unhealthy (auth: password *** refused)"
    ]
    assert event["extra"]["logger"] == "healthd.journal"
    assert "vars" not in error["stacktrace"]["frames"][-1]
    assert str(local_value) not in json.dumps(event)
    assert "user" not in event


async def test_errors_without_an_exception_and_from_threads(ingestion: Peer, reports: sentry.Reports) -> None:
    """A logged error is an event too, wherever it was logged, with the same breadcrumbs; warnings are none."""
    reports.changed(transition("refused"))
    log = structlog.get_logger("healthd.runtime.watchdog")
    log.warning("not an event")
    await asyncio.to_thread(log.error, "event loop blocked", stack=f"frame {SECRET}")
    (event,) = await events(ingestion, 1)
    assert event["message"] == "event loop blocked"
    assert event["extra"]["stack"] == "frame ***"
    assert event["breadcrumbs"]["values"]


async def test_a_dead_sentry_does_not_hold_up_the_end() -> None:
    """Nobody answers, and the daemon stops all the same."""
    async with peers.peer() as silent:
        silent.answer("POST", "/api/42/envelope/", Answer(delay=30))
        reports = sentry.Reports(f"http://key@{silent.host}:{silent.port}/42", "test", Redactor())
        reports.report("boom", None, {})
        async with asyncio.timeout(20):
            await asyncio.to_thread(reports.close)


async def test_through_the_proxy_of_outgoing() -> None:
    async with peers.peer() as there, proxy.running({"sentry.test": there.port}, "shop:w0rd") as way:
        there.answer("POST", "/api/42/envelope/", Answer(json={"id": "1"}))
        led = Outgoing.model_validate({"proxy": way.url.replace("//", "//shop:w0rd@")}).way
        reports = sentry.Reports("http://key@sentry.test/42", "test", Redactor(), led)
        reports.report("boom", None, {})
        await there.received_at_least(1)
        await asyncio.to_thread(reports.close)
        assert ("POST", "http://sentry.test/api/42/envelope/") in way.asked
        assert not way.malformed


def test_without_a_dsn_nothing_starts() -> None:
    """No DSN: no library, no thread, no request. That a daemon does not import it is a test of its start."""
    assert sentry.start(Settings(), Redactor()) is None
