"""The content of a gate's page as plain values: turns a history into a headline, criteria and their numbers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from math import exp

from healthd.journal.outage import Outage
from healthd.web.pages.deploys import Sign
from healthd_gates.domain.allowance import sentence as allowance_sentence
from healthd_gates.domain.gate import Gate, GateState
from healthd_gates.domain.journal_wording import waits_for_journal
from healthd_gates.domain.standing import CriterionReport, Finding, Standing, StratumReport, Unit
from healthd_gates.judge.explain import bounding, counted, plural, seconds
from healthd_gates.pages.chart import Chart, chart
from healthd_gates.pages.gate_history import GateHistory
from healthd_gates.pages.labels import chance, number, sentence_of, state_of, strength, trouble_of
from healthd_gates.pages.timeline import entered_states

_FINDINGS: dict[Finding, tuple[Sign, str]] = {
    Finding.SAFE: ("healthy", "proven safe"),
    Finding.CLEAR: ("healthy", "no sign of harm"),
    Finding.HARM: ("unhealthy", "harm"),
    Finding.OPEN: ("running", "open"),
    Finding.NO_TRAFFIC: ("degraded", "no traffic"),
    Finding.NO_TELEMETRY: ("unknown", "no telemetry"),
    Finding.TRAFFIC_LOST: ("degraded", "traffic lost"),
    Finding.BASELINE_ALREADY_BAD: ("degraded", "baseline in trouble"),
}


@dataclass(frozen=True, slots=True)
class Headline:
    """The gate in a word and a sentence. `by` is the latest time of the next step, `next` the name of it."""

    service: str
    version: str
    baseline: str | None
    sign: Sign
    word: str
    sentence: str
    notes: tuple[str, ...]
    next: str
    by: datetime | None
    undecided: bool


@dataclass(frozen=True, slots=True)
class StratumView:
    """One stratum of a criterion, such as one route; `seen` is its share of failed requests, or its latency."""

    name: str
    sign: Sign
    word: str
    seen: str
    between: str
    limit: str
    baseline: str


@dataclass(frozen=True, slots=True)
class CriterionView:
    """One criterion. `part` is the share of the evidence needed for a proof of safety that is there, from 0 to 1.
    `strata` are those with the most evidence of harm of `strata_seen`, by the label `by`."""

    name: str
    critical: bool
    sign: Sign
    word: str
    sentence: str
    numbers: tuple[tuple[str, str], ...]
    part: float | None
    needed: str
    chart: Chart | None
    by: str | None = None
    strata_seen: int = 0
    strata: tuple[StratumView, ...] = ()
    strata_seen_as: str = "failed"


@dataclass(frozen=True, slots=True)
class Strength:
    """The evidence of harm in words; `part` is its progress towards a rollback, from 0 to 1."""

    word: str
    e: float
    needed: float
    part: float
    chance: str
    gaps: int
    resets: int


def headline(gate: Gate, outage: Outage | None = None) -> Headline:
    """Return what a person who deploys wants to know first; an outage of the journal comes before all notes."""
    sign, word = state_of(gate)
    undecided = gate.decision is None and not gate.state.is_over
    following: tuple[str, datetime | None] = ("", None)
    if undecided:
        following = (
            "It fails unless a person decides" if gate.state is GateState.HELD else "A verdict",
            gate.decides_by,
        )
    elif gate.state is GateState.WATCHING:
        following = ("The watch ends", gate.watch_until)
    baseline = gate.baseline.version if gate.baseline else None
    trouble = trouble_of(gate)
    notes = (*((trouble,) if trouble else ()), *(() if gate.state.is_over else gate.notes))
    if outage is not None and not gate.state.is_over:
        notes = (waits_for_journal(outage.since), *notes)
    version = gate.candidate.version
    return Headline(gate.service, version, baseline, sign, word, sentence_of(gate), notes, *following, undecided)


def criteria(film: GateHistory) -> tuple[CriterionView, ...]:
    """Return each criterion at the latest evaluation, with its history."""
    gate = film.gate
    entered = entered_states(film)
    settled = _seconds(gate, entered.get(GateState.OBSERVING))
    decided = _seconds(gate, gate.decision.at if gate.decision else None)
    found = []
    for report in gate.standing.criteria if gate.standing else ():
        sign, word = _FINDINGS[report.finding]
        picture = chart(report, film.looks.get(report.name, ()), settled, decided)
        part, needed = _needed(report)
        found.append(
            CriterionView(
                report.name,
                report.critical,
                sign,
                word,
                report.sentence,
                _numbers(report),
                part,
                needed,
                picture,
                report.by,
                report.strata_seen,
                tuple(_stratum(each, report.unit) for each in report.strata),
                "latency" if report.unit is Unit.SECONDS else "failed",
            )
        )
    return tuple(found)


def evidence_of_harm(standing: Standing) -> Strength | None:
    """Return the evidence of harm, None if no criterion has statistics."""
    if not any(report.log_e_harm is not None for report in standing.criteria):
        return None
    log_e, needed = standing.log_e_harm, standing.log_e_needed
    part = min(1.0, max(0.0, log_e / needed)) if needed > 0 else 1.0
    e, e_needed = standing.e_harm, exp(needed)
    return Strength(strength(log_e, needed), e, e_needed, round(part, 3), chance(log_e), standing.gaps, standing.resets)


def allowance(gate: Gate) -> str:
    """Return how wide a caller may make the release that sets its weight itself, empty where it is told nothing."""
    return "" if gate.allowance is None else allowance_sentence(gate.allowance)


def _seconds(gate: Gate, moment: datetime | None) -> float | None:
    return None if moment is None else (moment - gate.created_at).total_seconds()


def _numbers(report: CriterionReport) -> tuple[tuple[str, str], ...]:
    if report.unit is None:
        return ()
    unit = report.unit
    pairs = [("observed", bounding(report.observed_is) + number(report.observed, unit))]
    if report.interval is not None:
        low, high = report.interval
        pairs.append(("likely between", f"{number(low, unit)} and {number(high, unit)}"))
    if report.limit is not None:
        pairs.append(("limit", number(report.limit, unit)))
    if report.baseline is not None and not report.baseline_requests:
        pairs.append(("before the switch", number(report.baseline, unit)))
    elif report.baseline is not None:
        pairs.append(("baseline", f"{number(report.baseline, unit)} of {counted(report.baseline_requests)}"))
    bad = {Unit.RATIO: "errors" if report.noun == "request" else "bad", Unit.SECONDS: "slower than the limit"}.get(unit)
    parts = f", {counted(report.bad)} {bad}" if bad else ""
    pairs.append((f"{report.noun}s seen", f"{counted(report.requests)}{parts}"))
    return tuple(pairs)


def _stratum(report: StratumReport, unit: Unit | None) -> StratumView:
    sign, word = _FINDINGS[report.finding]
    if unit is Unit.SECONDS:
        seen = f"{number(report.observed, unit)} over {counted(report.requests)}" if report.requests else "none"
        usual = f"{number(report.baseline, unit)} over {counted(report.baseline_requests)}"
        baseline = usual if report.baseline_requests else ""
        return StratumView(report.name, sign, word, seen, "", number(report.limit, unit), baseline)
    rate = number(report.bad / report.requests, Unit.RATIO) if report.requests else "none"
    low, high = (number(end, Unit.RATIO) for end in report.interval or (None, None))
    before = report.baseline_bad / report.baseline_requests if report.baseline_requests else None
    return StratumView(
        report.name,
        sign,
        word,
        f"{rate} of {counted(report.requests)}",
        f"{low} and {high}" if report.interval else "",
        number(report.limit, Unit.RATIO),
        "" if before is None else f"{number(before, Unit.RATIO)} of {counted(report.baseline_requests or 0.0)}",
    )


def _needed(report: CriterionReport) -> tuple[float | None, str]:
    """Return the progress of a proof of safety, and what it still needs."""
    if report.finding is Finding.SAFE:
        return 1.0, "none: proven safe"
    if report.finding is not Finding.OPEN or report.unit is None:
        return None, ""
    if report.requests_needed is None or report.seconds_needed is None:
        return None, "no proof in sight at this rate"
    needed = max(1.0, report.requests_needed)
    part = report.requests / (report.requests + needed)
    return round(part, 3), f"about {plural(needed, report.noun)}, {seconds(report.seconds_needed)}"
