"""`make bench`: the benchmarks of the daemon, one after the other, as one table. About two minutes.

What decides at which speed and risk, the judge, has benchmarks of its own.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable

from bench import access_log, many, probes, ready, spread, start
from bench.table import Row, show

_ALL: dict[str, Callable[[], Awaitable[list[Row]]]] = {
    "ready": ready.measure,
    "probes": probes.measure,
    "many": many.measure,
    "spread": spread.measure,
    "start": start.measure,
    "access_log": access_log.measure,
}

_LONG = ("spread",)
"""Run when they are named only."""


async def main(names: list[str]) -> None:
    rows = []
    for name in names or (name for name in _ALL if name not in _LONG):
        print(f"{name} …", file=sys.stderr, flush=True)
        rows += await _ALL[name]()
    show(rows)


if __name__ == "__main__":
    if unknown := set(sys.argv[1:]) - _ALL.keys():
        sys.exit(f"no benchmark is called {', '.join(unknown)}; there are: {', '.join(_ALL)}")
    asyncio.run(main(sys.argv[1:]))
