"""PromQL expressions of a criterion's value: any function is allowed, since nothing is counted by them.

Placeholders stand inside quoted strings alone, where an arm's value cannot end its string.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from healthd_gates.sources.contract import Arm, ArmError
from healthd_gates.sources.selectors import Selector

_STRING = re.compile(r"""(?P<operator>[=!]~)?(?P<space>\s*)(?P<text>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`[^`]*`)""")
_PLACEHOLDER = re.compile(r"\$(?P<name>[a-zA-Z_][a-zA-Z0-9_]*)")


@dataclass(frozen=True, slots=True)
class Expression:
    """An expression, with its placeholders."""

    text: str

    @classmethod
    def parse(cls, text: str) -> Expression:
        """Parse an expression as far as its placeholders need it; the server checks the rest. Raises ValueError."""
        outside = _STRING.sub('""', text)
        if (free := _PLACEHOLDER.search(outside)) is not None:
            raise ValueError(f'{free[0]} must stand in a quoted string, as in {{version="$version"}}')
        for opening, closing in ("()", "{}", "[]"):
            if outside.count(opening) != outside.count(closing):
                raise ValueError(f"{text!r} has {opening} and {closing} in different numbers")
        if any(quote in _STRING.sub("", text) for quote in "\"'`"):
            raise ValueError(f"{text!r} has a string that does not end")
        return cls(text)

    def fill(self, name: str, arm: Arm) -> str:
        """Return the expression with the placeholders replaced. Raises ArmError; `name` is the arm's, for the message.

        In a pattern the values are literal.
        """
        values = arm.values(name)

        def value(found: re.Match[str], *, is_pattern: bool, is_raw: bool) -> str:
            if found["name"] not in values:
                field = found["name"] if found["name"] == "target" else f"labels.{found['name']}"
                raise ArmError(f"{name}.{field}", f"is needed: the source tells versions apart by {found[0]}")
            text = re.escape(values[found["name"]]) if is_pattern else values[found["name"]]
            return text if is_raw else text.replace("\\", "\\\\")

        def string(found: re.Match[str]) -> str:
            def filled(each: re.Match[str]) -> str:
                return value(each, is_pattern=found["operator"] is not None, is_raw=found["text"][0] == "`")

            return f"{found['operator'] or ''}{found['space']}{_PLACEHOLDER.sub(filled, found['text'])}"

        return _STRING.sub(string, self.text)

    @property
    def tells_apart(self) -> bool:
        """True if any part of it depends on the arm."""
        return _PLACEHOLDER.search(self.text) is not None


def selector_of(text: str) -> Selector | None:
    """Return the expression as a plain selector, None if it is more than that."""
    try:
        return Selector.parse(text)
    except ValueError:
        return None
