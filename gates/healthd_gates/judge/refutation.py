"""Tells bursts from harm: evidence of those that are over is taken back, once the next reports refute it, and trouble
that began late is told from harm that is there since the switch.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, log, sqrt

_STRONG, _CAPPED, _LATE = 2.0, 1.5, 0.9
"""Nats above which a run of bad reports is more than chance; at most so many caps, and so many if it began late."""
_FEWEST, _PART, _SIGMAS = 5.0, 0.5, 3.0  # errors expected at the rate of the run, and how far fewer there must be
_JUMP, _JUMP_ERRORS = 3.0, 4.0  # times the rate of the calm, and errors beyond it, that a late run has at least


def _too_few(calm: tuple[float, float], run: tuple[float, float]) -> bool:
    """True if the requests of calm reports had less than half of the errors due at the rate of a run of bad ones, and
    too few to be chance; both are requests and bad ones."""
    due = calm[0] * run[1] / run[0] if run[0] else 0.0
    return due >= _FEWEST and calm[1] <= min(_PART * due, due - _SIGMAS * sqrt(due) + 1)


def _jumps(calm: tuple[float, float], run: tuple[float, float]) -> bool:
    """True if the run is clearly worse than the calm: where harm is faint every lucky report would be a late run."""
    return run[1] > _JUMP * (calm[1] + 0.5) / (calm[0] + 100) * run[0] + _JUMP_ERRORS


def _surely_two(calm: tuple[float, float], run: tuple[float, float], nats: float) -> bool:
    """True if a rate for each, taken for Poisson, makes both likelier than one rate for both does, by so many nats. The
    rate of a run of few requests is itself a matter of luck: that of harm looks several times as high in some."""
    pooled = (calm[1] + run[1]) / (calm[0] + run[0])
    return sum(bad * log(bad / (requests * pooled)) for requests, bad in (calm, run) if bad) >= nats


class Onset:
    """Test of whether bad reports in a row began after a calm that is not that of harm at their rate.

    Harm comes with the release: what begins later is more often a burst, and two bursts in a row would look like harm.
    """

    def __init__(self) -> None:
        self._calm = self._run = (0.0, 0.0)
        self._has_spells = False

    def step(self, requests: float, bad: float, *, worse: bool, sure: float = 0.0) -> bool:
        """Take a report of the candidate; return True if it is a bad one of such a run. The first has to be one by at
        least `sure` nats: then the service has spells, and what looks like another is one."""
        before = self._run if worse else self._calm
        added = (before[0] + requests, before[1] + bad)
        self._calm, self._run = (self._calm, added) if worse else (added, (0.0, 0.0))
        late = worse and _too_few(self._calm, self._run) and _jumps(self._calm, self._run)
        self._has_spells = self._has_spells or (late and _surely_two(self._calm, self._run, sure))
        return late and self._has_spells


class Refutation:
    """The gain of each bet in the present run of bad reports, and whether the run was only a burst.

    Harm stays: at the rate of the run errors go on. If less than half of them come, too few to be chance, the run is
    over and is worth nothing, since what each of many bursts left would add up. This only lowers an e-value, and so
    costs no validity.
    """

    def __init__(self, bets: int, longest: int) -> None:
        """Set up for so many bets; a run of more than `longest` reports is no burst."""
        self._bets, self._longest = bets, longest
        self._forget()

    def _forget(self) -> None:
        self._gains = [0.0] * self._bets
        self._reports, self._strong = 0, _STRONG
        self._run, self._calm = (0.0, 0.0), (0.0, 0.0)

    def step(
        self, log_es: Sequence[float], requests: float, bad: float, cap: float = inf, *, late: bool = False
    ) -> list[float]:
        """Take a report of the candidate and the bets' log e-values of it, at most `cap` each; return the values that
        they are credited with. `late` is what `Onset` says of it."""
        worse = max(log_es) > 0
        if not worse and not self._reports:
            return list(log_es)
        self._reports += 1
        self._calm = (self._calm[0] + requests, self._calm[1] + bad)
        credited = list(log_es)
        if worse:
            self._strong = min(self._strong, (_LATE if late else _CAPPED) * cap)
            self._run = (self._run[0] + self._calm[0], self._run[1] + self._calm[1])
            self._calm = (0.0, 0.0)
            self._gains = [gain + max(0.0, step) for gain, step in zip(self._gains, log_es, strict=True)]
        elif _too_few(self._calm, self._run) and max(self._gains) > self._strong:
            credited = [step - gain for gain, step in zip(self._gains, log_es, strict=True)]
            self._forget()
        if self._reports > self._longest:
            self._forget()
        return credited
