"""Turns bytes into a validated request. Any error becomes a Problem that names the field and the fix."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn, TypeVar

from aiohttp import web
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from healthd.config.hints import meant, meant_value
from healthd.config.model import Model
from healthd.config.places import value_at
from healthd.validation_words import in_words
from healthd.web.problems import Problem
from healthd.wording import json_fault

ModelT = TypeVar("ModelT", bound=Model)

# `curl -d` calls everything a form; its body is read as the JSON that it is.
_JSON_TYPES = ("application/json", "application/x-www-form-urlencoded")
_NOT_VALID = "The request is not valid"
_SHOWN = 64  # characters of a name
_MOST_COMMAS = 8192  # of a body: each value costs twice, read once for its keys and once for what it must be
_MOST_NAMED, _MOST_SORTED = 10, 10_000  # problems that are named, and how many errors are sorted to find them


def read_query(request: web.Request, model: type[ModelT]) -> ModelT:
    """Return the query parameters. Raises Problem 400."""
    parameters = dict(request.query.items())
    if len(parameters) < len(request.query):
        problems = [{"field": _twice(name for name, _ in request.query.items()), "problem": "is given more than once"}]
        raise _refused(400, "The query is not valid", problems)
    try:
        return model.model_validate(parameters)
    except ValidationError as error:
        problems = [_named(detail, model, parameters) for detail in _first(error)]
        raise _refused(400, "The query is not valid", problems, error.error_count()) from None


def require_type(request: web.Request, known: Sequence[str] = ()) -> None:
    """Check the content type. Raises Problem 415 for a body that is declared as anything but `known`, or JSON."""
    given = request.content_type
    if known:
        if given not in known:
            raise Problem(415, "Unknown encoding", f"send {' or '.join(known)}, not {given[:_SHOWN]}")
        return
    if "Content-Type" in request.headers and given not in _JSON_TYPES and not given.endswith("+json"):
        raise Problem(415, "Not JSON", f"send application/json, not {given[:_SHOWN]}")


def read_body(
    raw: bytes, model: type[ModelT], title: str = _NOT_VALID, *, strict: bool = True, context: Any = None
) -> ModelT:
    """Return the JSON of a body, validated against a `context`. Raises Problem 400, or 422 with this title."""
    if not raw.strip():
        raw = b"{}"
    _require_utf_8(raw)
    if raw.count(b",") > _MOST_COMMAS:
        raise Problem(422, title, f"it has more than {_MOST_COMMAS} values")
    document: Any = {}
    try:
        document = json.loads(raw, object_pairs_hook=_once, parse_constant=_not_json)
        _refuse_many_strangers(document, model, title)
        return model.model_validate_json(raw, strict=strict, context=context)
    except ValidationError as error:
        if any(detail["type"] == "json_invalid" for detail in _first(error)):  # Python's reader takes it
            raise Problem(400, "Not JSON", "a text holds an escape that is half a character") from None
        raise invalid(error, model, document, title) from None
    except RecursionError:
        raise Problem(400, "Not JSON", "it is nested too deeply") from None
    except ValueError as error:
        raise Problem(400, "Not JSON", json_fault(error)) from None


async def body_of(request: web.Request, model: type[ModelT], what: str, context: Any = None) -> ModelT:
    """Return the body of a call, which describes `what`. Raises Problem 400, 422."""
    return read_body(await request.read(), model, f"Invalid {what}", strict=False, context=context)


def validated(raw: Any, model: type[ModelT], title: str, context: Any = None) -> ModelT:
    """Return a document, such as that of a form, as its model. Raises Problem 422."""
    try:
        return model.model_validate(raw, context=context)
    except ValidationError as error:
        raise invalid(error, model, raw, title) from None


def invalid(error: ValidationError, model: type[Model], document: Any, title: str) -> Problem:
    """Return the answer to a document that is not valid: each field with what is wrong with it, the first of them if
    they are many."""
    problems = [_named(detail, model, document) for detail in _first(error)]
    return _refused(422, title, problems, error.error_count())


def _require_utf_8(raw: bytes) -> None:
    """Raise Problem 400 for what Python would read as JSON too, and the standard (RFC 8259, section 8.1) does not
    allow."""
    if raw.startswith(codecs.BOM_UTF8):
        raise Problem(400, "Not JSON", "it begins with a byte order mark: send UTF-8 without one")
    if json.detect_encoding(raw) != "utf-8":
        raise Problem(400, "Not JSON", "it is UTF-16 or UTF-32: send UTF-8")


def _refuse_many_strangers(document: Any, model: type[Model], title: str) -> None:
    """Refuse a body of unknown fields before each of thousands becomes an error of its own. Raises Problem 422."""
    if not isinstance(document, dict) or model.model_config.get("extra") != "forbid":
        return
    known = {field.alias or name for name, field in model.model_fields.items()}
    strangers = [name[:_SHOWN] for name in document if name not in known]
    if len(strangers) > _MOST_NAMED:
        problems = [{"field": name, "problem": "no such field"} for name in strangers[:_MOST_NAMED]]
        raise _refused(422, title, problems, len(strangers))


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build an object whose keys are unique: of two equal keys, two readers may each take another."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError(f"the key {_twice(name for name, _ in pairs)!r} is given more than once")
    return found


def _twice(names: Iterable[str]) -> str:
    """Return the first name that occurs twice."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name[:_SHOWN]
        seen.add(name)
    raise ValueError("no name is given twice")


def _not_json(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a JSON number")


def _first(error: ValidationError) -> list[ErrorDetails]:
    """Return the first problems that validation found; none if there are far too many, as all of them would have to be
    worded."""
    if error.error_count() > _MOST_SORTED:
        return []
    return error.errors(include_url=False, include_input=False)[:_MOST_NAMED]


_AS_JSON = {
    "dict_type": 'must be an object, such as {"key": "value"}',
    "model_type": 'must be an object, such as {"key": "value"}',
    "string_type": "must be text, in double quotes",
}


def _named(detail: ErrorDetails, model: type[Model], document: Any) -> dict[str, str]:
    """Return one problem as its field and what is wrong with it. The value itself is not repeated."""
    kind, where = detail["type"], detail["loc"]
    if kind == "extra_forbidden":
        message = "no such field" + meant(model, document, where)
    else:
        message = _AS_JSON.get(kind) or in_words(kind, detail["msg"], detail.get("ctx", {}), value_at(document, where))
        if kind in ("literal_error", "enum"):
            message += meant_value(document, where, detail["ctx"]["expected"])
    return {"field": ".".join(str(step)[:_SHOWN] for step in where), "problem": message}


def _refused(status: int, title: str, problems: list[dict[str, str]], count: int = 1) -> Problem:
    """Return the Problem with what is wrong; beyond a limit, problems are only counted."""
    said = [f"{it['field']}: {it['problem']}" if it["field"] else it["problem"] for it in problems]
    if more := count - len(problems):
        said.append(f"and {more} more: /openapi.json says what is expected")
    return Problem(status, title, "; ".join(said), errors=problems)
