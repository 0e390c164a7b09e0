"""The options of the source `sql`, without the driver, which is loaded where one is configured."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import SecretStr

from healthd.checks.sql_database import SqlURI, is_mysql
from healthd_gates.sources.contract import Arm, ArmError, Arms
from healthd_gates.sources.counters import Family
from healthd_gates.sources.numbers import NumbersConfig
from healthd_gates.sources.selectors import meant

_PLACEHOLDER = re.compile(r"\$([a-zA-Z_][a-zA-Z0-9_]*)")
_LITERAL = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"")
_NUMBERED = re.compile(r"\$[0-9]")
_READING = frozenset({"SELECT", "WITH", "VALUES", "TABLE", "SHOW"})
_DOLLAR_QUOTE = re.compile(r"\$[a-zA-Z_0-9]*\$")


Style = Literal["numbered", "repeated"]
"""Form of parameters in a query: `$1` and `$2`, or `%s` each time."""


class SqlSourceConfig(NumbersConfig):
    """Numbers that queries find in PostgreSQL or MySQL: the first column of the first row, an interval in seconds.
    `$version`, `$target` and the names of labels are parameters of the query, and stand in it without quotes.
    """

    kind: Literal["sql"]
    uri: SqlURI
    """Address: `postgresql://user:password@host/database`, with TLS options such as `?sslmode=verify-full`; or
    `mysql://…?ssl-mode=VERIFY_IDENTITY`, which needs the extra `mysql`."""
    requests: str | None = None
    """Query of the count of requests, for criteria of error rate; without it, there are only those of criteria."""
    errors: str | None = None
    """Query of the count of failed requests."""

    @property
    def texts(self) -> dict[Family, str]:
        queries = {Family.REQUESTS: self.requests, Family.ERRORS: self.errors}
        return {family: query for family, query in queries.items() if query is not None}

    def depends_on_arm(self, text: str) -> bool:
        return _PLACEHOLDER.search(text) is not None

    def check_text(self, text: str) -> None:
        if not text.strip():
            raise ValueError("is no query")
        if (word := first_word(text)) not in _READING:
            raise ValueError(f"begins with {word or 'no word'}, and is only read from: write a query, such as SELECT")
        if _DOLLAR_QUOTE.search(text):
            raise ValueError("a text between dollar signs looks like a placeholder: quote it with '…'")
        if _NUMBERED.search(text):
            raise ValueError("parameters have names: write $version, $target or a label")
        for literal in _LITERAL.findall(text):
            if (inside := _PLACEHOLDER.search(literal)) is not None:
                raise ValueError(f"{inside[0]} is a parameter: write it without quotes")

    def check_text_of(self, text: str, arms: Arms) -> None:
        for name, arm in arms.named().items():
            parametrized(text, name, arm)


def first_word(text: str) -> str:
    """Return the first word of a query in upper case, after comments and brackets."""
    found = re.match(r"(?:\s|\(|--[^\n]*(?:\n|\Z)|/\*.*?\*/)*([A-Za-z]*)", text, re.DOTALL)
    return found[1].upper() if found else ""


def style_of(uri: SecretStr) -> Style:
    return "repeated" if is_mysql(uri) else "numbered"


def parametrized(text: str, name: str, arm: Arm, style: Style = "numbered") -> tuple[str, tuple[str, ...]]:
    """Return a query with parameters, each a text, and their values. Raises ArmError."""
    values, found = arm.values(name), list[str]()

    def parameter(placeholder: re.Match[str]) -> str:
        if placeholder[1] not in values:
            field = placeholder[1] if placeholder[1] == "target" else f"labels.{placeholder[1]}"
            text = f"is needed: the source tells versions apart by {placeholder[0]}{meant(placeholder[1])}"
            raise ArmError(f"{name}.{field}", text)
        if style == "repeated" or placeholder[1] not in found:
            found.append(placeholder[1])
        return "%s" if style == "repeated" else f"${found.index(placeholder[1]) + 1}::text"

    if style == "repeated" and _PLACEHOLDER.search(text) is not None:
        text = text.replace("%", "%%")
    query = _PLACEHOLDER.sub(parameter, text)
    return query, tuple(values[each] for each in found)
