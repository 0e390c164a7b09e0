"""OpenAPI 3.1 document, made from the descriptions of the calls. It describes; it validates nothing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ConfigDict
from pydantic.json_schema import models_json_schema

from healthd import __version__
from healthd.config.field_docs import DescribedJsonSchema
from healthd.web.description import Answer, Described, Nothing

_PROBLEM_TYPE = "application/problem+json"
_TAGS = {
    "health": "How the daemon and what it watches stand, for load balancers, probes and people.",
    "checks": "Run a check now, or report in.",
    "windows": "Maintenance, silences, pauses, acknowledgements and freezes, for a time.",
    "incidents": "What people write for customers.",
    "history": "Uptime and failures, from the journal.",
    "audit": "Who changed what.",
    "metrics": "For Prometheus.",
    "gates": "May this deploy stay?",
    "actions": "What the daemon can do about a verdict.",
    "locks": "Deploy locks.",
    "quarantine": "Versions that failed and are refused.",
    "telemetry": "Metrics and spans that OpenTelemetry sends.",
    "hooks": "Deploy tools that ask in their own way.",
    "description": "This description.",
}


class FieldProblem(BaseModel):
    """Field of a request that is invalid."""

    field: str
    problem: str


class ToolError(BaseModel):
    """Error in the format of a deploy tool's API, for the dialects that imitate it."""

    status: str
    title: str
    detail: str


class ProblemDocument(BaseModel):
    """Error and how to fix it (RFC 9457)."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str | None = None
    errors: list[FieldProblem | ToolError] | None = None


def document(operations: Iterable[Described]) -> dict[str, Any]:
    """Return the whole document. A call by GET may be made by HEAD as well, which is not listed."""
    operations = tuple(operations)
    models = {op.body for op in operations} | {op.query for op in operations} | {ProblemDocument}
    given = [answer for op in operations for answer in op.answers.values()]
    answered = {model for answer in given for model in (answer.model, *answer.also.values()) if model}
    sent = sorted(models - {Nothing}, key=lambda model: model.__name__)
    shown = sorted(answered - set(sent), key=lambda model: model.__name__)
    schemas, definitions = models_json_schema(
        [(model, "validation") for model in sent] + [(model, "serialization") for model in shown],
        ref_template="#/components/schemas/{model}",
        schema_generator=DescribedJsonSchema,
    )
    references = {model: schema for (model, _), schema in schemas.items()}
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, references, definitions)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "healthd",
            "version": __version__,
            "summary": "Is it healthy, and may this deploy stay?",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [
            {"name": tag, "description": text}
            for tag, text in _TAGS.items()
            if any(operation.tag == tag for operation in operations)
        ],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": definitions["$defs"],
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A token of the configuration. With `auth.trust_loopback`, direct callers on "
                    "the daemon's own host read without one.",
                }
            },
        },
    }


def _operation(operation: Described, references: dict[Any, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    answers = {str(status): _answer(answer, references) for status, answer in operation.answers.items()}
    problem = Answer("", ProblemDocument, _PROBLEM_TYPE)
    for status, description in operation.every_refusal.items():
        shown = _answer(problem, references)
        if str(status) in answers:
            answers[str(status)].setdefault("content", {}).update(shown["content"])
            answers[str(status)]["description"] += f" Or: {description}"
        else:
            answers[str(status)] = shown | {"description": description}
    described: dict[str, Any] = {
        "operationId": operation.name,
        "tags": [operation.tag],
        "summary": operation.summary,
        "description": f"Needs the scope `{operation.scope}`." if operation.scope else "Needs no token.",
        "parameters": [*_path(operation), *_query(operation, references, definitions), *_headers(operation)],
        "responses": dict(sorted(answers.items())),
    }
    if operation.scope is None:
        described["security"] = [{}, {"token": []}]
    if operation.body is not Nothing:
        content = {"application/json": {"schema": references[operation.body]}}
        described["requestBody"] = {"content": content, "required": _needs_body(operation)}
    return described


def _needs_body(operation: Described) -> bool:
    return any(field.is_required() for field in operation.body.model_fields.values())


def _answer(answer: Answer, references: dict[Any, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = {"description": answer.description}
    content = {answer.media_type: answer.model, **answer.also}
    if answer.model is not None or answer.media_type != "application/json":
        shown["content"] = {
            media_type: {"schema": references[model] if model else {"type": "string"}}
            for media_type, model in content.items()
        }
    if answer.streams:
        shown["content"][answer.media_type]["schema"] = _event(shown["content"][answer.media_type]["schema"])
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


def _path(operation: Described) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "pattern": f"^{pattern}$"}}
        for name, pattern in operation.path_patterns.items()
    ]


def _query(operation: Described, references: dict[Any, Any], definitions: dict[str, Any]) -> list[dict[str, Any]]:
    if operation.query is Nothing:
        return []
    name = references[operation.query]["$ref"].rpartition("/")[2]
    schema = definitions["$defs"][name]
    return [
        {"name": parameter, "in": "query", "required": parameter in schema.get("required", ()), "schema": told}
        for parameter, told in schema["properties"].items()
    ]


def _headers(operation: Described) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "header",
            "description": header.description,
            "schema": {"type": "string", "pattern": header.pattern},
        }
        for name, header in operation.headers.items()
    ]
