"""Detects trouble that is short and recurs: each time no longer than a blip, together more than the limit allows.

A test of rates cannot see it, since it looks like bursts. So this one counts disturbances, not errors: windows in which
clearly more requests failed than the limit allows, each after a calm one. Against "such a window comes with a chance of
at most q", a Bernoulli bet on κ·q gains ln κ at each that does, and ln((1 − κq)/(1 − q)) at each that does not; both
expect 1 at q (Waudby-Smith & Ramdas 2024).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log, log1p, sqrt

from healthd_gates.judge.criterion import Frame
from healthd_gates.judge.mixtures import OnsetMixture
from healthd_gates.judge.past import Span
from healthd_gates.judge.rhythm import Rhythm

_WINDOW = 30.0  # seconds; also the resolution of the past
_RARE = 0.02  # of all windows: one in 25 minutes
_TIMES, _MOST = 20.0, 0.5  # the bet on q, and the chance that it stays below
_BEYOND, _SIGMAS = 1.5, 3.0  # times the limit, and standard deviations of chance beyond that


class Recurrence:
    """E-process against "disturbances come at most as often as they did in the past, or once in 25 minutes".

    One is counted, and then none before a whole window was calm; so a single one, however long, is worth at most ln 20.
    """

    cause = "above the limit again and again"

    def __init__(self, limit: float, frame: Frame, past: Sequence[Span]) -> None:
        self._limit = limit
        self._chance = self._often(past)
        self._mixture = OnsetMixture(1, max(1, round(frame.timing.maximum / _WINDOW)))
        self._counting = True
        self._requests = self._bad = self._seconds = 0.0

    def step(self, candidate: tuple[float, float], rhythm: Rhythm, *, excused: bool) -> None:
        """Take the candidate's requests and bad ones of one report; an `excused` one, of trouble that is not the
        candidate's, counts for nothing.
        """
        requests, bad = (0.0, 0.0) if excused else candidate
        self._requests, self._bad = self._requests + requests, self._bad + bad
        self._seconds += rhythm.newest
        disturbed = self._is_disturbed(self._requests * max(1.0, _WINDOW / self._seconds), self._bad)
        if not disturbed and self._seconds < _WINDOW - 1e-6:
            return
        if self._counting:
            self._mixture.step([self._bet(disturbed, max(1.0, rhythm.spacing / _WINDOW))])
        self._counting = not disturbed
        self._requests = self._bad = self._seconds = 0.0

    def _bet(self, disturbed: bool, windows: float) -> float:
        """Return ln e of a window that is so many times as long as usual."""
        chance = min(self._chance * windows, _MOST / 2)
        times = min(_TIMES, _MOST / chance)
        return log(times) if disturbed else log1p(-chance * times) - log1p(-chance)

    def _is_disturbed(self, requests: float, bad: float) -> bool:
        allowed = _BEYOND * self._limit * requests
        return bad > allowed + _SIGMAS * sqrt(allowed) + 1

    def _often(self, past: Sequence[Span]) -> float:
        """Return the chance of a disturbance in a window, twice its observed frequency."""
        windows = [span for span in past if span[2] <= 1.5 * _WINDOW]
        disturbed = sum(self._is_disturbed(m, y) for m, y, _ in windows)
        return max(_RARE, 2 * (disturbed + 1) / (len(windows) + 1)) if disturbed else _RARE

    @property
    def log_e(self) -> float:
        """ln E so far."""
        return self._mixture.log_e
