"""healthd under measurement, with a configuration given as text."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from bench.process import Served, serving


@asynccontextmanager
async def running(checks: str, path: str = "/health/ready") -> AsyncIterator[Served]:
    """healthd with the YAML mapping `checks` under `checks:`, once `path` answers 200."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "healthd.yaml")

        def command(port: int) -> list[str]:
            journal = f"sqlite:///{folder}/healthd.db"
            file.write_text(f"http: {{listen: 127.0.0.1:{port}}}\njournal: {journal}\nchecks:\n{checks}\n")
            return [sys.executable, "-m", "healthd", "run", "--config", str(file)]

        async with serving(command, path) as served:
            yield served
