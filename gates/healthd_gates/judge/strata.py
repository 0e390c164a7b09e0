"""An error rate that is also judged stratum by stratum, such as route by route: one that dies while the total hides it
is found, within the one risk.

The mean of e-values is an e-value whatever their dependence (Vovk & Wang 2021), at weights that are known before the
outcomes: half is the total's, the rest the strata's, by what traffic alone has shown.
"""

from __future__ import annotations

from dataclasses import replace
from math import inf, log

from healthd_gates.domain.evidence import Counts, Evidence
from healthd_gates.domain.standing import CriterionReport, Finding
from healthd_gates.domain.strata import MOST
from healthd_gates.judge import explain
from healthd_gates.judge.criterion import END_SUSPICION, Frame, Look
from healthd_gates.judge.error_rate import ErrorRate
from healthd_gates.judge.past import Past
from healthd_gates.judge.rules import ErrorRateRule
from healthd_gates.judge.stratum import Stratum

_TOTAL = 0.5  # of the criterion's risk: its detection hardly slows
_LATE = 0.1  # of the strata's: for those that appear after the candidate settled, an equal part each
_SHOWN = 10


class StratifiedErrorRate(ErrorRate):
    """An `ErrorRateRule` that is split by the label `by`."""

    def __init__(self, rule: ErrorRateRule, by: str, frame: Frame, past: Past) -> None:
        super().__init__(rule, frame, past)
        self._by, self._past = by, past
        self._each = replace(frame, parts=MOST + 1)
        self._strata: dict[str, Stratum] = {}
        self._traffic: dict[str, float] = {}
        self._weights: dict[str, float] | None = None
        for numbers, _ in (*past.before, *past.earlier, *past.bake, *past.own):
            self._meet(numbers)

    def step(self, look: Look) -> None:
        super().step(look)
        evidence = look.evidence
        for counts in (evidence.candidate, evidence.baseline):
            self._meet(counts)
        if not look.settling:
            self._weigh()
        caps, share = self._frame.caps(look.rhythm), _share(evidence)
        for stratum in self._strata.values():
            stratum.step(look, caps, share)

    def _meet(self, counts: object) -> None:
        """Take the traffic of one arm; its outcomes are not looked at."""
        if not isinstance(counts, Counts):
            return
        for name, (requests, _) in counts.strata.items():
            if name not in self._strata:
                if len(self._strata) >= 2 * (MOST + 1):  # those of the past and of the gate; no source has more
                    continue
                self._strata[name] = Stratum(name, self._rule, self._each, self._past)
            if self._weights is None:
                self._traffic[name] = self._traffic.get(name, 0.0) + requests

    def _weigh(self) -> None:
        """Fix the weights of those strata that have none: half of them equal, half by traffic."""
        if self._weights is None:
            if not self._strata:
                return
            total, each = sum(self._traffic.values()), 0.5 / len(self._strata)
            shares = {name: self._traffic[name] / total if total else 2 * each for name in self._strata}
            self._weights = {name: (1 - _LATE) * (each + share / 2) for name, share in shares.items()}
        for name in self._strata.keys() - self._weights.keys():
            self._weights[name] = _LATE / (MOST + 1)

    @property
    def _total_parts(self) -> list[tuple[float, float, str]]:
        return [(_TOTAL * weight, log_e, cause) for weight, log_e, cause in super()._parts]

    @property
    def _weighed(self) -> list[tuple[float, Stratum]]:
        return [((1 - _TOTAL) * weight, self._strata[name]) for name, weight in (self._weights or {}).items()]

    @property
    def _parts(self) -> list[tuple[float, float, str]]:
        weighed = self._weighed
        parts = [(weight, each.log_e_harm, f"{each.cause} on {self._called(each)}") for weight, each in weighed]
        unused = max(0.0, 1 - _TOTAL - sum(weight for weight, _ in weighed))
        return [*self._total_parts, *parts, (unused, 0.0, "")]

    @property
    def _worst(self) -> Stratum | None:
        """The stratum that speaks most for harm, if it speaks for more than the total does."""
        weighed = [(log(weight) + each.log_e_harm, each.name) for weight, each in self._weighed]
        total = max(log(weight) + log_e for weight, log_e, _ in self._total_parts)
        most, name = max(weighed, default=(-inf, ""))
        return self._strata[name] if most > total else None

    def _called(self, stratum: Stratum) -> str:
        return f"{self._by} {stratum.name}"

    @property
    def _suspects(self) -> list[Stratum]:
        """Strata that nothing may pass over: clearly beyond their limit, or with more evidence of harm than the worst
        of so many is likely to have by chance."""
        most = END_SUSPICION + log(max(1, len(self._strata)))
        return [each for each in self._strata.values() if each.is_suspect or each.log_e_harm >= most]

    @property
    def _doubtful(self) -> list[Stratum]:
        return [each for each in self._strata.values() if each.is_doubtful]

    @property
    def _silent(self) -> list[Stratum]:
        return [each for each in self._strata.values() if each.is_silent]

    @property
    def proven(self) -> bool:
        """True if safety is proven of the total, no stratum is suspect or above its limit so far, and none has lost its
        requests."""
        return super().proven and not (self._suspects or self._doubtful or self._silent)

    @property
    def acceptable(self) -> bool:
        """True if the total is, and no stratum is suspect."""
        return super().acceptable and not self._suspects

    def report(self, silence: Finding | None) -> CriterionReport:
        whole = super().report(silence)
        harmful = whole.finding is Finding.HARM
        order = sorted(self._strata.values(), key=lambda each: (-each.log_e_harm, -each.requests, each.name))
        return replace(
            whole,
            sentence=whole.sentence + self._remark(whole.finding),
            by=self._by,
            strata_seen=len(self._strata),
            strata=tuple(each.report(harmful=harmful) for each in order[:_SHOWN]),
        )

    def _seen(self, finding: Finding) -> str:
        if finding is not Finding.HARM or (worst := self._worst) is None:
            return super()._seen(finding)
        return f"{worst.seen} there, {super()._seen(Finding.OPEN)} in all"

    def _limits(self, baseline: float | None) -> str:
        worst = self._worst if self.log_e_harm >= self._frame.harm_needed else None
        return super()._limits(baseline) if worst is None else worst.limits

    def _remark(self, finding: Finding) -> str:
        """Return what the strata add, as sentences."""
        if finding is Finding.HARM:
            suspect = max(self._strata.values(), key=lambda each: each.log_e_harm, default=None)
            if self._worst is not None or suspect is None or suspect.log_e_harm < END_SUSPICION:
                return ""
            return f" Most speaks against {self._called(suspect)}: {suspect.seen}."
        if finding in (Finding.NO_TELEMETRY, Finding.NO_TRAFFIC):
            return ""
        if not self._strata:
            return f" Nothing is split by {self._by}: no request has that label." if self._interval.requests else ""
        proven, seen = sum(each.is_proven for each in self._strata.values()), len(self._strata)
        remarks = [f"By {self._by}: {proven} of {seen} proven"]
        doubts = [
            *((each, "is suspect") for each in self._suspects),
            *((each, "is above its limit") for each in self._doubtful),
        ]
        remarks += [f"{self._called(each)} {doubt}, {each.seen}" for each, doubt in doubts[:1]]
        remarks += [
            f"{self._called(each)} has none of about {explain.number(each.due)} requests that are due"
            for each in self._silent[:1]
        ]
        return f" {'; '.join(remarks)}."


def _share(evidence: Evidence) -> float:
    """Return how many requests the candidate had for one of the baseline's, 0 if either had none."""
    candidate, baseline = evidence.candidate, evidence.baseline
    if candidate is None or baseline is None or baseline.requests <= 0:
        return 0.0
    return candidate.requests / baseline.requests
