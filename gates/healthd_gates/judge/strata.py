"""The strata of a criterion that is split, such as route by route: one that dies while the total hides it is found,
within the one risk.

The mean of e-values is an e-value whatever their dependence (Vovk & Wang 2021), at weights that are known before the
outcomes: half is the total's, the rest the strata's, by what traffic alone has shown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import inf, log
from typing import Protocol

from healthd_gates.domain.evidence import Counts, Evidence
from healthd_gates.domain.standing import CriterionReport, Finding, StratumReport
from healthd_gates.domain.strata import MOST
from healthd_gates.judge import explain
from healthd_gates.judge.criterion import END_SUSPICION, Look
from healthd_gates.judge.joint_cap import Caps
from healthd_gates.judge.past import Past

_TOTAL = 0.5  # of the criterion's risk: its detection hardly slows
_LATE = 0.1  # of the strata's: for those that appear after the candidate settled, an equal part each
_SHOWN = 10

Part = tuple[float, float, str]
"""Weight, ln E and name of one kind of harm."""


class Each(Protocol):
    """One stratum in use."""

    name: str
    log_e_harm: float
    cause: str
    due: float
    """Requests that the candidate would have had by the baseline's, and had none of."""

    def step(self, look: Look, caps: Caps, baseline_share: float) -> None:
        """Judge one evaluation. `baseline_share` is how many requests the candidate had in it for one of the
        baseline's."""

    @property
    def requests(self) -> float:
        """The candidate's requests since it settled."""

    @property
    def is_suspect(self) -> bool:
        """True if the evidence would be suspicious of a criterion by itself, and its counts are clearly beyond the
        limit."""

    @property
    def is_doubtful(self) -> bool:
        """True if it is beyond the limit so far, or clearly in the last minute: nothing passes early then."""

    @property
    def is_silent(self) -> bool:
        """True if the candidate has none of so many requests that it would have had by the baseline's."""

    @property
    def is_proven(self) -> bool:
        """True if it is proven to keep its limit, or what it is compared with, and nothing speaks for harm."""

    @property
    def seen(self) -> str:
        """Numbers that the candidate showed, for people."""

    @property
    def limits(self) -> str:
        """Limits that it is held to, for people."""

    def report(self, harmful: bool) -> StratumReport:
        """Return the report; `harmful` is True if the criterion as a whole has found harm."""


class Strata:
    """The strata of a criterion that is split by the label `by`. `build` makes one of a name, and `traffic` tells the
    requests of each in an arm's counts, never their outcomes."""

    def __init__(
        self, by: str, build: Callable[[str], Each], traffic: Callable[[Counts], Mapping[str, float]], past: Past
    ) -> None:
        self.by = by
        self._build, self._traffic_of = build, traffic
        self._strata: dict[str, Each] = {}
        self._traffic: dict[str, float] = {}
        self._weights: dict[str, float] | None = None
        for numbers, _ in (*past.before, *past.earlier, *past.bake, *past.own):
            self._meet(numbers)

    def step(self, look: Look, caps: Caps) -> None:
        """Judge one evaluation."""
        evidence = look.evidence
        for counts in (evidence.candidate, evidence.baseline):
            self._meet(counts)
        if not look.settling:
            self._weigh()
        share = self._share(evidence)
        for stratum in self._strata.values():
            stratum.step(look, caps, share)

    def _meet(self, counts: object) -> None:
        """Take the traffic of one arm."""
        if not isinstance(counts, Counts):
            return
        for name, requests in self._traffic_of(counts).items():
            if name not in self._strata:
                if len(self._strata) >= 2 * (MOST + 1):  # those of the past and of the gate; no source has more
                    continue
                self._strata[name] = self._build(name)
            if self._weights is None:
                self._traffic[name] = self._traffic.get(name, 0.0) + requests

    def _share(self, evidence: Evidence) -> float:
        """Return how many requests the candidate had for one of the baseline's, 0 if either had none."""
        if evidence.candidate is None or evidence.baseline is None:
            return 0.0
        candidate, baseline = (
            sum(self._traffic_of(counts).values()) for counts in (evidence.candidate, evidence.baseline)
        )
        return candidate / baseline if baseline > 0 else 0.0

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
    def _weighed(self) -> list[tuple[float, Each]]:
        return [((1 - _TOTAL) * weight, self._strata[name]) for name, weight in (self._weights or {}).items()]

    def parts(self, total: Sequence[Part]) -> list[Part]:
        """Return the parts of the criterion: those of the `total` and those of the strata."""
        weighed = self._weighed
        parts = [(weight, each.log_e_harm, f"{each.cause} on {self._called(each)}") for weight, each in weighed]
        unused = max(0.0, 1 - _TOTAL - sum(weight for weight, _ in weighed))
        return [*_of_total(total), *parts, (unused, 0.0, "")]

    def worst(self, total: Sequence[Part]) -> Each | None:
        """Return the stratum that speaks most for harm, if it speaks for more than the total does."""
        weighed = [(log(weight) + each.log_e_harm, each.name) for weight, each in self._weighed]
        of_total = max(log(weight) + log_e for weight, log_e, _ in _of_total(total))
        most, name = max(weighed, default=(-inf, ""))
        return self._strata[name] if most > of_total else None

    def _called(self, stratum: Each) -> str:
        return f"{self.by} {stratum.name}"

    @property
    def suspects(self) -> list[Each]:
        """Strata that nothing may pass over: clearly beyond their limit, or with more evidence of harm than the worst
        of so many is likely to have by chance."""
        most = END_SUSPICION + log(max(1, len(self._strata)))
        return [each for each in self._strata.values() if each.is_suspect or each.log_e_harm >= most]

    @property
    def _doubtful(self) -> list[Each]:
        return [each for each in self._strata.values() if each.is_doubtful]

    @property
    def _silent(self) -> list[Each]:
        return [each for each in self._strata.values() if each.is_silent]

    @property
    def hold_back(self) -> bool:
        """True if one is suspect or beyond its limit so far, or has lost its requests."""
        return bool(self.suspects or self._doubtful or self._silent)

    def _reports(self, *, harmful: bool) -> tuple[StratumReport, ...]:
        """Return the reports of those with the most evidence of harm."""
        order = sorted(self._strata.values(), key=lambda each: (-each.log_e_harm, -each.requests, each.name))
        return tuple(each.report(harmful=harmful) for each in order[:_SHOWN])

    def added_to(self, total: CriterionReport, worst: Each | None) -> CriterionReport:
        """Return the report of the total with what the strata add; `worst` is the one that its sentence names."""
        return replace(
            total,
            sentence=total.sentence + self._remark(total.finding, worst, counted=total.requests > 0),
            by=self.by,
            strata_seen=len(self._strata),
            strata=self._reports(harmful=total.finding is Finding.HARM),
        )

    def _remark(self, finding: Finding, worst: Each | None, *, counted: bool) -> str:
        """Return what the strata add to the criterion's sentence, as sentences; `worst` is the one that it names."""
        if finding is Finding.HARM:
            suspect = max(self._strata.values(), key=lambda each: each.log_e_harm, default=None)
            if worst is not None or suspect is None or suspect.log_e_harm < END_SUSPICION:
                return ""
            return f" Most speaks against {self._called(suspect)}: {suspect.seen}."
        if finding in (Finding.NO_TELEMETRY, Finding.NO_TRAFFIC):
            return ""
        if not self._strata:
            return f" Nothing is split by {self.by}: no request has that label." if counted else ""
        proven, seen = sum(each.is_proven for each in self._strata.values()), len(self._strata)
        remarks = [f"By {self.by}: {proven} of {seen} proven"]
        doubts = [
            *((each, "is suspect") for each in self.suspects),
            *((each, "is above its limit") for each in self._doubtful),
        ]
        remarks += [f"{self._called(each)} {doubt}, {each.seen}" for each, doubt in doubts[:1]]
        remarks += [
            f"{self._called(each)} has none of about {explain.number(each.due)} requests that are due"
            for each in self._silent[:1]
        ]
        return f" {'; '.join(remarks)}."


def _of_total(total: Sequence[Part]) -> list[Part]:
    return [(_TOTAL * weight, log_e, cause) for weight, log_e, cause in total]
