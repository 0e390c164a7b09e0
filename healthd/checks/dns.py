"""DNS records of a name: compares the whole record set, not only that something answers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from typing import ClassVar

import dns.asyncbackend
import dns.asyncresolver
import dns.exception
import dns.name
import dns.nameserver
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.resolver
import dns.reversename

from healthd.checks.contract import CheckConfig, CheckContext
from healthd.checks.dns_options import DNSConfig, as_text, comparable, expected, server
from healthd.model import FailureKind, Observed, Result

dns.asyncbackend.set_default_backend("asyncio")  # imported now rather than by the first probe, in the event loop


class DNS:
    """Queries the system's name servers, or those that are configured, and compares the records with the expected
    ones."""

    config_model: ClassVar[type[CheckConfig]] = DNSConfig

    def __init__(self, config: DNSConfig, context: CheckContext) -> None:
        self._config = config
        self._what = f"{config.name} {config.record}"

    async def probe(self) -> Result:
        try:
            start = time.perf_counter()
            async with asyncio.timeout(self._config.patience):  # dnspython's own limit leaves out its pauses
                answer = await self._resolver().resolve(
                    self._config.query_name, self._config.record, raise_on_no_answer=False, search=False
                )
            return self._judge(answer, time.perf_counter() - start)
        except dns.resolver.NoResolverConfiguration:
            return Result.unhealthy(FailureKind.MISCONFIGURED, "/etc/resolv.conf names no name server")
        except dns.resolver.NXDOMAIN as error:
            return Result.unhealthy(FailureKind.DNS, f"{self._missing(error)} does not exist (NXDOMAIN)")
        except (TimeoutError, dns.resolver.LifetimeTimeout):
            patience = f"within {self._config.patience:g} s"
            return Result.unhealthy(FailureKind.TIMEOUT, f"{self._what}: no name server answered {patience}")
        except dns.resolver.NoNameservers as error:
            return self._explain(error)

    async def close(self) -> None:
        """Do nothing: no connection is kept between two probes."""

    def _resolver(self) -> dns.asyncresolver.Resolver:
        """Return a new resolver for each probe: resolv.conf may have changed, and nothing is cached."""
        resolver = dns.asyncresolver.Resolver(configure=not self._config.name_servers)
        if self._config.name_servers:
            resolver.nameservers = [dns.nameserver.Do53Nameserver(*server(text)) for text in self._config.name_servers]
        resolver.lifetime = self._config.patience
        resolver.timeout = self._config.patience / 3  # a dead first server must leave time for the second
        return resolver

    def _missing(self, error: dns.resolver.NXDOMAIN) -> str:
        """Return the name that does not exist: the configured one, or that to which its alias leads."""
        (asked, response), *_ = error.responses().items()  # type: ignore[no-untyped-call]
        last = response.resolve_chaining().canonical_name
        if last == asked:
            return self._config.name
        return f"{self._config.name} is an alias, and its target {last.to_text(omit_final_dot=True)}"

    def _judge(self, answer: dns.resolver.Answer, latency: float) -> Result:
        found = {comparable(data): as_text(data) for data in answer.rrset or ()}
        observed: Observed = {"records": sorted(found.values()), "ttl": answer.rrset.ttl if answer.rrset else None}
        wanted = {expected(self._config.record, text): text for text in self._config.exactly or self._config.contains}
        wrong = _listed("missing", [text for key, text in wanted.items() if key not in found])
        if self._config.exactly is not None:
            wrong += _listed("not expected", [text for key, text in found.items() if key not in wanted])
        elif not found:
            wrong = ["no such record"]
        if wrong:
            message = f"{self._what}: {'; '.join(wrong)}"
            return Result.unhealthy(FailureKind.UNEXPECTED_RESPONSE, message, latency=latency, observed=observed)
        return Result.healthy(latency=latency, observed=observed)

    def _explain(self, error: dns.resolver.NoNameservers) -> Result:
        """Return the result when no server could answer: it failed, or was not reachable."""
        responses = [attempt[4] for attempt in error.kwargs.get("errors", ())]
        codes = {dns.rcode.to_text(response.rcode()) for response in responses if response is not None}
        if codes:
            failed = f"{self._what}: the name servers failed ({', '.join(sorted(codes))})"
            return Result.unhealthy(FailureKind.DNS, failed)
        return Result.unhealthy(FailureKind.CONNECT, f"{self._what}: no name server can be reached")


def _listed(what: str, values: Iterable[str]) -> list[str]:
    shown = ", ".join(sorted(values))
    return [f"{what} {shown}"] if shown else []
