"""Action `haproxy`: sets the weights of a backend's servers over HAProxy's Runtime API, without a reload.

Commands and their answers: docs.haproxy.org/2.8/management.html, 9.3 "set server", "get weight", "show servers state".
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints, field_validator

from healthd.config.model import Name
from healthd.wording import shape
from healthd_gates.actions.contract import ActionConfig, ActionContext, ActionRequest, ActionResult, Ending, Unable
from healthd_gates.actions.targets import places
from healthd_gates.sources.contract import Arms

_HEAVIEST = 256  # of a weight; smaller shares than one to this cannot be had
_USUAL = 100
_LONGEST_ANSWER = 65_536
_ANSWERS_WITHIN = 5.0  # seconds; HAProxy answers within milliseconds
_UP = ("2", "3")  # srv_op_state: running, or about to stop
_ADMIN_OFF = 0x01 | 0x02 | 0x04 | 0x08 | 0x10 | 0x20  # srv_admin_state: maintenance or drain, by whoever

Socket = Annotated[
    str,
    StringConstraints(
        pattern=shape(
            r"^(/\S+|[A-Za-z0-9_.\[\]:-]+:[0-9]{1,5})$", "a socket, such as /run/haproxy/admin.sock or 10.0.1.5:9999"
        )
    ),
]
Part = Annotated[
    str,
    StringConstraints(pattern=shape(r"^[A-Za-z0-9_.:-]{1,255}$", "a name as HAProxy has it: letters, digits, _.:-")),
]


class HAProxyConfig(ActionConfig):
    kind: Literal["haproxy"] = "haproxy"
    sockets: Annotated[tuple[Socket, ...], Field(min_length=1)]
    """The Runtime API of every HAProxy before the service, of level `admin`."""
    backend: Part
    """The backend that has the servers of both targets."""
    servers: dict[Name, Annotated[tuple[Part, ...], Field(min_length=1)]] = Field(min_length=2, max_length=2)
    """The names of each target's servers in it."""

    @field_validator("servers")
    @classmethod
    def _servers_are_of_one_target(cls, servers: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        (one, first), (other, second) = servers.items()
        if shared := sorted({*first} & {*second}):
            raise ValueError(f"{one} and {other} both have {shared[0]}: each target needs servers of its own")
        return servers

    @property
    def sets_weight(self) -> bool:
        """True: it gives the candidate's servers a part of the traffic."""
        return True

    @property
    def named_targets(self) -> Collection[str]:
        return self.servers

    def check(self, arms: Arms) -> None:
        places({target: target for target in self.servers}, arms)


@dataclass(frozen=True, slots=True)
class Weights:
    """The weight of each server of the candidate, and of the baseline."""

    candidate: int
    baseline: int


def weights_of(share: float, candidates: int, baselines: int) -> Weights | None:
    """Return the weights that give so many servers of the candidate the largest share of the traffic that is not above
    `share` (0 to 1); None if HAProxy's weights cannot tell so small a share from nothing."""
    if share >= 1.0:
        return Weights(_USUAL, 0)
    if share <= 0.0:
        return Weights(0, _USUAL)
    odds = share / (1 - share) * baselines / candidates
    fitting = [Weights(min(_HEAVIEST, int(odds * other + 1e-9)), other) for other in range(1, _HEAVIEST + 1)]
    best = max(fitting, key=lambda it: it.candidate / it.baseline)
    return best if best.candidate else None


class HAProxy:
    """Sets the weights and reads them again. What is right already is left as it is, and no moment in between gives the
    candidate more than the wider of the two shares, or leaves the backend without a server that has a weight.
    """

    config_model: ClassVar[type[ActionConfig]] = HAProxyConfig

    def __init__(self, config: HAProxyConfig, context: ActionContext) -> None:
        self._config = config

    async def execute(self, order: ActionRequest) -> ActionResult:
        candidate, baseline = self._arms(order)
        weights = weights_of(order.share, len(candidate), len(baseline))
        if weights is None:
            return ActionResult(Ending.REFUSED, self._too_small(order.share, candidate, baseline))
        if order.share:
            for socket in self._config.sockets:
                if (problem := await self._try(socket, weights, candidate, baseline)) is not None:
                    return problem
        else:  # what goes back does so wherever it can, and waits for none that says nothing
            tries = (self._try(socket, weights, candidate, baseline) for socket in self._config.sockets)
            problems = [problem for problem in await asyncio.gather(*tries) if problem is not None]
            if problems:
                return problems[0]
        told = f"{self._config.backend}: weight {weights.candidate} for {', '.join(candidate)}"
        return ActionResult(Ending.DONE, f"{told}, {weights.baseline} for {', '.join(baseline)}", seen=True)

    async def describe(self, order: ActionRequest) -> str:
        candidate, baseline = self._arms(order)
        weights = weights_of(order.share, len(candidate), len(baseline))
        if weights is None:
            raise Unable(self._too_small(order.share, candidate, baseline))
        for socket in self._config.sockets:
            try:
                if isinstance(found := await self._found(socket, (*candidate, *baseline)), ActionResult):
                    raise Unable(found.detail)
            except OSError as error:
                raise Unable(_unreached(socket, error)) from None
        return (
            f"would set the weight {weights.candidate} for {', '.join(candidate)} and {weights.baseline} for "
            f"{', '.join(baseline)} in {self._config.backend}"
        )

    async def close(self) -> None: ...

    def _arms(self, order: ActionRequest) -> tuple[Sequence[str], Sequence[str]]:
        named = {target: target for target in self._config.servers}
        candidate, baseline = places(named, order.arms)
        beside = next(target for target in named if target != baseline)
        return self._config.servers[candidate or beside], self._config.servers[baseline]

    def _too_small(self, share: float, candidate: Sequence[str], baseline: Sequence[str]) -> str:
        least = len(candidate) / (len(candidate) + _HEAVIEST * len(baseline))
        return f"a share of {share:.2%} is less than HAProxy's weights can give, {least:.2%}: give the ramp more budget"

    async def _try(
        self, socket: str, weights: Weights, candidate: Sequence[str], baseline: Sequence[str]
    ) -> ActionResult | None:
        """Set the weights at one HAProxy, if it answers. Return what went wrong, None if they are as they should be."""
        try:
            return await self._set(socket, weights, candidate, baseline)
        except OSError as error:
            return ActionResult(Ending.RETRY, _unreached(socket, error))

    async def _set(
        self, socket: str, weights: Weights, candidate: Sequence[str], baseline: Sequence[str]
    ) -> ActionResult | None:
        """Set the weights at one HAProxy. Return what went wrong, None if they are as they should be."""
        found = await self._found(socket, (*candidate, *baseline))
        if isinstance(found, ActionResult):
            return found
        gaining = candidate if weights.candidate else ()
        if gaining and not any(found[server].is_able for server in gaining):
            return ActionResult(Ending.RETRY, f"{socket}: none of {', '.join(gaining)} is up, and gets no traffic")
        if not weights.candidate and not any(found[server].is_able for server in baseline):
            return ActionResult(Ending.NO_BASELINE, f"{socket}: none of {', '.join(baseline)} is up")
        wanted = dict.fromkeys(candidate, weights.candidate) | dict.fromkeys(baseline, weights.baseline)
        grows = weights.baseline >= max(found[server].weight for server in baseline)
        for server in (*baseline, *candidate) if grows else (*candidate, *baseline):
            if found[server].weight == wanted[server]:
                continue
            if said := await self._ask(socket, f"set server {self._config.backend}/{server} weight {wanted[server]}"):
                return ActionResult(Ending.REFUSED, f"{socket}: {said}")
        after = await self._found(socket, tuple(wanted))
        if isinstance(after, ActionResult):
            return after
        if wrong := [server for server, weight in wanted.items() if after[server].weight != weight]:
            return ActionResult(Ending.RETRY, f"{socket}: {', '.join(wrong)} has another weight than it was given")
        return None

    async def _found(self, socket: str, servers: Sequence[str]) -> Mapping[str, _Server] | ActionResult:
        """Return the servers of the backend as they are, or what is wrong with it."""
        said = await self._ask(socket, f"show servers state {self._config.backend}")
        lines = said.splitlines()
        if len(lines) < 2 or not lines[1].startswith("# "):
            if not said:
                return ActionResult(Ending.RETRY, f"{socket}: no answer")
            return ActionResult(Ending.REFUSED, f"{socket}: {' '.join(said.split())}")
        head = lines[1].removeprefix("# ").split()
        rows = [dict(zip(head, line.split(), strict=False)) for line in lines[2:] if line.strip()]
        found = {row["srv_name"]: _Server.of(row) for row in rows}
        if missing := [server for server in servers if server not in found]:
            known = ", ".join(sorted(found)) or "none"
            detail = f"{socket}: {self._config.backend} has no server {missing[0]}; there are: {known}"
            return ActionResult(Ending.REFUSED, detail)
        return found

    async def _ask(self, socket: str, command: str) -> str:
        """Return the answer to one command. Raises OSError, a TimeoutError where there is none in time."""
        async with asyncio.timeout(_ANSWERS_WITHIN):
            return await self._answer(socket, command)

    async def _answer(self, socket: str, command: str) -> str:
        if socket.startswith("/"):
            reader, writer = await asyncio.open_unix_connection(socket)
        else:
            host, _, port = socket.rpartition(":")
            reader, writer = await asyncio.open_connection(host.strip("[]"), int(port))
        try:
            writer.write(f"{command}\n".encode())
            await writer.drain()
            answer = b""
            while len(answer) < _LONGEST_ANSWER and (part := await reader.read(_LONGEST_ANSWER)):
                answer += part
            return answer.decode(errors="replace").strip()
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


def _unreached(socket: str, error: OSError) -> str:
    late = isinstance(error, TimeoutError) and not error.strerror
    return f"{socket}: {f'no answer within {_ANSWERS_WITHIN:g} s' if late else error.strerror or error}"


@dataclass(frozen=True, slots=True)
class _Server:
    weight: int
    is_able: bool

    @classmethod
    def of(cls, row: Mapping[str, str]) -> _Server:
        admitted = not int(row["srv_admin_state"]) & _ADMIN_OFF
        return cls(int(row["srv_uweight"]), row["srv_op_state"] in _UP and admitted)
