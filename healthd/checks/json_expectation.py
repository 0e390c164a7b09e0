"""Expectations of a value of a JSON document. Pure; the messages name the expectation and never repeat a text of the
document, which may echo a secret."""

from __future__ import annotations

import json
import operator
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from healthd.checks import json_path
from healthd.model import FailureKind
from healthd.runtime.patterns import checked_pattern, is_found

Failure = tuple[FailureKind, str]
Regex = Annotated[str, AfterValidator(checked_pattern)]


class Expectation(BaseModel):
    """Base of what is expected of an answer, or of a part of it."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class LengthExpectation(Expectation):
    """Expectation of a length. A number alone is an exact length."""

    exactly: int | None = Field(None, ge=0)
    """Exact length."""
    at_least: int | None = Field(None, ge=0)
    """Minimum length."""
    at_most: int | None = Field(None, ge=0)
    """Maximum length."""

    @model_validator(mode="before")
    @classmethod
    def _number_alone(cls, raw: Any) -> Any:
        return {"exactly": raw} if isinstance(raw, int) and not isinstance(raw, bool) else raw

    def wrong(self, value: Any) -> str | None:
        if not isinstance(value, str | list | dict):
            return f"is {_shown(value)}, which has no length"
        least = self.at_least if self.exactly is None else self.exactly
        most = self.at_most if self.exactly is None else self.exactly
        if (least is None or len(value) >= least) and (most is None or len(value) <= most):
            return None
        bounds = [f"at least {least}"] * (least is not None) + [f"at most {most}"] * (most is not None)
        wanted = str(self.exactly) if self.exactly is not None else " and ".join(bounds)
        return f"has the length {len(value)}, not {wanted}"


class JSONExpectation(Expectation):
    """Expectation of one value of a JSON body. `path` is dotted (`checks.db.status`, `items.0.id`, `items.-1` for
    the last) or a JSON pointer (`/a.b/0`)."""

    path: str
    """Path of the value: `checks.db.status`, `items.0.id`, or a JSON pointer such as `/a.b/0`."""
    exists: bool = True
    """True if the value must be present, false if it must be absent."""
    equals: str | int | float | bool | None = None
    """Exact value."""
    one_of: tuple[str | int | float | bool, ...] = ()
    """Allowed values."""
    matches: Regex | None = None
    """Regular expression that must be found in the value; a number or a boolean is searched in its JSON form."""
    less_than: float | None = None
    """Number that the value must be below."""
    at_most: float | None = None
    """Maximum of the value."""
    greater_than: float | None = None
    """Number that the value must be above."""
    at_least: float | None = None
    """Minimum of the value."""
    same_as: str | None = None
    """Path of another value that it must be equal to."""
    length: LengthExpectation | None = None
    """Length of a list (items), an object (members) or a text (characters): a number, or bounds."""

    @model_validator(mode="after")
    def _absent_is_nothing(self) -> Self:
        if not self.exists and self.model_fields_set - {"path", "exists"}:
            raise ValueError("a value that must not exist has nothing else to expect")
        return self

    def failure(self, document: Any) -> Failure | None:
        value = json_path.follow(document, json_path.steps_of(self.path))
        name = f"JSON value {self.path!r}"
        if (value is not json_path.ABSENT) != self.exists:
            return FailureKind.UNEXPECTED_RESPONSE, f"{name} {'is missing' if self.exists else 'should not be there'}"
        if value is json_path.ABSENT:
            return None
        if "equals" in self.model_fields_set and not _same(value, self.equals):
            return FailureKind.UNEXPECTED_RESPONSE, f"{name} is {_shown(value)}, not {json.dumps(self.equals)}"
        if wrong := self._wrong(value, document):
            return FailureKind.UNEXPECTED_RESPONSE, f"{name} {wrong}"
        return None

    def _wrong(self, value: Any, document: Any) -> str | None:
        """Return the first of the other expectations that fails, as text to follow the value's name."""
        if self.one_of and not any(_same(value, wanted) for wanted in self.one_of):
            return f"is {_shown(value)}, not one of {', '.join(map(json.dumps, self.one_of))}"
        if self.matches is not None:
            if isinstance(value, dict | list) or value is None:
                return f"is {_shown(value)}, which no pattern matches"
            if not is_found(self.matches, value if isinstance(value, str) else json.dumps(value)):
                return "does not match" if isinstance(value, str) else f"is {_shown(value)}, which does not match"
        if self.same_as is not None:
            other = json_path.follow(document, json_path.steps_of(self.same_as))
            if other is json_path.ABSENT or not _same(value, other):
                return f"is not the same as {self.same_as!r}" + (
                    ", which is missing" if other is json_path.ABSENT else ""
                )
        return self._out_of_bounds(value) or (self.length.wrong(value) if self.length is not None else None)

    def _out_of_bounds(self, value: Any) -> str | None:
        bounds = {
            "less than": (self.less_than, operator.lt),
            "at most": (self.at_most, operator.le),
            "greater than": (self.greater_than, operator.gt),
            "at least": (self.at_least, operator.ge),
        }
        for words, (limit, holds) in bounds.items():
            if limit is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int | float):
                return f"is {_shown(value)}, not a number"
            if not holds(value, limit):
                return f"is {_shown(value)}, not {words} {limit:g}"
        return None


def _same(value: Any, wanted: Any) -> bool:
    """Compare JSON values; true is not equal to 1."""
    return isinstance(value, bool) == isinstance(wanted, bool) and bool(value == wanted)


def _shown(value: Any) -> str:
    """Show numbers, true, false and null; of every other value only its type."""
    if value is None or isinstance(value, bool | int | float):
        return json.dumps(value)
    return "another text" if isinstance(value, str) else "an object" if isinstance(value, dict) else "a list"
