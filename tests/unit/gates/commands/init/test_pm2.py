"""What PM2 runs."""

import json
from pathlib import Path
from typing import Any

import pytest

from healthd_gates.commands.init.pm2 import Pm2App, parsed_pm2, pm2_apps
from healthd_gates.commands.init.survey import Host


def app(name: str, **env: Any) -> dict[str, Any]:
    return {"name": name, "pid": 1, "pm2_env": {"status": "online", **env}}


@pytest.mark.parametrize(
    ("apps", "found"),
    [
        ([app("api", PORT=3000)], [Pm2App("api", 3000)]),
        ([app("api", env={"PORT": "3000", "SECRET": "x"})], [Pm2App("api", 3000)]),
        ([app("api", PORT=3000), app("api", PORT=3000)], [Pm2App("api", 3000)]),  # cluster mode shares a port
        (
            [app("api"), app("worker", PORT="no"), app("far", PORT=65536)],
            [Pm2App("api"), Pm2App("worker"), Pm2App("far")],
        ),
        ([app("old", PORT=1) | {"pm2_env": {"status": "stopped", "PORT": 1}}], []),
        ([], []),
    ],
)
def test_pm2(apps: list[dict[str, Any]], found: list[Pm2App]) -> None:
    """Online processes and their ports, once each, also behind what PM2 prints before."""
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


def test_a_service_in_two_colours_is_not_steady() -> None:
    """One of them may be stopped on purpose; an app that merely has a colour in its name is."""
    apps = [Pm2App("api-blue", 1), Pm2App("api-green", 2), Pm2App("worker"), Pm2App("worker"), Pm2App("old-blue", 3)]
    assert Host(apps=apps).steady_apps == ["worker", "old-blue"]
