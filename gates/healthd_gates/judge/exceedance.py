"""The two tests of an error rate: above a limit, and higher than the baseline's by more than a ratio."""

from math import inf, log

from healthd_gates.judge.against_past import AgainstPast
from healthd_gates.judge.arms import Pair, Pairing, at_once, errors
from healthd_gates.judge.criterion import Frame
from healthd_gates.judge.joint_cap import Caps
from healthd_gates.judge.mixtures import log_weighted
from healthd_gates.judge.past import Past, Reading
from healthd_gates.judge.processes import BaselineHarm, BaselineSafety, LimitHarm, LimitSafety
from healthd_gates.judge.rules import Against, Comparison


class AboveLimit:
    """Tests of harm and safety against the limit, a fraction."""

    cause = "above the limit"
    uncompared = False

    def __init__(self, limit: float, frame: Frame) -> None:
        self._target = frame.safety_needed
        self._harm, self._safety = LimitHarm(limit, frame.horizon), LimitSafety(limit)

    def step(self, candidate: tuple[float, float], odds: float, cap: float) -> None:
        """Take the candidate's requests and bad ones of one interval."""
        self._harm.step(candidate[1], candidate[0], odds, cap)
        self._safety.step(candidate[1], candidate[0], odds)

    def looks_needed(self, mean: tuple[float, float], odds: float) -> float:
        """Return the number of intervals like the mean one until safety is proven."""
        return self._safety.looks_needed(self._target, mean[1], mean[0], odds)

    @property
    def log_e_harm(self) -> float:
        """ln E of harm."""
        return self._harm.log_e

    @property
    def log_e_safe(self) -> float:
        """ln E of safety."""
        return self._safety.log_e


_EXPECTED = 0.85
"""Weight of the proof that, by the past, is expected to be the shorter one."""
_BELOW = 0.6
"""Times the floor: a version that fails less often is proven safe sooner by the floor than by the ratio."""


class AboveBaseline:
    """Tests of harm against the tolerated ratio, and of safety as a weighted mean of "below the floor" and "below the
    harmful ratio", both of which a harmful candidate would have to refute by chance.
    """

    cause = "higher than the baseline allows"

    def __init__(self, comparison: Comparison, frame: Frame, past: Past, reading: Reading = errors) -> None:
        self._target = frame.safety_needed
        self._against = comparison.against
        self._earlier = past.baseline(reading) if comparison.against is Against.HISTORY else ()
        ratios = ((self._earlier, comparison.tolerated), (self._earlier, comparison.harmful))
        self._past = AgainstPast(*ratios, frame) if self._earlier else None
        self._own = (0.0, 0.0)
        self._pairing = Pairing()
        self._harm = BaselineHarm(comparison.tolerated, frame.horizon, burst=frame.burst)
        rate = past.rate(reading)
        self._floor = LimitSafety(comparison.floor, rate) if comparison.floor else None
        self._share = _floor_share(rate, comparison.floor)
        self._ratio = BaselineSafety(comparison.harmful)

    @property
    def totals(self) -> Pair:
        """Both arms' counts so far."""
        if self._against is Against.CONCURRENT:
            return self._pairing.totals
        return *self._own, sum(m for m, _, _ in self._earlier), sum(y for _, y, _ in self._earlier)

    def step(
        self,
        candidate: tuple[float, float] | None,
        baseline: tuple[float, float] | None,
        odds: float,
        caps: Caps,
    ) -> None:
        """Take one interval; an arm that is None sent nothing."""
        if self._floor and candidate is not None:
            self._floor.step(candidate[1], candidate[0], odds)
        if self._against is Against.HISTORY:
            if candidate is not None and self._past is not None:
                self._own = (self._own[0] + candidate[0], self._own[1] + candidate[1])
                self._past.step(candidate, odds, caps.first)
            return
        pair = self._pairing.add(candidate, baseline)
        if pair is None:
            return
        self._harm.step(pair, odds, caps)
        self._ratio.step(pair, odds)

    def settle(self, candidate: tuple[float, float] | None, baseline: tuple[float, float] | None, odds: float) -> None:
        """Take one interval in which the candidate settles."""
        if pair := at_once(candidate, baseline):
            self._harm.settle(pair, odds)

    @property
    def uncompared(self) -> bool:
        """True if there has been no data to compare with."""
        return not (self._pairing.count or self._past)

    def looks_needed(self, mean: tuple[float, float], odds: float) -> float:
        """Return the number of intervals like the mean one until safety is proven."""
        looks = inf
        if self._floor:
            looks = self._floor.looks_needed(self._target - log(self._share), mean[1], mean[0], odds)
        target = self._target - log(1 - self._share)
        if self._past is not None:
            looks = min(looks, self._past.looks_needed(target, mean, odds))
        elif self._pairing.count and (self._ratio.log_e >= target or not self._pairing.has_lapsed):
            looks = min(looks, self._ratio.looks_needed(target, self._pairing.mean, odds))
        return looks

    @property
    def log_e_harm(self) -> float:
        """ln E of harm."""
        return self._past.log_e_harm if self._past else self._harm.log_e

    @property
    def log_e_safe(self) -> float:
        """ln E of safety. If a concurrent baseline is required, the floor alone is not enough."""
        ratio = self._past.log_e_safe if self._past else self._ratio.log_e
        if self._floor is None or (self.uncompared and self._against is Against.CONCURRENT):
            return ratio
        return log_weighted([(self._share, self._floor.log_e), (1 - self._share, ratio)])


def _floor_share(rate: float | None, floor: float) -> float:
    """Return the weight of the proof by the floor."""
    if not floor or rate is None:
        return 0.5 if floor else 0.0
    return _EXPECTED if rate < _BELOW * floor else 1 - _EXPECTED
