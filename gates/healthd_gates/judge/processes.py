"""The four sequential tests, each an e-process: harm and safety, against a limit and against a baseline.

They take one interval after another; `log_e` may be read at any time (Ville's inequality: under its null E ever
reaching 1/α has probability at most α). The caller decides which requests count as bad, and in which arm.
"""

from collections.abc import Sequence
from math import inf

from healthd_gates.judge.evalues import harm_above, harm_ratio, safe_below, safe_ratio
from healthd_gates.judge.joint_cap import UNCAPPED, Caps, JointCap
from healthd_gates.judge.mixtures import Mixture, OnsetMixture, log_mean
from healthd_gates.judge.refutation import Onset, Refutation

_HARM_TIMES = (1.2, 1.5, 2.0, 3.0, 5.0, 8.0, 12.0, 18.0)
_SAFE_TIMES = (0.97, 0.9, 0.8, 0.6, 0.4, 0.2, 0.05)
_FRACTIONS = (0.1, 0.35, 0.9)
_SCALED = (0.02, 0.08, 0.2, 0.35, 0.6)
_HARM_RATIOS = (1.25, 1.6, 3.5, 9.0)
_RATIO_WEIGHTS = (0.08, 0.60, 0.22, 0.10)
_FIRST = 0.9
"""Weight of harm that is there from the first interval on: the release causes it."""
_KNOWN = 0.8
"""Weight of the bet on the rate that the past lets expect."""


class LimitHarm:
    """E-process against "the rate is at most `limit`"."""

    def __init__(self, limit: float, horizon: int, times: Sequence[float] = _HARM_TIMES) -> None:
        self._limit = limit
        self._times = (*(k for k in times if k * limit < 0.999), 0.999 / limit)
        self._mixture = OnsetMixture(len(self._times), horizon)

    def step(self, bad: float, requests: float, odds: float, cap: float = inf) -> None:
        """Take one interval; no alternative gains more than `cap` nats (0: only evidence for the candidate counts)."""
        self._mixture.step([min(cap, harm_above(bad, requests, self._limit, times, odds)) for times in self._times])

    @property
    def log_e(self) -> float:
        """ln E so far."""
        return self._mixture.log_e


class BaselineHarm:
    """E-process against "the rate is at most `ratio` times the baseline's", betting on higher multiples.

    A bet on k times the tolerated ratio r stakes the share of every baseline error that is best for independent
    requests: 1 − (1−q₁)/(1−q₀), where q is the candidate's part of all errors, r·n/(r·n+m) and k·r·n/(k·r·n+m).
    """

    def __init__(self, ratio: float, horizon: int, times: Sequence[float] = _HARM_RATIOS, burst: int = 9) -> None:
        """Set up the bets; `burst` is how many reports in a row may be no more than a burst."""
        self._ratio, self._times = ratio, times
        weights = _RATIO_WEIGHTS if times == _HARM_RATIOS else None
        self._mixture = OnsetMixture(len(times), horizon, first=_FIRST, weights=weights)
        self._onset, self._joint, self._bursts = Onset(), JointCap(len(times)), Refutation(len(times), burst)

    def step(self, pair: tuple[float, float, float, float], odds: float, caps: Caps = UNCAPPED) -> None:
        """Take one interval of both arms: candidate's requests and bad ones, baseline's requests and bad ones."""
        log_es = self._log_es(pair, odds)
        late = self._onset.step(pair[0], pair[1], worse=max(log_es) > 0, sure=caps.sure)
        credited = self._joint.step(log_es, caps, late=late)
        share = caps.late if late else caps.first
        self._mixture.step(self._bursts.step(credited, pair[0], pair[1], share, late=late))

    def settle(self, pair: tuple[float, float, float, float], odds: float) -> None:
        """Take one interval that is no evidence, and tells when trouble began."""
        self._onset.step(pair[0], pair[1], worse=max(self._log_es(pair, odds)) > 0)

    def _log_es(self, pair: tuple[float, float, float, float], odds: float) -> list[float]:
        requests, bad, baseline_requests, baseline_bad = pair
        weight, log_es = self._ratio * requests, list[float]()
        for times in self._times:
            fraction = weight * (times - 1) / (weight * times + baseline_requests)
            log_es.append(harm_ratio(bad, requests, baseline_bad, baseline_requests, self._ratio, fraction, odds))
        return log_es

    @property
    def log_e(self) -> float:
        """ln E so far."""
        return self._mixture.log_e


class LimitSafety:
    """E-process against "the rate is at least `limit`".

    If the rate is `expected`, most of the weight is on a bet on just that, which is known before the first interval.
    """

    def __init__(self, limit: float, expected: float | None = None) -> None:
        self._limit = limit
        self._times: tuple[float, ...] = _SAFE_TIMES
        weights: list[float] | None = None
        if expected is not None and expected < _SAFE_TIMES[0] * limit:
            self._times = (*_SAFE_TIMES, max(_SAFE_TIMES[-1], expected / limit))
            weights = [*[(1 - _KNOWN) / len(_SAFE_TIMES)] * len(_SAFE_TIMES), _KNOWN]
        self._mixture = Mixture(len(self._times), weights)

    def step(self, bad: float, requests: float, odds: float) -> None:
        """Take one interval."""
        self._mixture.step(self._steps(bad, requests, odds))

    def looks_needed(self, target: float, bad: float, requests: float, odds: float) -> float:
        """Return the number of intervals like this one until ln E reaches `target`; inf if it never would."""
        return self._mixture.looks_needed(target, self._steps(bad, requests, odds))

    def _steps(self, bad: float, requests: float, odds: float) -> list[float]:
        return [safe_below(bad, requests, self._limit, times, odds) for times in self._times]

    @property
    def log_e(self) -> float:
        """ln E so far."""
        return self._mixture.log_e


class BaselineSafety:
    """E-process against "the rate is at least `ratio` times the baseline's".

    Some stakes shrink as requests come in larger bursts: the best one does, and with much traffic a fixed one would
    lose at every interval.
    """

    def __init__(self, ratio: float) -> None:
        self._ratio = ratio
        self._mixture = Mixture(len(_FRACTIONS) + len(_SCALED))

    def step(self, pair: tuple[float, float, float, float], odds: float) -> None:
        """Take one interval of both arms."""
        self._mixture.step(self._steps(pair, odds))

    def looks_needed(self, target: float, pair: tuple[float, float, float, float], odds: float) -> float:
        """Return the number of intervals like this one until ln E reaches `target`; inf if it never would."""
        return self._mixture.looks_needed(target, self._steps(pair, odds))

    def _steps(self, pair: tuple[float, float, float, float], odds: float) -> list[float]:
        requests, bad, baseline_requests, baseline_bad = pair
        scale = 1 + requests / odds
        return [
            safe_ratio(bad, requests, baseline_bad, baseline_requests, self._ratio, fraction, odds)
            for fraction in (*_FRACTIONS, *(stake / scale for stake in _SCALED))
        ]

    @property
    def log_e(self) -> float:
        """ln E so far."""
        return self._mixture.log_e


class Catastrophe:
    """E-process against "at most half the requests fail": one bet on most of them, and one on all, with a cap of its
    own. The second loses so much on each success that only a total outage makes it gain.

    With a `limit` above one half the threshold moves half-way between the limit and 1.
    """

    def __init__(self, limit: float, horizon: int) -> None:
        self.line = max(0.5, (1 + limit) / 2) if limit > 0.5 else 0.5
        room = 1 / self.line - 1
        self._most = LimitHarm(self.line, horizon, times=(1 + 0.3 * room, 1 + 0.6 * room))
        self._all = LimitHarm(self.line, horizon, times=())

    def step(self, bad: float, requests: float, odds: float, cap: float = inf, outage_cap: float = inf) -> None:
        """Take one interval; no alternative gains more than its cap in nats."""
        self._most.step(bad, requests, odds, cap)
        self._all.step(bad, requests, odds, outage_cap)

    @property
    def log_e(self) -> float:
        """ln E so far."""
        return log_mean([self._most.log_e, self._all.log_e])
