"""What listens here, and what PM2 runs."""

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from healthd_gates.commands.init.processes import Listening, Pm2App, listening, parsed_pm2, pm2_apps


def app(name: str, **env: Any) -> dict[str, Any]:
    return {"name": name, "pid": 1, "pm2_env": {"status": "online", **env}}


@pytest.mark.parametrize(
    ("apps", "found"),
    [
        ([app("api", PORT=3000)], [Pm2App("api", 3000)]),
        ([app("api", env={"PORT": "3000", "SECRET": "x"})], [Pm2App("api", 3000)]),
        ([app("api", PORT=3000), app("api", PORT=3000)], [Pm2App("api", 3000)]),  # cluster mode shares a port
        (
            [app("api"), app("worker", PORT="no"), app("old", PORT=1) | {"pm2_env": {"status": "stopped", "PORT": 1}}],
            [],
        ),
        ([], []),
    ],
)
def test_pm2(apps: list[dict[str, Any]], found: list[Pm2App]) -> None:
    """Online processes with a port, once each, also behind what PM2 prints before."""
    assert parsed_pm2(json.dumps(apps)) == found
    assert parsed_pm2(">>>> In-memory PM2 is out-of-date [do: pm2 update]\n" + json.dumps(apps)) == found


def test_pm2_is_asked_only_where_it_runs(tmp_path: Path) -> None:
    """The question itself would start it; and one that fails is no PM2."""

    def never(_argv: object) -> str:
        raise AssertionError

    assert pm2_apps({"HOME": str(tmp_path)}, never) == []
    assert pm2_apps({"PM2_HOME": "/" + "x" * 300}, never) == []  # as where it may not look
    (tmp_path / "pm2.pid").write_text("1")
    assert pm2_apps({"PM2_HOME": str(tmp_path)}, lambda _argv: "no JSON") == []
    assert pm2_apps({"PM2_HOME": str(tmp_path)}, lambda _argv: json.dumps([app("a", PORT=1)])) == [Pm2App("a", 1)]


@pytest.mark.parametrize(
    ("port", "process", "may"),
    [
        (3000, "node", True),
        (3000, None, False),
        (6380, "redis-server", False),
        (5432, "docker-proxy", False),
        (80, "x", False),
    ],
)
def test_no_database_is_sent_http(port: int, process: str | None, may: bool) -> None:
    """Only the process of an application is asked."""
    assert Listening(port, process).may_be_a_service is may


def test_what_listens_is_seen() -> None:
    """The system's own list has a port of this process."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert server.getsockname()[1] in {each.port for each in listening()}
