"""Processes every callback: starts its gate, reports progress now and then, and delivers the verdict, whichever replica
took the request and however often this one is restarted. The protocol of each tool is its dialect's business.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

import structlog

from healthd.checks.failures import describe
from healthd.journal.database import JournalError
from healthd.runtime.clock import Clock
from healthd.runtime.deadline import DeadlineExceededError, with_deadline
from healthd_gates.config.hooks import HookConfig
from healthd_gates.config.target_groups import Groups, at_the_other
from healthd_gates.domain.callback import FinalWord, PendingCallback, Reply, ReplyState
from healthd_gates.domain.errors import RETRYABLE, JournalUnavailable, Refusal, UnknownGate
from healthd_gates.domain.gate import Gate
from healthd_gates.domain.request import VerifyRequest
from healthd_gates.domain.standing import Verdict
from healthd_gates.engine.change_events import within_seconds
from healthd_gates.engine.metrics import ReplyMetrics
from healthd_gates.engine.service import GateService
from healthd_gates.hooks.callback import Correspondent, Delivery, Receipt
from healthd_gates.hooks.correspondents import correspondent_of
from healthd_gates.hooks.messages import progress, verdict
from healthd_gates.hooks.placing import target_of
from healthd_gates.store.callbacks import CallbackStore
from healthd_gates.store.gate_update import LeaseLost

_log = structlog.get_logger(__name__)
_LOOK_SECONDS, _IDLE_SECONDS = 1.0, 5.0  # between polls while a callback may be due; at most
_UNUSED_SECONDS = 60.0  # while no hook here is called back; what was taken for another one waits for that
_AT_ONCE = 16
_TRY_SECONDS = 10.0
_LEASE_SECONDS = 20.0  # longer than an attempt and its bookkeeping take
_TURN_SECONDS = 5.0  # between checks whether a gate may start by now
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 600.0
_LONGEST_WISH = 3600.0  # the longest pause that a tool may ask for
_FIRST_REPORT, _REPORTS = 60.0, 8  # seconds, doubled each time; GitHub takes ten
_KEPT_TRYING = 7.0  # timeout in seconds to store a callback: GitHub disconnects after ten, and does not retry
_JOURNAL_PAUSE = 0.5
_LAST_SECONDS = 2.0
_GIVE_UP_UNKNOWN = 86400.0  # for a hook that the configuration no longer has, or does not have yet


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
        self._replies, self._gate_service = replies, gate_service
        self._clock, self._metrics, self._redact, self._external_url = clock, metrics, redact, external_url
        self._groups_of = groups_of
        self._correspondents: dict[str, tuple[HookConfig, Correspondent]] = {}
        self._retired: list[Correspondent] = []
        self._jobs: dict[asyncio.Task[None], Reply] = {}
        self._news = asyncio.Event()
        self.reconfigure(hooks)

    def reconfigure(self, hooks: Mapping[str, HookConfig]) -> None:
        """Apply a configuration. A hook that did not change keeps its connections."""
        known, self._correspondents = self._correspondents, {}
        for name, config in hooks.items():
            if name in known and known[name][0] == config:
                self._correspondents[name] = known.pop(name)
            elif (made := correspondent_of(config, self._clock)) is not None:
                self._correspondents[name] = config, made
        self._retired += [correspondent for _, correspondent in known.values()]
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
            await within_seconds(self._news, min(max(due_in, _LOOK_SECONDS), longest))

    async def close(self) -> None:
        """Let attempts under way end if they do so soon; the rest is left to another replica, or the next start."""
        if self._jobs:
            _, slow = await asyncio.wait(self._jobs, timeout=_LAST_SECONDS)
            await self._leave(slow)
        for correspondent in (*self._retired, *(made for _, made in self._correspondents.values())):
            await correspondent.close()

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
        for reply in await self._replies.claim(_LEASE_SECONDS, room):
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
            after, pause = await self._step(reply)
            await self._replies.settle(replace(after, detail=self._redact(after.detail)), again_in=pause)
        except LeaseLost:
            _log.info("callback completed by another replica", key=reply.key)
        except JournalError as error:  # its lease ends by itself, and an answer that may have been received is stored
            _log.warning("callback waiting for the journal", key=reply.key, problem=str(error))
        else:
            self._metrics.settled(reply.hook, after.state)

    async def _step(self, reply: Reply) -> tuple[Reply, float]:
        """Process the next step of a callback: return it as it is to be stored, and the seconds to the next step."""
        _, correspondent = self._correspondents.get(reply.hook, (None, None))
        if correspondent is None:
            gone = Delivery(Receipt.RETRY, f"hooks.{reply.hook} is not configured any more", heard=False)
            return self._after(reply, gone, _GIVE_UP_UNKNOWN)
        if reply.word is not None:
            return await self._tell(reply, correspondent, reply.word, reply.why or "")
        if reply.gate_id is None:
            return await self._begin(reply, correspondent)
        try:
            gate = await self._gate_service.get(reply.gate_id)
        except UnknownGate as error:
            return await self._tell(reply, correspondent, Verdict.FAIL, str(error))
        if gate.is_answered:
            return await self._tell(reply, correspondent, *verdict(gate, self._page(gate)))
        return await self._report(reply, correspondent, gate)

    async def _begin(self, reply: Reply, correspondent: Correspondent) -> tuple[Reply, float]:
        """Start the gate, or join the one that was started before a crash."""
        assert reply.request is not None
        try:
            excuse = await with_deadline(_TRY_SECONDS, correspondent.excuse(reply.address), name=f"excuse:{reply.key}")
            if excuse is not None:
                return replace(reply, word=Verdict.PASS, why=excuse), 0.0
            request = await self._placed(reply.request, reply, correspondent)
        except asyncio.CancelledError:
            raise
        except Refusal as refusal:
            return await self._wait_or_refuse(reply, correspondent, refusal)
        except Exception as error:
            return self._after(reply, Delivery(Receipt.RETRY, describe(error), heard=False), correspondent.retry_for)
        try:
            gate = await self._gate_service.start(request, caller=f"hook:{reply.hook}", idempotency_key=reply.key)
        except Refusal as refusal:
            return await self._wait_or_refuse(reply, correspondent, refusal)
        return replace(reply, gate_id=gate.id, state=ReplyState.WAITING, detail=""), 0.0

    async def _placed(self, request: VerifyRequest, reply: Reply, correspondent: Correspondent) -> VerifyRequest:
        """Return the request with the target that has the new version, where its tool is to be asked for that."""
        groups = self._groups_of(request) if request.candidate.target is None else {}
        if not groups:
            return request
        asked = correspondent.target_groups(reply.address)
        target = target_of(groups, await with_deadline(_TRY_SECONDS, asked, name=f"place:{reply.key}"))
        candidate = request.candidate.model_copy(update={"target": target})
        baseline = at_the_other(groups, target, request.baseline)
        return request.model_copy(update={"candidate": candidate, "baseline": baseline})

    async def _wait_or_refuse(
        self, reply: Reply, correspondent: Correspondent, refusal: Refusal
    ) -> tuple[Reply, float]:
        why = str(refusal)
        left = correspondent.wait_timeout - self._age(reply)
        until = refusal.fields.get("until")
        needed = (until - self._clock.now()).total_seconds() if until is not None else 0.0
        if not isinstance(refusal, RETRYABLE) or left <= 0 or needed > left:
            return replace(reply, word=Verdict.FAIL, why=why), 0.0
        if why != reply.detail and reply.reports < _REPORTS:
            reply = await self._say(reply, correspondent, f"Waiting. {why}")
        return replace(reply, detail=why), _TURN_SECONDS

    async def _report(self, reply: Reply, correspondent: Correspondent, gate: Gate) -> tuple[Reply, float]:
        if reply.reports < _REPORTS:
            reply = await self._say(reply, correspondent, progress(gate, self._page(gate)))
        return reply, _FIRST_REPORT * 2.0 ** max(0, reply.reports - 1)

    def _page(self, gate: Gate) -> str | None:
        external_url = self._external_url()
        return f"{external_url}/gates/{gate.id}/page" if external_url else None

    async def _say(self, reply: Reply, correspondent: Correspondent, text: str) -> Reply:
        """Report progress. The report is counted first: a crash must not cause one too many."""
        reply = replace(reply, reports=reply.reports + 1)
        await self._replies.note(reply)
        try:
            await with_deadline(_TRY_SECONDS, correspondent.report(reply.address, text), name=f"report:{reply.key}")
        except asyncio.CancelledError:
            raise
        except Exception as error:  # it may be lost; the verdict may not
            _log.info("progress callback failed", key=reply.key, problem=self._redact(describe(error)))
        return reply

    async def _tell(
        self, reply: Reply, correspondent: Correspondent, word: FinalWord, text: str
    ) -> tuple[Reply, float]:
        """Deliver the verdict. Once an answer may have been received it is the only one."""
        if reply.said is not None and reply.said is not word:
            word, text = reply.said, f"As said before, whatever has happened since. {text}"
        noted = replace(reply, said=word)
        if reply.said is None:
            await self._replies.note(noted)
        try:
            told = correspondent.tell(reply.address, word, text)
            delivery = await with_deadline(_TRY_SECONDS, told, name=f"tell:{reply.key}")
        except DeadlineExceededError as late:
            delivery = Delivery(Receipt.RETRY, str(late))
        except asyncio.CancelledError:
            raise
        except Exception as error:  # the boundary of a dialect: its bugs must not lose a verdict
            _log.exception("callback failed with an internal error", key=reply.key)
            delivery = Delivery(Receipt.RETRY, describe(error))
        self._log_delivery(noted, delivery)
        return self._after(noted if delivery.heard else reply, delivery, correspondent.retry_for)

    def _after(self, reply: Reply, delivery: Delivery, retry_for: float) -> tuple[Reply, float]:
        backoff = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(reply.tries, 16)) * random.uniform(0.5, 1.0)
        pause = max(min(delivery.after, _LONGEST_WISH), backoff)
        state = ReplyState.DUE
        if delivery.receipt is Receipt.TAKEN:
            state = ReplyState.DONE
        elif delivery.receipt is Receipt.REFUSED or self._age(reply) + pause >= retry_for:
            state = ReplyState.GIVEN_UP
        return replace(reply, state=state, tries=reply.tries + 1, detail=delivery.detail), pause

    def _log_delivery(self, reply: Reply, delivery: Delivery) -> None:
        log = _log.info if delivery.receipt is Receipt.TAKEN else _log.warning
        log(
            "reply",
            hook=reply.hook,
            gate=reply.gate_id,
            word=reply.said,
            receipt=delivery.receipt.value,
            detail=self._redact(delivery.detail),
        )

    def _age(self, reply: Reply) -> float:
        return (self._clock.now() - reply.created_at).total_seconds()
