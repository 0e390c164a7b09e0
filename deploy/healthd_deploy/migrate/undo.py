"""Undo one migration by its `down`, as stored in the history. Neither Ctrl-C nor the run's time limit ends it."""

from __future__ import annotations

from dataclasses import replace

from healthd_deploy.migrate.history import Entry, Progress, Row, Status, StepFailedError
from healthd_deploy.migrate.run import NotUndoneError, Run
from healthd_deploy.migrate.stop import Stop


async def undo(run: Run, row: Row, then: Status) -> None:
    """Run `down` to its end, from where it stands, until the history says `then`.

    A step that is not atomic and was killed is run again. Raises NotUndoneError, UnreachableError, MalformedError.
    """
    steps = run.store.down_steps(row.rollback_script or "")
    progress = row.progress or Progress(row.checksum or "")
    if progress.undoing is None:
        progress = Progress(progress.checksum, undoing=then, error=progress.error)
    entry = Entry(row.name, Status.RUNNING, progress.checksum, row.rollback_script)
    began, stop = run.clock.steady(), Stop(run.clock, run.manners.undo_limit)
    for number in range(progress.step, len(steps)):
        step = steps[number]
        progress = replace(progress, begun=not step.atomic)
        await run.store.record(entry.going(progress))
        elapsed = run.clock.steady() - began
        after = progress.after_step(elapsed)
        end = entry.ended(progress.undoing or then, elapsed) if number == len(steps) - 1 else entry.going(after)
        try:
            await run.trying(lambda step=step, end=end: run.store.carry_out(step, end, stop.remaining), stop)  # type: ignore[misc]
        except StepFailedError as error:
            reason = "; ".join(filter(None, (progress.error, f"its `down` failed: {error}")))
            await run.store.record(entry.going(replace(progress, error=reason), Status.DIRTY))
            raise NotUndoneError(
                f"{row.name}: {reason}: nobody knows what of it is left; look at the database, then "
                f"`resolve {row.name} --as applied` or `--as undone`"
            ) from None
        progress = replace(after, error=progress.error)
    run.console.done(f"{row.name}: undone")
