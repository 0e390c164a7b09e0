"""Registration of a domain by RDAP: until when it is paid for, and whether its registry publishes it."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, model_validator
from yarl import URL

from healthd.checks.contract import CheckConfig, CheckContext
from healthd.checks.expiry_limits import remaining
from healthd.checks.http_client import Answer, HttpClient, Request
from healthd.checks.rdap import NotRDAPError, Registration, registration_in, server_of
from healthd.checks.retry_after import asked_pause
from healthd.model import FailureKind, JSONScalar, Measure, Result, Status
from healthd.runtime.hosts import ascii_name
from healthd.units import Duration, HttpAddress

_DAY = timedelta(days=1)
_LIST_FOR = _DAY  # for which IANA's list is kept
_REDIRECTS = 5
_BELOW_COUNTRIES = ("ac", "co", "com", "edu", "gov", "net", "org")  # such as co.uk, below which www can be registered
_ACCEPTED = {"Accept": "application/rdap+json, application/json"}
_LOST = {"pending delete", "redemption period"}
_HELD = {"client hold", "server hold"}


def _name(domain: str) -> str:
    """Return the domain in ASCII, in lower case. Raises ValueError."""
    name = ascii_name(domain.strip()).lower().removesuffix(".")
    labels = name.split(".")
    letters = "abcdefghijklmnopqrstuvwxyz0123456789-"
    if len(labels) < 2 or not all(label and len(label) < 64 and set(label) <= set(letters) for label in labels):
        raise ValueError("must be a registered domain alone, such as example.com")
    if labels[0] == "www" and len(labels) > 2 and not (len(labels) == 3 and labels[1] in _BELOW_COUNTRIES):
        raise ValueError(f"is the name of a host: registries know the domain alone, {'.'.join(labels[1:])}")
    return name


class DomainConfig(CheckConfig):
    kind: Literal["domain"] = "domain"
    domain: Annotated[str, AfterValidator(_name)]
    """Domain as it is registered, such as `example.com`."""
    degraded: Duration = 30 * 86400.0
    """Time left at which the check becomes degraded."""
    unhealthy: Duration = 7 * 86400.0
    """Time left at which the check becomes unhealthy."""
    server: HttpAddress | None = None
    """Address of the registry's RDAP server, where IANA's list has none, such as `https://rdap.denic.de/`."""
    bootstrap: HttpAddress = "https://data.iana.org/rdap/dns.json"
    """Address of IANA's list of RDAP servers, or of a copy."""
    ca_file: Path | None = None
    """CA file to trust instead of the system's authorities."""
    interval: Duration = 6 * 3600.0
    """Time between probes, plus or minus a tenth."""
    timeout: Duration = 15.0
    """Hard deadline of a probe."""

    @model_validator(mode="after")
    def _warns_before_it_fails(self) -> Self:
        if self.unhealthy > self.degraded:
            raise ValueError("unhealthy must not be longer than degraded: the warning comes first")
        return self


class Domain:
    """Asks the registry; while it cannot be asked, what it said last is held against the limits, and is not green."""

    config_model: ClassVar[type[CheckConfig]] = DomainConfig

    def __init__(self, config: DomainConfig, context: CheckContext) -> None:
        self._config, self._clock = config, context.clock
        self._client = HttpClient(config.patience, ca_file=config.ca_file, follow_redirects=_REDIRECTS)
        self._list: tuple[datetime, Any] | None = None
        self._known: Registration | None = None

    async def probe(self) -> Result:
        try:
            async with asyncio.timeout(self._config.patience):
                answer = await self._ask()
        except TimeoutError:
            text = f"no answer about {self._config.domain} within {self._config.patience:g} s"
            return self._unasked(Result.unhealthy(FailureKind.TIMEOUT, text))
        except _UnaskedError as error:
            return self._unasked(error.result)
        if answer.status == 404:
            self._known = None
            return self._not_registered(answer)
        try:
            found = self._known = registration_in(_json(answer), self._config.domain)
        except NotRDAPError as error:
            text = f"the registry's answer {error}"
            return self._unasked(Result.unhealthy(FailureKind.UNEXPECTED_RESPONSE, text, latency=answer.latency))
        return replace(self._judge(found), latency=answer.latency)

    async def close(self) -> None:
        await self._client.close()

    async def _ask(self) -> Answer:
        """Return the registry's answer, yes or 404. Raises _UnaskedError."""
        server = self._config.server or await self._listed()
        answer = await self._get(f"{server.rstrip('/')}/domain/{self._config.domain}", "the registry")
        if answer.status not in (200, 404):
            raise _UnaskedError(self._refusal(answer, "the registry"))
        return answer

    async def _listed(self) -> str:
        """Return the server that IANA lists for the domain. Raises _UnaskedError."""
        now = self._clock.now()
        if self._list is None or now - self._list[0] > _LIST_FOR:
            answer = await self._get(self._config.bootstrap, "the list of registries")
            if answer.status != 200:
                raise _UnaskedError(self._refusal(answer, "the list of registries"))
            self._list = now, _json(answer)
        try:
            server = server_of(self._config.domain, self._list[1])
        except NotRDAPError as error:
            self._list = None
            text = f"what is at {URL(self._config.bootstrap).host} {error}"
            raise _UnaskedError(Result.unhealthy(FailureKind.UNEXPECTED_RESPONSE, text)) from None
        if server is None:
            suffix = self._config.domain.rpartition(".")[2]
            text = f"IANA lists no RDAP server for .{suffix}: name the registry's own, if it has one, by server"
            raise _UnaskedError(Result.unhealthy(FailureKind.MISCONFIGURED, text))
        return server

    async def _get(self, address: str, whose: str) -> Answer:
        answer = await self._client.ask(Request(URL(address), headers=_ACCEPTED))
        if isinstance(answer, Answer):
            return answer
        raise _UnaskedError(replace(answer, message=f"{whose} cannot be asked: {answer.message}"))

    def _refusal(self, answer: Answer, whose: str) -> Result:
        pause = asked_pause(answer, self._clock.now())
        if answer.status == 429:
            text = f"{whose} was asked too often (429)"
            return Result.unhealthy(FailureKind.RATE_LIMITED, text, latency=answer.latency, retry_after=pause)
        kind = FailureKind.PERMISSION if answer.status in (401, 403) else FailureKind.UNEXPECTED_RESPONSE
        return Result.unhealthy(kind, f"{whose} answers {answer.status}", latency=answer.latency, retry_after=pause)

    def _unasked(self, failure: Result) -> Result:
        """Return the result where the registry cannot be asked: degraded while what it said last still holds, or where
        it has too many questions, which says nothing of the domain."""
        if self._known is not None and self._known.expires is not None:
            last = self._judge(self._known)
            text = f"{failure.message}; when last asked, {self._config.domain} was registered: it "
            text += remaining(self._known.expires - self._clock.now())
            if last.status is Status.UNHEALTHY:
                return replace(last, message=f"{last.message}; {failure.message}", retry_after=failure.retry_after)
            return replace(failure, status=Status.DEGRADED, message=text, observed=last.observed)
        return replace(failure, status=Status.DEGRADED) if failure.kind is FailureKind.RATE_LIMITED else failure

    def _not_registered(self, answer: Answer) -> Result:
        domain = self._config.domain
        hint = "; is it a name below the registered one?" if domain.count(".") > 1 else ""
        text = f"{domain} is not registered, says its registry{hint}"
        return Result.unhealthy(FailureKind.EXPIRED, text, latency=answer.latency)

    def _judge(self, found: Registration) -> Result:
        domain, now = self._config.domain, self._clock.now()
        observed: dict[str, JSONScalar | list[str]] = {"domainStatuses": sorted(found.statuses)}
        measures: tuple[Measure, ...] = ()
        if found.expires is not None:
            left = found.expires - now
            observed |= {"domainExpires": found.expires.isoformat(), "domainDaysLeft": round(left / _DAY, 1)}
            measures = (Measure("left", left.total_seconds(), "s"),)

        def told(status: Status, kind: FailureKind, text: str) -> Result:
            return Result(status, kind, f"{domain} {text}", observed=observed, measures=measures)

        if lost := sorted(found.statuses & _LOST):
            return told(Status.UNHEALTHY, FailureKind.EXPIRED, f"is lost unless it is restored: {', '.join(lost)}")
        if held := sorted(found.statuses & _HELD):
            text = f"is not published by its registry: {', '.join(held)}"
            return told(Status.UNHEALTHY, FailureKind.UNEXPECTED_RESPONSE, text)
        if found.expires is None:
            return told(Status.UNHEALTHY, FailureKind.UNEXPECTED_RESPONSE, "has no end that its registry would tell")
        if left.total_seconds() > self._config.degraded:
            return replace(Result.healthy(observed=observed), measures=measures)
        status = Status.UNHEALTHY if left.total_seconds() <= self._config.unhealthy else Status.DEGRADED
        kind = FailureKind.EXPIRED if left <= timedelta(0) else FailureKind.THRESHOLD
        return told(status, kind, remaining(left))


class _UnaskedError(Exception):
    def __init__(self, result: Result) -> None:
        super().__init__(result.message)
        self.result = result


def _json(answer: Answer) -> Any:
    """Return the document of an answer; None for what is none, which no reader takes."""
    try:
        return json.loads(answer.body) if answer.whole else None
    except (ValueError, RecursionError):
        return None
