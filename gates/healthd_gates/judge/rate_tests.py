"""The two tests of a rate of events: above a limit, and higher than the baseline's by more than a ratio.

Events of an interval are a negative binomial around rate times exposure: Poisson, but for a spread that is estimated as
that of errors is. So exposure is counted in units in which a thousand make the reference's one event; in these units a
rate is what an error rate of 0.1 % is, and the estimates of burstiness hold as they are.
"""

from __future__ import annotations

from math import inf

from healthd_gates.judge.arms import Pair, Pairing, at_once
from healthd_gates.judge.criterion import Frame
from healthd_gates.judge.evalues import harm_rate
from healthd_gates.judge.joint_cap import Caps
from healthd_gates.judge.mixtures import OnsetMixture
from healthd_gates.judge.processes import BaselineHarm

UNITS = 1000.0
"""Units of exposure in which the reference expects one event."""

_TIMES = (1.5, 2.0, 4.0, 8.0)


class RateHarm:
    """E-process against "at most `limit` events in a unit of exposure"."""

    def __init__(self, limit: float, horizon: int) -> None:
        self._limit = limit
        self._mixture = OnsetMixture(len(_TIMES), horizon)

    def step(self, events: float, exposure: float, odds: float, cap: float = inf) -> None:
        """Take one interval; no alternative gains more than `cap` nats (0: only evidence for the candidate counts)."""
        self._mixture.step([min(cap, harm_rate(events, exposure, self._limit, times, odds)) for times in _TIMES])

    @property
    def log_e(self) -> float:
        """ln E so far."""
        return self._mixture.log_e


class AboveBaselineRate:
    """Harm of "more than `ratio` times the baseline's rate", for any rate of the baseline."""

    cause = "higher than the baseline allows"

    def __init__(self, ratio: float, frame: Frame) -> None:
        self._pairing = Pairing()
        self._harm = BaselineHarm(ratio, frame.horizon, burst=frame.burst)

    def step(
        self,
        candidate: tuple[float, float] | None,
        baseline: tuple[float, float] | None,
        odds: float,
        caps: Caps,
    ) -> None:
        """Take the exposure and events of both arms in one interval; an arm that is None sent nothing."""
        pair = self._pairing.add(candidate, baseline)
        if pair is not None:
            self._harm.step(pair, odds, caps)

    def settle(self, candidate: tuple[float, float] | None, baseline: tuple[float, float] | None, odds: float) -> None:
        """Take one interval in which the candidate settles."""
        if pair := at_once(candidate, baseline):
            self._harm.settle(pair, odds)

    @property
    def uncompared(self) -> bool:
        """True if there has been no data to compare with."""
        return not self._pairing.count

    @property
    def totals(self) -> Pair:
        """Both arms' exposure and events so far."""
        return self._pairing.totals

    @property
    def log_e(self) -> float:
        """ln E of harm."""
        return self._harm.log_e
