"""Outcome of a deploy: what was done stays, or is undone, and healthd is told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from healthd_deploy.core.exit import INTERRUPTED, NOT_UNDONE, PROMOTED, DeployAborted, LeftInPlace, OrderedBack
from healthd_deploy.core.interrupts import interrupting
from healthd_deploy.core.report import Report
from healthd_deploy.core.session import GateSession
from healthd_deploy.core.steps import Steps


async def carried_out(work: Callable[[], Awaitable[None]], gate_session: GateSession, steps: Steps) -> int:
    """Do it under the deploy lock; unless it ends well or is to be left in place, undo it. Returns the exit code.

    The first Ctrl-C, SIGTERM or SIGHUP stops the work, and what was done is undone; the undoing itself is not
    interrupted, but what healthd is then told of it is.
    """
    working: asyncio.Task[None] | None = None
    telling: asyncio.Task[str | None] | None = None
    undoes = False
    waiting_for_lock = asyncio.current_task()
    assert waiting_for_lock is not None

    def interrupt() -> None:
        if working is None:
            waiting_for_lock.cancel()
        elif telling is not None:
            telling.cancel()
        elif undoes:
            steps.say("what was done is being undone: let it end")
        elif working.done() or working.cancelling():
            steps.say("the deploy is ending: let it end")
        else:
            working.cancel()

    with interrupting(interrupt):
        try:
            async with gate_session.lock.held():
                working = asyncio.ensure_future(_kept(work, gate_session))
                await asyncio.wait({working})
                code = _code(working, gate_session.report)
                if code == PROMOTED:
                    return code
                if not working.cancelled() and isinstance(working.exception(), LeftInPlace):
                    await steps.leave()
                    steps.say("nothing is undone: the traffic stays where it is", "✗")
                    return code
                if not working.cancelled() and isinstance(working.exception(), OrderedBack):
                    await steps.leave()
                    steps.say("healthd has rolled it back: nothing more is undone", "✗")
                    return code
                undoes = True
                abandoned = await gate_session.undoing.abandon()
                left = await steps.unwind()
                if left:
                    gate_session.report.left = left
                    steps.say(f"NOT EVERYTHING COULD BE UNDONE, a person is needed: {'; '.join(left)}", "✗")
                telling = asyncio.ensure_future(
                    gate_session.undoing.tell_end(
                        abandoned=abandoned, undone=not left, at_once=working.cancelled()
                    )  # who interrupted it waits for its end
                )
                await asyncio.wait({telling})
                if telling.cancelled() or (fault := telling.exception()) is not None:
                    why = "interrupted" if telling.cancelled() else f"{type(fault).__name__}: {fault}"
                    steps.say(f"healthd could not be told: {why}", "✗")
                elif (goes_on := telling.result()) is not None:
                    gate_session.report.left = left = [*left, goes_on]
                return NOT_UNDONE if left else code
        except asyncio.CancelledError:
            return INTERRUPTED  # nothing was done yet
        except DeployAborted as stopped:
            gate_session.report.reason = str(stopped)
            return stopped.code


async def _kept(work: Callable[[], Awaitable[None]], gate_session: GateSession) -> None:
    """Do it. Raises LeftInPlace for whatever ends it once the traffic is with a version that must not be rolled back;
    its gate goes on. Raises OrderedBack where healthd has rolled back what the tool does not."""
    try:
        await work()
        await gate_session.followed.still_stands()
    except (LeftInPlace, OrderedBack):
        raise
    except (asyncio.CancelledError, Exception) as error:
        if not gate_session.followed.stays_in_place:
            raise
        why = "interrupted" if isinstance(error, asyncio.CancelledError) else str(error).rstrip(".")
        version = gate_session.report.version
        raise LeftInPlace(f"{why or type(error).__name__}; {version} keeps the traffic (--no-rollback)") from error


def _code(working: asyncio.Task[None], report: Report) -> int:
    """The exit code of what was done. Raises nothing: whatever went wrong, what was done must be undone."""
    if working.cancelled():
        return INTERRUPTED
    error = working.exception()
    if error is None:
        return PROMOTED
    if isinstance(error, DeployAborted):
        report.reason = str(error)
        return error.code
    report.reason = f"a fault of the tool itself: {type(error).__name__}: {error}"
    return DeployAborted.code
