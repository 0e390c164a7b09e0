"""Slips of the pen that YAML notices some lines later, or not at all: found in the text, for a message with the line
and the cure."""

from __future__ import annotations

import re

_OPENED = re.compile(r"""^(?:[^'"#]*?: |\s*- |\s*)(?:(")(?:[^"\\]|\\.)*|(')(?:[^']|'')*)$""")
_AFTER_QUOTE = re.compile(r"^\s*(?:[,}\]]|#|$)")
_NAME = re.compile(r"[\w.]+")
_NO_COLON = re.compile(r"^\s*[\w-]+(?: [^:]*)?$")
_GLUED = re.compile(r"^\s*(?:- +)?(?P<key>[A-Za-z_][\w-]*):(?P<value>(?![:/\s])(?:(?!: | #).)+?)\s*(?: #.*)?$")
_DASHED = re.compile(r"^\s*-(?P<key>[A-Za-z_][\w-]*):(?:\s|$)")
_EMPTY = re.compile(r"^\s*(?:#.*)?$")
_KEYS_EXPECTED = ("mapping values", "could not find expected ':'", "expected '<document start>'")
_ODD_SPACE = re.compile(r"^[ \t]*[\u00a0\u2000-\u200a\u202f\u205f\u3000]")


def odd_indentation(text: str) -> tuple[str, int] | None:
    """Return what is wrong with a line that is indented by spaces that YAML takes for text, and its number; None where
    there is none."""
    for number, line in enumerate(text.split("\n") if not text.isascii() else (), 1):
        if _ODD_SPACE.match(line):
            return "a no-break or wide space cannot indent: write plain spaces", number
    return None


def cause(text: str, line: int, problem: str, column: int) -> tuple[str, int] | None:
    """Return what went wrong above a line with which the YAML library has a problem, and where: a quote that was not
    closed, a key without a colon or without the space behind it, an item without the space behind its dash; or in the
    line, before the column: a value that has ended, a variable without quotes. None where that cannot be told."""
    lines = text.split("\n")
    if "but got '{'" in problem and lines[line - 1][column - 1 : column + 1] == "${":
        name = _NAME.match(lines[line - 1], column + 1)
        return (
            f'"${{{name[0] if name else "NAME"}}}" must stand in quotes within {{ }} and [ ]: '
            "YAML takes its braces for a mapping",
            line,
        )
    if (opened := _unclosed(lines)) is not None and opened <= line:
        return "a quoted text begins here, and is not closed in this line", opened
    if (dashed := _dashed_above(lines, line)) is not None:
        return dashed
    if problem.startswith(_KEYS_EXPECTED) and (glued := _glued_above(lines, line)) is not None:
        return glued
    if line >= 2 and problem.startswith("mapping values") and _is_bare(lines[line - 2], lines[line - 1]):
        return "a key without a colon: write `key: value`", line - 1
    if problem.startswith("expected <block end>, but found '<scalar>'") and lines[line - 1][:column].strip():
        return "a value has ended, and text follows it: take that out, or quote all of it", line
    return None


def key_glued_to_its_value(text: str) -> str | None:
    """Return the key of a text such as `name:x`, where the space behind the colon is missing."""
    return match["key"] if (match := _GLUED.match(text)) else None


def _dashed_above(lines: list[str], line: int) -> tuple[str, int] | None:
    """Return what to write for an item that has no space behind its dash, in a line or in the next one with a text
    above it, and its number; None where there is none."""
    above = [number for number in range(min(line, len(lines)), 0, -1) if not _EMPTY.match(lines[number - 1])][:2]
    for number in above:
        if match := _DASHED.match(lines[number - 1]):
            return f"a space belongs behind each -: write `- {match['key']}: …`", number
    return None


def _glued_above(lines: list[str], line: int) -> tuple[str, int] | None:
    """Return what to write for the first of the keys in or above a line that have no space behind their colon, and its
    number; None where the text there is another."""
    found = None
    for number in range(min(line, len(lines)), 0, -1):
        if match := _GLUED.match(lines[number - 1]):
            found = f"a space is missing behind the colon: write `{match['key']}: …`", number
        elif number < line and not _EMPTY.match(lines[number - 1]):
            break
    return found


def _unclosed(lines: list[str]) -> int | None:
    """Return the number of the first line whose quoted text ends in the middle of another one, or nowhere."""
    quote, opened = "", 0
    for number, line in enumerate(lines, 1):
        if quote:
            _, closed, after = line.partition(quote)
            if closed and not _AFTER_QUOTE.match(after):
                return opened
            quote = "" if closed else quote
        elif found := _OPENED.match(line):
            quote, opened = found[1] or found[2], number
    return opened if quote else None


def _is_bare(above: str, below: str) -> bool:
    """True if a line is a word or two, indented as the key below it is."""
    indented = len(above) - len(above.lstrip()) == len(below) - len(below.lstrip())
    return indented and _NO_COLON.match(above) is not None
