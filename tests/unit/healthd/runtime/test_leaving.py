"""The end of a command: as the interpreter's, but for what it takes apart."""

import subprocess
import sys

import pytest

SEEN = """
import atexit, sys, threading, time
from healthd.runtime import leaving

class Kept:
    def __del__(self):
        print("taken apart")

kept = Kept()
atexit.register(print, "at exit")

def later():
    time.sleep(0.1)
    print("a thread")

def command():
    threading.Thread(target=later).start()
    print("the command")
    END

leaving.run(command)
"""
TOLD = ["the command", "a thread", "at exit"]


def run(end: str) -> tuple[int, list[str], str]:
    done = subprocess.run(
        [sys.executable, "-c", SEEN.replace("END", end)], capture_output=True, text=True, check=False, timeout=60
    )
    return done.returncode, done.stdout.splitlines(), done.stderr


@pytest.mark.parametrize(
    ("end", "code"), [("return 7", 0), ("sys.exit()", 0), ("sys.exit(3)", 3), ("sys.exit(True)", 1)]
)
def test_it_ends_with_the_code_after_threads_and_what_is_registered(end: str, code: int) -> None:
    assert run(end) == (code, TOLD, "")


def test_words_are_shown_by_the_interpreter() -> None:
    assert run("sys.exit('no such file')") == (1, [*TOLD, "taken apart"], "no such file\n")


def test_a_bug_shows_its_traceback() -> None:
    code, told, shown = run("raise RuntimeError('a bug')")
    assert (code, told) == (1, [*TOLD, "taken apart"])
    assert shown.endswith("RuntimeError: a bug\n")


def test_an_output_that_nobody_reads_changes_no_code() -> None:
    """Nor does it say anything."""
    script = SEEN.replace("END", "sys.exit(7)")
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    with process.stderr:
        assert process.stderr.read() == b""
    assert process.wait(60) == 7
