"""Gives every callback its turn: claims those that are due, has `hooks.callback_steps` take the next step of each, and
stores the result, whichever replica took the request and however often this one is restarted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

import structlog

from healthd.journal.database import JournalError
from healthd.runtime.clock import Clock
from healthd.runtime.events import set_within
from healthd_gates.config.hooks.contract import HookConfig
from healthd_gates.config.target_groups import Groups
from healthd_gates.domain.callback import PendingCallback, Reply
from healthd_gates.domain.errors import JournalUnavailable
from healthd_gates.domain.request import VerifyRequest
from healthd_gates.engine.metrics import ReplyMetrics
from healthd_gates.engine.service import GateService
from healthd_gates.hooks.callback_steps import LEASE_SECONDS, CallbackSteps
from healthd_gates.hooks.correspondents import Correspondents
from healthd_gates.store.callbacks import CallbackStore
from healthd_gates.store.gate_update import LeaseLost

_log = structlog.get_logger(__name__)
_LOOK_SECONDS, _IDLE_SECONDS = 1.0, 5.0  # between polls while a callback may be due; at most
_UNUSED_SECONDS = 60.0  # while no hook here is called back; what was taken for another one waits for that
_AT_ONCE = 16
_KEPT_TRYING = 7.0  # timeout in seconds to store a callback: GitHub disconnects after ten, and does not retry
_JOURNAL_PAUSE = 0.5
_LAST_SECONDS = 2.0


class CallbackWorker:
    """One replica's worker for callbacks."""

    def __init__(
        self,
        replies: CallbackStore,
        gate_service: GateService,
        hooks: Mapping[str, HookConfig],
        *,
        clock: Clock,
        metrics: ReplyMetrics,
        redact: Callable[[str], str],
        external_url: Callable[[], str | None] = lambda: None,
        groups_of: Callable[[VerifyRequest], Groups] = lambda _: {},
    ) -> None:
        """Store what it works with. `groups_of` returns the target groups whose numbers a gate reads; none where they
        come from elsewhere."""
        self._replies, self._clock, self._metrics, self._redact = replies, clock, metrics, redact
        self._correspondents = Correspondents(clock)
        self._steps = CallbackSteps(
            replies,
            gate_service,
            self._correspondents,
            clock=clock,
            redact=redact,
            external_url=external_url,
            groups_of=groups_of,
        )
        self._jobs: dict[asyncio.Task[None], Reply] = {}
        self._news = asyncio.Event()
        self.reconfigure(hooks)

    def reconfigure(self, hooks: Mapping[str, HookConfig]) -> None:
        """Apply a configuration. A hook that did not change keeps its connections."""
        self._correspondents.reconfigure(hooks)
        self.wake()

    async def owe(self, owed: PendingCallback) -> bool:
        """Store a callback; False if it is stored already. Raises JournalUnavailable."""
        end = self._clock.steady() + _KEPT_TRYING
        while True:
            try:
                is_new = await self._replies.take(owed)
            except JournalError as error:
                if self._clock.steady() >= end:
                    raise JournalUnavailable(problem=str(error)) from error
                await asyncio.sleep(_JOURNAL_PAUSE)
            else:
                self.wake()
                return is_new

    def wake(self) -> None:
        """Wake the worker: something may be due now."""
        self._news.set()

    async def run(self) -> None:
        """Run until cancelled. While the journal is down this retries."""
        while True:
            self._news.clear()
            due_in = 0.0
            try:
                due_in = await self._take_up()
            except JournalError as error:
                _log.debug("callbacks waiting for the journal", problem=str(error))
            longest = _IDLE_SECONDS if self._correspondents else _UNUSED_SECONDS
            await set_within(min(max(due_in, _LOOK_SECONDS), longest), self._news)

    async def close(self) -> None:
        """Let attempts under way end if they do so soon; the rest is left to another replica, or the next start."""
        if self._jobs:
            _, slow = await asyncio.wait(self._jobs, timeout=_LAST_SECONDS)
            await self._leave(slow)
        await self._correspondents.close()

    async def _leave(self, slow: Collection[asyncio.Task[None]]) -> None:
        left = [self._jobs[task] for task in slow]
        for task in slow:
            task.cancel()
        if not slow:
            return
        await asyncio.wait(slow)
        try:
            await self._replies.let_go(left)
        except JournalError as error:
            _log.warning("callbacks not released, another replica takes over after the lease", problem=str(error))

    async def _take_up(self) -> float:
        """Start what is due now. Return in how many seconds something else may be."""
        room = _AT_ONCE - len(self._jobs)
        if room <= 0:
            return 0.0
        backlog = await self._replies.backlog()
        if not backlog.is_claimable:
            return backlog.due_in
        for reply in await self._replies.claim(LEASE_SECONDS, room):
            task = asyncio.create_task(self._see_to(reply), name=f"reply:{reply.key}")
            self._jobs[task] = reply
            task.add_done_callback(self._strike_off)
        return 0.0

    def _strike_off(self, task: asyncio.Task[None]) -> None:
        reply = self._jobs.pop(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("callback result not stored, internal error", key=reply.key, error=repr(error))
        self.wake()

    async def _see_to(self, reply: Reply) -> None:
        try:
            after, pause = await self._steps.next(reply)
            await self._replies.settle(replace(after, detail=self._redact(after.detail)), again_in=pause)
        except LeaseLost:
            _log.info("callback completed by another replica", key=reply.key)
        except JournalError as error:  # its lease ends by itself, and an answer that may have been received is stored
            _log.warning("callback waiting for the journal", key=reply.key, problem=str(error))
        else:
            self._metrics.settled(reply.hook, after.state)
