"""Detects that the candidate's processes restart: a process that dies counts none of the requests that die with it, so
that a crash loop shows no errors in its own numbers.
"""

from __future__ import annotations

from collections import deque

from healthd_gates.domain.evidence import Evidence, Lives
from healthd_gates.domain.standing import Reason
from healthd_gates.judge import explain

_WINDOW = 600.0  # seconds in which restarts are counted together
_REPEATED = 2  # restarts that were not the first, which make a crash loop
_QUIET = 60.0  # seconds without a restart before a pass, and as long again for each repeated one


class _Restarts:
    """One arm's restarts of the last minutes."""

    def __init__(self) -> None:
        self._recent: deque[tuple[float, Lives]] = deque()
        self.now = 0.0
        self.all = 0
        self.down = 0

    def step(self, seconds: float, lives: Lives, *, counts: bool) -> None:
        self.now += seconds
        self.down = lives.down
        if counts and lives.restarts:
            self._recent.append((self.now, lives))
            self.all += lives.restarts
        while self._recent and self._recent[0][0] <= self.now - _WINDOW:
            self._recent.popleft()

    @property
    def is_loop(self) -> bool:
        return sum(lives.repeated for _, lives in self._recent) >= _REPEATED

    @property
    def is_fresh(self) -> bool:
        """True if the last restart is recent, relative to how many there were."""
        quiet = _QUIET * (1 + sum(lives.repeated for _, lives in self._recent))
        return bool(self._recent) and self.now - self._recent[-1][0] < quiet


class Stability:
    """Restarts of both arms' processes over the bake. A restart while settling is part of the deploy."""

    def __init__(self) -> None:
        self._candidate, self._baseline = _Restarts(), _Restarts()

    def step(self, evidence: Evidence, *, settling: bool) -> None:
        """Take one interval."""
        self._candidate.step(evidence.seconds, evidence.lives, counts=not settling)
        self._baseline.step(evidence.seconds, evidence.baseline_lives, counts=True)

    @property
    def is_crash_looping(self) -> bool:
        """True if only the candidate restarts again and again; if the baseline does too, it is not this release."""
        return self._candidate.is_loop and not self._baseline.is_loop

    @property
    def doubt(self) -> Reason | None:
        """Reason why a pass must wait, or None."""
        if self._candidate.down:
            return Reason.UNREACHABLE
        if self._candidate.is_loop and self._baseline.is_loop:
            return Reason.BASELINE_ALREADY_BAD
        return Reason.RESTARTED if self._candidate.is_fresh else None

    @property
    def remark(self) -> str:
        """Note for people whatever the verdict; empty if no process restarted."""
        if not self._candidate.all:
            return ""
        times = "once" if self._candidate.all == 1 else f"{explain.number(self._candidate.all)} times"
        return f" Processes of the candidate began anew {times} since the settle time."
