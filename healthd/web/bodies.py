"""Bodies of calls, read into their models."""

from __future__ import annotations

import json
from typing import Any, TypeVar

from aiohttp import web
from pydantic import BaseModel, ValidationError

from healthd.config.explain import in_words, meant, meant_value
from healthd.config.model import Model
from healthd.web.problems import Problem

ModelT = TypeVar("ModelT", bound=Model)


async def read_body(request: web.Request, model: type[ModelT], what: str) -> ModelT:
    """Return the body of a call, which describes `what`. Raises Problem 400, 422."""
    try:
        raw = json.loads(await request.text())
    except (ValueError, RecursionError):
        raise Problem(400, "Invalid body", "send JSON in UTF-8") from None
    if isinstance(raw, dict) and len(raw) > 2 * len(model.model_fields):  # to name each would take long
        raise Problem(422, f"Invalid {what}", f"it has {len(raw)} keys: /docs shows those that there are")
    return validated(raw, model, what)


def validated(raw: Any, model: type[ModelT], what: str) -> ModelT:
    """Return a document as its model. Raises Problem 422."""
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        raise invalid(error, what, model, raw) from None


def invalid(error: ValidationError, what: str, model: type[BaseModel], raw: Any) -> Problem:
    """Return the answer to a document that is not valid: each key with what is wrong with it, and with the nearest word
    that would be right."""
    said = []
    for each in error.errors(include_input=False, include_url=False):
        key, kind, context = ".".join(map(str, each["loc"])), each["type"], each.get("ctx", {})
        if kind == "extra_forbidden":
            told = "no such field" + meant(model, raw, each["loc"])
        else:
            told = in_words(kind, each["msg"], context)
            told += meant_value(raw, each["loc"], context["expected"]) if kind == "literal_error" else ""
        said.append(f"{key}: " * bool(key) + told)
    return Problem(422, f"Invalid {what}", "; ".join(dict.fromkeys(said)))
