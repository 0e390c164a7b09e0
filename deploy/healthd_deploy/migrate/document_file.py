"""Migration file for MongoDB: database commands in YAML or JSON, with Extended JSON for BSON's own types."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any, Self

from bson import json_util
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError

from healthd.units import Span
from healthd.validation_words import in_words
from healthd_deploy.migrate.migration import Batches, MalformedError, Migration, Phase, Step

SUFFIXES = (".yaml", ".yml", ".json")
Document = dict[str, Any]
_EXTENDED = json_util.JSONOptions(json_mode=json_util.JSONMode.RELAXED, tz_aware=True)


def _bson(value: Any) -> Any:
    """Convert `{$oid: …}`, `{$date: …}` and similar to BSON values, at any depth."""
    if isinstance(value, dict):
        return json_util.object_hook({key: _bson(item) for key, item in value.items()}, _EXTENDED)
    if isinstance(value, date) and not isinstance(value, datetime):
        raise ValueError(f"BSON has no dates without a time: write {{$date: {value}T00:00:00Z}}")
    return [_bson(item) for item in value] if isinstance(value, list) else value


Command = Annotated[Document, BeforeValidator(_bson), Field(min_length=1)]
Filter = Annotated[Document, BeforeValidator(_bson), Field(min_length=1)]
Update = Annotated[Document | list[Document], BeforeValidator(_bson), Field(min_length=1)]
Commands = tuple[Command, ...]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


class BatchesPart(_Part):
    """Documents that are changed or deleted, a batch at a time, for as long as `where` finds any."""

    collection: str
    where: Filter
    update: Update | None = None
    delete: bool = False
    size: int | None = Field(None, ge=1)
    pause: Span | None = None

    @model_validator(mode="after")
    def _does_something(self) -> Self:
        if (self.update is None) == (not self.delete):
            raise ValueError("say what to do with a batch: `update: …`, or `delete: true`")
        return self


class NothingLeft(_Part):
    """Query that must find nothing."""

    collection: str
    where: Filter


class _File(_Part):
    up: Commands = ()
    prepare: Commands = ()
    batches: tuple[BatchesPart, ...] = ()
    validate_: tuple[NothingLeft, ...] = Field((), alias="validate")
    cleanup: Commands = ()
    down: Commands = ()

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if self.up and (self.prepare or self.batches or self.validate_ or self.cleanup):
            raise ValueError("has both `up` and phases: write `prepare` for `up`, or leave the phases out")
        if not (self.up or self.prepare or self.batches or self.validate_ or self.cleanup):
            raise ValueError("has no `up`: give a list of database commands")
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandStep(Step):
    """One database command."""

    command: Document


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidateStep(Step):
    """One query that must find nothing."""

    nothing: NothingLeft


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentBatches(Batches):
    part: BatchesPart


def read(file: Path, text: str, checksum: str) -> Migration:
    """Return the migration in a file. Raises MalformedError."""
    parts = _parse(str(file), text)
    up: list[Step] = _commands(str(file), Phase.UP, parts.up)
    up += _commands(str(file), Phase.PREPARE, parts.prepare)
    up += [
        DocumentBatches(
            phase=Phase.EXECUTE, atomic=True, shown=_shown(part.model_dump(exclude_defaults=True)),
            place=f"{file}: batches.{number}", size=part.size, pause=part.pause, part=part,
        )
        for number, part in enumerate(parts.batches)
    ]  # fmt: skip
    up += [
        ValidateStep(
            phase=Phase.VALIDATE, atomic=True, shown=_shown({"find": part.collection, "filter": part.where}),
            place=f"{file}: validate.{number}", nothing=part,
        )
        for number, part in enumerate(parts.validate_)
    ]  # fmt: skip
    up += _commands(str(file), Phase.CLEANUP, parts.cleanup)
    return Migration(
        name=file.stem,
        file=file,
        checksum=checksum,
        up=tuple(up),
        down=tuple(_commands(str(file), Phase.DOWN, parts.down)),
        rollback_script=_shown(list(parts.down)) if parts.down else None,
    )


def down_steps(script: str) -> tuple[Step, ...]:
    """Return the steps of a `rollback_script` in the history. Raises MalformedError for one that is no list of
    commands."""
    try:
        commands = json_util.loads(script, json_options=_EXTENDED)
    except ValueError:
        commands = None
    if not isinstance(commands, list) or not all(isinstance(it, dict) and it for it in commands):
        raise MalformedError("rollback_script in the history is not a list of database commands: undo it by hand")
    return tuple(_commands("rollback_script", Phase.DOWN, tuple(commands)))


def _commands(file: str, phase: Phase, commands: Commands) -> list[Step]:
    return [
        CommandStep(
            phase=phase, atomic=False, shown=_shown(command), place=f"{file}: {phase}.{number}", command=command
        )
        for number, command in enumerate(commands)
    ]


def _shown(value: Any) -> str:
    return json_util.dumps(value, json_options=_EXTENDED)


def _parse(file: str, text: str) -> _File:
    try:
        tree = YAML(typ="safe", pure=True).load(text)
    except MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise MalformedError(f"{file}{line}: is neither YAML nor JSON: {error.problem or 'cannot be read'}") from None
    if not isinstance(tree, dict):
        raise MalformedError(f"{file}: must be a mapping with `up` and `down`, each a list of database commands")
    try:
        return _File.model_validate(tree)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False)
        raise MalformedError("\n".join(_explained(file, it) for it in problems)) from None


def _explained(file: str, detail: ErrorDetails) -> str:
    location = detail["loc"]
    where, message = ".".join(map(str, location)), in_words(detail["type"], detail["msg"], detail.get("ctx", {}))
    if detail["type"] == "extra_forbidden":
        message = "no such key: there are up, down, prepare, batches, validate and cleanup"
        if len(location) > 1:
            message = "no such key"
    return f"{file}: {where}: {message}" if where else f"{file}: {message}"
