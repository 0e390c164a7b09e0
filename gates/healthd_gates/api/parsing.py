"""From bytes to a validated request. Whatever is wrong becomes a Problem that names the field and the fix."""

from __future__ import annotations

import asyncio
import json
from typing import Any, NoReturn, TypeVar

from aiohttp import web
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from healthd.config.settings import Model
from healthd.web.problems import Problem

ModelT = TypeVar("ModelT", bound=Model)

# `curl -d` calls everything a form; its body is read as the JSON that it is.
_JSON_TYPES = ("application/json", "application/x-www-form-urlencoded")
_BODY_SECONDS = 15.0


def read_query(request: web.Request, model: type[ModelT]) -> ModelT:
    """The query parameters. Raises Problem 400."""
    for name in request.query:
        if len(request.query.getall(name)) > 1:
            raise _refused(400, "The query is not valid", [{"field": name, "problem": "is given more than once"}])
    try:
        return model.model_validate(dict(request.query))
    except ValidationError as error:
        raise _refused(400, "The query is not valid", list(map(_named, error.errors()))) from None


async def read_body(request: web.Request, model: type[ModelT]) -> ModelT:
    """The JSON body. Raises Problem 400, 408, 413, 415 or 422."""
    if "Content-Type" in request.headers and not _is_json(request.content_type):
        raise Problem(415, "Not JSON", f"send application/json, not {request.content_type}")
    raw = await read_raw(request)
    if not raw.strip():
        raw = b"{}"
    try:
        json.loads(raw, object_pairs_hook=_once, parse_constant=_not_json)
        return model.model_validate_json(raw, strict=True)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False)
        if any(problem["type"] == "json_invalid" for problem in problems):
            raise Problem(400, "Not JSON", problems[0]["msg"]) from None
        raise _refused(422, "The request is not valid", list(map(_named, problems))) from None
    except RecursionError:
        raise Problem(400, "Not JSON", "it is nested too deeply") from None
    except ValueError as error:
        raise Problem(400, "Not JSON", str(error)) from None


def _is_json(content_type: str) -> bool:
    return content_type in _JSON_TYPES or content_type.endswith("+json")


async def read_raw(request: web.Request) -> bytes:
    """The body as it came, however often it is asked for. Raises Problem 408 and 413."""
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            return await request.read()
    except web.HTTPRequestEntityTooLarge as error:
        raise Problem(413, "Too large", error.text or "") from None
    except TimeoutError:
        raise Problem(408, "Too slow", f"the body did not arrive within {_BODY_SECONDS:g} s") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose keys are unique: of two equal ones, two readers may each take another."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice[:64]!r} is given more than once")
    return found


def _not_json(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a JSON number")


def _named(detail: ErrorDetails) -> dict[str, str]:
    """One validation error as its field and what is wrong with it. The value itself is not repeated."""
    message = "no such field" if detail["type"] == "extra_forbidden" else detail["msg"]
    return {
        "field": ".".join(str(step)[:64] for step in detail["loc"]),
        "problem": message.removeprefix("Value error, "),
    }


def _refused(status: int, title: str, errors: list[dict[str, str]]) -> Problem:
    said = "; ".join(
        f"{error['field']}: {error['problem']}" if error["field"] else error["problem"] for error in errors
    )
    return Problem(status, title, said, errors=errors)
