"""An error rate and a latency that are also judged stratum by stratum, such as route by route."""

from __future__ import annotations

from dataclasses import replace

from healthd_gates.domain.evidence import Counts
from healthd_gates.domain.standing import CriterionReport, Finding
from healthd_gates.domain.strata import MOST
from healthd_gates.judge.criterion import Frame, Look
from healthd_gates.judge.error_rate import ErrorRate
from healthd_gates.judge.latency import Latency
from healthd_gates.judge.latency_stratum import LatencyStratum
from healthd_gates.judge.past import Past
from healthd_gates.judge.rules import ErrorRateRule, LatencyRule
from healthd_gates.judge.strata import Each, Strata
from healthd_gates.judge.stratum import Stratum


class StratifiedErrorRate(ErrorRate):
    """An `ErrorRateRule` that is split by the label `by`."""

    def __init__(self, rule: ErrorRateRule, by: str, frame: Frame, past: Past) -> None:
        super().__init__(rule, frame, past)
        each = replace(frame, parts=MOST + 1)
        self._strata = Strata(by, lambda name: Stratum(name, rule, each, past), _requests, past)

    def step(self, look: Look) -> None:
        super().step(look)
        self._strata.step(look, self._frame)

    @property
    def _parts(self) -> list[tuple[float, float, str]]:
        return self._strata.parts(super()._parts)

    @property
    def _worst(self) -> Each | None:
        return self._strata.worst(super()._parts)

    @property
    def proven(self) -> bool:
        """True if safety is proven of the total, and no stratum holds a pass back."""
        return super().proven and not self._strata.hold_back

    @property
    def acceptable(self) -> bool:
        """True if the total is, and no stratum is suspect."""
        return super().acceptable and not self._strata.suspects

    def report(self, silence: Finding | None) -> CriterionReport:
        return _with_strata(super().report(silence), self._strata, self._worst)

    def _seen(self, finding: Finding) -> str:
        if finding is not Finding.HARM or (worst := self._worst) is None:
            return super()._seen(finding)
        return f"{worst.seen} there, {super()._seen(Finding.OPEN)} in all"

    def _limits(self, baseline: float | None) -> str:
        worst = self._worst if self.log_e_harm >= self._frame.harm_needed else None
        return super()._limits(baseline) if worst is None else worst.limits


class StratifiedLatency(Latency):
    """A `LatencyRule` that is split by the label `by`."""

    def __init__(self, rule: LatencyRule, by: str, frame: Frame, past: Past) -> None:
        super().__init__(rule, frame, past)
        each = replace(frame, parts=MOST + 1)
        self._strata = Strata(by, lambda name: LatencyStratum(name, rule, each, past), _measured, past)

    def step(self, look: Look) -> None:
        super().step(look)
        self._strata.step(look, self._frame)

    @property
    def _parts(self) -> list[tuple[float, float, str]]:
        return self._strata.parts(super()._parts)

    @property
    def _worst(self) -> Each | None:
        return self._strata.worst(super()._parts)

    @property
    def proven(self) -> bool:
        """True if safety is proven of the total, and no stratum holds a pass back."""
        return super().proven and not self._strata.hold_back

    @property
    def acceptable(self) -> bool:
        """True if the total is, and no stratum is suspect."""
        return super().acceptable and not self._strata.suspects

    def report(self, silence: Finding | None) -> CriterionReport:
        return _with_strata(super().report(silence), self._strata, self._worst)

    def _shown(self, finding: Finding) -> str:
        if finding is not Finding.HARM or (worst := self._worst) is None:
            return super()._shown(finding)
        return f"{worst.seen} there, {super()._shown(Finding.OPEN)} in all"

    def _limits(self, baseline: float | None, finding: Finding) -> str:
        worst = self._worst if finding is Finding.HARM else None
        return super()._limits(baseline, finding) if worst is None else worst.limits


def _with_strata(whole: CriterionReport, strata: Strata, worst: Each | None) -> CriterionReport:
    return replace(
        whole,
        sentence=whole.sentence + strata.remark(whole.finding, worst, counted=whole.requests > 0),
        by=strata.by,
        strata_seen=len(strata),
        strata=strata.reports(harmful=whole.finding is Finding.HARM),
    )


def _requests(counts: Counts) -> dict[str, float]:
    return {name: requests for name, (requests, _) in counts.strata.items()}


def _measured(counts: Counts) -> dict[str, float]:
    return {name: latency.total for name, latency in counts.strata_latency.items()}
