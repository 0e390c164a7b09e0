"""Description of one call of the HTTP API: its path, its scope, its input, and every possible answer.

The OpenAPI document is made from these. Pages for people are not described: they are no API.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from pydantic import BaseModel

from healthd.config.model import Model

NAME = r"[a-zA-Z0-9][a-zA-Z0-9._-]{0,63}"


class Nothing(Model):
    """No body, or no query parameters."""


@dataclass(frozen=True, slots=True)
class Header:
    """Request header that has an effect; `pattern` is its form."""

    description: str
    pattern: str


@dataclass(frozen=True, slots=True)
class Answer:
    """One status with which a call can be answered. `headers` maps names to their meaning; `also` are further media
    types in which the same answer is available."""

    description: str
    model: type[BaseModel] | None = None
    media_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    also: Mapping[str, type[BaseModel] | None] = field(default_factory=dict)

    @property
    def streams(self) -> bool:
        return self.media_type == "text/event-stream"


class Described(Protocol):
    """Attributes of a call that the OpenAPI document needs."""

    @property
    def name(self) -> str: ...
    @property
    def method(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def tag(self) -> str: ...
    @property
    def scope(self) -> str | None: ...
    @property
    def summary(self) -> str: ...
    @property
    def answers(self) -> Mapping[int, Answer]: ...
    @property
    def every_refusal(self) -> Mapping[int, str]: ...
    @property
    def body(self) -> type[Model]: ...
    @property
    def query(self) -> type[Model]: ...
    @property
    def headers(self) -> Mapping[str, Header]: ...
    @property
    def path_patterns(self) -> Mapping[str, str]: ...


@dataclass(frozen=True, slots=True)
class Description:
    """Call that any caller may make, unless it has a scope. `every_refusal` are the statuses above 400 with a problem
    document; `path_patterns` the form of each variable part of the path."""

    name: str
    method: str
    path: str
    tag: str
    summary: str
    answers: Mapping[int, Answer]
    scope: str | None = None
    every_refusal: Mapping[int, str] = field(default_factory=dict)
    path_patterns: Mapping[str, str] = field(default_factory=dict)
    body: type[Model] = Nothing
    query: type[Model] = Nothing
    headers: Mapping[str, Header] = field(default_factory=dict)
