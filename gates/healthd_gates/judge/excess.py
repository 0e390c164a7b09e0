"""The candidate's excess of bad requests over the baseline's: a bound that holds at every look, and what was seen of
it.

Both arms are compared at *matched exposure*: a look in which the candidate had n requests and the baseline m counts
with min(n, m) of each. Trouble that both share is then taken off in full, whenever it came, although the candidate's
share of the traffic changes; with plain totals an incident while the candidate had little traffic would hide its own
errors later. Counting k of m requests as y·k/m bad ones keeps the e-values of `interval` valid: k·y/m is the
conditional mean of a thinned count, hence below it in convex order, and a thinned beta-binomial has the same
correlation.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

from healthd_gates.domain.evidence import Evidence
from healthd_gates.judge.arms import Pairing, Reading
from healthd_gates.judge.burstiness import Burstiness
from healthd_gates.judge.interval import RateInterval
from healthd_gates.judge.past import Past


class Excess:
    """One way in which requests are bad, such as failed or slower than a limit."""

    def __init__(self, reading: Reading, past: Past, interval: float) -> None:
        """Set up for looks of `interval` seconds; `past` is the baseline's, for its burstiness."""
        self._reading = reading
        self._burstiness = Burstiness.of(past, reading, interval)
        self._matched, self._all = Pairing(), Pairing()
        self._candidate, self._baseline = RateInterval(), RateInterval()
        self._beyond = self._exposure = 0.0

    def step(self, evidence: Evidence, *, settling: bool) -> None:
        """Take one look. What happens while the candidate warms up is spent, and says nothing about the bound."""
        candidate = self._reading(evidence.candidate) if evidence.candidate else None
        baseline = self._reading(evidence.baseline) if evidence.baseline else None
        odds = self._burstiness.odds
        if (pair := self._all.add(candidate, baseline)) is not None:
            n, x, m, y = pair
            self._beyond += x - n * y / m
            self._exposure += n * (1 + n / m)
        if not settling and (pair := self._matched.add(candidate, baseline)) is not None:
            n, x, m, y = pair
            both = min(n, m)
            self._candidate.step(x * both / n, both, odds)
            self._baseline.step(y * both / m, both, odds)
        self._burstiness.learn(candidate, baseline, evidence.seconds, settling=settling)

    def upper(self, risk: float) -> float:
        """Return U: with probability at least 1 − `risk` the mean excess over the looks so far is below it, at all
        looks at once. 1 before any evidence."""
        if self._candidate.requests <= 0:
            return 1.0
        return min(1.0, max(0.0, self._candidate.bounds(risk)[1] - self._baseline.bounds(risk)[0]))

    @property
    def spent(self) -> float:
        """S: bad requests beyond what the baseline's rate of the same look gives, at least 0, less one standard
        deviation of what chance alone adds."""
        _, _, m, y = self._all.totals
        rate = y / m if m else 0.0
        return max(0.0, self._beyond - sqrt(rate * (1 - rate) * self._exposure))


def worst(kinds: Sequence[Excess], risk: float) -> tuple[float, float]:
    """Return the largest bound and the largest amount spent of all kinds; `risk` is that of all bounds together.

    They are not added up: a request that is both slow and failed is harmed once.
    """
    return max(kind.upper(risk / len(kinds)) for kind in kinds), max(kind.spent for kind in kinds)
