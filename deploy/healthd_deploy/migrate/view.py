"""Plans and histories in the formats for people and for scripts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from healthd_deploy.migrate.history import Progress, Row, Status
from healthd_deploy.migrate.plan import Plan, Way, row_of
from healthd_deploy.migrate.sites import Target


def lines_of_plan(database: str, plan: Plan, steps: bool) -> Iterator[str]:
    """Yield what would be done, with the text of each step when `steps`."""
    for todo in plan.todo:
        yield f"{database}: would {todo.way} {todo.migration.name}"
        if todo.way is Way.REDO and todo.row is not None and steps:
            yield from _indented(f"down: {todo.row.rollback_script}")
        for step in todo.migration.up[todo.progress.step :] if steps else ():
            alone = "" if step.atomic else " (not in a transaction)"
            yield from _indented(f"{step.phase}{alone}: {step.shown}")


def _indented(text: str) -> Iterator[str]:
    yield from (f"    {line}" for line in text.splitlines())


async def document(site: Target) -> dict[str, Any]:
    """Return a database's history and what is pending, as JSON. Raises UnreachableError."""
    rows = await site.store.history()
    holder = await site.store.holder()
    known = {row.name: row for row in rows}
    pending = [it.name for it in site.migrations if row_of(it, known) is None]
    migrations = [_row(row, alive=holder is not None) for row in rows]
    migrations += [{"name": name, "status": "pending"} for name in pending]
    return {"database": site.store.name, "at_work": holder, "migrations": migrations}


def _row(row: Row, *, alive: bool) -> dict[str, Any]:
    shown: dict[str, Any] = {"name": row.name, "status": row.status}
    if row.status == Status.RUNNING and not alive:
        shown["note"] = "its runner is gone: `up` goes on from there, or undoes what it left"
    if row.executed_at is not None:
        shown["executed_at"] = row.executed_at.isoformat(timespec="seconds")
    if row.execution_time_ms is not None:
        shown["execution_time_ms"] = row.execution_time_ms
    if row.progress is not None:
        shown["progress"] = _progress(row.progress)
    return shown


def _progress(progress: Progress) -> dict[str, Any]:
    shown = {"steps": progress.step, "rows": progress.rows, "undoing": progress.undoing is not None}
    last_key = None if progress.last_key is None else str(progress.last_key)
    return {**shown, "last_key": last_key, "error": progress.error}


def lines_of_status(document: dict[str, Any]) -> Iterator[str]:
    """Yield the same for people."""
    yield f"{document['database']}: {document['at_work'] or 'nobody'} is at work"
    width = max((len(it["name"]) for it in document["migrations"]), default=0)
    for it in document["migrations"]:
        took = f"{it['execution_time_ms'] / 1000:.1f} s" if "execution_time_ms" in it else ""
        yield f"  {it['name']:<{width}}  {it['status']:<11}  {it.get('executed_at', ''):<25}  {took}".rstrip()
        if progress := it.get("progress"):
            yield f"      {progress['steps']} steps and {progress['rows']:,} rows are done"
            if progress["error"]:
                yield f"      {progress['error']}"
        if note := it.get("note"):
            yield f"      {note}"
