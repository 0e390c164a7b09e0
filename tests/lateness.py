"""How late a busy machine makes everything, so that a test of a deadline blames nobody for it."""

from __future__ import annotations

import threading
import time

_NAP = 0.01


class Lateness:
    """Measures, while it is open, how late a thread beside the event loop wakes up: that is the machine's fault.

    Code that blocks the event loop does not make the thread late, and so is still found out.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        """All lateness so far: what goes through several hands waits for the processor at each."""
        self.worst = 0.0
        """The greatest at once, in seconds."""
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lateness", daemon=True)

    def __enter__(self) -> Lateness:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        asleep = time.monotonic()
        while not self._over.wait(_NAP):
            awake = time.monotonic()
            late = max(0.0, awake - asleep - _NAP)
            self.seconds, self.worst = self.seconds + late, max(self.worst, late)
            asleep = awake
