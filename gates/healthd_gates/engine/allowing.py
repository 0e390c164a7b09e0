"""The allowance after a look: what a caller is told that sets the weight itself. healthd orders nothing by it. Pure."""

from __future__ import annotations

from math import floor, sqrt

from healthd_gates.config.allowance import Allowance as Options
from healthd_gates.domain.allowance import Allowance
from healthd_gates.domain.standing import Finding, Reason, Standing
from healthd_gates.judge.criterion import END_SUSPICION
from healthd_gates.judge.explain import plural
from healthd_gates.judge.ramp import FIRST, GRAIN
from healthd_gates.judge.ramp import Allowance as Bound

_DEVIATIONS = 2.0
DOUBTED = (Reason.NOT_FRESH, Reason.UNWATCHED, Reason.UNREACHABLE, Reason.RESTARTED)


def allowance(options: Options, bound: Bound, standing: Standing, requests: float, total: float) -> Allowance:
    """Return what the evidence allows, where the candidate had `requests` of all `total` in the newest reports.

    Before it had any it is half of the traffic at most, since a release that has everything is never compared. While
    something stands in the way it is no wider than what the candidate has.
    """
    share = requests / total if total else None
    widest = bound.weight(options.budget)
    held = stopped_by(bound, options.budget, standing) or _unseen(standing)
    allowed = widest if requests else min(widest, FIRST)
    if held:
        allowed = min(allowed, share or 0.0)
    due = widest * total
    return Allowance(
        allowed_weight=1.0 if allowed >= 1.0 else round(floor(allowed / GRAIN + 1e-9) * GRAIN, 4),
        share=share,
        budget=options.budget,
        spent=bound.spent,
        excess=bound.excess,
        traffic=bound.traffic,
        reaction=bound.reaction,
        exceeded=bound.traffic > 0 and requests > due + _DEVIATIONS * sqrt(due) + 2,
        held=held,
    )


def stopped_by(bound: Bound, budget: float | None, standing: Standing) -> str:
    """Return why the evidence allows no wider weight, whoever sets it; empty if it may."""
    if bound.traffic <= 0 or budget is None:
        return "the baseline has sent no numbers of traffic yet"
    if standing.reason is Reason.BASELINE_ALREADY_BAD or any(
        report.critical and report.finding is Finding.BASELINE_ALREADY_BAD for report in standing.criteria
    ):
        return "the baseline is in trouble too"
    if bound.spent >= budget:
        return f"the harm budget of {plural(round(budget), 'request')} is spent"
    return "harm is suspected" if standing.log_e_harm >= END_SUSPICION else ""


def _unseen(standing: Standing) -> str:
    """Return why nobody knows what the candidate does with the traffic that it has; empty if it has none yet.

    Numbers that are only late are no reason: who asks between two of them each time would never be allowed more.
    """
    if standing.reason.is_loss or (standing.reason in DOUBTED and standing.reason is not Reason.NOT_FRESH):
        return standing.sentence[:1].lower() + standing.sentence[1:].rstrip(".")
    return ""
