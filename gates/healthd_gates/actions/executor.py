"""One attempt of an action, with a timeout and with secrets redacted from its result. Retries are the caller's
business.

An action is built for the attempt and closed after it: so it always uses the present configuration, and keeps nothing
open during the hours without a rollback.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, MutableMapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import structlog

from healthd.checks.failures import describe as describe_error
from healthd.runtime.clock import Clock
from healthd.runtime.deadline import DeadlineExceededError, with_deadline
from healthd_gates.actions import find_kind
from healthd_gates.actions.contract import (
    Action,
    ActionConfig,
    ActionContext,
    ActionRequest,
    ActionResult,
    Departed,
    Ending,
    LooksAgain,
    SeesHindrance,
    Testable,
    Unable,
)
from healthd_gates.actions.misconfigured import Misconfigured, MisconfiguredAction

_log = structlog.get_logger(__name__)
_CLOSING = 1.0
_LOOKING = 1.0  # seconds: a look of a gate waits for it
_ASKING = 5.0  # seconds that the start of a gate waits for what would stop an action
_LONGEST_DETAIL = 2000


@dataclass(frozen=True, slots=True)
class Attempts:
    """Attempts of any configured action. `redact` removes secrets from what is stored and shown of them."""

    clock: Clock
    redact: Callable[[str], str]
    environ: Mapping[str, str]

    async def execute(self, config: ActionConfig, order: ActionRequest) -> ActionResult:
        """Make one attempt. Any error is returned as a result too."""
        try:
            async with self._opened(config, order.action) as action:
                outcome = await with_deadline(config.timeout, action.execute(order), name=f"action:{order.action}")
        except DeadlineExceededError as late:
            outcome = ActionResult(Ending.RETRY, str(late))
        except asyncio.CancelledError:
            raise
        except Exception as error:  # the boundary of an action: its bugs must not end the outbox
            _log.exception("action failed with an internal error", action=order.action, key=order.key)
            outcome = ActionResult(Ending.RETRY, describe_error(error))
        return replace(outcome, detail=self._clean(outcome.detail))

    async def describe(self, config: ActionConfig, order: ActionRequest) -> str:
        """Return one sentence about what an attempt would do now. Changes nothing."""
        return (await self.look(config, order))[1]

    async def look(self, config: ActionConfig, order: ActionRequest) -> tuple[bool, str]:
        """Return whether an attempt could succeed now, as far as that is visible, and what it would do."""
        able = False
        try:
            async with self._opened(config, order.action) as action:
                said = await with_deadline(config.timeout, action.describe(order), name=f"describe:{order.action}")
            able = True
        except Unable as unable:
            said = f"cannot be done now: {unable}"
        except asyncio.CancelledError:
            raise
        except Exception as error:
            said = f"cannot tell: {describe_error(error)}"
        return able, self._clean(said)

    async def test(self, config: ActionConfig, name: str) -> ActionResult | None:
        """Return the result of a test; None for a kind that cannot be tested without being carried out."""
        try:
            async with self._opened(config, name) as action:
                if not isinstance(action, Testable):
                    return None
                outcome = await with_deadline(config.timeout, action.test(), name=f"test:{name}")
        except asyncio.CancelledError:
            raise
        except Exception as error:
            outcome = ActionResult(Ending.RETRY, describe_error(error))
        return replace(outcome, detail=self._clean(outcome.detail))

    async def hindrance(self, config: ActionConfig, order: ActionRequest) -> str | None:
        """Return what would stop an order until somebody mends it, for people; None where nothing would, or where that
        cannot be seen now."""
        try:
            async with self._opened(config, order.action) as action:
                if not isinstance(action, SeesHindrance):
                    return None
                found = await with_deadline(_ASKING, action.hindrance(order), name=f"hindrance:{order.action}")
        except asyncio.CancelledError:
            raise
        except Exception as error:
            _log.debug("hindrance not known", action=order.action, error=describe_error(error))
            return None
        return None if found is None else self._clean(found)

    async def departed(
        self, config: ActionConfig, order: ActionRequest, ago: float, right: MutableMapping[str, float]
    ) -> Departed | None:
        """Return how the traffic goes otherwise than an order that was given so many seconds `ago`, and is done; None
        where it goes so, or where that cannot be seen. `right` is what the action keeps from look to look."""
        try:
            async with self._opened(config, order.action) as action:
                if not isinstance(action, LooksAgain):
                    return None
                looking = action.departed(order, ago, right)
                found = await with_deadline(_LOOKING, looking, name=f"departed:{order.action}")
        except asyncio.CancelledError:
            raise
        except Exception as error:
            _log.debug("weights not looked at", action=order.action, error=describe_error(error))
            return None
        return None if found is None else replace(found, what=self._clean(found.what))

    @asynccontextmanager
    async def _opened(self, config: ActionConfig, name: str) -> AsyncIterator[Action]:
        context = ActionContext(name, self.clock, self.redact, self.environ)
        if isinstance(config, MisconfiguredAction):
            action: Action = Misconfigured(config, context)
        else:  # in a thread: an SDK's first import takes its time
            action = (await asyncio.to_thread(find_kind, config.kind))(config, context)
        try:
            yield action
        finally:
            try:
                await with_deadline(_CLOSING, action.close(), name=f"close:{name}")
            except Exception as error:
                _log.debug("action not closed cleanly", action=name, error=describe_error(error))

    def _clean(self, text: str) -> str:
        cleaned = self.redact(text)
        return cleaned if len(cleaned) <= _LONGEST_DETAIL else f"{cleaned[: _LONGEST_DETAIL - 1]}…"
