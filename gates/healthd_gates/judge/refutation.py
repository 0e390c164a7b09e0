"""Takes back evidence of bursts that are over: the harm that a few bad reports showed, once the next ones refute it."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, sqrt

_STRONG, _CAPPED = 2.0, 1.5  # nats above which a run of bad reports is more than chance; at most so many caps
_FEWEST, _PART, _SIGMAS = 5.0, 0.5, 3.0  # errors expected at the rate of the run, and how far fewer there must be


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
        self._reports = 0
        self._run, self._calm = (0.0, 0.0), (0.0, 0.0)

    def step(self, log_es: Sequence[float], requests: float, bad: float, cap: float = inf) -> list[float]:
        """Take a report of the candidate and the bets' log e-values of it, at most `cap` each; return the values that
        they are credited with."""
        worse = max(log_es) > 0
        if not worse and not self._reports:
            return list(log_es)
        self._reports += 1
        self._calm = (self._calm[0] + requests, self._calm[1] + bad)
        credited = list(log_es)
        if worse:
            self._run = (self._run[0] + self._calm[0], self._run[1] + self._calm[1])
            self._calm = (0.0, 0.0)
            self._gains = [gain + max(0.0, step) for gain, step in zip(self._gains, log_es, strict=True)]
        elif self._is_refuted(min(_STRONG, _CAPPED * cap)):
            credited = [step - gain for gain, step in zip(self._gains, log_es, strict=True)]
            self._forget()
        if self._reports > self._longest:
            self._forget()
        return credited

    def _is_refuted(self, strong: float) -> bool:
        due = self._calm[0] * self._run[1] / self._run[0] if self._run[0] else 0.0
        few = self._calm[1] <= min(_PART * due, due - _SIGMAS * sqrt(due) + 1)
        return due >= _FEWEST and few and max(self._gains) > strong
