"""Prometheus scrapes healthd cleanly and sees what it sees."""

import re
import subprocess

import aiohttp
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics

from tests.acceptance.clients import dependent
from tests.servers import prometheus, redis
from tests.servers.programs import require
from tests.servers.waiting import until

OPENMETRICS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"


async def test_scrapes_and_follows_a_dependency() -> None:
    """`up` is 1, a hung Redis shows in the status and in readiness, and the log has no word against the scrape."""
    with redis.standalone() as server:
        async with dependent.on(server) as healthd:
            with prometheus.running({"healthd": [f"{healthd.host}:{healthd.port}"]}) as scraper:

                async def sees(status: str, ready: str) -> bool:
                    now = await scraper.query('healthd_check_status{check="redis"} == 1')
                    group = await scraper.query('healthd_group_ready{group="ready"}')
                    return [s["metric"]["status"] for s in now] == [status] and group[0]["value"][1] == ready

                await until(lambda: sees("healthy", "1"), "the first scrape shows it healthy")
                server.pause()
                await until(lambda: sees("unhealthy", "0"), "the scrape shows it unhealthy")
                server.resume()
                await until(lambda: sees("healthy", "1"), "the scrape shows it healthy again")
                (up,) = await scraper.query("min_over_time(up[1m])")
                assert up["value"][1] == "1"
                (failures,) = await scraper.query('healthd_probe_failures_total{check="redis",kind="timeout"}')
                assert float(failures["value"][1]) >= 2
                complaints = [line for line in scraper.log().splitlines() if re.search(r"level=(warn|error)", line)]
                assert not complaints


async def test_both_formats_are_sound() -> None:
    """`promtool check metrics` has no complaint about the text format, and OpenMetrics is OpenMetrics."""
    with redis.standalone() as server:
        async with dependent.on(server) as healthd, aiohttp.ClientSession() as client:
            async with client.get(f"{healthd.url}/metrics") as response:
                assert response.headers["Content-Type"].startswith("text/plain; version=")
                text = await response.text()
            async with client.get(f"{healthd.url}/metrics", headers={"Accept": OPENMETRICS}) as response:
                assert response.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
                families = list(openmetrics(await response.text()))  # type: ignore[no-untyped-call]
    linted = subprocess.run([require("promtool"), "check", "metrics"], input=text, text=True, capture_output=True)
    assert (linted.returncode, linted.stdout + linted.stderr) == (0, "")
    names = {family.name for family in families}
    assert {"healthd_check_status", "healthd_probe_duration_seconds", "process_cpu_seconds"} <= names
