"""Rate limit of messages: half of a minute's number at once, the rest of them evenly."""

from __future__ import annotations

from collections import deque

_MINUTE = 60.0


class Pace:
    """Allows `per_minute` messages in any minute, without a long silence after a burst.

    A part of the burst is reserved for urgent messages.
    """

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._burst = max(1, per_minute // 2)
        self._sent: deque[float] = deque(maxlen=per_minute)

    def sent(self, now: float) -> None:
        """Count a message."""
        self._sent.append(now)

    def free(self, now: float, *, urgent: bool) -> int:
        """Return the number of messages that may be sent back to back."""
        burst = self._burst_of(urgent)
        in_minute = self._in_minute(now)
        if in_minute < burst:
            return burst - in_minute
        return 0 if self.pause(now, urgent=urgent) else 1

    def pause(self, now: float, *, urgent: bool) -> float:
        """Return the seconds until the next message may be sent."""
        burst, in_minute = self._burst_of(urgent), self._in_minute(now)
        if in_minute < burst:
            return 0.0
        if in_minute >= self._per_minute:
            return max(0.0, self._sent[0] + _MINUTE - now)
        return max(0.0, self._sent[-1] + _MINUTE / (self._per_minute - burst) - now)

    def _burst_of(self, urgent: bool) -> int:
        return self._burst if urgent else self._burst - self._burst // 4

    def _in_minute(self, now: float) -> int:
        return sum(1 for moment in self._sent if moment > now - _MINUTE)
