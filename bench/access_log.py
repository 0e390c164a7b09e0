"""A followed access log: processor seconds a line, and memory, beside a plain loop that only splits the same lines."""

from __future__ import annotations

import asyncio
import json
import resource
import tempfile
import time
from pathlib import Path

from bench.table import Row
from healthd.runtime.clock import SystemClock
from healthd_gates.sources import build_source
from healthd_gates.sources.access_log.config import AccessLogConfig
from healthd_gates.sources.contract import Arm, Arms, Series, SourceContext

LINES, ROUNDS = 20_000, 20
MOST_CORES, MOST_GROWTH = 0.5, 16e6
COMBINED = (
    '203.0.113.{n} - - [26/Nov/2026:13:55:{s:02} +0000] "GET /api/v1/products/{i}?page=2 HTTP/1.1" {status} 2326 '
    '"https://shop.example.com/" "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0" '
    "{took:.3f} 10.0.1.{to}:3000 {status} {took:.3f}"
)
FORMAT = (
    '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" '
    "$request_time $upstream_addr $upstream_status $upstream_response_time"
)


def lines(*, as_json: bool) -> str:
    """A second of a busy proxy."""
    written = []
    for i in range(LINES):
        status, took, to = 500 if i % 100 == 0 else 200, (i % 997) / 1000, 10 + i % 2
        if as_json:
            fields = {
                "time_iso8601": "2026-11-26T13:55:36+00:00",
                "request_uri": f"/api/v1/products/{i}?page=2",
                "status": str(status),
                "request_time": f"{took:.3f}",
                "http_user_agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)",
                "upstream_addr": f"10.0.1.{to}:3000",
                "upstream_status": str(status),
                "upstream_response_time": f"{took:.3f}",
            }
            written.append(json.dumps(fields))
        else:
            written.append(COMBINED.format(n=i % 250, s=i % 60, i=i, status=status, took=took, to=to))
    return "\n".join(written) + "\n"


_ROUTES = (
    "/api/v1/products/1.*",
    "/api/v1/products/[2-5]+",
    "/api/(v1|v2)/products/\\\\d+7",
    "/login|/logout",
    "/cart/.*",
)
SERIES = tuple(
    Series(f"route-{number}", "counts", {"of": f'{{path=~"{route}"}}', "bad": f'{{path=~"{route}",status=~"5.."}}'})
    for number, route in enumerate(_ROUTES)
)
"""Of five criteria, each with a pattern of paths; no two paths of the log are the same."""


async def follow(form: str, text: str, folder: Path, series: tuple[Series, ...] = ()) -> tuple[float, float, float]:
    """Processor seconds of a round of ours and of the plain loop, and the bytes by which memory grew."""
    log = folder / "access.log"
    log.write_text("")
    config = AccessLogConfig.model_validate({"kind": "access_log", "file": str(log), "format": form})
    arms = Arms("shop", Arm("2", urls=("http://10.0.1.10:3000",)), Arm("1", urls=("http://10.0.1.11:3000",)))
    source = build_source(config, arms, SourceContext(SystemClock(), str, series=series))
    cursor = (await source.observe(None)).cursor
    seen, ours, plain, before = 0.0, 0.0, 0.0, 0
    for number in range(ROUNDS):
        await asyncio.sleep(0.3)  # as a gate, which looks again later
        with log.open("a") as file:
            file.write(text)
        began = time.process_time()
        look = await source.observe(cursor)
        ours += time.process_time() - began
        began = time.process_time()
        sum(len(line.split(" ")) for line in text.split("\n"))
        plain += time.process_time() - began
        cursor = look.cursor
        assert look.evidence is not None
        assert look.evidence.candidate is not None
        seen += look.evidence.candidate.requests
        if number == 2:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    await source.close()
    assert seen == ROUNDS * LINES / 2
    growth = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    return ours / ROUNDS, plain / ROUNDS, growth


async def measure() -> list[Row]:
    rows = []
    for name, form, as_json, series in (
        ("log_format", FORMAT, False, ()),
        ("nginx_json", "nginx_json", True, ()),
        ("log_format and five criteria", FORMAT, False, SERIES),
        ("nginx_json and five criteria", "nginx_json", True, SERIES),
    ):
        with tempfile.TemporaryDirectory() as folder:
            ours, plain, growth = await follow(form, lines(as_json=as_json), Path(folder), series)
        what = f"access log, {name}: {LINES} lines a second"
        rows += [
            Row(f"{what}: processor", f"{ours:.3f} cores", f"{MOST_CORES} cores", ours / MOST_CORES, "< 1"),
            Row(f"{what}: against str.split", f"{ours:.3f} s", f"{plain:.3f} s", ours / plain, "< 15"),
            Row(f"{what}: memory", f"{growth / 1e6:.1f} MB more", "16 MB", growth / MOST_GROWTH, "< 1"),
        ]
    return rows
