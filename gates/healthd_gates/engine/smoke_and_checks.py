"""Criteria that are answered yes or no: the daemon's own checks, and smoke requests to the candidate."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import aiohttp

from healthd.model import Status
from healthd.monitoring.board import Board, CheckState
from healthd_gates.config.criteria import Checks, Smoke
from healthd_gates.domain.evidence import Observation
from healthd_gates.domain.smoke_request import SmokeRequest

_SHOWN = 3


def ask_checks(name: str, criterion: Checks, board: Board) -> Observation:
    """Whether the checks are up. What nobody looked at, or looks at no more, is no answer: it fails no candidate
    and passes none."""
    try:
        states = _states(criterion, board)
    except KeyError as missing:
        return Observation(name, None, f"{missing.args[0]} is not configured any more")
    counted = [state for state in states if state.maintenance is None]
    down = [state.name for state in counted if state.status is Status.UNHEALTHY]
    unknown = [state.name for state in counted if state.status is Status.UNKNOWN]
    if down:
        return Observation(name, False, f"unhealthy: {_listed(down)}")
    if unknown:
        return Observation(name, None, f"not known: {_listed(unknown)}")
    if not counted:
        return Observation(name, None, "all its checks are in maintenance" if states else _none(criterion))
    return Observation(name, True, f"{len(counted)} up")


def _none(criterion: Checks) -> str:
    return f"no check is in the group {criterion.group}: name some under groups.{criterion.group}.checks"


def _states(criterion: Checks, board: Board) -> Sequence[CheckState]:
    if criterion.group is not None:
        return board.group(criterion.group).checks
    return [board.check(check) for check in criterion.checks]


class SmokeTest:
    """Sends the requests of one criterion to every address of the candidate."""

    def __init__(
        self,
        name: str,
        criterion: Smoke,
        addresses: Sequence[str],
        session: aiohttp.ClientSession,
        *,
        without_secrets: bool,
    ) -> None:
        self._name, self._criterion = name, criterion
        self._addresses, self._session = addresses, session
        self._unable = without_secrets and any(request.has_secrets for request in criterion.requests)

    async def ask(self) -> Observation:
        """Whether every request is answered with the status that it must have."""
        if self._unable:
            return Observation(self._name, None, "its headers are no longer configured, and are not kept elsewhere")
        asked = [self._send(address, request) for address in self._addresses for request in self._criterion.requests]
        problems = [problem for problem in await asyncio.gather(*asked) if problem is not None]
        if problems:
            return Observation(self._name, False, _listed(problems))
        return Observation(self._name, True, f"{len(asked)} of {len(asked)} requests answered as they must be")

    async def _send(self, address: str, request: SmokeRequest) -> str | None:
        """What is wrong with the answer, if anything. A candidate that cannot be reached is at fault for it."""
        what = f"{request.method.upper()} {request.path}"
        headers = {key: value.get_secret_value() for key, value in request.headers.items()}
        try:
            async with self._session.request(
                request.method,
                address + request.path,
                headers=headers,
                json=request.sent_json,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=self._criterion.timeout),
            ) as response:
                if response.status == request.status:
                    return None
                return f"{what} gave {response.status}, must be {request.status}"
        except TimeoutError:
            return f"{what} gave no answer within {self._criterion.timeout:g} s"
        except aiohttp.ClientError as error:
            return f"{what} failed: {type(error).__name__}"


def _listed(items: Sequence[str]) -> str:
    rest = len(items) - _SHOWN
    return "; ".join(items[:_SHOWN]) + (f"; and {rest} more" if rest > 0 else "")
