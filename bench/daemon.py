"""healthd under measurement, with a configuration given as text."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from bench.process import Served, serving

ROOT = Path(__file__).parents[1]


@asynccontextmanager
async def running(checks: str, path: str = "/health/ready") -> AsyncIterator[Served]:
    """healthd with the YAML mapping `checks` under `checks:`, once `path` answers 200."""
    text = f"http: {{listen: '${{HEALTHD_LISTEN}}'}}\nchecks:\n{checks}\n"
    async with running_file(text, {}, path) as served:
        yield served


@asynccontextmanager
async def running_file(text: str, env: Mapping[str, str], path: str, source: Path = ROOT) -> AsyncIterator[Served]:
    """healthd of a checkout with a configuration that listens on ${HEALTHD_LISTEN} and says nothing of a journal, once
    `path` answers 200."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "healthd.yaml")
        file.write_text(f"{text}\njournal: sqlite:///{folder}/healthd.db\n")

        def command(port: int) -> list[str]:
            run = [sys.executable, "-P", "-m", "healthd", "run", "--config", str(file)]
            return ["env", f"HEALTHD_LISTEN=127.0.0.1:{port}", *run]

        paths = {"PYTHONPATH": os.pathsep.join(str(source / part) for part in (".", "gates", "deploy"))}
        async with serving(command, path, env={**os.environ, **paths, **env}) as served:
            yield served
