"""Maps runs of a deploy tool to gates: a gate is found again at every call, started once, ended with the run.

The requests and answers of a tool are its dialect's business, and so is when a run counts as a new one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TypeVar

from healthd.config.in_force import Current
from healthd.journal.database import JournalError
from healthd.runtime.clock import Clock
from healthd.web.problems import Problem
from healthd_gates.config.hooks.contract import Deploys, HookConfig
from healthd_gates.config.settings import Config
from healthd_gates.domain.errors import AlreadyDecided, InvalidRequest, JournalUnavailable, UnknownGate
from healthd_gates.domain.gate import Gate, GateState, QuarantinedVersion
from healthd_gates.domain.hook_run import HookRun, RunOver
from healthd_gates.engine.service import GateService
from healthd_gates.hooks.callback_worker import CallbackWorker
from healthd_gates.hooks.contract import Run, Word
from healthd_gates.store.hook_runs import HookRuns

ConfigT = TypeVar("ConfigT", bound=HookConfig)

_RECENT = 50  # gates of a service that are searched for the newest of a subject
_ALIVE_PAUSES, _ALIVE_AT_LEAST = 2.5, 30.0  # a run that asked so recently still goes on


@dataclass(frozen=True, slots=True)
class Begun:
    """A run that has a gate. `kind` is that of the call that recalled it."""

    run: HookRun
    gate: Gate
    kind: str | None = None

    @property
    def word(self) -> Word:
        return Word.on(self.gate)

    @property
    def is_over(self) -> bool:
        """True if its tool is done with it, so that its gate answers for no later run."""
        return self.run.over is not None


def if_over(begun: Begun) -> bool:
    """Treat a run that is over as a new one, for tools that deploy the same thing again under the same name."""
    return begun.is_over


class Runs:
    """The gates of the tools' runs."""

    def __init__(
        self,
        gate_service: GateService,
        callback_worker: CallbackWorker,
        kept: HookRuns,
        config: Current[Config],
        clock: Clock,
    ) -> None:
        self.gate_service, self.callback_worker, self.clock = gate_service, callback_worker, clock
        self._in_force, self._kept, self._since = config, kept, clock.now()

    @property
    def config(self) -> Config:
        return self._in_force.now

    def hook(self, model: type[ConfigT], name: str) -> ConfigT:
        """Return a configured hook of this kind. Raises Problem 404."""
        found = self.config.hooks.get(name)
        if not isinstance(found, model):
            raise Problem(404, "Unknown hook", f"no hook of this kind is called {name!r}: configure it under hooks")
        return found

    async def recall(self, run: Run) -> Begun | None:
        """Return a run that was begun, or None; it may be over. Raises JournalUnavailable."""
        with _refusing():
            kept = await self._kept.find(run.hook, run.subject, run.id)
            if kept is None:
                return await self._adopt(run)
            gate = await self.gate_service.get(kept.gate_id)
            if kept.over is None and await self._fell_silent(kept):
                kept = replace(kept, over=RunOver.SILENT)
                await self._kept.end(kept, RunOver.SILENT)
        return Begun(kept, gate, run.kind)

    async def note(self, begun: Begun, *, advanced: bool = False) -> Gate:
        """Note a call about a run, and return its gate; `advanced` when the call shifts traffic."""
        with _refusing():
            told = begun.gate.is_answered
            await self._kept.note(begun.run, since=self._since, advanced=advanced, told=told, kind=begun.kind)
        return begun.gate

    async def begin(
        self,
        run: Run,
        version: str,
        *,
        anew: Callable[[Begun], bool] = if_over,
        advanced: bool = False,
        placed: Callable[[], Awaitable[Deploys]] | None = None,
    ) -> Gate:
        """Return the gate of a run, starting it at the first call. `anew` decides if the call belongs to a new run;
        `placed` returns what is deployed, with its targets, if the tool is asked for those.

        Raises Refusal, and what `placed` raises.
        """
        begun = await self.recall(run)
        if begun is not None and not anew(begun):
            return await self.note(begun, advanced=advanced)
        if placed is not None:
            run = replace(run, deploys=await placed())
        return await self.start(run, version, after=begun, advanced=advanced)

    async def start(self, run: Run, version: str, *, after: Begun | None, advanced: bool = False) -> Gate:
        """Start a gate for a run, or return that of another run of the same release that still goes on. A gate of
        another run that has no verdict yet is cancelled: its tool has moved on. `after` is what the caller recalled of
        the run. Raises Refusal.
        """
        latest = await self._latest(run)
        pause = run.interval
        if pause is None and after is not None:
            pause = after.run.pause_after_silence(self.clock.now())
        kept = HookRun(run.hook, run.subject, run.id, "", self.clock.now(), pause, advanced=advanced)
        if latest is not None and (_is_started_since(latest, run, after) or await self._goes_on(latest, run)):
            gate = latest
        else:
            if latest is not None and not latest.is_answered:
                await self._cancel(latest, run, f"{run.deployment} came after it")
            gate = await self._start(run, version, latest)
        with _refusing():
            await self._kept.begin(replace(kept, gate_id=gate.id, told=gate.is_answered), run.kind)
        return gate

    async def end(self, run: Run, why: str) -> Gate | None:
        """End a run whose tool is done with it: its gate ends if there is no verdict yet, so that the next may start,
        and so does the watch after a pass, since its numbers are no longer at the observed place."""
        begun = await self.recall(run)
        if begun is None:
            return None
        watched = begun.gate.state is GateState.WATCHING and not begun.is_over
        ends = watched or not begun.gate.is_answered
        gate = await self._cancel(begun.gate, run, why) if ends else begun.gate
        await self.close(run)
        return gate

    async def close(self, run: Run) -> None:
        """Close a run: from now on a call under the same name belongs to a new one."""
        with _refusing():
            kept = await self._kept.find(run.hook, run.subject, run.id)
            if kept is not None and kept.over is None:
                await self._kept.end(kept, RunOver.ENDED)

    async def quarantined(self, service: str, version: str) -> QuarantinedVersion | None:
        """Return the version's quarantine entry, or None."""
        kept = await self.gate_service.locks.quarantined()
        return next((it for it in kept if (it.service, it.version) == (service, version)), None)

    async def is_released(self, gate: Gate) -> bool:
        """True if someone has released the version from the quarantine that this gate's fail put it in."""
        policy = self.config.policies.get(gate.policy)
        if policy is None or not policy.quarantine or not gate.was_refused:
            return False
        return await self.quarantined(gate.service, gate.candidate.version) is None

    async def own(self, hook: str, gate_id: str) -> Gate:
        """Return a gate that this hook started. Raises UnknownGate for any other."""
        gate = await self.gate_service.get(gate_id)
        if gate.caller != f"hook:{hook}":
            raise UnknownGate(gate_id=gate_id)
        return gate

    async def noted(self, gate: Gate) -> Gate:
        """Note a call about a gate by its id, and return the gate."""
        with _refusing():
            for kept in (await self._kept.of_gate(gate.id))[:1]:
                await self._kept.note(kept, since=self._since, advanced=False, told=gate.is_answered)
        return gate

    async def _start(self, run: Run, version: str, latest: Gate | None) -> Gate:
        try:
            request = run.deploys.request(version, run.deployment, run.by)
        except ValueError:
            problem = f"{version[:64]!r} cannot be the name of a version, or is that of the baseline"
            raise InvalidRequest(field="version", problem=problem) from None
        key = f"{run.deployment} after {latest.id if latest else 'none'}"
        return await self.gate_service.start(request, caller=run.caller, idempotency_key=key)

    async def _latest(self, run: Run) -> Gate | None:
        page = await self.gate_service.list(service=run.deploys.service, limit=_RECENT)
        own = (gate for gate in page.gates if gate.caller == run.caller)
        return next((gate for gate in own if (gate.deployment.id or "").rpartition(" ")[0] == run.subject), None)

    async def _adopt(self, run: Run) -> Begun | None:
        """Return the gate that was started for this run, if a crash prevented anything else from being stored."""
        latest = await self._latest(run)
        if latest is None or latest.is_answered or latest.deployment.id != run.deployment:
            return None
        if await self._kept.of_gate(latest.id):
            return None
        kept = HookRun(run.hook, run.subject, run.id, latest.id, self.clock.now(), run.interval)
        await self._kept.begin(kept)
        return Begun(kept, latest, run.kind)

    async def _goes_on(self, gate: Gate, run: Run) -> bool:
        """True if a gate answers for this run too: it judges another run of the same release right now, it waits for a
        person's decision, or a person has decided it and no tool has received that yet."""
        if run.release is None:
            return False
        with _refusing():
            kept = [it for it in await self._kept.of_gate(gate.id) if it.id.partition("@")[0] == run.release]
            if not kept:
                return False
            if gate.decision is not None:
                return gate.decision.reason == "person" and not any(it.told for it in kept)
            if gate.state.is_over:
                return False
            pause = max(_ALIVE_AT_LEAST, _ALIVE_PAUSES * (kept[0].pause or 0.0))
            quiet = (await self._kept.moment() - kept[0].asked_at).total_seconds()
        return gate.state is GateState.HELD or (kept[0].over is None and quiet <= pause)

    async def _fell_silent(self, kept: HookRun) -> bool:
        """True if its tool has not called for long; while healthd itself was away it could not."""
        asked = max(kept.asked_at, self._since)
        return (await self._kept.moment() - asked).total_seconds() > kept.silence

    async def _cancel(self, gate: Gate, run: Run, why: str) -> Gate:
        try:
            return await self.gate_service.interventions.cancel(gate.id, caller=run.caller, reason=why)
        except AlreadyDecided:  # another call did so at this very moment
            return await self.gate_service.get(gate.id)


def _is_started_since(latest: Gate, run: Run, after: Begun | None) -> bool:
    """True if an equal call, here or at another replica, has started the run's gate since the run was recalled."""
    is_another = after is None or latest.id != after.gate.id
    return is_another and latest.deployment.id == run.deployment and not latest.is_answered


@contextmanager
def _refusing() -> Iterator[None]:
    """Turn a journal that is down into a refusal."""
    try:
        yield
    except JournalError as error:
        raise JournalUnavailable(problem=str(error)) from error
