"""`make demo` ends as it promises."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from deploy.demo.stage import NotStartedError, Stage
from tests.servers.waiting import until

ROOT = Path(__file__).parents[2]


async def test_demo_passes_the_good_and_rolls_back_the_bad() -> None:
    """Version 2.0 stays, 3.0 is rolled back by healthd alone and 4.0 before it had all, and nothing is left running."""
    play = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "deploy.demo", cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said = (await play.communicate())[0].decode()
    assert play.returncode == 0, said
    assert "s  pass: " in said
    assert "s  fail: The candidate is proven harmful." in said
    assert "rollback: rolled_back" in said, said
    assert "the traffic is on green" in said
    _, _, widened = said.partition("then healthd widens it")
    assert "% of the traffic" in widened
    assert "100.00% of the traffic" not in widened
    assert "the traffic is on green" in widened


async def test_demo_that_is_ended_leaves_nothing(tmp_path: Path) -> None:
    """Its folder has the token."""
    play = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "deploy.demo", cwd=ROOT, env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    await until(lambda: any(tmp_path.glob("healthd-demo-*/healthd.yaml")), "healthd is started")
    play.terminate()
    assert await play.wait() == 130
    assert list(tmp_path.iterdir()) == []


async def test_demo_says_what_did_not_start(tmp_path: Path) -> None:
    """And why, in the words of the program itself, at once; its folder is gone when it has ended."""
    stage = Stage(tmp_path)
    with pytest.raises(NotStartedError, match=r"(?s)^blue ended with 3; what it said last:\n.*is a directory$"):
        await stage.start("blue", "sh", "-c", "echo the journal is a directory >&2; exit 3")
