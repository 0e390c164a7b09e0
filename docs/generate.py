"""Writes the pages that are drawn from the code, and what benchmarks printed into those that show it: `make docs`. A
test fails when a page is not up to date.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from docs.generator.config import config_page, deploy_page
from docs.generator.metrics import metrics_page
from docs.generator.results import with_results
from healthd.config.json_schema import config_schema
from healthd_gates.config.settings import Config

DOCS = Path(__file__).parent
REFERENCE = DOCS / "reference"


PAGES: dict[Path, Callable[[], str]] = {
    REFERENCE / "config.md": config_page,
    REFERENCE / "metrics.md": metrics_page,
    REFERENCE / "deploy.md": deploy_page,
    DOCS / "statistics.md": lambda: with_results(DOCS / "statistics.md"),
    DOCS / "hooks.md": lambda: with_results(DOCS / "hooks.md"),
    DOCS.parent / "config" / "schema.json": lambda: json.dumps(config_schema(Config), indent=1) + "\n",
}
"""Every generated page, and what writes its text."""


if __name__ == "__main__":
    for path, text in PAGES.items():
        path.write_text(text(), encoding="utf-8")
