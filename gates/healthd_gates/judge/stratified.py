"""Strata of an error rate and of a latency, such as each route's."""

from __future__ import annotations

from dataclasses import replace

from healthd_gates.domain.evidence import Counts
from healthd_gates.domain.strata import MOST
from healthd_gates.judge.criterion import Frame
from healthd_gates.judge.latency_stratum import LatencyStratum
from healthd_gates.judge.past import Past
from healthd_gates.judge.rules import ErrorRateRule, LatencyRule
from healthd_gates.judge.strata import Strata
from healthd_gates.judge.stratum import Stratum


def strata_of_errors(rule: ErrorRateRule, by: str, frame: Frame, past: Past) -> Strata:
    """Return the strata of an error rate that is split by the label `by`."""
    each = replace(frame, parts=MOST + 1)
    return Strata(by, lambda name: Stratum(name, rule, each, past), _requests, past)


def strata_of_latency(rule: LatencyRule, by: str, frame: Frame, past: Past) -> Strata:
    """Return the strata of a latency that is split by the label `by`."""
    each = replace(frame, parts=MOST + 1)
    return Strata(by, lambda name: LatencyStratum(name, rule, each, past), _measured, past)


def _requests(counts: Counts) -> dict[str, float]:
    return {name: requests for name, (requests, _) in counts.strata.items()}


def _measured(counts: Counts) -> dict[str, float]:
    return {name: latency.total for name, latency in counts.strata_latency.items()}
