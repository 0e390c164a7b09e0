"""Processes that are killed: forked from one that has imported all they need, since tests start dozens of them."""

import multiprocessing
import os
from pathlib import Path

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload([f"tests.integration.gates.engine.{kind}_worker" for kind in ("crash", "rollback")])


def write_to(out: Path, errors: Path) -> None:
    """Have this process, and what it starts, write its standard output and error there."""
    for descriptor, file in ((1, out), (2, errors)):
        with file.open("ab") as opened:
            os.dup2(opened.fileno(), descriptor)
