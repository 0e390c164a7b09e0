"""Work of the commands: bring databases up to date, undo, and correct the history after a person has checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from healthd.runtime.clock import Clock
from healthd_deploy.core.exit import COULD_NOT_ASK, NOT_UNDONE, DeployAborted
from healthd_deploy.migrate.console import Console
from healthd_deploy.migrate.forward import carry_out
from healthd_deploy.migrate.history import Entry, Row, Status
from healthd_deploy.migrate.migration import MalformedError, number_of
from healthd_deploy.migrate.plan import Plan, is_done, plan, row_of
from healthd_deploy.migrate.run import Run, Throttle
from healthd_deploy.migrate.settings import MigrateConfig
from healthd_deploy.migrate.sites import Target, locked
from healthd_deploy.migrate.stop import Stop
from healthd_deploy.migrate.undo import undo


class RefusedError(DeployAborted):
    """Run that was refused for the reasons in its message; nothing was done."""

    code = COULD_NOT_ASK


class NeedsPersonError(DeployAborted):
    """A migration is half done, and only a person can find out how far; nothing more was done."""

    code = NOT_UNDONE


@dataclass(frozen=True, slots=True)
class Work:
    """One call of the command."""

    config: MigrateConfig
    clock: Clock
    console: Console
    stop: Stop

    async def up(self, sites: Sequence[Target], *, out_of_order: bool) -> int:
        """Apply all missing migrations, in all databases; return their number. Raises Stopped.

        Nothing is started in one database while a reason in another prevents it.
        """
        async with locked(sites, self.config.lock_wait):
            plans = await planned(sites, out_of_order=out_of_order)
            refuse_problems(plans)
            with self.stop.on_signals():
                for site, its_plan in zip(sites, plans, strict=True):
                    for todo in its_plan.todo:
                        await carry_out(self._run(site), todo)
        return sum(len(its_plan.todo) for its_plan in plans)

    async def down(self, sites: Sequence[Target], name: str, *, and_later: bool) -> list[str]:
        """Undo a migration, and the later ones first when asked to; return the names. Raises Stopped."""
        async with locked(sites, self.config.lock_wait):
            site, rows = await self._found(sites, name)
            undoing = to_undo(rows, name, and_later=and_later)
            with self.stop.on_signals():
                for row in undoing:
                    try:
                        await undo(self._run(site), row, Status.ROLLED_BACK)
                    except MalformedError as error:
                        raise RefusedError(f"{row.name}: {error}") from None
        return [row.name for row in undoing]

    async def resolve(self, sites: Sequence[Target], name: str, status: Status) -> None:
        """Write the status that a person has found out. Raises Stopped."""
        async with locked(sites, self.config.lock_wait):
            site, rows = await self._found(sites, name)
            known = {row.name: row for row in rows}
            migration = next(
                (it for it in site.migrations if it.name == name or row_of(it, known) == known[name]), None
            )
            row = known[name]
            checksum = migration.checksum if migration else row.checksum or ""
            script = migration.rollback_script if migration else row.rollback_script
            await site.store.record(Entry(name, status, checksum, script, (row.execution_time_ms or 0) / 1000))

    def _run(self, site: Target) -> Run:
        it = self.config
        manners = Throttle(it.batches, it.phase_pause, it.undo_limit, it.attempts)
        return Run(site.store, manners, self.stop, self.clock, self.console)

    async def _found(self, sites: Sequence[Target], name: str) -> tuple[Target, list[Row]]:
        for site in sites:
            rows = await site.store.history()
            if any(row.name == name for row in rows):
                return site, rows
        raise RefusedError(f"{name}: the history has no such migration; `status` lists them")


async def planned(sites: Sequence[Target], *, out_of_order: bool = False) -> list[Plan]:
    """Return the plan of each database; changes nothing. Raises UnreachableError."""
    return [plan(site.migrations, await site.store.history(), out_of_order=out_of_order) for site in sites]


def refuse_problems(plans: Sequence[Plan]) -> None:
    """Raise RefusedError or NeedsPersonError with all reasons that prevent the run."""
    problems = [problem for it in plans for problem in it.problems]
    if problems:
        kind = NeedsPersonError if any(it.dirty for it in plans) else RefusedError
        raise kind("\n".join(problems))


def to_undo(rows: Sequence[Row], name: str, *, and_later: bool) -> list[Row]:
    """Return the rows to undo, newest first. Raises RefusedError."""
    chosen = next(row for row in rows if row.name == name)
    if not is_done(chosen) and chosen.progress is None:
        raise RefusedError(f"{name}: there is nothing to undo: the history says {chosen.status!r}")
    order = (number_of(name), name)
    later = [row for row in rows if (number_of(row.name), row.name) > order and (is_done(row) or row.progress)]
    if later and not and_later:
        names = ", ".join(row.name for row in later)
        raise RefusedError(f"{name}: later ones may build on it: {names}; undo them first, or all with --and-later")
    undoing = sorted([chosen, *later], key=lambda row: (number_of(row.name), row.name), reverse=True)
    if missing := [row.name for row in undoing if not row.rollback_script]:
        raise RefusedError(f"{', '.join(missing)}: has no `down` in the history: undo it by hand, then `resolve` it")
    return undoing
