"""A backend of HAProxy: its options, and how its traffic is divided. For the action and the deploy tool."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, TypeVar

from pydantic import AfterValidator, Field, StringConstraints, field_validator

from healthd.config.model import Model, Name
from healthd.nearest import did_you_mean, there_are
from healthd.runtime.authority import problem_of_authority
from healthd.wording import shape
from healthd_gates.actions.haproxy_runtime import (
    Facts,
    NoBackend,
    NoSocket,
    NotRuntime,
    Refused,
    Server,
    Unanswered,
    beside,
    facts,
    level,
    servers,
    set_weight,
    uptime,
)
from healthd_gates.actions.not_divided import Impossible, Misnamed, NoneUp, NotDivided

_HEAVIEST = 256  # of a weight; smaller shares than one to this cannot be had
_USUAL = 100
_NEEDED = "admin"

ResultT = TypeVar("ResultT")


def _connectable(socket: str) -> str:
    if not socket.startswith("/") and (problem := problem_of_authority(socket)) is not None:
        raise ValueError(problem)
    return socket


Socket = Annotated[
    str,
    StringConstraints(
        pattern=shape(
            r"^(/\S+|[A-Za-z0-9_.\[\]:-]+:[0-9]{1,5})$", "a socket, such as /run/haproxy/admin.sock or 10.0.1.5:9999"
        )
    ),
    AfterValidator(_connectable),
]
Part = Annotated[
    str,
    StringConstraints(pattern=shape(r"^[A-Za-z0-9_.:-]{1,255}$", "a name as HAProxy has it: letters, digits, _.:-")),
]


class DividedBackend(Model):
    """Backend whose servers' weights are set, and every HAProxy that has it."""

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


class Silent(NotDivided):
    """A HAProxy does not answer. `beside` is True where another one may."""

    def __init__(self, why: str, *, beside: bool) -> None:
        super().__init__(why)
        self.beside = beside


@dataclass(frozen=True, slots=True)
class Weights:
    """The weight of each server of the candidate, and of the baseline."""

    candidate: int
    baseline: int


ALL = Weights(_USUAL, 0)
"""Everything for the candidate."""


def weights_of(share: float, candidates: int, baselines: int) -> Weights | None:
    """Return the weights that give so many servers of the candidate the largest share of the traffic that is not above
    `share` (0 to 1); None if HAProxy's weights cannot tell so small a share from nothing."""
    if share >= 1.0:
        return ALL
    if share <= 0.0:
        return Weights(0, _USUAL)
    odds = share / (1 - share) * baselines / candidates
    fitting = [Weights(min(_HEAVIEST, int(odds * other + 1e-9)), other) for other in range(1, _HEAVIEST + 1)]
    best = max(fitting, key=lambda it: it.candidate / it.baseline)
    return best if best.candidate else None


def least_share(candidates: int, baselines: int) -> float:
    """Return the smallest share of the traffic, from 0 to 1, that so many servers can be given."""
    return candidates / (candidates + _HEAVIEST * baselines)


@dataclass(frozen=True, slots=True)
class Division:
    """Servers of the candidate and of the baseline, and their weights."""

    weights: Weights
    candidate: Sequence[str]
    baseline: Sequence[str]

    @property
    def wanted(self) -> Mapping[str, int]:
        """The weight of each server."""
        of_candidate = dict.fromkeys(self.candidate, self.weights.candidate)
        return of_candidate | dict.fromkeys(self.baseline, self.weights.baseline)

    @property
    def gaining(self) -> Sequence[str]:
        """The servers of which one must be up."""
        return self.candidate if self.weights.candidate else self.baseline


class Divider:
    """Divides the traffic of a backend at every HAProxy: sets the weights and reads them again. What is right already
    is left as it is, and no moment in between gives the candidate more than the wider of the two shares, or leaves the
    backend without a server that has a weight."""

    def __init__(self, options: DividedBackend) -> None:
        self._options = options

    async def found(self) -> Mapping[str, Mapping[str, Server]]:
        """Return the servers of the backend as each HAProxy has them. Raises NotDivided where one does not tell."""
        named = [server for target in self._options.servers.values() for server in target]
        each = await self._at_each(lambda socket: self._found(socket, named))
        return dict(zip(self._options.sockets, each, strict=True))

    async def found_where_answered(self) -> tuple[Mapping[str, Mapping[str, Server]], Sequence[NotDivided]]:
        """Return the servers of the backend as each HAProxy has them that tells, and why the others do not."""
        named = [server for target in self._options.servers.values() for server in target]
        told = await asyncio.gather(
            *(self._found(socket, named) for socket in self._options.sockets), return_exceptions=True
        )
        answered, silent = {}, []
        for socket, each in zip(self._options.sockets, told, strict=True):
            if isinstance(each, NotDivided):
                silent.append(each)
            elif isinstance(each, BaseException):
                raise each
            else:
                answered[socket] = each
        return answered, silent

    async def known(self) -> Mapping[str, Facts]:
        """Return what else the first HAProxy knows of the servers of both targets. Raises NotDivided."""
        named = {server for target in self._options.servers.values() for server in target}
        told = await self._answered(self._options.sockets[0], facts(self._options.sockets[0], self._options.backend))
        return {name: each for name, each in told.items() if name in named}

    async def check_sockets(self) -> None:
        """Raise Misnamed for a socket that is none. One that merely does not answer, as of a HAProxy that has ended, is
        not looked at further."""
        for place, socket in enumerate(self._options.sockets):
            try:
                await level(socket)
            except NoSocket as wrong:
                cure = did_you_mean(socket, beside(socket)) or " Is it what HAProxy's `stats socket` has?"
                raise Misnamed(("sockets", place), f"{wrong}.{cure}") from None
            except Unanswered:
                continue

    async def up_for(self, socket: str) -> float | None:
        """Return for how many seconds a HAProxy runs, rounded down; None where it does not tell. Raises NotDivided."""
        return await self._answered(socket, uptime(socket))

    async def look(self, division: Division, *, even_if_down: bool = False) -> None:
        """Check at every HAProxy that the traffic could be divided so. Raises NotDivided."""
        await self._at_each(lambda socket: self._settable(socket, division, even_if_down=even_if_down))

    async def strangers(self) -> Collection[str]:
        """Return the servers of the backend that get traffic and are of no target. Raises NotDivided."""
        named = {server for target in self._options.servers.values() for server in target}
        strangers: set[str] = set()
        for socket, found in (await self.found()).items():
            others = {name for name, server in found.items() if server.weight and server.is_admitted} - named
            if others:
                known = await self._answered(socket, facts(socket, self._options.backend))
                strangers |= {name for name in others if name in known and not known[name].is_reserve}
        return strangers

    async def divide(self, division: Division, *, even_if_down: bool = False, goes_back: bool = False) -> None:
        """Divide the traffic at one HAProxy after the other, once all have answered; raises NotDivided at the first
        that fails. What `goes_back` is done at all of them at once, and waits for none that says nothing."""
        if goes_back:
            await self._at_each(lambda socket: self._set(socket, division, even_if_down=even_if_down))
            return
        await self._at_each(lambda socket: self._settable(socket, division, even_if_down=even_if_down))
        for socket in self._options.sockets:
            await self._set(socket, division, even_if_down=even_if_down)

    async def _at_each(self, work: Callable[[str], Awaitable[ResultT]]) -> Sequence[ResultT]:
        """Return what the work gives at each HAProxy; raise, once all are done, what the first one could not."""
        done = await asyncio.gather(*map(work, self._options.sockets), return_exceptions=True)
        for each in done:
            if isinstance(each, BaseException):
                raise each
        return [each for each in done if not isinstance(each, BaseException)]

    async def _set(self, socket: str, division: Division, *, even_if_down: bool) -> None:
        found = await self._able(socket, division, even_if_down=even_if_down)
        wanted = division.wanted
        grows = division.weights.baseline >= max(found[server].weight for server in division.baseline)
        arms = (division.baseline, division.candidate) if grows else (division.candidate, division.baseline)
        for server in (server for arm in arms for server in arm):
            if found[server].weight == wanted[server]:
                continue
            await self._answered(socket, set_weight(socket, self._options.backend, server, wanted[server]))
        after = await self._found(socket, list(wanted))
        if wrong := [server for server, weight in wanted.items() if after[server].weight != weight]:
            raise NotDivided(f"{socket}: {', '.join(wrong)} has another weight than it was given")

    async def _settable(self, socket: str, division: Division, *, even_if_down: bool = False) -> None:
        """Raise Impossible where the weights may not be set, NoneUp where nothing could take the traffic."""
        await self._able(socket, division, even_if_down=even_if_down)
        if (has := await self._answered(socket, level(socket))) != _NEEDED:
            raise Impossible(f"{socket}: its level is {has or 'not known'}: `stats socket` needs `level {_NEEDED}`")

    async def _able(self, socket: str, division: Division, *, even_if_down: bool = False) -> Mapping[str, Server]:
        """Return the servers as they are. Raises NoneUp where none of those that are to get the traffic is up."""
        found = await self._found(socket, list(division.wanted))
        if not even_if_down and not any(found[server].is_able for server in division.gaining):
            raise NoneUp(f"{socket}: none of {', '.join(division.gaining)} is up")
        return found

    async def _found(self, socket: str, named: Sequence[str]) -> Mapping[str, Server]:
        """Return the servers of the backend, and among them those that are named."""
        found = await self._answered(socket, servers(socket, self._options.backend))
        for target, own in self._options.servers.items():
            for place, server in enumerate(own):
                if server in named and server not in found:
                    why = f"{socket}: {self._options.backend} has no server {server}; {there_are(found)}."
                    raise Misnamed(("servers", target, place), why + did_you_mean(server, found))
        return found

    async def _answered(self, socket: str, call: Awaitable[ResultT]) -> ResultT:
        """Return what a HAProxy answers. Raises NotDivided."""
        try:
            return await call
        except NotRuntime as other:
            raise Misnamed(("sockets", self._options.sockets.index(socket)), str(other)) from None
        except NoBackend as unknown:
            raise Misnamed(("backend",), str(unknown)) from None
        except Refused as refused:
            raise Impossible(str(refused)) from None
        except Unanswered as silent:
            raise Silent(str(silent), beside=len(self._options.sockets) > 1) from None
