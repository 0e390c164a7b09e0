"""The OpenAPI 3.1 document, made from the operations that are served. It describes; it checks nothing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ConfigDict
from pydantic.json_schema import models_json_schema

from healthd import __version__
from healthd_gates.api.operation import Answer, Nothing, Operation

_PROBLEM_TYPE = "application/problem+json"
_ALWAYS = {
    401: "No token, or one that is not known.",
    403: "The token lacks the scope.",
    429: "Too many calls; `Retry-After` says when the next one is welcome.",
    503: "The journal cannot be read or written. Nothing was started or changed.",
}
_WITH_QUERY = {400: "The query is not valid; `errors` names the parameters."}
_WITH_BODY = {
    400: "The body is not JSON.",
    408: "The body took too long to arrive.",
    413: "The body is too large.",
    415: "The body is not said to be JSON.",
    422: "The body is JSON, yet not a valid request; `errors` names the fields.",
}


class FieldProblem(BaseModel):
    """One field that is not as it must be."""

    field: str
    problem: str


class ToolError(BaseModel):
    """An error as the API of a deploy tool words it, for the dialects that do."""

    status: str
    title: str
    detail: str


class ProblemDocument(BaseModel):
    """What went wrong and how to mend it (RFC 9457)."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str | None = None
    errors: list[FieldProblem | ToolError] | None = None


def document(operations: Iterable[Operation]) -> dict[str, Any]:
    """The whole document."""
    operations = tuple(operations)
    models = {op.body for op in operations} | {op.query for op in operations} | {ProblemDocument}
    answered = {answer.model for op in operations for answer in op.answers.values() if answer.model}
    sent = sorted(models - {Nothing}, key=lambda model: model.__name__)
    shown = sorted(answered - set(sent), key=lambda model: model.__name__)
    schemas, definitions = models_json_schema(
        [(model, "validation") for model in sent] + [(model, "serialization") for model in shown],
        ref_template="#/components/schemas/{model}",
    )
    references = {model: schema for (model, _), schema in schemas.items()}
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, references, definitions)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "healthd gates",
            "version": __version__,
            "summary": "May this deploy stay?",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": definitions["$defs"],
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A token of the configuration. Where none is configured, direct callers on the "
                    "daemon's own host need none and nobody else is answered.",
                }
            },
        },
    }


def statuses(operation: Operation) -> frozenset[int]:
    """Every status that the operation may answer with."""
    return frozenset(operation.answers) | frozenset(_refusals(operation))


def _operation(operation: Operation, references: dict[Any, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    answers = {str(status): _answer(answer, references) for status, answer in operation.answers.items()}
    problem = Answer("", ProblemDocument, _PROBLEM_TYPE)
    for status, description in _refusals(operation).items():
        shown = _answer(problem, references)
        if str(status) in answers:
            answers[str(status)]["content"] |= shown["content"]
            answers[str(status)]["description"] += f" Or: {description}"
        else:
            answers[str(status)] = shown | {"description": description}
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "description": f"Needs the scope `{operation.scope}`.",
        "parameters": [*_path(operation), *_query(operation, references, definitions), *_headers(operation)],
        "responses": dict(sorted(answers.items())),
    }
    if operation.takes_body:
        content = {"application/json": {"schema": references[operation.body]}}
        described["requestBody"] = {"content": content, "required": _needs_body(operation)}
    return described


def _refusals(operation: Operation) -> dict[int, str]:
    found = dict(_ALWAYS)
    if operation.path_patterns:
        found[404] = "There is no such thing."
    for taken, refusals in ((operation.query is not Nothing, _WITH_QUERY), (operation.takes_body, _WITH_BODY)):
        for status, text in refusals.items() if taken else ():
            found[status] = f"{found[status]} {text}" if status in found else text
    return {**found, **operation.refusals}


def _needs_body(operation: Operation) -> bool:
    return any(field.is_required() for field in operation.body.model_fields.values())


def _answer(answer: Answer, references: dict[Any, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = {"description": answer.description}
    if answer.model is not None:
        schema = references[answer.model]
        shown["content"] = {answer.media_type: {"schema": _event(schema) if answer.streams else schema}}
    if answer.headers:
        shown["headers"] = {
            name: {"description": text, "schema": {"type": "string"}} for name, text in answer.headers.items()
        }
    return shown


def _event(data: dict[str, Any]) -> dict[str, Any]:
    """A server-sent event with JSON as its data."""
    text = {"type": "string"}
    return {
        "type": "object",
        "required": ["id", "event", "data"],
        "properties": {
            "id": text,
            "event": text,
            "data": {**text, "contentMediaType": "application/json", "contentSchema": data},
        },
    }


def _path(operation: Operation) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "pattern": f"^{pattern}$"}}
        for name, pattern in operation.path_patterns.items()
    ]


def _query(operation: Operation, references: dict[Any, Any], definitions: dict[str, Any]) -> list[dict[str, Any]]:
    if operation.query is Nothing:
        return []
    name = references[operation.query]["$ref"].rpartition("/")[2]
    schema = definitions["$defs"][name]
    return [
        {"name": parameter, "in": "query", "required": parameter in schema.get("required", ()), "schema": told}
        for parameter, told in schema["properties"].items()
    ]


def _headers(operation: Operation) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "header",
            "description": header.description,
            "schema": {"type": "string", "pattern": header.pattern},
        }
        for name, header in operation.headers.items()
    ]
