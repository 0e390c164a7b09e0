"""Plain sentences for people. No decisions are made here."""

from collections.abc import Callable
from datetime import UTC, datetime
from math import isfinite

from healthd_gates.domain.standing import Bound, Finding, Reason


def percent(rate: float) -> str:
    """Return 0.0123 as "1.23 %"."""
    return f"{100 * rate:.3g} %"


def seconds(value: float) -> str:
    """Return a time in the unit that reads best."""
    if value < 1:
        return f"{1000 * value:.3g} ms"
    return f"{value:.3g} s" if value < 120 else f"{value / 60:.0f} min"


def quantile(value: float, bound: Bound | None, numbered: Callable[[float], str] = seconds) -> str:
    """Return a quantile's time in words."""
    if bound is Bound.AT_MOST:
        return f"at most {numbered(value)}, not known closer"
    return f"above {numbered(value)}, not known closer" if bound is Bound.ABOVE else f"about {numbered(value)}"


def bounding(bound: Bound | None) -> str:
    """Return the sign before a number that only bounds a quantile, None before an estimate."""
    return {Bound.AT_MOST: "≤ ", Bound.ABOVE: "> ", None: ""}[bound]


def number(value: float) -> str:
    """Return a count with thousands separated."""
    return f"{value:,.0f}"


def failed(bad: float, requests: float, noun: str) -> str:
    """Return '2 of 2,000 requests'; fractions, which sampled or extrapolated counts have, are shown where they tell."""
    return f"{counted(bad)} of {counted(requests)} {noun}{'' if counted(requests) == '1' else 's'}"


def counted(value: float) -> str:
    """Return a count as it is; one of less than ten with its fraction."""
    return f"{value:.2g}" if value < 10 else number(value)


def plural(count: float, noun: str) -> str:
    """Return '1 request', '2,000 requests'."""
    return f"{number(count)} {noun}{'' if round(count) == 1 else 's'}"


def still_needed(looks: float, interval: float, requests_per_look: float) -> tuple[float | None, float | None]:
    """Return the requests and seconds that so many intervals take; None if no end is in sight."""
    if not isfinite(looks):
        return None, None
    return looks * requests_per_look, looks * interval


def within_finding(interval: tuple[float, float], finding: Finding, limit: float | None) -> tuple[float, float]:
    """Return an interval that does not contradict a finding: it is above the limit only for harm, and not beyond it
    where safety is proven."""
    low, high = interval
    if limit is None or finding is Finding.HARM:
        return low, high
    return min(low, limit), min(high, limit) if finding is Finding.SAFE else high


def before(
    usual: float | None,
    allowed: float,
    limit: float | None,
    number: Callable[[float], str],
    hidden: tuple[float, float] | None = None,
) -> str:
    """Return what a candidate is held to by the time before the switch; `hidden` is the bucket that it was in, if that
    hides what is compared."""
    if hidden is not None:
        low, high = map(number, hidden)
        return f"between {low} and {high} before the switch, in one bucket that hides several times more: add edges"
    if usual is None:
        return "no past to compare with yet"
    if limit is not None and allowed >= limit:
        return f"up to {number(usual)} before the switch, so that the limit alone decides"
    return f"up to {number(usual)} before the switch, and at most {number(allowed)} tolerated once caches are warm"


def unproven(worst: tuple[float, float, datetime] | None) -> str:
    """Return why what is beyond the limit proves no harm yet: `worst` is the share, seconds and end of the worst part
    of a past in which failures came in bursts, if they did."""
    said = "beyond the limit, and yet no proof of harm"
    if worst is None:
        return said
    share, length, at = worst
    until = f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    return f"{said}: before the switch, too, up to {percent(share)} failed for {seconds(length)} (until {until})"


def finding_sentence(
    finding: Finding,
    what: str,
    cause: str,
    seen: str,
    limits: str,
    needed: float | None,
    needed_seconds: float | None,
    noun: str = "request",
    *,
    counted: bool = True,
    unproven: str | None = None,
) -> str:
    """Return one sentence about a statistical criterion; `cause` says what is wrong, if something is, `noun` what is
    counted, and `counted` whether any of it has been after settling: without, no rate is known yet. `unproven` says why
    what is beyond the limit is no proof of harm, if it is."""
    match finding:
        case Finding.NO_TELEMETRY:
            return f"The {what} is unknown: no telemetry from the candidate."
        case Finding.NO_TRAFFIC if not counted:
            return f"The {what} is unknown: no request came to the candidate."
        case Finding.NO_TRAFFIC | Finding.TRAFFIC_LOST:
            return f"The {what} is open: the candidate has lost its traffic. It was {seen}; {limits}."
        case Finding.HARM:
            return f"The {what} is {cause}: {seen}; {limits}."
        case Finding.CLEAR:
            return f"The {what} shows no sign of harm: {seen}; {limits}."
        case Finding.SAFE:
            return f"The {what} is proven safe: {seen}; {limits}."
        case Finding.BASELINE_ALREADY_BAD:
            return f"Not this release, for the baseline is in trouble too: the {what} is {seen}; {limits}."
        case Finding.OPEN:  # pragma: no branch (mypy knows that there is no other)
            if not counted:
                return f"The {what} is open: {seen}; {limits}."
            if unproven is not None:
                return f"The {what} is open: {seen}; {limits}; {unproven}."
            if needed is None or needed_seconds is None:
                return f"The {what} is open: {seen}; {limits}; at this rate no proof of safety is in sight."
            if needed < 1:  # safety is proven, and something speaks against it
                return f"The {what} is open: {seen}; {limits}; nothing passes while there are signs of harm."
            # Also said of a gate that is over, which awaits nothing more.
            short = f"short of a proof by about {plural(needed, noun)} ({seconds(needed_seconds)})"
            return f"The {what} is open: {seen}; {limits}; {short}."


PROVEN_EARLY = "Watching: proven safe so far; a pass waits for the least time of observation."
REASONS = {
    Reason.SETTLING: "Settling: only a catastrophe would decide now.",
    Reason.OBSERVING: "Watching: the evidence does not suffice yet.",
    Reason.PROVEN_SAFE: "Proven safe by every critical criterion.",
    Reason.NO_EVIDENCE_OF_HARM: "The time is up: limits proven to hold, no evidence of harm.",
    Reason.NO_SIGN_OF_HARM: "The time is up: no sign of harm, where no criterion of the policy proves safety.",
    Reason.HARM: "The candidate is proven harmful.",
    Reason.THRESHOLD_EXCEEDED: "A plain threshold was exceeded.",
    Reason.OBSERVATION_FAILED: "A check that must hold failed.",
    Reason.HARM_SUSPECTED: "The time is up: harm is suspected, yet not proven.",
    Reason.NO_TRAFFIC: "No request came to the candidate, so nothing can be said about it.",
    Reason.NO_TELEMETRY: "The candidate sends no telemetry, so nothing can be said about it.",
    Reason.TRAFFIC_LOST: "The candidate had traffic and has lost it, which is no sign of health.",
    Reason.SOURCE_UNAVAILABLE: "The source cannot be asked, which says nothing of the candidate.",
    Reason.TELEMETRY_LOST: "The candidate's numbers have stopped coming, which is no sign of health.",
    Reason.TRAFFIC_FALLING: "The candidate's traffic is falling: nothing passes while it does.",
    Reason.NOT_FRESH: "The candidate's newest numbers are not there yet: nothing passes without them.",
    Reason.UNWATCHED: "Nobody looked for a while: nothing passes until the candidate's traffic is seen again.",
    Reason.NO_BASELINE: "The baseline sends no numbers, so the comparison that the policy asks for cannot be made.",
    Reason.NO_SERIES: "A criterion's own numbers do not come, so nothing can be said about it.",
    Reason.MISCOUNTED: "More errors than requests are counted: the two selectors do not count the same thing.",
    Reason.NOT_SWITCHED: "The baseline has most of the requests: the traffic is not with the candidate.",
    Reason.CRASH_LOOPING: "The candidate's processes start again and again; what they fail as they die nobody counts.",
    Reason.RESTARTED: "A process of the candidate began anew: nothing passes until its processes stay alive.",
    Reason.UNREACHABLE: "A process of the candidate cannot be reached: nothing passes until all of them can.",
    Reason.TOO_COARSE: "The buckets of latency are too coarse for what the policy asks: add edges, one at the limit.",
    Reason.NOT_ENOUGH_EVIDENCE: "The time is up and the evidence does not suffice.",
    Reason.BASELINE_ALREADY_BAD: "The baseline is in trouble too.",
}
