"""Vector selectors: read from the configuration, filled in for an arm, written as PromQL or matched against labels.

Only `name{label="value"}` is a selector, or `{"any.name", "any.label"="value"}` where a name is not a classic one, as
Prometheus 3 and OpenTelemetry have them. Functions, offsets and ranges are refused, since counts must be raw.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal, cast, get_args

from healthd.nearest import nearest
from healthd.runtime.patterns import checked_pattern, fits_whole
from healthd_gates.sources.contract import Arm, ArmError

Operator = Literal["=", "!=", "=~", "!~"]
LatencyUnit = Literal["s", "ms", "us", "ns"]
_HEAD = re.compile(r"\s*(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)?\s*(?:\{(?P<matchers>.*)\})?\s*", re.DOTALL)
_QUOTED = r"""(?:"(?P<{0}double>(?:[^"\\\n]|\\.)*)"|'(?P<{0}single>(?:[^'\\\n]|\\.)*)'|`(?P<{0}raw>[^`]*)`)"""
_MATCHER = re.compile(
    r"\s*(?:(?P<label>[a-zA-Z_][a-zA-Z0-9_]*)|"
    + _QUOTED.replace("{0}", "l")
    + r")\s*(?P<operator>=~|!~|!=|=)\s*"
    + _QUOTED.replace("{0}", "")
    + r"\s*(?P<comma>,|\Z)"
)
_NAME_ALONE = re.compile(r"\s*" + _QUOTED.replace("{0}", "") + r"\s*(?P<comma>,|\Z)")
_CLASSIC_NAME, _CLASSIC_LABEL = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*"), re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_ESCAPES = {"\\": "\\", '"': '"', "'": "'", "n": "\n", "t": "\t", "r": "\r"}
_PER_SECOND = {
    **dict.fromkeys(("milliseconds", "millis", "ms"), 1e3),
    **dict.fromkeys(("microseconds", "micros", "us"), 1e6),
    **dict.fromkeys(("nanoseconds", "nanos", "ns"), 1e9),
}
_UNITS = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}
_UNIT = re.compile(rf"[_.]({'|'.join(_PER_SECOND)})$", re.IGNORECASE)
_PLACEHOLDER = re.compile(r"\$(?P<name>[a-zA-Z_][a-zA-Z0-9_]*)")


def filled(text: str, name: str, arm: Arm, quote: Callable[[str], str] = str) -> str:
    """Return a text with its placeholders replaced by an arm's values. Raises ArmError; `name` is the arm's, for the
    message."""
    values = arm.values(name)

    def value(found: re.Match[str]) -> str:
        if found["name"] not in values:
            field = found["name"] if found["name"] == "target" else f"labels.{found['name']}"
            text = f"is needed: the source tells versions apart by {found[0]}{meant(found['name'])}"
            raise ArmError(f"{name}.{field}", text)
        return quote(values[found["name"]])

    return _PLACEHOLDER.sub(value, text)


def meant(placeholder: str) -> str:
    """Return a suggestion for a placeholder that no arm has a value for: `; did you mean $version?`."""
    hint = nearest(placeholder, ("version", "target"))
    return f"; did you mean ${hint}?" if hint not in (None, placeholder) else ""


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition on a label. `value` is the text itself, without quotes and escapes."""

    label: str
    operator: Operator
    value: str

    @property
    def is_pattern(self) -> bool:
        return self.operator in ("=~", "!~")

    def matches(self, labels: Mapping[str, str]) -> bool:
        """True if the labels match. A label that is absent is empty, and a pattern must match the whole value, as in
        PromQL. Raises ValueError for a pattern that takes too long."""
        value = labels.get(self.label, "")
        same = fits_whole(self.value, value) if self.is_pattern else value == self.value
        return same is (self.operator in ("=", "=~"))

    def __str__(self) -> str:
        label = self.label if _CLASSIC_LABEL.fullmatch(self.label) else _quoted(self.label)
        return f"{label}{self.operator}{_quoted(self.value)}"


@dataclass(frozen=True, slots=True)
class Selector:
    """A metric's name and conditions on its labels. Its `str` is PromQL. `unit` is that of a histogram, if its name
    does not say it."""

    name: str
    matchers: tuple[Matcher, ...] = ()
    unit: LatencyUnit | None = None

    @classmethod
    def parse(cls, text: str) -> Selector:
        """Parse a selector. Raises ValueError for anything but a plain vector selector."""
        head = _HEAD.fullmatch(text)
        names, matchers = parse_matchers(head["matchers"] or "") if head else ([], [])
        names = [head["name"], *names] if head and head["name"] else names
        if not names and any(matcher.label == "__name__" for matcher in matchers):
            raise ValueError(
                f"{text!r} takes several metrics: name one, and what else is to count under `sources`, each with a "
                "criterion of its own"
            )
        if len(names) != 1 or not names[0]:
            raise ValueError(
                f'{text!r} is not a vector selector: write name{{label="value"}}, without functions, ranges or offsets'
                ' (a name with other characters: {"any.name",label="value"})'
            )
        return cls(names[0], tuple(matchers))

    def fill(self, name: str, arm: Arm) -> Selector:
        """Return the selector with the placeholders replaced. Raises ArmError; `name` is the arm's, for the message.

        The values are inserted after the text was parsed, and quoted again when it is written: none can end its string.
        In a pattern they are literal.
        """

        def fill(matcher: Matcher) -> Matcher:
            quote = re.escape if matcher.is_pattern else str
            return Matcher(matcher.label, matcher.operator, filled(matcher.value, name, arm, quote))

        return replace(self, matchers=tuple(map(fill, self.matchers)))

    @property
    def per_second(self) -> float:
        """Number of a histogram's units in a second, by its unit or its name: Istio counts milliseconds."""
        if self.unit is not None:
            return _UNITS[self.unit]
        found = _UNIT.search(self.name.removesuffix("_bucket"))
        return 1.0 if found is None else _PER_SECOND[found[1].lower()]

    @property
    def tells_apart(self) -> bool:
        """True if any part of it depends on the arm."""
        return any(_PLACEHOLDER.search(matcher.value) for matcher in self.matchers)

    def of_any_arm(self) -> Selector:
        """Return the selector without the conditions that depend on the arm."""
        fixed = (matcher for matcher in self.matchers if not _PLACEHOLDER.search(matcher.value))
        return replace(self, matchers=tuple(fixed))

    @property
    def is_classic(self) -> bool:
        """True if it selects the buckets of a classic histogram."""
        return self.name.endswith("_bucket")

    def sum_of_buckets(self) -> Selector:
        """Return the selector of the sum that belongs to a histogram's buckets."""
        return replace(self, name=self.name.removesuffix("_bucket") + "_sum")

    def histogram(self) -> Selector | None:
        """Return the histogram that its classic series belong to; None if the name is not that of a histogram's
        series."""
        for suffix in ("_bucket", "_count", "_sum"):
            if self.name.endswith(suffix):
                return Selector(self.name.removesuffix(suffix), self.matchers)
        return None

    def matches(self, name: str, labels: Mapping[str, str]) -> bool:
        return name == self.name and all(matcher.matches(labels) for matcher in self.matchers)

    def __str__(self) -> str:
        if not _CLASSIC_NAME.fullmatch(self.name):
            return f"{{{','.join([_quoted(self.name), *map(str, self.matchers)])}}}"
        return f"{self.name}{{{','.join(map(str, self.matchers))}}}" if self.matchers else self.name


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")
    return f'"{escaped}"'


def _text(found: re.Match[str], part: str = "") -> str:
    """Return the quoted text of a match, without quotes and escapes."""
    quoted = found[f"{part}double"] if found[f"{part}double"] is not None else found[f"{part}single"]
    return found[f"{part}raw"] if quoted is None else re.sub(r"\\(.)", _unescape, quoted)


def parse_matchers(text: str) -> tuple[list[str], list[Matcher]]:
    """Return the metric's name, if it is among the matchers, and the matchers. Raises ValueError."""
    names: list[str] = []
    matchers: list[Matcher] = []
    place = 0
    while text[place:].strip():
        if (alone := _NAME_ALONE.match(text, place)) is not None:
            names.append(_text(alone))
            place = alone.end()
            continue
        found = _MATCHER.match(text, place)
        if not found:
            raise ValueError(f'{text[place:].strip()!r} is not a label matcher: write label="value"')
        place = found.end()
        operator = cast(Operator, found["operator"])
        assert operator in get_args(Operator)
        matcher = Matcher(found["label"] or _text(found, "l"), operator, _text(found))
        if matcher.label == "__name__" and operator == "=":
            names.append(matcher.value)
            continue
        if matcher.is_pattern:
            _check_pattern(matcher)
        matchers.append(matcher)
    return names, matchers


def _unescape(found: re.Match[str]) -> str:
    if found[1] not in _ESCAPES:
        raise ValueError(f"{found[0]!r} is not an escape in PromQL: in a pattern write two backslashes")
    return _ESCAPES[found[1]]


def _check_pattern(matcher: Matcher) -> None:
    try:
        checked_pattern(_PLACEHOLDER.sub("x", matcher.value))
    except ValueError as error:
        raise ValueError(f"{matcher.value!r} {error}") from None
