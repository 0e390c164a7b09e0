"""The steps of one callback: its gate is started, progress is reported now and then, the verdict is delivered. The
protocol of each tool is its dialect's business.

Every call to a tool is made under a claim that was made or renewed just before it and outlasts it, so that no other
replica makes the same call meanwhile.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeVar

import structlog

from healthd.checks.failures import describe
from healthd.runtime.clock import Clock
from healthd.runtime.deadline import DeadlineExceededError, with_deadline
from healthd_gates.config.target_groups import Groups, at_the_other
from healthd_gates.domain.callback import FinalWord, Reply, ReplyState
from healthd_gates.domain.errors import RETRYABLE, Refusal, UnknownGate
from healthd_gates.domain.gate import Gate
from healthd_gates.domain.request import VerifyRequest
from healthd_gates.domain.standing import Verdict
from healthd_gates.engine.service import GateService
from healthd_gates.hooks.callback import Correspondent, Delivery, Receipt
from healthd_gates.hooks.correspondents import Correspondents
from healthd_gates.hooks.messages import progress, verdict
from healthd_gates.hooks.placing import target_of
from healthd_gates.store.callbacks import CallbackStore

T = TypeVar("T")
_log = structlog.get_logger(__name__)
_CALL_SECONDS = 10.0
LEASE_SECONDS = 20.0
"""Duration of a claim; longer than one call to a tool and its bookkeeping take."""
_TURN_SECONDS = 5.0  # between checks whether a gate may start by now
_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 600.0  # between two attempts to deliver a verdict
_LONGEST_LOOK_PAUSE = 30.0  # between two attempts to start a gate: the tool's own patience runs meanwhile
_LONGEST_WISH = 3600.0  # the longest pause that a tool may ask for
_FIRST_REPORT, _REPORTS = 60.0, 8  # seconds, doubled each time; GitHub takes ten
_LOOKS_FOR_HOOK = 120
"""Looks, `_LONGEST_LOOK_PAUSE` apart, for which a callback waits for its hook: one hour, in which a mistake in a reload
is mended, or the last replica has the new configuration."""


class _UnansweredError(Exception):
    """A tool did not say what the gate needs to start."""


class CallbackSteps:
    """Takes the next step of a claimed callback."""

    def __init__(
        self,
        replies: CallbackStore,
        gate_service: GateService,
        correspondents: Correspondents,
        *,
        clock: Clock,
        redact: Callable[[str], str],
        external_url: Callable[[], str | None],
        groups_of: Callable[[VerifyRequest], Groups],
    ) -> None:
        self._replies, self._gate_service, self._correspondents = replies, gate_service, correspondents
        self._clock, self._redact, self._external_url, self._groups_of = clock, redact, external_url, groups_of

    async def next(self, reply: Reply) -> tuple[Reply, float]:
        """Return the callback as it is to be stored, and the number of seconds to its next step. Raises LeaseLost and
        JournalError."""
        correspondent = self._correspondents.get(reply.hook)
        if correspondent is None:
            return self._without_hook(reply), _LONGEST_LOOK_PAUSE
        if reply.detail == _gone(reply):  # the hook is back: nothing failed at it
            reply = replace(reply, tries=0, detail="")
        if reply.word is not None:
            return await self._tell(reply, correspondent, reply.word, reply.why or "", reply.word_at)
        if reply.gate_id is None:
            return await self._begin(reply, correspondent)
        try:
            gate = await self._gate_service.get(reply.gate_id)
        except UnknownGate as error:
            return self._without_gate(reply, Verdict.FAIL, str(error))
        if gate.is_answered:
            word, text = verdict(gate, self._page(gate))
            return await self._tell(reply, correspondent, word, text, _answered_at(gate))
        return await self._report(reply, correspondent, gate)

    def _without_hook(self, reply: Reply) -> Reply:
        """Return a callback whose hook the configuration does not have. It is given up where it had none at so many
        looks in a row; who asks again for its answer, by the hook, has it tried again."""
        looks = reply.tries + 1 if reply.detail == _gone(reply) else 1
        is_over = looks >= _LOOKS_FOR_HOOK
        told = {"hook": reply.hook, "key": reply.key, "gate": reply.gate_id}
        if is_over:
            _log.error("callback given up, its hook is not configured any more", **told)
        elif looks == 1:
            told["given_up_in"] = f"{_LOOKS_FOR_HOOK * _LONGEST_LOOK_PAUSE / 60:.0f} minutes"
            _log.warning("callback waits for its hook, which is not configured any more", **told)
        state = ReplyState.GIVEN_UP if is_over else ReplyState.DUE
        return replace(reply, state=state, tries=looks, detail=_gone(reply))

    async def _begin(self, reply: Reply, correspondent: Correspondent) -> tuple[Reply, float]:
        """Start the gate, or join the one that was started before a crash."""
        assert reply.request is not None
        try:
            excuse = await self._ask(reply, correspondent.excuse)
            if excuse is not None:
                return self._without_gate(reply, Verdict.PASS, excuse)
            request = await self._placed(reply.request, reply, correspondent)
            gate = await self._gate_service.start(request, caller=f"hook:{reply.hook}", idempotency_key=reply.key)
        except Refusal as refusal:
            return await self._wait_or_refuse(reply, correspondent, refusal)
        except _UnansweredError as error:
            if self._age(reply) >= correspondent.wait_timeout:
                return self._without_gate(reply, Verdict.FAIL, f"The gate could not start: {error}.")
            after = replace(reply, tries=reply.tries + 1, detail=str(error))
            return after, _backoff(reply.tries, _LONGEST_LOOK_PAUSE)
        return replace(reply, gate_id=gate.id, state=ReplyState.WAITING, tries=0, detail=""), 0.0

    def _without_gate(self, reply: Reply, word: FinalWord, why: str) -> tuple[Reply, float]:
        """Return the callback with an answer that no gate gives, which is delivered next."""
        return replace(reply, word=word, why=why, word_at=self._clock.now(), state=ReplyState.DUE, tries=0), 0.0

    async def _ask(self, reply: Reply, look: Callable[[Mapping[str, Any]], Coroutine[Any, Any, T]]) -> T:
        """Return what a tool answers. Raises a Refusal of the dialect, and _UnansweredError for any other failure."""
        try:
            return await with_deadline(_CALL_SECONDS, look(reply.address), name=f"ask:{reply.key}")
        except (asyncio.CancelledError, Refusal):
            raise
        except Exception as error:  # the boundary of a dialect
            raise _UnansweredError(describe(error)) from error

    async def _placed(self, request: VerifyRequest, reply: Reply, correspondent: Correspondent) -> VerifyRequest:
        """Return the request with the target that has the new version, where its tool is to be asked for that."""
        groups = self._groups_of(request) if request.candidate.target is None else {}
        if not groups:
            return request
        await self._replies.note(reply, LEASE_SECONDS)
        target = target_of(groups, await self._ask(reply, correspondent.target_groups))
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
            return self._without_gate(reply, Verdict.FAIL, why)
        if why != reply.detail and reply.reports < _REPORTS:
            reply = await self._say(reply, correspondent, f"Waiting. {why}")
        return replace(reply, tries=0, detail=why), _TURN_SECONDS

    async def _report(self, reply: Reply, correspondent: Correspondent, gate: Gate) -> tuple[Reply, float]:
        if reply.reports < _REPORTS:
            reply = await self._say(reply, correspondent, progress(gate, self._page(gate)))
        return replace(reply, state=ReplyState.WAITING), _FIRST_REPORT * 2.0 ** max(0, reply.reports - 1)

    def _page(self, gate: Gate) -> str | None:
        external_url = self._external_url()
        return f"{external_url}/gates/{gate.id}/page" if external_url else None

    async def _say(self, reply: Reply, correspondent: Correspondent, text: str) -> Reply:
        """Report progress. The report is counted first: a crash must not cause one too many."""
        reply = replace(reply, reports=reply.reports + 1)
        await self._replies.note(reply, LEASE_SECONDS)
        try:
            await with_deadline(_CALL_SECONDS, correspondent.report(reply.address, text), name=f"report:{reply.key}")
        except asyncio.CancelledError:
            raise
        except Exception as error:  # it may be lost; the verdict may not
            _log.info("progress callback failed", key=reply.key, problem=self._redact(describe(error)))
        return reply

    async def _tell(
        self, reply: Reply, correspondent: Correspondent, word: FinalWord, text: str, answered_at: datetime | None
    ) -> tuple[Reply, float]:
        """Deliver the verdict, which is known since `answered_at`, if not from the beginning. Once an answer may have
        been received it is the only one."""
        if reply.said is not None and reply.said is not word:
            word, text = reply.said, f"As said before, whatever has happened since. {text}"
        noted = replace(reply, said=word)
        await self._replies.note(noted, LEASE_SECONDS)
        try:
            told = correspondent.tell(reply.address, word, text)
            delivery = await with_deadline(_CALL_SECONDS, told, name=f"tell:{reply.key}")
        except DeadlineExceededError as late:
            delivery = Delivery(Receipt.RETRY, str(late))
        except asyncio.CancelledError:
            raise
        except Exception as error:  # the boundary of a dialect: its bugs must not lose a verdict
            _log.exception("callback failed with an internal error", key=reply.key)
            delivery = Delivery(Receipt.RETRY, describe(error))
        self._log_delivery(noted, delivery, text)
        since = _since(reply, answered_at or reply.created_at)
        return self._delivered(noted if delivery.heard else reply, delivery, correspondent.retry_for, since)

    def _delivered(self, reply: Reply, delivery: Delivery, retry_for: float, since: datetime) -> tuple[Reply, float]:
        pause = max(min(delivery.after, _LONGEST_WISH), _backoff(reply.tries, _LONGEST_PAUSE))
        tried_for = (self._clock.now() - since).total_seconds()
        state = ReplyState.DUE
        if delivery.receipt is Receipt.TAKEN:
            state = ReplyState.DONE
        elif delivery.receipt is Receipt.REFUSED or tried_for + pause >= retry_for:
            state = ReplyState.GIVEN_UP
        return replace(reply, state=state, tries=reply.tries + 1, detail=delivery.detail), pause

    def _log_delivery(self, reply: Reply, delivery: Delivery, text: str) -> None:
        """Log an attempt and the sentence that it told: a tool may have no place for it, and there may be no gate."""
        log = _log.info if delivery.receipt is Receipt.TAKEN else _log.warning
        log(
            "reply",
            hook=reply.hook,
            gate=reply.gate_id,
            word=reply.said,
            why=self._redact(text),
            receipt=delivery.receipt.value,
            detail=self._redact(delivery.detail),
        )

    def _age(self, reply: Reply) -> float:
        return (self._clock.now() - reply.created_at).total_seconds()


def _gone(reply: Reply) -> str:
    return f"hooks.{reply.hook} is not configured any more"


def _answered_at(gate: Gate) -> datetime | None:
    return gate.decision.at if gate.decision is not None else gate.finished_at


def _since(reply: Reply, answered_at: datetime) -> datetime:
    """Return the time from which an answer is tried: the tool may have asked for it again since it was known."""
    return max(answered_at, reply.created_at)


def _backoff(tries: int, longest: float) -> float:
    """Return the pause in seconds after so many failed attempts in a row: doubled each time, with jitter."""
    return min(longest, _FIRST_PAUSE * 2.0 ** min(tries, 16)) * random.uniform(0.5, 1.0)
