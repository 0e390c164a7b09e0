"""The daemon's own process."""

import asyncio
import os
import resource
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from healthd.checks.contract import CheckContext
from healthd.checks.process import Process, ProcessConfig
from healthd.model import FailureKind, Status
from healthd.runtime.clock import SystemClock


def process(**options: object) -> Process:
    return Process(ProcessConfig.model_validate(options), CheckContext("process", SystemClock(), {}))


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@pytest.fixture
def few_files() -> Iterator[int]:
    """A limit a little above what is open now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = open_files() + 60
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    yield limit
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_file_descriptors_run_out(few_files: int) -> None:
    """Open files are counted against the limit that holds now."""
    opened = []
    try:
        while open_files() < few_files * 0.93:
            opened.append(os.open("/dev/null", os.O_RDONLY))
        result = await process().probe()
    finally:
        for descriptor in opened:
            os.close(descriptor)
    assert (result.status, result.kind) == (Status.UNHEALTHY, FailureKind.EXHAUSTED)
    assert result.observed["openFilesLimit"] == few_files
    assert (await process(degraded="99%", unhealthy="100%").probe()).kind is not FailureKind.EXHAUSTED


async def test_a_late_event_loop_is_degraded() -> None:
    """A loop that something blocks answers late, and says by how much."""
    probing = asyncio.create_task(process(loop_lag="50ms").probe())
    await asyncio.sleep(0)
    time.sleep(0.1)
    result = await probing
    assert (result.status, result.kind) == (Status.DEGRADED, FailureKind.THRESHOLD)
    assert float(str(result.observed["eventLoopLagMs"])) >= 50
