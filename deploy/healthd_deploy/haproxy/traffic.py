"""Traffic of a backend, divided as healthd's own action divides it, so that both may do the same at once."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from healthd_deploy.core.exit import NoAnswer, NothingSwitched, StepFailed, TargetDown
from healthd_deploy.core.misnamed import Misnamed
from healthd_deploy.core.platform import Strayed
from healthd_deploy.core.steps import wait_until
from healthd_deploy.haproxy.kept_weights import forgets
from healthd_deploy.haproxy.settings import DeployedBackend
from healthd_deploy.haproxy.versions import Versions
from healthd_gates.actions import not_divided
from healthd_gates.actions.haproxy_backend import (
    ALL,
    Divider,
    Division,
    Silent,
    weights_of,
)
from healthd_gates.actions.haproxy_runtime import Server
from healthd_gates.actions.not_divided import Impossible, NoneUp, NotDivided

_ROUNDING = 1e-9  # of a share: weights are whole numbers
_EVERY = 0.5  # seconds between two looks at what HAProxy sees of a target
_AGENT = "the agent-check of {} sets its weight anew with each answer that names a percentage, as healthd's own does"
_RESTORED = "`healthd-deploy haproxy switch {}` gives all of it back"
_OUT_OF_SERVICE = (
    "Where this HAProxy is out of service, take it out of `sockets` in the tool's file and in healthd's action, reload "
    "healthd, and run this again"
)
_COOKIE = "the cookie of {} keeps callers who have it there also while its weight is 0"


class Unreached(NoAnswer, NothingSwitched):
    """One of the HAProxies does not answer, and nothing was changed at any."""


class Traffic:
    """Weights of the backend's servers, as every HAProxy has them: they are the state, and the versions on them the
    tool's own record. Methods raise StepFailed with a sentence that says what to do."""

    proxy = "haproxy"

    def __init__(self, backend: DeployedBackend) -> None:
        self._backend = backend
        self._divider = Divider(backend)
        self._versions = Versions(backend.versions)

    @property
    def place(self) -> str:
        """The backend and where it is, for people."""
        return f"backend {self._backend.backend} at {', '.join(self._backend.sockets)}"

    @property
    def targets(self) -> Collection[str]:
        """The two targets."""
        return self._backend.servers

    async def version(self, target: str) -> str | None:
        """Return the version that was released to a target, None where none is recorded."""
        return self._versions.read().get(target)

    async def note(self, target: str, version: str | None) -> None:
        """Record the version of a target, None for one that is not known."""
        self._versions.note(target, version)

    def check_record(self) -> None:
        """Raise StepFailed where no version could be recorded."""
        self._versions.check()

    async def close(self) -> None:
        """End nothing: each question has a connection of its own."""

    async def check_places(self) -> None:
        """Raise Misnamed for a socket that is none."""
        try:
            await self._divider.check_sockets()
        except NotDivided as failed:
            raise _as_answer(failed) from None

    async def remarks(self) -> Sequence[str]:
        """Return what works against weights, for people, such as a reload that forgets them; nothing where HAProxy does
        not answer."""
        try:
            known = await self._divider.known()
        except NotDivided:
            return ()
        agents = [name for name, server in known.items() if server.has_agent]
        cookies = [name for name, server in known.items() if server.cookie]
        found = []
        if agents:
            found.append(f"{_AGENT.format(', '.join(agents))}: use `option httpchk` instead")
        if cookies:
            found.append(_COOKIE.format(", ".join(cookies)))
        forgetful = [await forgets(socket, self._backend.backend) for socket in self._backend.sockets]
        return [*found, *filter(None, dict.fromkeys(forgetful))]

    async def shares(self) -> Mapping[str, float]:
        """Return the share of the traffic, from 0 to 1, of each target: the mean over all of the HAProxies, which may
        differ where one was reloaded, or while a ramp is moving."""
        try:
            strangers, found = await self._divider.strangers(), await self._divider.found()
        except NotDivided as failed:
            raise _as_answer(failed) from None
        if strangers:
            among = " and ".join(self._backend.servers)
            raise StepFailed(f"{self.place} sends traffic to {', '.join(sorted(strangers))}, and not between {among}")
        each = [self._shares(servers) for servers in found.values()]
        return {target: sum(shares[target] for shares in each) / len(each) for target in self._backend.servers}

    async def differing(self) -> str | None:
        """Return which HAProxies divide the traffic in another way than the first one, None where all agree."""
        try:
            each = {socket: self._shares(servers) for socket, servers in (await self._divider.found()).items()}
        except NotDivided as failed:
            raise _as_answer(failed) from None
        if len({tuple(shares.values()) for shares in each.values()}) == 1:
            return None
        told = "; ".join(f"{socket} gives {_shown(shares)}" for socket, shares in each.items())
        cures = " or ".join(f"`healthd-deploy haproxy switch {target}`" for target in self._backend.servers)
        return f"The HAProxies differ, as where one was reloaded without its state: {told}. {cures} makes them one"

    async def give(self, target: str, *, even_if_down: bool = False, goes_back: bool = False) -> None:
        """Give a target all of the traffic; return once every HAProxy does. Raises NothingSwitched, with nothing
        changed, where one does not answer or none of its servers is up. What `goes_back` is done at each HAProxy that
        answers, before it raises NoAnswer for another one."""
        division = self._all_at(target)
        if not goes_back:
            await self._look(division, even_if_down=even_if_down)
        try:
            await self._divider.divide(division, even_if_down=even_if_down, goes_back=goes_back)
        except NotDivided as failed:
            if isinstance(failed, NoneUp) and goes_back and (await self.shares())[target] == 1.0:
                return  # healthd's own action was faster
            if isinstance(failed, NoneUp) and not goes_back:  # since the look: some may have the weights already
                raise StepFailed(str(failed)) from None
            raise _as_step(failed) from None

    async def could_take_back(self, target: str) -> None:
        """Check at every HAProxy that a target which has all of the traffic could get it again."""
        await self._look(self._all_at(target))

    async def strayed(self, target: str, share: float = 1.0) -> Strayed | None:
        """Return which HAProxies give a target another share of the traffic than it was given, also where another one
        does not answer; None where none does."""
        answered, silent = await self._divider.found_where_answered()
        shares = {socket: self._share(servers, target) for socket, servers in answered.items()}
        due = self._due(target, share)
        if gone := {socket: each for socket, each in shares.items() if abs(each - due) > _ROUNDING}:
            told = " and ".join(
                f"HAProxy at {socket} gives {target} {100 * each:.3g} %" for socket, each in gone.items()
            )
            it = "it" if len(gone) == 1 else "each"
            cure = _RESTORED.format(target) if share >= 1.0 else f"Its ramp ordered {100 * share:.4g} %"
            what, most = f"{told} of the traffic: was {it} reloaded without its state?", max(shares.values())
            return Strayed(what, in_part=bool(silent) or any(shares.values()), share=most, cure=cure)
        if silent:
            raise _as_step(silent[0])
        return None

    def _due(self, target: str, share: float) -> float:
        """Return the share that HAProxy's weights give where this one is ordered."""
        servers, others = (
            len(named) for _, named in sorted(self._backend.servers.items(), key=lambda each: each[0] != target)
        )
        weights = weights_of(share, servers, others)
        if weights is None:
            return 0.0
        part = weights.candidate * servers
        return part / (part + weights.baseline * others)

    def _share(self, servers: Mapping[str, Server], target: str) -> float:
        """Return the share of a target at one HAProxy, 0 where that sends traffic nowhere."""
        return self._shares(servers)[target] if any(server.weight for server in servers.values()) else 0.0

    async def is_up(self, target: str, *, within: float) -> None:
        """Wait until every HAProxy sees each server of a target up that is not in maintenance, and one at least."""
        down = ""

        async def up() -> bool:
            nonlocal down
            try:
                found = await self._divider.found()
            except NotDivided as failed:
                raise _as_step(failed) from None
            down = "; ".join(filter(None, (self._down(target, socket, servers) for socket, servers in found.items())))
            return not down

        try:
            await wait_until(up, within=within, every=_EVERY, what=f"{target} is up in HAProxy")
        except NoAnswer:
            raise
        except StepFailed as failed:
            raise StepFailed(f"{failed}{f' ({down})' if down else ''}") from None

    def _down(self, target: str, socket: str, servers: Mapping[str, Server]) -> str | None:
        """Return which servers of a target are down, None where it is up."""
        own = {name: servers[name] for name in self._backend.servers[target]}
        down = [name for name, server in own.items() if server.is_admitted and not server.is_able]
        if down:
            return f"{socket}: {', '.join(down)} down"
        return None if any(server.is_able for server in own.values()) else f"{socket}: {', '.join(own)} in maintenance"

    def _shares(self, servers: Mapping[str, Server]) -> Mapping[str, float]:
        """Return the share of each target at one HAProxy."""
        weights = {
            target: sum(servers[name].weight for name in named) for target, named in self._backend.servers.items()
        }
        if not (total := sum(weights.values())):
            raise StepFailed(f"{self.place} sends traffic nowhere: `healthd-deploy haproxy switch` gives it")
        return {target: weight / total for target, weight in weights.items()}

    async def _look(self, division: Division, *, even_if_down: bool = False) -> None:
        try:
            await self._divider.look(division, even_if_down=even_if_down)
        except NotDivided as failed:
            raise _as_step(failed, nothing_done=True) from None

    def _all_at(self, target: str) -> Division:
        other = next(name for name in self._backend.servers if name != target)
        return Division(ALL, self._backend.servers[target], self._backend.servers[other])


def _shown(shares: Mapping[str, float]) -> str:
    return ", ".join(f"{target} {100 * share:.4g} %" for target, share in shares.items())


def _as_answer(failed: NotDivided) -> StepFailed:
    """Return why a question has no answer: one that the configuration spells wrong has its place there."""
    return _as_step(failed, nothing_done=isinstance(failed, not_divided.Misnamed))


def _as_step(failed: NotDivided, *, nothing_done: bool = False) -> StepFailed:
    match failed:
        case not_divided.Misnamed():
            key = ("traffic", *failed.key)
            return Misnamed(key, str(failed)) if nothing_done else StepFailed(f"{'.'.join(map(str, key))}: {failed}")
        case Silent() if failed.beside and nothing_done:
            return Unreached(f"{failed}. {_OUT_OF_SERVICE}")
        case NoneUp():
            return TargetDown(str(failed))
        case Impossible():
            return (NothingSwitched if nothing_done else StepFailed)(str(failed))
    return (Unreached if nothing_done else NoAnswer)(str(failed))
