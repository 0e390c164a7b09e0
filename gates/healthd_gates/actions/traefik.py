"""Action `traefik`: writes a weighted service into a file that Traefik's file provider watches, and waits until
Traefik has it.

Weighted services: doc.traefik.io/traefik/routing/services/#weighted-round-robin-service; the API that tells what is in
force: doc.traefik.io/traefik/operations/api/#endpoints.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import aiohttp
from pydantic import AfterValidator, Field, StringConstraints, field_validator
from yarl import URL

from healthd.checks.connect import Endpoint
from healthd.checks.unreachable import why_unreached
from healthd.config.settings import Name
from healthd.http.session import new_session
from healthd.runtime.web_address import ShownMasked, require_http
from healthd.wording import shape
from healthd_gates.actions.contract import ActionConfig, ActionContext, ActionRequest, ActionResult, Ending, Unable
from healthd_gates.actions.targets import places
from healthd_gates.actions.traefik_file import NotOurs, Weights, WeightsFile
from healthd_gates.sources.contract import Arms
from healthd_gates.sources.endpoint import Basic, Tls

_ALL = 10_000  # of a weight: a ramp's are multiples of a hundredth of a percent
_TAKEN_UP_WITHIN = 10.0  # seconds; Traefik's providersThrottleDuration is 2 s by default
_LOOK_EVERY = 0.2
_LONGEST_ANSWER = 1024**2

Service = Annotated[
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


class TraefikConfig(ActionConfig):
    kind: Literal["traefik"] = "traefik"
    file: Annotated[Path, AfterValidator(_yaml)]
    """The file of the weighted service, in the folder that Traefik's file provider watches; it holds nothing else."""
    service: Annotated[
        str, StringConstraints(pattern=shape(r"^[A-Za-z0-9_.-]{1,200}$", "the name of a service, without its provider"))
    ]
    """The weighted service in it, to which the router leads."""
    services: dict[Name, Service] = Field(min_length=2, max_length=2)
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

    @property
    def sets_weight(self) -> bool:
        """True: it gives the candidate's service a part of the traffic."""
        return True

    @property
    def named_targets(self) -> Collection[str]:
        return self.services

    def check(self, arms: Arms) -> None:
        places(self.services, arms)

    def problem_here(self, environ: Mapping[str, str]) -> str | None:
        folder = self.file.parent
        return None if folder.is_dir() else f"{folder}, the folder that Traefik is to watch, is not there"


class Traefik:
    """Replaces the file as a whole, and is done once every Traefik has its weights: no moment in between has others
    than those before or those after."""

    config_model: ClassVar[type[ActionConfig]] = TraefikConfig

    def __init__(self, config: TraefikConfig, context: ActionContext) -> None:
        self._config, self._clock = config, context.clock
        self._file = WeightsFile(config.file, config.service)
        self._session: aiohttp.ClientSession | None = None

    async def execute(self, order: ActionRequest) -> ActionResult:
        weights = self._weights(order)
        for api in self._config.apis:
            try:
                if (problem := await self._unable(api, order)) is not None:
                    return problem
            except (aiohttp.ClientError, OSError, ValueError) as error:
                return ActionResult(Ending.RETRY, _unreached(api, error))
        try:
            await self._file.write(weights)
        except NotOurs as refused:
            return ActionResult(Ending.REFUSED, str(refused))
        except OSError as error:
            return ActionResult(Ending.RETRY, f"{self._config.file} cannot be written: {error.strerror or error}")
        for api in self._config.apis:
            try:
                if late := await self._not_taken_up(api, weights):
                    return ActionResult(Ending.RETRY, late)
            except (aiohttp.ClientError, OSError, ValueError) as error:
                return ActionResult(Ending.RETRY, _unreached(api, error))
        return ActionResult(Ending.DONE, f"{self._config.service}: {_shown(weights)}", seen=True)

    async def describe(self, order: ActionRequest) -> str:
        weights = self._weights(order)
        try:
            await self._file.look()
        except NotOurs as refused:
            raise Unable(str(refused)) from None
        except OSError as error:
            raise Unable(f"{self._config.file} cannot be written: {error.strerror or error}") from None
        for api in self._config.apis:
            try:
                if (problem := await self._unable(api, order)) is not None:
                    raise Unable(problem.detail)
            except (aiohttp.ClientError, OSError, ValueError) as error:
                raise Unable(_unreached(api, error)) from None
        return f"would set {_shown(weights)} in {self._config.service}, by {self._config.file}"

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    def _weights(self, order: ActionRequest) -> Weights:
        """Return the weight of each service: never more for the candidate than was ordered."""
        candidate, baseline = self._arms(order)
        share = int(order.share * _ALL + 1e-6)
        return {baseline: _ALL - share, candidate: share}

    def _arms(self, order: ActionRequest) -> tuple[str, str]:
        candidate, baseline = places(self._config.services, order.arms)
        beside = next(service for service in self._config.services.values() if service != baseline)
        return candidate or beside, baseline

    async def _unable(self, api: str, order: ActionRequest) -> ActionResult | None:
        """Return why a service cannot take what it is to get, as far as this Traefik knows; None if it can."""
        candidate, baseline = self._arms(order)
        gaining, ending = (candidate, Ending.RETRY) if order.share else (baseline, Ending.NO_BASELINE)
        for service in (candidate, baseline):
            found = await self._asked(api, service)
            if found is None:
                named = service if "@" in service else f"{service}@file"
                return ActionResult(Ending.REFUSED, f"Traefik at {_place(api)} has no service {named}")
            servers = found.get("serverStatus") or {}
            if service == gaining and servers and "UP" not in servers.values():
                return ActionResult(ending, f"no server of {service} is up, as Traefik at {_place(api)} sees it")
        return None

    async def _not_taken_up(self, api: str, weights: Weights) -> str:
        """Wait until a Traefik has the weights in force. Return why it has not, empty if it has."""
        deadline = self._clock.steady() + _TAKEN_UP_WITHIN
        while True:
            found = await self._asked(api, self._config.service)
            has: Any = None if found is None else found.get("weighted", {}).get("services")
            if has is not None and {each.get("name"): each.get("weight") for each in has} == weights:
                errors = found.get("error") if found else None
                return f"Traefik at {_place(api)}: {'; '.join(map(str, errors))}" if errors else ""
            if self._clock.steady() >= deadline:
                break
            await asyncio.sleep(_LOOK_EVERY)
        reads = f"whether its file provider watches {self._config.file.parent}, and its log"
        return f"Traefik at {_place(api)} has not taken up the weights within {_TAKEN_UP_WITHIN:g} s: see {reads}"

    async def _asked(self, api: str, service: str) -> Mapping[str, Any] | None:
        """Return what a Traefik has of a service, None if it has none. Raises aiohttp.ClientError, OSError or
        ValueError."""
        session = self._session or await self._open()
        named = service if "@" in service else f"{service}@file"
        url = f"{api.rstrip('/')}/api/http/services/{named}"
        async with session.get(url, allow_redirects=False, server_hostname=self._config.tls.server_name) as answer:
            said = bytearray()
            async for piece in answer.content.iter_any():
                if len(said) > _LONGEST_ANSWER:
                    break
                said += piece
            if answer.status == 404 and b"service not found" in said:
                return None
            if answer.status != 200:
                raise ValueError(_refused(answer.status))
            try:
                found = json.loads(said)
            except ValueError:
                found = None
            if not isinstance(found, dict):
                raise ValueError("answers with something else than Traefik's API does")
            return found

    async def _open(self) -> aiohttp.ClientSession:
        basic = self._config.basic
        login = aiohttp.BasicAuth(basic.username, basic.password.get_secret_value()) if basic else None
        context = await asyncio.to_thread(self._config.tls.context)
        headers = {"Authorization": login.encode()} if login else None
        self._session = new_session(context, headers=headers)
        return self._session


def _refused(status: int) -> str:
    match status:
        case 401 | 403:
            return f"refuses who asks ({status}): give `basic`"
        case 404:
            return "has no API there (404): it is on with `api: {insecure: true}`, or a router to api@internal"
    return f"answers {status}"


def _place(api: str) -> str:
    return str(_endpoint(api))


def _endpoint(api: str) -> Endpoint:
    url = URL(api)
    return Endpoint(url.host or "", url.port or 443)


def _unreached(api: str, error: Exception) -> str:
    if isinstance(error, ValueError):
        return f"Traefik at {_place(api)} {error}"
    return f"Traefik at {_place(api)}: {why_unreached(error, _endpoint(api))}"


def _shown(weights: Weights) -> str:
    return ", ".join(f"{100 * weight / _ALL:g} % for {service}" for service, weight in weights.items())
