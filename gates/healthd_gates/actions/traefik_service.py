"""A weighted service of Traefik: its options, and how its traffic is divided. For the action and the deploy tool.

Weighted services: doc.traefik.io/traefik/routing/services/#weighted-round-robin-service; the API that tells what is in
force: doc.traefik.io/traefik/operations/api/#endpoints.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from pathlib import Path
from socket import EAI_AGAIN
from typing import Annotated

import aiohttp
from pydantic import AfterValidator, Field, StringConstraints, field_validator
from yarl import URL

from healthd.checks.connect import Endpoint
from healthd.checks.unreachable import why_unreached
from healthd.config.model import Model, Name
from healthd.http.session import new_session
from healthd.runtime.clock import Clock
from healthd.runtime.lookups import noting
from healthd.runtime.web_address import ShownMasked, require_http
from healthd.wording import shape
from healthd_gates.actions import traefik_answer
from healthd_gates.actions.not_divided import Impossible, Misnamed, NoneUp, NotDivided
from healthd_gates.actions.traefik_answer import Service
from healthd_gates.actions.traefik_file import NotOurs, Weights, WeightsFile
from healthd_gates.sources.http_options import Basic, Tls

ALL = 10_000  # of a weight: a ramp's are multiples of a hundredth of a percent
_TAKEN_UP_WITHIN = 10.0  # seconds; Traefik's providersThrottleDuration is 2 s by default
_LOOK_EVERY = 0.2
_ANSWERS_WITHIN = 5.0  # seconds
_LONGEST_ANSWER = 1024**2

ServiceName = Annotated[
    str,
    StringConstraints(
        pattern=shape(
            r"^[A-Za-z0-9_.-]{1,200}(@[a-z][a-z0-9-]{0,40})?$", "a service as Traefik names it, such as api-blue@docker"
        )
    ),
]
Api = Annotated[str, AfterValidator(require_http), ShownMasked()]


def _yaml(file: Path) -> Path:
    if not file.is_absolute() or file.suffix not in (".yml", ".yaml"):
        raise ValueError("must be an absolute path that ends with .yml or .yaml: Traefik reads no other as YAML")
    return file


class WeightedService(Model):
    """Weighted service whose weights are set, and every Traefik that has it."""

    file: Annotated[Path, AfterValidator(_yaml)]
    """The file of the weighted service, in the folder that Traefik's file provider watches; it holds nothing else."""
    service: Annotated[
        str, StringConstraints(pattern=shape(r"^[A-Za-z0-9_.-]{1,200}$", "the name of a service, without its provider"))
    ]
    """The weighted service in it, to which the router leads."""
    services: dict[Name, ServiceName] = Field(min_length=2, max_length=2)
    """The service of each target, with its provider unless that is the file's."""
    apis: Annotated[tuple[Api, ...], Field(min_length=1)]
    """The API of every Traefik that watches the file: it tells which weights are in force."""
    basic: Basic | None = None
    """A name and a password for the API."""
    tls: Tls = Tls()
    """Verification of an https address of the API."""

    @field_validator("services")
    @classmethod
    def _targets_have_services_of_their_own(cls, services: dict[str, str]) -> dict[str, str]:
        (one, first), (other, second) = services.items()
        if first == second:
            raise ValueError(f"{one} and {other} both have {first}: each target needs a service of its own")
        return services


class NoApi(NotDivided):
    """The listener is not Traefik's API, or does not let in who asks; an attempt may succeed once a starting Traefik
    has it."""


class Divider:
    """Divides the traffic of a weighted service between the services of two targets."""

    def __init__(self, options: WeightedService, clock: Clock) -> None:
        self._options, self._clock = options, clock
        self.file = WeightsFile(options.file, options.service)
        self._session: aiohttp.ClientSession | None = None

    async def check_apis(self) -> None:
        """Raise Misnamed for an address of which no Traefik's API could answer. One that merely does not answer, as of
        a Traefik that has ended, is not looked at further."""
        for place, api in enumerate(self._options.apis):
            try:
                await self._asked(api, self._options.service)
            except NoApi as wrong:
                raise Misnamed(("apis", place), str(wrong)) from None
            except NotDivided:
                continue

    async def look(self, services: Weights, gaining: str) -> None:
        """Check that the traffic could be divided between these services. Raises NotDivided."""
        await self._at_file(self.file.look())
        for api in self._options.apis:
            await self._able(api, services, gaining)

    async def refuse_full(self) -> None:
        """Check that the disk has room for the file, and for the way back. Raises NotDivided."""
        await self._at_file(self.file.refuse_full())

    async def divide(
        self, weights: Weights, gaining: str, *, even_if_down: bool = False, goes_back: bool = False
    ) -> None:
        """Replace the file as a whole, and return once every Traefik has its weights: no moment in between has others
        than those before or those after. Raises NotDivided.

        `gaining` is the service that must be able to take what it is to get, unless `even_if_down`. What `goes_back`
        does not wait for a Traefik that does not answer, if another one does: those that live take it at once.
        """
        asked = self._options.apis
        tries = (self._able(api, weights, None if even_if_down else gaining) for api in asked)
        problems = await asyncio.gather(*tries, return_exceptions=True)
        unasked = [problem for problem in problems if problem is not None]
        for problem in unasked:
            if isinstance(problem, Impossible | NoneUp) or not isinstance(problem, NotDivided):
                raise problem
        able = [api for api, problem in zip(asked, problems, strict=True) if problem is None]
        if unasked and not (goes_back and able):
            raise unasked[0]
        await self._at_file(self.file.write(weights, goes_back=goes_back))
        for api in able:
            await self._taken_up(api, weights)
        if unasked:
            raise unasked[0]

    async def strayed(self, weights: Weights) -> str | None:
        """Return which Traefik has other weights in force than these, for people; None where none has. Raises
        NotDivided."""
        for api in self._options.apis:
            found = await self._asked(api, self._options.service)
            has = found.weights if found is not None else None
            if has != weights:
                told = shown(has) if has else f"no weights of {_full(self._options.service)}"
                return f"Traefik at {_place(api)} has {told} in force: does it still watch {self._options.file}?"
        return None

    async def close(self) -> None:
        """End the connections."""
        if self._session is not None:
            await self._session.close()

    async def _at_file(self, work: Awaitable[None]) -> None:
        try:
            await work
        except NotOurs as refused:
            raise Impossible(str(refused)) from None
        except OSError as error:
            raise NotDivided(f"{self._options.file} cannot be written: {error.strerror or error}") from None

    async def _able(self, api: str, services: Weights, gaining: str | None) -> None:
        """Raise NotDivided where a Traefik does not know a service, or sees no server of the one that gains up."""
        for service in services:
            found = await self._asked(api, service)
            if found is None:
                target = next(name for name, own in self._options.services.items() if own == service)
                raise Misnamed(("services", target), f"Traefik at {_place(api)} has no service {_full(service)}")
            if service == gaining and found.statuses and "UP" not in found.statuses:
                raise NoneUp(f"no server of {service} is up, as Traefik at {_place(api)} sees it")

    async def _taken_up(self, api: str, weights: Weights) -> None:
        """Wait until a Traefik has the weights in force. Raises NotDivided if it has not."""
        deadline = self._clock.steady() + _TAKEN_UP_WITHIN
        while True:
            found = await self._asked(api, self._options.service)
            if found is not None and found.weights == weights:
                if found.errors:
                    raise NotDivided(f"Traefik at {_place(api)}: {'; '.join(found.errors)}")
                return
            if self._clock.steady() >= deadline:
                break
            await asyncio.sleep(_LOOK_EVERY)
        reads = f"whether its file provider watches {self._options.file.parent}, and its log"
        raise NotDivided(
            f"Traefik at {_place(api)} has not taken up the weights within {_TAKEN_UP_WITHIN:g} s: see {reads}"
        )

    async def _asked(self, api: str, service: str) -> Service | None:
        """Return what a Traefik has of a service, None if it has none. Raises NotDivided."""
        with noting():
            try:
                async with asyncio.timeout(_ANSWERS_WITHIN):
                    return await self._answer(f"{api.rstrip('/')}/api/http/services/{_full(service)}")
            except (aiohttp.ClientError, OSError) as error:  # before ValueError, which one of a certificate is too
                why = f"Traefik at {_place(api)}: {why_unreached(error, _endpoint(api))}"
                raise (NoApi if _is_misplaced(error) else NotDivided)(why) from None
            except ValueError as odd:
                raise NoApi(f"Traefik at {_place(api)} {odd}") from None

    async def _answer(self, url: str) -> Service | None:
        session = self._session or await self._open()
        async with session.get(url, allow_redirects=False, server_hostname=self._options.tls.server_name) as answer:
            said = bytearray()
            async for piece in answer.content.iter_any():
                if len(said) > _LONGEST_ANSWER:
                    break
                said += piece
            if answer.status == 404 and b"service not found" in said:
                return None
            if answer.status >= 500:
                raise NotDivided(f"Traefik at {_place(url)} answers {answer.status}")
            if answer.status != 200:
                raise ValueError(_refused(answer.status))
            return traefik_answer.read(said)

    async def _open(self) -> aiohttp.ClientSession:
        basic = self._options.basic
        login = aiohttp.BasicAuth(basic.username, basic.password.get_secret_value()) if basic else None
        context = await asyncio.to_thread(self._options.tls.context)
        headers = {"Authorization": login.encode()} if login else None
        self._session = new_session(context, headers=headers)
        return self._session


def weight_of(share: float) -> int:
    """Return the weight that gives a share (0 to 1) of the traffic, never more."""
    return int(share * ALL + 1e-6)


def shown(weights: Weights) -> str:
    """Return weights in percent, for people."""
    return ", ".join(f"{100 * weight / ALL:g} % for {service}" for service, weight in weights.items())


def _full(service: str) -> str:
    return service if "@" in service else f"{service}@file"


def _refused(status: int) -> str:
    match status:
        case 401 | 403:
            return f"refuses who asks ({status}): give `basic`"
        case 404:
            return "has no API there (404): it is on with `api: {insecure: true}`, or a router to api@internal"
    return f"answers {status}"


def _is_misplaced(error: Exception) -> bool:
    """Return whether a host has no address, or what answers there is no API: it speaks no HTTP, or not the TLS that is
    asked for."""
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return getattr(error.os_error, "errno", None) != EAI_AGAIN
    return isinstance(error, aiohttp.ClientSSLError | aiohttp.ClientResponseError)


def _place(api: str) -> str:
    return str(_endpoint(api))


def _endpoint(api: str) -> Endpoint:
    url = URL(api)
    return Endpoint(url.host or "", url.port or 443)
