"""One MongoDB client: built when first needed, dropped at once, its errors mapped to failure kinds.

Every one of the driver's own timeouts is below the probe's, so that no task of PyMongo's, or thread of Motor's,
outlives the probe that waits for it. Names are looked up first: a hung resolver then never blocks a thread of Motor's.
Each member of the deployment is watched by one task, or thread, for as long as the client exists.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

from dns.exception import DNSException
from pydantic import SecretStr
from pymongo import ReadPreference, errors, monitoring
from pymongo.asynchronous.uri_parser import parse_uri
from pymongo.uri_parser import parse_uri as parse_uri_now

from healthd.addresses.files import files_of, missing_file
from healthd.addresses.mongodb import read_mongodb, without_files
from healthd.checks.database import Require, first_line
from healthd.checks.failures import classify
from healthd.checks.listening import require_listener
from healthd.checks.mongodb_driver import Driver, connect, drop, installed, load_resolver
from healthd.checks.mongodb_values import unreadable_option
from healthd.checks.refused import in_words
from healthd.model import FailureKind, Result

# Errors of a server, or of the network to it; any other is a bug of ours and left to the monitor.
FAILURES: tuple[type[Exception], ...] = (errors.PyMongoError, OSError, EOFError)
# Errors whose reason is that of the members: nobody could be asked, or the one that was is lost to those who watch it.
_SAID_BY_MEMBERS = (errors.ServerSelectionTimeoutError, errors._OperationCancelled)

_WITHOUT_A_WORD = (FailureKind.TIMEOUT, FailureKind.CONNECT)
_SLICE = 0.5  # seconds by which PyMongo overruns its own timeout: it looks no sooner (MIN_HEARTBEAT_INTERVAL)
_CODES = {
    11: FailureKind.AUTH, 18: FailureKind.AUTH, 334: FailureKind.AUTH, 8000: FailureKind.AUTH,
    13: FailureKind.PERMISSION,
    50: FailureKind.TIMEOUT, 262: FailureKind.TIMEOUT,
    91: FailureKind.CONNECT, 11600: FailureKind.CONNECT,
}  # fmt: skip
_KINDS: dict[type[BaseException], FailureKind] = {
    errors.NotPrimaryError: FailureKind.NOT_PRIMARY,
    errors.NetworkTimeout: FailureKind.TIMEOUT,
    errors.ExecutionTimeout: FailureKind.TIMEOUT,
    errors.WaitQueueTimeoutError: FailureKind.EXHAUSTED,
    errors.ConfigurationError: FailureKind.MISCONFIGURED,
    errors.InvalidURI: FailureKind.MISCONFIGURED,
    errors.OperationFailure: FailureKind.UNEXPECTED_RESPONSE,
    errors.ProtocolError: FailureKind.UNEXPECTED_RESPONSE,
}


def readable(uri: SecretStr) -> SecretStr:
    """Return `uri` when the driver can read it, and load what it resolves its hosts with. Raises ValueError, never with
    any part of the value."""
    text, _ = read_mongodb(uri.get_secret_value())
    if (problem := unreadable_option(text)) is not None:
        raise ValueError(problem)
    if text.startswith("mongodb+srv:"):  # the rest is known only after a lookup
        load_resolver()
        return uri
    try:
        parse_uri_now(without_files(text))
    except (errors.PyMongoError, ValueError, TypeError):
        raise ValueError(
            "cannot be read by the MongoDB driver: write special characters in user and password as %XX"
        ) from None
    return uri


PREFERENCES = {
    Require.PRIMARY: ReadPreference.PRIMARY,
    Require.REPLICA: ReadPreference.SECONDARY,
    Require.ANY: ReadPreference.PRIMARY_PREFERRED,
}


class Client:
    """At most one driver client, for probes with a `timeout` in seconds."""

    def __init__(self, uri: SecretStr, timeout: float, driver: Driver = Driver.PYMONGO) -> None:
        """Create a client. Raises ValueError for what the driver does not take."""
        readable(uri)
        installed(driver)
        (self._uri, _), self._timeout, self._driver = read_mongodb(uri.get_secret_value()), timeout, driver
        self._client: Any = None
        self._is_answered = False  # by a server, since the last failure
        self._is_tls = False
        self._stopwatch = _Stopwatch()
        self.set_name: str | None = None
        """Replica set that the URI names; known once open."""

    @property
    def latency(self) -> float | None:
        """Seconds that the last command took, without connecting; None when it failed."""
        return self._stopwatch.seconds

    async def open(self) -> Any:
        """Return the driver's client. Raises FAILURES."""
        if self._client is None or not self._is_answered:
            await self._look_for_servers()
        self._is_answered = True
        if self._client is None:
            budget_ms = int(1000 * max(self._timeout / 2, self._timeout - _SLICE - 0.1))
            self._client = connect(
                self._driver,
                self._uri,
                appname="healthd",
                replicaSet=None,  # compared by the check, which can name the difference
                maxPoolSize=1,
                minPoolSize=0,  # an application's own may be above the one connection here
                serverMonitoringMode="poll",  # one task or thread a member instead of two
                heartbeatFrequencyMS=5000,
                timeoutMS=budget_ms,  # a whole operation, with server selection and connecting
                socketTimeoutMS=budget_ms,  # for operations without such a timeout, such as closing
                serverSelectionTimeoutMS=budget_ms,
                connectTimeoutMS=int(500 * self._timeout),
                retryReads=False,
                event_listeners=[self._stopwatch],
            )
        return self._client

    def drop(self) -> None:
        """Drop the client without waiting. Needs a running event loop once the client was open."""
        client, self._client = self._client, None
        if client is not None:
            drop(self._driver, client)

    def failure(self, error: BaseException) -> Result:
        """Return the result for one of FAILURES."""
        self._is_answered = False
        result = None
        if isinstance(error, _SAID_BY_MEMBERS) and self._client is not None:
            result = _nobody_fits(self._client.topology_description)
        result = result or _failure(error)
        is_silent = isinstance(error, errors.PyMongoError) and result.kind in _WITHOUT_A_WORD
        if is_silent and self._is_tls and not self._stopwatch.was_answered:
            return replace(result, message=f"{result.message}; perhaps it speaks no TLS at this port")
        return result

    async def _look_for_servers(self) -> None:
        """Check that at least one host has an address, and does not refuse connections. Raises OSError otherwise."""
        if (files := files_of(self._uri)) and (missing := await asyncio.to_thread(missing_file, files)) is not None:
            raise errors.ConfigurationError(missing)
        parsed = await parse_uri(self._uri, connect_timeout=self._timeout / 2)
        self._is_tls = bool(parsed["options"].get("tls"))
        self.set_name = parsed["options"].get("replicaSet")
        loop = asyncio.get_running_loop()
        hosts = [(host, port) for host, port in parsed["nodelist"] if port]
        if hosts:  # otherwise they are Unix sockets of this machine
            await _any_of([loop.getaddrinfo(host, port) for host, port in hosts])
        if len(hosts) == len(parsed["nodelist"]):
            await require_listener(hosts)


async def _any_of(attempts: list[Coroutine[Any, Any, Any]]) -> None:
    """Return when the first attempt succeeds. Raises the OSError of the last one when all fail."""
    tasks = [asyncio.create_task(attempt) for attempt in attempts]
    failed: OSError | None = None
    try:
        for finished in asyncio.as_completed(tasks):
            try:
                await finished
                return
            except OSError as error:
                failed = error
    finally:
        for task in tasks:
            task.cancel()
    assert failed is not None
    raise failed


class _Stopwatch(monitoring.CommandListener):
    """Measures how long the last command took; Motor calls it in one of its threads."""

    def __init__(self) -> None:
        self.seconds: float | None = None
        self.was_answered = False

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        self.seconds = None

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        self.seconds, self.was_answered = event.duration_micros / 1e6, True

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        self.seconds = None


def _nobody_fits(topology: Any) -> Result | None:
    """Return why no member could be asked: none answers, or those that do have another role."""
    members = topology.server_descriptions().values()
    if not members:  # the driver sets aside a server of its own that stands among several hosts
        text = "every host of the URI that answers is a server of its own, no member of a set: name one host alone"
        return Result.unhealthy(FailureKind.MISCONFIGURED, text)
    known = Counter(member.server_type_name.removeprefix("RS").lower() for member in members if not member.error)
    silent = [member.error for member in members if member.error]
    known.pop("unknown", None)
    if known:
        text = ", ".join(f"{count} {role}" for role, count in known.items())
        wanted = "secondary" if "primary" in known else "primary"
        reason = f"; {_text(silent[0])}" if silent else ""
        kind = FailureKind.NOT_PRIMARY if wanted == "primary" else FailureKind.UNEXPECTED_RESPONSE
        return Result.unhealthy(kind, f"no {wanted} among {len(members)} members, only {text}{reason}")
    return _failure(silent[0]) if silent else None


def _failure(error: BaseException) -> Result:
    code = error.code if isinstance(error, errors.OperationFailure) else None
    if code in _CODES:
        return Result.unhealthy(_CODES[code], _text(error))
    if isinstance(error.__cause__, DNSException):
        return Result.unhealthy(FailureKind.DNS, _text(error))
    for kind_of_error in type(error).__mro__:
        if kind := _KINDS.get(kind_of_error):
            return Result.unhealthy(kind, _text(error))
    kind = classify(error)
    if kind is FailureKind.INTERNAL and isinstance(error, errors.ConnectionFailure):
        kind = FailureKind.TIMEOUT if error.timeout else _broken(str(error))
    return Result.unhealthy(kind, _text(error))


def _broken(text: str) -> FailureKind:
    """Return why a connection failed. Those who watch a member keep the message of an error and not its cause."""
    if "certificate has expired" in text:
        return FailureKind.EXPIRED
    if "SSL" in text:
        return FailureKind.TLS
    return FailureKind.DNS if "[Errno -" in text else FailureKind.CONNECT  # getaddrinfo's numbers are negative


def _text(error: BaseException) -> str:
    """Return the driver's message without the settings and documents that it appends."""
    if isinstance(error, errors.OperationFailure) and error.details:
        return str(error.details.get("errmsg", "refused"))
    text = first_line(error).partition(" (configured timeouts")[0].partition(", Timeout:")[0]
    return in_words(text)
