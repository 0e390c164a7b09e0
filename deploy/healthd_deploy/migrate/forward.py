"""Carry out one migration, from its current progress to an end that the history records correctly."""

from __future__ import annotations

from dataclasses import replace

from healthd.units import show_duration
from healthd_deploy.migrate.history import Entry, Progress, Row, Status, StepFailedError, UnreachableError
from healthd_deploy.migrate.migration import Batches, Phase, Step
from healthd_deploy.migrate.plan import Todo, Way
from healthd_deploy.migrate.run import MigrationFailedError, NotUndoneError, Run, stopped
from healthd_deploy.migrate.undo import undo


async def carry_out(run: Run, todo: Todo) -> None:
    """Carry out a migration to its end. Raises Stopped when it ended otherwise."""
    if reason := run.stop.reason:
        raise stopped(reason, f"{todo.migration.name}: not begun, {reason.value}")
    if todo.way is Way.REDO and todo.row is not None:
        run.console.say(f"{todo.migration.name}: undoes what a killed run left")
        await undo(run, todo.row, Status.FAILED)
    try:
        await _Forward(run, todo).carry_out()
    except UnreachableError as error:
        raise MigrationFailedError(
            f"{error}; how {todo.migration.name} ended is not written down: `up` finds out, and goes on or undoes it"
        ) from None


class _Forward:
    """Migration in progress; `_progress` is the progress that the database has."""

    def __init__(self, run: Run, todo: Todo) -> None:
        self._run, self._migration, self._way = run, todo.migration, todo.way
        self._progress = replace(todo.progress, error=None)
        self._entry = Entry.of(self._migration, todo.name, self._progress)
        self._started = run.clock.steady() - self._progress.elapsed

    @property
    def _elapsed(self) -> float:
        """Seconds that all runs of it took together."""
        return self._run.clock.steady() - self._started

    async def carry_out(self) -> None:
        name, store, console = self._migration.name, self._run.store, self._run.console
        console.say(f"{store.name}: {name}{' goes on' if self._way is Way.RESUME else ''}")
        await self._record(self._progress)
        steps = self._migration.up
        for number in range(self._progress.step, len(steps)):
            await self._enter(number)
            try:
                await self._step(steps[number], last=number == len(steps) - 1)
            except StepFailedError as error:
                await self._failed(steps[number], error)
        console.done(f"{name}: completed in {show_duration(round(self._elapsed, 1))}")

    async def _record(self, progress: Progress, status: Status = Status.RUNNING) -> None:
        await self._run.store.record(self._entry.going(progress, status))
        self._progress = progress

    async def _enter(self, number: int) -> None:
        """Pause between two phases, and stop here when asked to."""
        steps = self._migration.up
        if number and steps[number].phase is not steps[number - 1].phase:
            await self._run.stop.pause(self._run.manners.phase_pause)
        if number:
            await self._stop_if_asked()
        if steps[number].phase is not Phase.UP:
            self._run.console.say(f"{self._migration.name}: {steps[number].phase}")

    async def _step(self, step: Step, *, last: bool) -> None:
        if isinstance(step, Batches):
            await self._batches(step)
        if not step.atomic:
            await self._record(replace(self._progress, begun=True))
        after = self._progress.after_step(self._elapsed)
        then = self._entry.ended(Status.COMPLETED, self._elapsed) if last else self._entry.going(after)
        store, stop = self._run.store, self._run.stop
        if isinstance(step, Batches):
            await store.record(then)
        elif step.atomic:
            await self._run.trying(lambda: store.carry_out(step, then, stop.remaining), stop)
        else:
            await store.carry_out(step, then, stop.remaining)
        self._progress = after

    async def _batches(self, step: Batches) -> None:
        """Repeat passes from the lowest key on, until a pass finds no row that is left to do.

        One pass is not enough: a transaction that was open meanwhile may have left a row below the last key.
        """
        run, configured = self._run, self._run.manners.batches
        pause = configured.pause if step.pause is None else step.pause
        with run.console.bar(self._migration.name, await run.store.count(step)) as advance:
            while True:
                await self._let_replicas_catch_up()
                await self._stop_if_asked()
                entry = self._entry.going(replace(self._progress, elapsed=self._elapsed))
                after = await run.trying(
                    lambda entry=entry: run.store.batch(step, step.size or configured.size, entry, run.stop.remaining),  # type: ignore[misc]
                    run.stop,
                )
                if after is not None:
                    advance(after.rows - self._progress.rows)
                    self._progress = after
                    await run.stop.pause(pause)
                elif self._progress.last_key is None:
                    return
                else:
                    self._progress = replace(self._progress, last_key=None)

    async def _let_replicas_catch_up(self) -> None:
        stop, limit = self._run.stop, self._run.manners.batches.max_lag
        while limit and stop.reason is None and (lag := await self._run.store.lag()) > limit:
            self._run.console.say(f"waits for a replica that is {show_duration(round(lag, 1))} behind")
            await stop.pause(1.0)

    async def _stop_if_asked(self) -> None:
        if reason := self._run.stop.reason:
            await self._record(replace(self._progress, elapsed=self._elapsed), Status.STOPPED)
            done = f"{self._progress.step} of {len(self._migration.up)} steps and {self._progress.rows:,} rows are done"
            raise stopped(reason, f"{self._migration.name}: {reason.value}; {done}: `up` goes on from there")

    async def _failed(self, step: Step, error: StepFailedError) -> None:
        """Undo what was done, and record the end. Raises MigrationFailedError or NotUndoneError."""
        migration, store = self._migration, self._run.store
        progress = replace(self._progress, error=str(error), elapsed=self._elapsed)
        if step.atomic and progress.step == 0 and progress.rows == 0:
            await store.record(self._entry.ended(Status.FAILED, self._elapsed))
            raise MigrationFailedError(f"{error}; nothing of {migration.name} is left")
        if migration.down:
            self._run.console.say(f"{error}; undoes {migration.name}")
            row = Row(migration.name, Status.RUNNING, migration.checksum, migration.rollback_script, progress=progress)
            await undo(self._run, row, Status.FAILED)
            raise MigrationFailedError(f"{error}; {migration.name} is undone")
        if step.atomic:
            await self._record(progress, Status.FAILED)
            stands = f"{progress.step} steps and {progress.rows:,} rows stand"
            raise MigrationFailedError(
                f"{error}; {migration.name} has no `down`: {stands}, and `up` goes on from there once the cause is gone"
            )
        await self._record(progress, Status.DIRTY)
        raise NotUndoneError(
            f"{error}; {migration.name} has no `down`, so that what it did so far stands: look at the database, then "
            f"`resolve {migration.name} --as applied` or `--as undone`"
        )
