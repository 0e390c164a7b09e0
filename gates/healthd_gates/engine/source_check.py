"""Checks a source before a gate starts: a gate that could never be judged is refused before anything is switched."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from math import inf

import structlog

from healthd.checks.failures import describe
from healthd.runtime.deadline import DeadlineExceededError, with_deadline
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
    if found.refused:
        raise _refusal("; ".join(found.refused))
    return (*found.doubtful, *hidden_by_buckets(config, found, criteria))


def hidden_by_buckets(config: SourceConfig, found: Inspection, criteria: Sequence[CriterionConfig]) -> tuple[str, ...]:
    """Return which comparisons of latency the buckets that there are would hide, and the cure."""
    every = [[edge for edge in arm.edges if edge < inf] or [inf] for arm in found.arms.values() if arm.edges]
    hidden = [told for edges in every for each in criteria if (told := each.hidden_by(edges)) is not None]
    return tuple(dict.fromkeys(f"{told}: {config.more_edges}" for told in hidden))


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
        return Inspection({}, doubtful=(f"the source gave {outage}",))
    told = (str(outage),)
    return Inspection({}, refused=told) if outage.kind in LASTING else Inspection({}, doubtful=told)


def _refusal(problem: str) -> InvalidRequest:
    return InvalidRequest(
        field="service", problem=f"no gate could be judged by its source: {problem} (see `healthd source test`)"
    )
