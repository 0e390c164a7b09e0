"""Checks a source before a gate starts: a gate that could never be judged is refused before anything is switched."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from math import inf

import structlog

from healthd.checks.failures import describe
from healthd.runtime.deadline import DeadlineExceededError, with_deadline
from healthd.units import show_duration
from healthd_gates.criteria.contract import CriterionConfig
from healthd_gates.domain.errors import InvalidRequest
from healthd_gates.sources import build_source
from healthd_gates.sources.contract import Arms, Source, SourceConfig, SourceContext, SourceUnavailable
from healthd_gates.sources.inspection import LASTING, InspectableSource, Inspection

_log = structlog.get_logger(__name__)
INSPECTION = 5.0  # seconds that a start, a note or a verdict waits for it at most
_CLOSING = 1.0


async def check_before_start(
    config: SourceConfig, arms: Arms, context: SourceContext, criteria: Sequence[CriterionConfig] = ()
) -> tuple[str, ...]:
    """Return doubts about the numbers that a gate would be judged by, by these criteria of it. Raises InvalidRequest if
    it could never be judged.

    A source that is down or slow causes no refusal: it may be back before it is needed.
    """
    try:
        source = build_source(config, arms, context)
        try:
            found = await inspected(source, INSPECTION)
        finally:
            await with_deadline(_CLOSING, source.close(), name="close-source")
    except (SourceUnavailable, DeadlineExceededError) as outage:
        found = without_answer(outage)
    except asyncio.CancelledError:
        raise
    except Exception as error:  # the boundary of a source: its bugs must not keep a gate from starting
        _log.exception("source not inspected, internal error", error=describe(error))
        return ()
    found = with_buckets(config, found, criteria)
    if found.refused:
        raise _refusal("; ".join(found.refused))
    return found.doubtful


def with_buckets(config: SourceConfig, found: Inspection, criteria: Sequence[CriterionConfig]) -> Inspection:
    """Return an inspection with what the buckets that there are would hide of these criteria, and the cure.

    A critical limit below the first edge of the candidate is refused: nothing would ever be proven to be below it.
    Between two edges, or where only the baseline has buckets yet, the release may decide it.
    """
    refused, doubtful = [*found.refused], [*found.doubtful]
    for name, arm in found.arms.items():
        edges = [edge for edge in arm.edges if edge < inf] or [inf]
        for each in criteria if arm.edges else ():
            if (told := each.hidden_by(edges)) is not None:
                doubtful.append(f"{told}: {config.more_edges}")
            if (around := each.limit_between(edges)) is None or (around[0] > 0 and around[1] == inf):
                continue  # buckets that end below a limit are told by the source
            never = each.critical and name == "candidate" and around[0] == 0
            hidden = (f"criterion {each.name} {_hidden(it, *around)}: {edge_at(it)}" for it in each.latency_limits)
            (refused if never else doubtful).extend(hidden)
    return replace(found, refused=tuple(dict.fromkeys(refused)), doubtful=tuple(dict.fromkeys(doubtful)))


def edge_at(limit: float) -> str:
    """Return the remedy for buckets in which a limit of latency, in seconds, is hidden."""
    return (
        f'put an edge at the limit where the histogram is written (le="{limit:g}" in seconds), or the limit at an edge'
    )


def _hidden(limit: float, low: float, high: float) -> str:
    shown = show_duration(limit)
    if low:
        return (
            f"has a limit of {shown}, and buckets end at {show_duration(low)} and {show_duration(high)}: between the"
            " two nothing is ever proven"
        )
    first = f"everything up to {show_duration(high)} is in the first bucket" if high < inf else "there is one bucket"
    return f"has a limit of {shown}, and {first}, so that nothing is ever proven to be below the limit"


async def doubts_about(source: Source) -> tuple[str, ...]:
    """Return what looks misnamed or is not there in a source whose numbers a gate misses: with the nearest word that
    there is. None if the source cannot be asked."""
    try:
        found = await inspected(source, INSPECTION)
    except (SourceUnavailable, DeadlineExceededError):
        return ()
    except asyncio.CancelledError:
        raise
    except Exception as error:  # as above: the gate is decided all the same
        _log.exception("source not inspected, internal error", error=describe(error))
        return ()
    return (*found.refused, *found.doubtful, *found.unseen)


async def inspected(source: Source, seconds: float) -> Inspection:
    """Return a source's state, within so many seconds. Raises SourceUnavailable or DeadlineExceededError."""
    if not isinstance(source, InspectableSource):
        return Inspection({})
    return await with_deadline(seconds, source.inspect(), name="inspect-source")


def without_answer(outage: SourceUnavailable | DeadlineExceededError) -> Inspection:
    """Return the state of a source that did not tell it: no gate starts by one that waiting does not cure."""
    if isinstance(outage, DeadlineExceededError):
        return Inspection({}, doubtful=(outage.told_of("the source"),))
    told = (str(outage),)
    return Inspection({}, refused=told) if outage.kind in LASTING else Inspection({}, doubtful=told)


def _refusal(problem: str) -> InvalidRequest:
    return InvalidRequest(
        field="service", problem=f"no gate could be judged by its source: {problem} (see `healthd source test`)"
    )
