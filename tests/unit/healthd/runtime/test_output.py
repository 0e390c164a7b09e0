"""Streams of a command: none of what can happen to its output reaches the command."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import sys
from pathlib import Path
from healthd.runtime import output

output.never_fail({patience})
for line in range({lines}):
    print(100 * "-")
    print("✓", file=sys.stderr)
sys.stdout.flush()
Path({told!r}).write_text(f"{{output.lost(sys.stdout)}}; {{output.lost(sys.stderr)}}")
"""


def _ended(folder: Path, shell: str, *, lines: int = 2000, patience: float | None = None) -> tuple[int, str]:
    """Return the exit code, and why output was lost."""
    script = SCRIPT.format(lines=lines, patience=patience, told=str(folder / "told"))
    done = subprocess.run(["bash", "-c", shell, sys.executable, script], capture_output=True, check=False, timeout=60)
    return done.returncode, (folder / "told").read_text()


@pytest.mark.parametrize(
    ("shell", "why"),
    [
        ('exec "$0" -c "$1"', "None; None"),
        ('"$0" -c "$1" 2>&1 | true; exit ${PIPESTATUS[0]}', "[Errno 32] Broken pipe; [Errno 32] Broken pipe"),
        ('exec "$0" -c "$1" >/dev/full', "[Errno 28] No space left on device; None"),
        ('exec "$0" -c "$1" 2>/dev/full', "None; [Errno 28] No space left on device"),
        ('exec "$0" -c "$1" >&- 2>&-', "[Errno 9] Bad file descriptor; [Errno 9] Bad file descriptor"),
        ('ulimit -f 1; "$0" -c "$1" >"$(mktemp -u "$TMPDIR/XXXX")"', "[Errno 27] File too large; None"),
        ('PYTHONIOENCODING=ascii exec "$0" -c "$1"', "None; None"),
    ],
    ids=["read", "reader gone", "full", "errors full", "closed", "too large", "ascii"],
)
def test_it_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shell: str, why: str) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert _ended(tmp_path, shell) == (0, why)


def test_a_file_does_not_get_the_number_of_a_closed_output(tmp_path: Path) -> None:
    """Else whatever a library or a program prints would be written into it."""
    script = f"from healthd.runtime import output; output.never_fail(); print(open({str(tmp_path / 'f')!r}, 'w').fileno(), file=open({str(tmp_path / 'told')!r}, 'w'))"  # noqa: E501
    subprocess.run(["bash", "-c", 'exec "$0" -c "$1" <&- >&- 2>&-', sys.executable, script], check=True, timeout=60)
    assert int((tmp_path / "told").read_text()) > 2


def test_a_reader_that_stops_is_waited_for_once(tmp_path: Path) -> None:
    """Lines are lost until it reads again, such as a terminal after Ctrl-S."""
    reading, writing = os.pipe()
    script = SCRIPT.format(lines=2000, patience=0.05, told=str(tmp_path / "told"))
    process = subprocess.Popen([sys.executable, "-c", script], stdout=writing, stderr=subprocess.DEVNULL)
    os.close(writing)
    assert process.wait(60) == 0
    with open(reading, "rb") as left:  # noqa: PTH123 - a descriptor
        assert 0 < len(left.read()) < 2000 * 101
    assert (tmp_path / "told").read_text() == "[Errno 110] nobody reads it; None"
