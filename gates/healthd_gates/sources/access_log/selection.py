"""The lines that a criterion counts: a selector such as `{method="POST",path="/login"}`, and its work on every line.

A field is looked up once a line, however many selections there are: what they make of a value is known from the last
line that had it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

from healthd.nearest import did_you_mean
from healthd.runtime.patterns import PatternTooSlowError, whole_test
from healthd_gates.sources.access_log.format import Fields, Format, Get
from healthd_gates.sources.access_log.routes import PATH
from healthd_gates.sources.selectors import Matcher, parse_matchers

Selection = tuple[Matcher, ...]
STATUS, METHOD = "status", "method"
SHOWN = '{method="POST",path="/login"}'
_PLACEHOLDER = re.compile(r"\$[a-zA-Z_]")
_STATUSES = tuple(str(status) for status in range(100, 600))
_SECONDS_A_VALUE = 0.05
_MOST_VALUES = 4096
"""Values of a field whose result is kept; then it begins anew."""


@lru_cache(maxsize=1024)
def parse_selection(text: str) -> Selection:
    """Parse a selector of lines. Raises ValueError."""
    found = re.fullmatch(r"\s*\{(?P<matchers>.*)\}\s*", text, re.DOTALL)
    names, matchers = parse_matchers(found["matchers"]) if found is not None else (["?"], [])
    if names:
        raise ValueError(f"{text!r} is no selector of lines: write {SHOWN}")
    for matcher in matchers:
        _check_value(matcher)
    return tuple(matchers)


def _check_value(matcher: Matcher) -> None:
    """Check a value that no line could ever have. Raises ValueError."""
    name, value, is_exact = matcher.label, matcher.value, not matcher.is_pattern
    if _PLACEHOLDER.search(value):
        raise ValueError(f"{matcher}: versions are told apart by the source's arms_by and value: leave it out")
    if name == PATH and is_exact and "?" in value:
        raise ValueError(f"{matcher}: a path has no query: leave out {value[value.index('?') :]}")
    if name == PATH and is_exact and value.endswith("*"):
        pattern = re.escape(value[:-1]).replace("\\", "\\\\")
        raise ValueError(f'{matcher} is one path: for all that begin so write path=~"{pattern}.*"')
    if name == PATH and is_exact and not value.startswith("/"):
        raise ValueError(f'{matcher}: a path begins with /: write path="/{value}"')
    if name == METHOD and is_exact and value != value.upper():
        raise ValueError(f'{matcher}: methods are in capitals: write method="{value.upper()}"')
    if name == STATUS and not any(map(_test(matcher), _STATUSES)):
        is_class = re.fullmatch(r"[1-5][xX]{2}", value)
        hint = f'write status=~"{value[0]}.."' if is_class else 'write one of three digits, or a pattern such as "5.."'
        raise ValueError(f"{matcher} fits no status: {hint}")


def check_selection(selection: Selection, form: Format) -> None:
    """Check that lines of a format have what a selector names. Raises ValueError."""
    for matcher in selection:
        name = matcher.label
        if name == PATH and form.roles.request is None:
            raise ValueError("path needs the request in the line, such as NGINX's $request")
        if name == METHOD and form.roles.request is None and form.roles.method is None:
            raise ValueError("method needs the request in the line, such as NGINX's $request")
        if name not in (PATH, METHOD, STATUS) and not form.has(name):
            known = tuple(dict.fromkeys((PATH, METHOD, STATUS, *(form.fields or ()))))
            raise ValueError(
                f"{name} is no field of {form.name}; there are: {', '.join(known)}.{did_you_mean(name, known)}"
            )


def field_of(name: str, form: Format) -> str:
    """Return the field of a line in which a selector's word is looked for."""
    roles = form.roles
    return {PATH: roles.request, METHOD: roles.method or roles.request, STATUS: roles.status}.get(name) or name


class Selecting:
    """Several selections at work on lines of one format. A set of them is a number: the first one is its lowest bit."""

    def __init__(self, selections: Sequence[Selection], form: Format) -> None:
        self._all = (1 << len(selections)) - 1
        by_name: dict[str, dict[Matcher, int]] = {}
        for index, selection in enumerate(selections):
            for matcher in selection:
                tests = by_name.setdefault(matcher.label, {})
                tests[matcher] = tests.get(matcher, 0) | 1 << index
        self._by_status = _Conditions(by_name.pop(STATUS, {}), self._all)
        self._of_status: dict[int, int] = {}
        self._by_path = _Conditions(by_name.pop(PATH, {}), self._all)
        self._fields = [(_reader(name, form), _Conditions(tests, self._all)) for name, tests in by_name.items()]

    def of(self, fields: Fields, path: str) -> int | None:
        """Return the selections that take a line, whatever its status; None if a pattern took too long."""
        left = self._all
        try:
            for read, conditions in self._fields:
                left &= conditions.of(read(fields))
            if left:
                left &= self._by_path.of(path)
        except PatternTooSlowError:
            return None
        return left

    def of_status(self, status: int) -> int:
        """Return the selections that take a status."""
        found = self._of_status.get(status)
        if found is None:
            found = self._of_status[status] = self._by_status.of(str(status))
        return found


class _Conditions:
    """Results of all selections for the values of one field."""

    def __init__(self, tests: Mapping[Matcher, int], everyone: int) -> None:
        """`tests` has the selections of each condition."""
        self._tests, self._everyone = [(_test(matcher), bits) for matcher, bits in tests.items()], everyone
        self._known: dict[str, int] = {}

    def of(self, value: str) -> int:
        """Return the selections that take a value. Raises PatternTooSlowError."""
        found = self._known.get(value)
        if found is None:
            found = self._everyone
            for fits, bits in self._tests:
                if found & bits and not fits(value):
                    found &= ~bits
            if len(self._known) >= _MOST_VALUES:
                self._known.clear()
            self._known[value] = found
        return found


def _test(matcher: Matcher) -> Callable[[str], bool]:
    """Return the test of one condition."""
    wanted = matcher.value
    if not matcher.is_pattern:
        return wanted.__eq__ if matcher.operator == "=" else wanted.__ne__
    fits = whole_test(wanted, _SECONDS_A_VALUE)
    return fits if matcher.operator == "=~" else lambda value: not fits(value)


def _reader(name: str, form: Format) -> Get:
    read = form.get(field_of(name, form))
    if name == METHOD and form.roles.request is not None:
        request = form.get(form.roles.request)
        return lambda fields: (form.roles.method and read(fields)) or _method_of(request(fields))
    return read


def _method_of(request: str) -> str:
    """Return the method of a request line; empty if it is a path alone."""
    return "" if request.startswith("/") else request.partition(" ")[0]
