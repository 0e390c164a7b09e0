"""Writes the dashboards as Grafana reads them: `make docs`. A test fails when one is not up to date."""

from __future__ import annotations

from pathlib import Path

from grafana_foundation_sdk.builders.dashboard import Dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder

from grafana import dependencies, deployments, itself, overview

FOLDER = Path(__file__).parent / "dashboards"
_ALL = {
    "overview": overview.dashboard,
    "dependencies": dependencies.dashboard,
    "deployments": deployments.dashboard,
    "healthd-itself": itself.dashboard,
}


def files() -> dict[Path, str]:
    """Every dashboard's file with its text."""
    return {FOLDER / f"{name}.json": _json(build()) for name, build in _ALL.items()}


def _json(dashboard: Dashboard) -> str:
    return JSONEncoder(indent=1, sort_keys=True).encode(dashboard.build()) + "\n"


if __name__ == "__main__":
    for path, text in files().items():
        path.write_text(text, encoding="utf-8")
