"""Migration file for PostgreSQL: SQL under lines such as `-- migrate: up`. The SQL itself is never parsed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from healthd.units import parse_duration
from healthd_deploy.migrate.migration import Batches, MalformedError, Migration, Phase, Step

SUFFIXES = (".sql",)
_MARK = re.compile(r"--\s*migrate:\s*(?P<words>.*?)\s*")
_BATCHES = re.compile(
    r"batches\s+of\s+(?P<table>[A-Za-z_][\w$.]*)\s+by\s+(?P<key>[A-Za-z_][\w$]*)(?P<options>(?:\s+\w+=\S+)*)"
    r"\s+where\s+(?P<where>.+)",
    re.IGNORECASE,
)
_PSQL = re.compile(r"\\(?:restrict|unrestrict|set|connect|c|i|ir|include|copy|if|else|endif|echo|encoding|timing)\b")
_ALONE = re.compile(
    r"^\s*(?:(?:CREATE\s+(?:UNIQUE\s+)?INDEX|DROP\s+INDEX|REINDEX\s+\w+)\s+CONCURRENTLY|VACUUM)\b",
    re.IGNORECASE | re.MULTILINE,
)
_ORDER = (Phase.UP, Phase.PREPARE, Phase.EXECUTE, Phase.VALIDATE, Phase.CLEANUP, Phase.DOWN)
_KNOWN = (
    "write `-- migrate: up`, `down`, `prepare`, `validate` or `cleanup`, or `batches of TABLE by KEY where CONDITION`"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Script(Step):
    """Whole script. Timeouts are in seconds; None: as configured."""

    text: str
    file: str
    first_line: int
    lock_timeout: float | None = None
    statement_timeout: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SQLBatches(Batches):
    """Statement that is run for a batch of keys, `$1`, of the rows of a table for which `where` holds."""

    script: Script
    table: str
    key: str
    where: str


@dataclass(frozen=True, slots=True)
class _Section:
    file: str
    line: int
    words: str
    text: str

    @property
    def place(self) -> str:
        return f"{self.file}:{self.line}"


def read(file: Path, text: str, checksum: str) -> Migration:
    """Return the migration in a file. Raises MalformedError."""
    sections = list(_sections(str(file), text))
    steps = [_step(section) for section in sections]
    _check_order(str(file), steps)
    down = [section for section, step in zip(sections, steps, strict=True) if step.phase is Phase.DOWN]
    return Migration(
        name=file.stem,
        file=file,
        checksum=checksum,
        up=tuple(step for step in steps if step.phase is not Phase.DOWN),
        down=tuple(step for step in steps if step.phase is Phase.DOWN),
        rollback_script="\n".join(f"-- migrate: {it.words}\n{it.text.strip()}" for it in down) or None,
        unfit=next(_unfit(sections), None),
    )


def down_steps(script: str) -> tuple[Step, ...]:
    """Return the steps of a `rollback_script` in the history. One of another tool, without marks, is one script."""
    marked = any(_MARK.fullmatch(line) for line in script.splitlines())
    return tuple(_step(it) for it in _sections("rollback_script", script if marked else f"-- migrate: down\n{script}"))


def _sections(file: str, text: str) -> Iterator[_Section]:
    words, begins, lines = None, 0, list[str]()
    for number, line in enumerate([*text.splitlines(), "-- migrate: end"], start=1):
        mark = _MARK.fullmatch(line.strip())
        if mark is None:
            lines.append(line)
            continue
        if words is not None:
            section = _Section(file, begins, words, "\n".join(lines))
            if _is_blank(lines):
                raise MalformedError(
                    f"{section.place}: `{words}` has nothing to run: write its SQL below, or take it out"
                )
            yield section
        elif not _is_blank(lines):
            raise MalformedError(f"{file}:1: there is SQL above the first mark: begin with `-- migrate: up`")
        words, begins, lines = mark["words"], number, []


def _unfit(sections: Iterable[_Section]) -> Iterator[str]:
    """Yield what the server would refuse without a word for it, or halfway: commands of psql, such as those that
    pg_dump writes, and several statements in one section that each must be alone."""
    for section in sections:
        for number, line in enumerate(section.text.split("\n"), start=section.line + 1):
            if (command := _PSQL.match(line)) is not None:
                yield f"{section.file}:{number}: `{command[0]}` is a command of psql and no SQL: take the line out"
        if "no-transaction" in section.words and len(_ALONE.findall(section.text)) > 1:
            yield (
                f"{section.place}: several statements that each must be alone, such as CREATE INDEX CONCURRENTLY: "
                "together PostgreSQL runs them in one transaction. Give each a mark and section of its own"
            )


def _is_blank(lines: Iterable[str]) -> bool:
    return all(not line.strip() or line.strip().startswith("--") for line in lines)


def _step(section: _Section) -> Step:
    if section.words.lower().startswith("batches"):
        return _batches(section)
    kind, *words = section.words.split() or [""]
    if kind not in ("up", "down", "prepare", "validate", "cleanup"):
        raise MalformedError(f"{section.place}: `{section.words}` is no mark: {_KNOWN}")
    atomic = "no-transaction" not in words
    options = _options(section, [word for word in words if word != "no-transaction"], _SCRIPT_OPTIONS)
    return _script(section, Phase(kind), atomic, options)


def _batches(section: _Section) -> SQLBatches:
    match = _BATCHES.fullmatch(section.words)
    if match is None:
        raise MalformedError(
            f"{section.place}: write `-- migrate: batches of TABLE by KEY where CONDITION`; the condition holds for "
            "the rows that are still to be done, and tells when all are"
        )
    if "$1" not in section.text:
        raise MalformedError(f"{section.place}: the statement must name its batch: WHERE {match['key']} = ANY($1)")
    options = _options(section, match["options"].split(), {**_SCRIPT_OPTIONS, "size": _count, "pause": parse_duration})
    size, pause = options.pop("size", None), options.pop("pause", None)
    script = _script(section, Phase.EXECUTE, True, options)
    return SQLBatches(
        phase=Phase.EXECUTE, atomic=True, shown=f"{section.words}\n{script.shown}", place=script.place,
        size=size, pause=pause, script=script, table=match["table"], key=match["key"], where=match["where"],
    )  # fmt: skip


def _script(section: _Section, phase: Phase, atomic: bool, options: dict[str, Any]) -> Script:
    return Script(
        phase=phase, atomic=atomic, shown=section.text.strip(), place=section.place,
        text=section.text, file=section.file, first_line=section.line + 1, **options,
    )  # fmt: skip


def _count(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise ValueError("must be a whole number above 0")
    return int(text)


_SCRIPT_OPTIONS: dict[str, Callable[[str], Any]] = {
    "lock_timeout": parse_duration,
    "statement_timeout": parse_duration,
}


def _options(section: _Section, words: list[str], known: dict[str, Callable[[str], Any]]) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if name not in known or not equals:
            names = ", ".join(("no-transaction", *(f"{it}=…" for it in known)))
            raise MalformedError(f"{section.place}: `{word}` is no option of a mark: there are {names}")
        try:
            options[name] = known[name](value)
        except ValueError as error:
            raise MalformedError(f"{section.place}: {name}: {error}") from None
    return options


def _check_order(file: str, steps: list[Step]) -> None:
    phases = [step.phase for step in steps]
    if phases != sorted(phases, key=_ORDER.index):
        raise MalformedError(f"{file}: the sections must come in the order prepare, batches, validate, cleanup, down")
    if Phase.UP in phases and set(phases) - {Phase.UP, Phase.DOWN}:
        raise MalformedError(f"{file}: has both `up` and phases: write `prepare` for `up`, or leave the phases out")
    if not set(phases) - {Phase.DOWN}:
        raise MalformedError(f"{file}: has no `-- migrate: up`")
