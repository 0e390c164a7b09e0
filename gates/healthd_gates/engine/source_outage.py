"""Standing of a gate whose source cannot be asked: what is silent is the source, and not the candidate."""

from __future__ import annotations

from dataclasses import replace

from healthd_gates.domain.standing import Reason, Standing
from healthd_gates.judge.explain import REASONS

_SILENT = (Reason.TELEMETRY_LOST, Reason.NO_TELEMETRY)


def of_outage(standing: Standing) -> Standing:
    """Return the standing without the claim that the candidate has fallen silent; the verdict stays."""
    if standing.reason not in _SILENT:
        return standing
    sentence = standing.sentence.replace(REASONS[standing.reason], REASONS[Reason.SOURCE_UNAVAILABLE])
    return replace(standing, reason=Reason.SOURCE_UNAVAILABLE, sentence=sentence)
