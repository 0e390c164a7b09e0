"""The common part of the traffic criteria: tests against a limit and a baseline, of the total and of each stratum where
the criterion is split, weighed into one e-value of harm and one finding. Each criterion decides what is counted and how
it is worded."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from math import log
from typing import Protocol

from healthd_gates.domain.standing import CriterionReport, Finding, Reason
from healthd_gates.judge.criterion import END_SUSPICION, Frame, Look
from healthd_gates.judge.deterioration import Deterioration
from healthd_gates.judge.mixtures import log_weighted
from healthd_gates.judge.strata import Each, Part, Strata


class Proof(Protocol):
    """A test of harm and of safety at once; `cause` names the harm that it tests for."""

    cause: str

    @property
    def log_e_harm(self) -> float:
        """ln E of harm."""

    @property
    def log_e_safe(self) -> float:
        """ln E of safety."""

    @property
    def uncompared(self) -> bool:
        """True if it compares, and has not been able to yet."""


def weighed(limit: Proof | None, baseline: Proof | None, share: float) -> tuple[float, str] | None:
    """Return ln E of harm, and the likeliest cause, by two tests: that of the limit has `share` of the weight beside
    the other, and each has all of it alone. None without a test."""
    tests = [test for test in (limit, baseline) if test is not None]
    if not tests:
        return None
    weights = (share, 1 - share) if len(tests) == 2 else (1.0,)
    log_e = log_weighted([(weight, test.log_e_harm) for weight, test in zip(weights, tests, strict=True)])
    return log_e, max(tests, key=lambda test: test.log_e_harm).cause


class Weighed(ABC):
    """A criterion that shares its part of the risk among several proofs."""

    _frame: Frame
    _before: Deterioration | None = None
    _strata: Strata | None = None
    _spell = 0.0
    """Seconds that trouble which began late may last and not decide a comparison alone."""
    failed = False
    failure = Reason.HARM

    @abstractmethod
    def _step_total(self, look: Look) -> None:
        """Judge the total in the evidence of one evaluation."""

    @abstractmethod
    def _report_total(self, silence: Finding | None) -> CriterionReport:
        """Return the report, but for the strata."""

    @abstractmethod
    def _shown_of_total(self, finding: Finding) -> str:
        """Return what the candidate was seen to do, for people."""

    @property
    @abstractmethod
    def _tests(self) -> Sequence[Proof]:
        """The tests of the rule: the limit, if any, before the comparison."""

    @property
    @abstractmethod
    def _parts_of_total(self) -> Sequence[Part]:
        """Weight, ln E and name of each kind of harm to the total."""

    @property
    @abstractmethod
    def _is_beyond_limit(self) -> bool:
        """True if the total is worse than the limit: one burst of old numbers can cause that, and then nothing should
        say that it is safe.
        """

    def step(self, look: Look) -> None:
        """Judge the evidence of one evaluation with the estimates before it, then update them."""
        self._step_total(look)
        if self._strata is not None:
            self._strata.step(look, self._frame.caps(look.rhythm, late=self._spell))

    def report(self, silence: Finding | None) -> CriterionReport:
        """Return the criterion's report."""
        report = self._report_total(silence)
        return report if self._strata is None else self._strata.added_to(report, self._worst)

    @property
    def _parts(self) -> Sequence[Part]:
        """Weight, ln E and name of each kind of harm."""
        return self._parts_of_total if self._strata is None else self._strata.parts(self._parts_of_total)

    @property
    def _worst(self) -> Each | None:
        """The stratum that speaks more for harm than the total does."""
        return None if self._strata is None else self._strata.worst(self._parts_of_total)

    def _shown(self, finding: Finding) -> str:
        """Return what was seen where the harm is, for people."""
        worst = self._worst if finding is Finding.HARM else None
        if worst is None:
            return self._shown_of_total(finding)
        return f"{worst.seen} there, {self._shown_of_total(Finding.OPEN)} in all"

    def _limits(self, finding: Finding, of_total: str) -> str:
        """Return what is held to where the harm is, for people."""
        worst = self._worst if finding is Finding.HARM else None
        return of_total if worst is None else worst.limits

    @property
    def _is_worse_than_before(self) -> bool:
        """True if the last minute was several times worse than the time before the switch, where that is compared."""
        return self._before is not None and self._before.is_worse_lately

    @property
    @abstractmethod
    def baseline_bad(self) -> bool:
        """True if the baseline is in trouble by the same measure."""

    @property
    def log_e_harm(self) -> float:
        """ln E of harm: a weighted mean over all kinds of harm."""
        return log_weighted([(weight, log_e) for weight, log_e, _ in self._parts])

    @property
    def log_e_safe(self) -> float:
        """ln E of safety: the weakest of the proofs that the rule requires."""
        return min(test.log_e_safe for test in self._tests)

    @property
    def proven(self) -> bool:
        """True if safety is proven of the total, nothing speaks for harm, and no stratum holds a pass back."""
        seems_safe = self.log_e_safe >= self._frame.safety_needed and self.log_e_harm <= 0
        hidden = self._before is not None and self._before.uncompared
        if not seems_safe or self._is_beyond_limit or self._is_worse_than_before or hidden:
            return False
        return self._strata is None or not self._strata.hold_back

    @property
    def acceptable(self) -> bool:
        """True if the limit is proven (or the comparison, if there is no limit), every required comparison was made,
        and there is no suspicion of harm, nor of any stratum.
        """
        limit_holds = self._tests[0].log_e_safe >= self._frame.safety_needed
        if not limit_holds or self._is_beyond_limit or self._is_worse_than_before:
            return False
        if self._strata is not None and self._strata.suspects:
            return False
        return self.log_e_harm < END_SUSPICION and (self.proven or not self.uncompared)

    @property
    def uncompared(self) -> bool:
        """True if a comparison was required and none was made."""
        return any(test.uncompared for test in self._tests) or (self._before is not None and self._before.uncompared)

    @property
    def compared_with_nothing(self) -> bool:
        """True if a comparison was asked for and there was nothing to compare with, whether it was required or not."""
        return self.uncompared or (self._before is not None and self._before.usual is None)

    @property
    def _cause(self) -> str:
        return max(self._parts, key=lambda part: log(part[0]) + part[1])[2]

    def _finding(self, silence: Finding | None) -> Finding:
        if self.log_e_harm >= self._frame.harm_needed:
            return Finding.HARM
        if silence is not None:
            return silence
        if self.proven:
            return Finding.SAFE
        return Finding.BASELINE_ALREADY_BAD if self.baseline_bad else Finding.OPEN
