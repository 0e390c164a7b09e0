"""Inspects the last lines of a log: the format, the fields that are named, and whose requests there are."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from healthd.nearest import did_you_mean, nearest
from healthd.wording import excerpt
from healthd_gates.sources.access_log.config import AccessLogConfig
from healthd_gates.sources.access_log.counting import Counting
from healthd_gates.sources.access_log.format import Fields, Format
from healthd_gates.sources.access_log.formats import FORMATS
from healthd_gates.sources.access_log.routes import PATH, path_of
from healthd_gates.sources.access_log.series import LogSeries
from healthd_gates.sources.access_log.tally import OTHER, Tally
from healthd_gates.sources.access_log.template import fits_up_to
from healthd_gates.sources.inspection import ArmInspection, Inspection

LENGTH = 512 * 1024
"""Bytes of the log's end that are looked at."""
_SHOWN = 8
_MISFITS = 0.1
_SHAPE = 160  # characters of a line's shape
_LETTERS, _DIGITS = re.compile(r"[^\W\d_][\w%~]*"), re.compile(r"\d+")


def inspect_lines(
    lines: Sequence[str],
    config: AccessLogConfig,
    counting: Counting,
    values: Mapping[str, Collection[str] | None],
    newest: float | None,
    by: str = "",
    series: Sequence[LogSeries] = (),
) -> Inspection:
    """Return what the lines tell. `values` are those by which the lines of each arm are known; `newest` is how many
    seconds ago the log was written to, `by` the field that requests are split by, `series` are those of criteria."""
    form = config.form
    tally = Tally(())
    parsed = [(line, form.parse(line)) for line in lines if line.strip()]
    counting.add((line for line, _ in parsed), tally)
    refused, doubtful = list[str](), list[str]()
    if not tally.lines:
        doubtful.append("the log has no lines yet")
    elif tally.misfits > _MISFITS * tally.lines:
        refused.append(_misfit(parsed, tally, form))
    elif tally.misfits:
        doubtful.append(f"{tally.misfits} of the last {tally.lines} lines do not fit the format {form.name}")
    found = [fields for _, fields in parsed if fields is not None]
    if found and not refused:
        refused += _missing(config.key, "arms_by", found, form)
        for name in config.only:
            refused += _missing(name, f"only.{name}", found, form)
        refused += _missing(by if by != PATH else None, "by", found, form)
        for each in series:
            for part, fields in each.fields(form).items():
                group = refused if part in each.wholes else doubtful
                for name in fields:
                    group += _missing(name, f"criterion {each.stream}: {part}", found, form)
        if form.roles.duration is not None:
            doubtful += [
                f"no latencies: {what}" for what in _missing(form.roles.duration, "fields.duration", found, form)
            ]
    doubtful += config.doubts
    if tally.left_out:
        doubtful.append(
            f"{tally.left_out} of the last {tally.lines} lines are left out, by ignore_agents and ignore_paths"
        )
    arms = {}
    for name, own in values.items():
        counted = sum(cell.requests for (key, _), cell in tally.cells.items() if own is None or key in own)
        parts = {f"{each.stream}.{part}": number for each in series for part, number in each.parts(tally, own).items()}
        arms[name] = ArmInspection({"lines": counted}, newest, numbers=parts)
        if own is not None and not counted and tally.cells and not refused:
            seen = Counter({key: cell.requests for (key, _), cell in tally.cells.items() if key != OTHER})
            there = ", ".join(key[:60] for key, _ in seen.most_common(_SHOWN))
            wanted = ", ".join(sorted(own)[:_SHOWN])
            doubtful.append(f"{name}: no line has {wanted} as its {config.key}; there are: {there}")
    if found and not refused:
        doubtful += [told for each in series for told in _untaken(each, tally, found, form)]
    return Inspection(arms, tuple(refused), tuple(doubtful))


def _untaken(series: LogSeries, tally: Tally, found: Sequence[Fields], form: Format) -> list[str]:
    """Return which whole of a criterion no line is a part of, with the path that may be meant."""
    taken, told = series.parts(tally, None), list[str]()
    for part, selection in series.wholes.items():
        if taken[part]:
            continue
        paths = [matcher.value for matcher in selection if matcher.label == PATH and matcher.operator == "="]
        hint = ""
        if paths and form.roles.request is not None:
            read = form.get(form.roles.request)
            seen = Counter(path_of(read(fields)) for fields in found)
            hint = did_you_mean(paths[0], seen) if paths[0] not in seen and nearest(paths[0], seen) else ""
        told.append(f"criterion {series.stream}: {part} takes none of the last {tally.lines} lines.{hint}")
    return told


def _misfit(parsed: Sequence[tuple[str, Fields | None]], tally: Tally, form: Format) -> str:
    """Return where the lines do not fit, and the format that they do fit."""
    lines = [line for line, _ in parsed]
    misfit = next((line for line, each in parsed if each is None), "")
    text = f"{tally.misfits} of the last {tally.lines} lines do not fit the format {form.name}"
    text += f", as one of this shape: {_shape(misfit)}" if misfit else ""
    fields = [each for _, each in parsed if each is not None]
    if fields and (missing := _missing(form.roles.status, "fields.status", fields, form)):
        return f"{text}: {missing[0]}"
    suiting = [
        other.name for other in FORMATS.values() if other.name != form.name and _share(lines, other) > 1 - _MISFITS
    ]
    if suiting:
        return f"{text}; they fit {' and '.join(suiting)}"
    if form.log_format is not None and not form.is_json:
        up_to = fits_up_to(form.log_format, misfit)
        return f"{text}: one of them does from ${up_to} on no longer" if up_to is not None else text
    return f"{text}: they are no JSON" if form.is_json else text


def _shape(line: str) -> str:
    """Return a line with a letter for each word and a 0 for each number: what it says may be secret."""
    return excerpt(_DIGITS.sub("0", _LETTERS.sub("a", line.strip())), _SHAPE)


def _share(lines: Sequence[str], form: Format) -> float:
    status = form.get(form.roles.status)
    fit = sum(1 for line in lines if (fields := form.parse(line)) is not None and status(fields))
    return fit / len(lines)


def _missing(name: str | None, option: str, found: Sequence[Fields], form: Format) -> list[str]:
    """Return that no line of JSON has a field that the configuration names."""
    if not name or not form.is_json or any(form.get(name)(fields) for fields in found):
        return []
    if any(name in fields for fields in found):
        return []
    known = sorted({key for fields in found for key in fields})
    hint = did_you_mean(name, known) if nearest(name, known) else ""
    return [f"no line has the field {name} ({option}); there are: {', '.join(known[: 3 * _SHOWN])}.{hint}"]


def nearest_file(path: Path) -> str:
    """Return the most similar name in a log's folder, as a question; empty if there is none."""
    try:
        names = [each.name for each in path.parent.iterdir()]
    except OSError:
        return f"; there is no folder {path.parent} either, or healthd may not read it"
    return did_you_mean(path.name, names)
