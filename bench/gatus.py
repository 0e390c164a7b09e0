"""What watching costs, beside Gatus: 200 HTTP endpoints every 10 s, held to a status and one JSON value.

Both watch the same target over the same windows of time, each with its journal in SQLite; the target counts who came.
Gatus is no part of this project: build it from its sources and give its path.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from statistics import median

from bench import daemon, target
from bench.process import Served, serving
from bench.table import Row, show

CHECKS, INTERVAL = 200, 10


def checks(origin: str, name: str, *, keep_alive: bool = False) -> str:
    options = f"kind: http, interval: {INTERVAL}s, timeout: 5s, keep_alive: {str(keep_alive).lower()}"
    expect = "{status: 200, json: [{path: status, equals: ok}]}"
    return "\n".join(
        f"  c{number}: {{{options}, url: '{origin}/{name}/{number}', expect: {expect}}}" for number in range(CHECKS)
    )


def _endpoints(origin: str) -> str:
    conditions = '["[STATUS] == 200", "[BODY].status == ok"]'
    return "\n".join(
        f"  - {{name: c{number}, url: '{origin}/gatus/{number}', interval: {INTERVAL}s, conditions: {conditions}}}"
        for number in range(CHECKS)
    )


@asynccontextmanager
async def gatus(program: Path, origin: str) -> AsyncIterator[Served]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "gatus.yaml")

        def command(port: int) -> list[str]:
            storage = f"storage: {{type: sqlite, path: {folder}/gatus.db}}"
            file.write_text(f"web: {{address: 127.0.0.1, port: {port}}}\n{storage}\nendpoints:\n{_endpoints(origin)}\n")
            return ["env", f"GATUS_CONFIG_PATH={file}", str(program.resolve())]

        async with serving(command, "/health") as served:
            yield served


async def measure(program: Path, windows: int = 6, seconds: float = 15, starts: int = 3) -> list[Row]:
    async with target.running() as peer, AsyncExitStack() as stack:
        served = {
            "gatus": await stack.enter_async_context(gatus(program, peer.origin)),
            "fresh": await stack.enter_async_context(daemon.running(checks(peer.origin, "fresh"), "/health/live")),
            "kept": await stack.enter_async_context(
                daemon.running(checks(peer.origin, "kept", keep_alive=True), "/health/live")
            ),
        }
        await asyncio.sleep(2 * INTERVAL)  # all have run, and the start is over
        shares: dict[str, list[float]] = {name: [] for name in served}
        for _ in range(windows):
            for name, share in (await _window(served, peer, seconds)).items():
                shares[name].append(share)
        sizes = {name: each.resident_bytes() for name, each in served.items()}
    rows = [_processor(f"{CHECKS} HTTP endpoints every {INTERVAL} s, beside Gatus: processor", shares, "fresh")]
    rows.append(_processor("the same with keep_alive", shares, "kept"))
    ours, theirs = sizes["fresh"] / 1e6, sizes["gatus"] / 1e6
    rows.append(Row("the same: resident", f"{ours:.0f} MB", f"{theirs:.0f} MB", ours / theirs, "≤ 75 MB"))
    return [*rows, *(await _starts(program, starts) if starts else ())]


async def _window(served: dict[str, Served], peer: target.Target, seconds: float) -> dict[str, float]:
    """The share of a core that each used, brought to the rate of probes that it should have made."""
    before = {name: (peer.hits(name), each.cpu_seconds()) for name, each in served.items()}
    await asyncio.sleep(seconds)
    after = {name: (peer.hits(name), each.cpu_seconds()) for name, each in served.items()}
    return {
        name: (after[name][1] - cpu) / max(1, after[name][0] - hits) * CHECKS / INTERVAL
        for name, (hits, cpu) in before.items()
    }


def _processor(what: str, shares: dict[str, list[float]], name: str) -> Row:
    ratios = sorted(ours / theirs for ours, theirs in zip(shares[name], shares["gatus"], strict=True))
    ours, theirs = median(shares[name]), median(shares["gatus"])
    return Row(f"{what} ({ratios[0]:.2f}–{ratios[-1]:.2f})", f"{ours:.1%}", f"{theirs:.1%}", median(ratios), "≤ 1")


async def _starts(program: Path, rounds: int) -> list[Row]:
    """From nothing to the first 200, with all 200 configured and nobody there to be asked."""
    origin = "http://127.0.0.1:1"
    used: dict[str, list[tuple[float, float]]] = {"ours": [], "theirs": []}
    for _ in range(rounds):
        async with daemon.running(checks(origin, "start"), "/health/live") as each:
            used["ours"].append((each.seconds_to_first_answer, each.cpu_seconds()))
        async with gatus(program, origin) as each:
            used["theirs"].append((each.seconds_to_first_answer, each.cpu_seconds()))
    rows = []
    for column, what in enumerate(("first answer after", "processor time until then")):
        ours, theirs = (median(found[column] for found in used[side]) for side in ("ours", "theirs"))
        rows.append(Row(f"the same, started: {what}", f"{ours:.2f} s", f"{theirs:.2f} s", ours / theirs, "–"))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.gatus", description=__doc__)
    parser.add_argument("program", type=Path, help="the path of a Gatus that was built elsewhere")
    parser.add_argument("--windows", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=15, help="of each window")
    parser.add_argument("--starts", type=int, default=3, help="of each, one after the other; 0 leaves them out")
    options = parser.parse_args()
    show(asyncio.run(measure(options.program, options.windows, options.seconds, options.starts)))


if __name__ == "__main__":
    main()
