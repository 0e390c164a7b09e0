"""The references tell of the daemon as it runs: its metrics are all there, and no others."""

import re
from pathlib import Path
from typing import Any

import aiohttp

from tests.servers import daemon

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "metrics.md"
EVERYTHING: dict[str, Any] = {
    "http": {"agent_check": "127.0.0.1:0"},
    "checks": {"self": {"kind": "process", "interval": "1s", "timeout": "1s"}},
    "notifiers": {"chat": {"kind": "slack", "url": "http://127.0.0.1:1/hook"}},
    "routes": [{"to": "chat", "services": "*"}],
    "actions": {"back": {"kind": "webhook", "url": "http://127.0.0.1:1/"}},
    "services": {"api": {"source": {"kind": "push"}, "on_fail": ["back"]}},
    "hooks": {"flagger": {"kind": "flagger", "canaries": {"shop/api": {"service": "api"}}}},
}


async def test_the_page_of_metrics_has_what_a_daemon_exposes(tmp_path: Path) -> None:
    """With everything configured, each with its type."""
    on_page = dict(re.findall(r"^\| `(\w+)` \| (\w+) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE))
    configuration = {**EVERYTHING, "journal": f"sqlite:///{tmp_path / 'journal.db'}"}
    async with daemon.running(configuration) as healthd, aiohttp.ClientSession(healthd.url) as client:
        async with client.get("/gates"):
            pass  # answered once all is loaded
        async with client.get("/metrics") as answer:
            text = await answer.text()
    exposed = dict(re.findall(r"^# TYPE (\w+) (\w+)$", text, re.MULTILINE))
    created = {name for name in exposed if name.endswith("_created")}  # of each counter and histogram, by the library
    assert {name: kind for name, kind in exposed.items() if name not in created} == on_page
