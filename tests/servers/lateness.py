"""How late a busy machine makes everything, so that a test of a deadline blames nobody for it."""

from __future__ import annotations

import threading
import time
from pathlib import Path

_NAP = 0.01


class Lateness:
    """Measures, while it is open, how late a thread beside the event loop wakes up, and how long a process, this one
    unless `pid` is given, waits for a processor: both are the machine's fault.

    Code that blocks an event loop makes neither longer, and so is still found out.
    """

    def __init__(self, pid: int | None = None) -> None:
        self._process = Path(f"/proc/{pid or 'self'}/schedstat")
        self._seen: list[tuple[float, float]] = []  # when, and the seconds that were lost since the look before
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lateness", daemon=True)

    def __enter__(self) -> Lateness:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    @property
    def seconds(self) -> float:
        """All of it so far: what goes through several hands waits for the processor at each."""
        return sum(lost for _, lost in self._seen)

    @property
    def worst(self) -> float:
        """The greatest at once, in seconds."""
        return max((lost for _, lost in self._seen), default=0.0)

    def during(self, span: float) -> float:
        """The most of it that something which took `span` seconds can have met with."""
        seen, first, lost, most = list(self._seen), 0, 0.0, 0.0
        for when, seconds in seen:
            lost += seconds
            while seen[first][0] < when - span - _NAP:
                lost -= seen[first][1]
                first += 1
            most = max(most, lost)
        return most

    def _run(self) -> None:
        asleep, starved = time.monotonic(), self._starved()
        while not self._over.wait(_NAP):
            awake, before, starved = time.monotonic(), starved, self._starved()
            self._seen.append((awake, max(0.0, awake - asleep - _NAP) + starved - before))
            asleep = awake

    def _starved(self) -> float:
        """Seconds that the process' first thread was ready to run and did not."""
        try:
            return int(self._process.read_text().split()[1]) / 1e9
        except (OSError, IndexError):  # it has ended, or its kernel does not tell
            return 0.0
