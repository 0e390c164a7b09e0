"""An end that comes for certain."""

import subprocess
import sys
import time

import pytest

BUSY = {
    "a loop that never yields": "while True: pass",
    "code that holds Python's lock": "import re; re.search('(a+)+$', 'a' * 60 + 'b')",
    "a thread that is joined": "import threading; e = threading.Event(); threading.Thread(target=e.wait).start()",
}


@pytest.mark.parametrize("what", BUSY.values(), ids=BUSY.keys())
def test_the_process_ends(what: str) -> None:
    """With code 1, and the stacks of all threads, so that the culprit is known."""
    program = f"from healthd.runtime.ending import end_within\nend_within(0.3)\n{what}"
    began = time.monotonic()
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60)
    assert ended.returncode == 1
    assert time.monotonic() - began < 20
    assert b"most recent call first" in ended.stderr
