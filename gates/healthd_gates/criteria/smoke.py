"""Requests to the candidate, each with the expected status."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from healthd.units import Duration
from healthd_gates.criteria.contract import CriterionContext, ObservedCriterion
from healthd_gates.criteria.wording import listed
from healthd_gates.domain.evidence import Observation
from healthd_gates.domain.smoke_request import SmokeRequest

if TYPE_CHECKING:
    import aiohttp


class Smoke(ObservedCriterion):
    """Requests that must be answered with the expected status. Fails when one is not, `failures` times in a row."""

    sends_requests: ClassVar[bool] = True

    kind: Literal["smoke"] = "smoke"
    requests: tuple[SmokeRequest, ...] = Field(min_length=1, max_length=50)
    """The requests, all sent at every evaluation."""
    timeout: Duration = 5.0
    """Timeout of an answer."""

    @property
    def longest(self) -> float:
        return self.timeout

    @property
    def has_secrets(self) -> bool:
        return any(request.has_secrets for request in self.requests)

    async def observe(self, context: CriterionContext) -> Observation:
        """Return whether every address of the candidate answers every request with the expected status."""
        if context.without_secrets and self.has_secrets:
            return self.unknown("its headers are no longer configured, and are not kept elsewhere")
        asked = [
            self._send(context.session, url, request)
            for url in context.arms.candidate.urls
            for request in self.requests
        ]
        problems = [problem for problem in await asyncio.gather(*asked) if problem is not None]
        if problems:
            return self.no(listed(problems))
        return self.yes(f"{len(asked)} of {len(asked)} requests answered as they must be")

    async def _send(self, session: aiohttp.ClientSession, address: str, request: SmokeRequest) -> str | None:
        """Return what is wrong with the answer, if anything. A candidate that cannot be reached is at fault for it."""
        import aiohttp  # who checks a configuration needs no client

        what = f"{request.method.upper()} {request.path}"
        headers = {key: value.get_secret_value() for key, value in request.headers.items()}
        try:
            async with session.request(
                request.method,
                address + request.path,
                headers=headers,
                json=request.sent_json,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=self.timeout),
            ) as response:
                if response.status == request.status:
                    return None
                return f"{what} gave {response.status}, must be {request.status}"
        except TimeoutError:
            return f"{what} gave no answer within {self.timeout:g} s"
        except aiohttp.ClientError as error:
            return f"{what} failed: {type(error).__name__}"
