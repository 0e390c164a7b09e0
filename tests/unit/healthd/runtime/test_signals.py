"""Signals to a process whose main thread waits in C, where no handler of Python's is called."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

STUCK = """
import ctypes
def stuck():
    lock, libc = ctypes.create_string_buffer(128), ctypes.CDLL(None)
    libc.pthread_mutex_lock(lock)
    print("stuck", flush=True)
    libc.pthread_mutex_lock(lock)  # for ever; unlike a call of the kernel's, no signal interrupts it
"""
EARLY = f"{STUCK}\nfrom healthd.runtime import signals\nsignals.hold()\nstuck()"
RUNNING = f"""{STUCK}
import asyncio
from healthd.app import signals
from healthd.monitoring.board import Board
from healthd.runtime.clock import SystemClock
signals._LONGEST_END = SECONDS
async def main():
    signals.Signals(Board(SystemClock()), lambda: PAUSE, lambda: None).heed()
    WHAT
asyncio.run(main())
"""


def ended(program: str, *told: signal.Signals) -> tuple[int, bytes]:
    """The exit code and the errors of a program that was sent signals when it was stuck."""
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"stuck\n"
        for number in told:
            process.send_signal(number)
            _wait_until_heeded(process.pid, number)
        try:
            _, said = process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    return process.returncode, said


def _wait_until_heeded(pid: int, number: signal.Signals) -> None:
    """Signals of one kind that wait together are one."""
    status = Path(f"/proc/{pid}/status")
    while int(status.read_text().partition("ShdPnd:")[2].split()[0], 16) & 1 << number - 1:
        time.sleep(0.001)


def running(what: str, *, drain: float, longest: float) -> str:
    return RUNNING.replace("PAUSE", str(drain)).replace("SECONDS", str(longest)).replace("WHAT", what)


@pytest.mark.parametrize("told", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_of_a_start_that_hangs(told: signal.Signals) -> None:
    """It ends as one does that hangs nowhere."""
    assert ended(EARLY, signal.SIGHUP, told) == (0, b"")


def test_a_stop_of_a_loop_that_hangs() -> None:
    """After the drain and what an orderly stop may take, with the stacks that say where it hung."""
    code, said = ended(running("stuck()", drain=0.1, longest=0.1), signal.SIGTERM)
    assert code == 1
    assert b"in stuck" in said


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_does_not_wait_for_the_drain(second: signal.Signals) -> None:
    code, said = ended(running("stuck()", drain=600, longest=0.1), signal.SIGTERM, second)
    assert code == 1
    assert b"in stuck" in said


def test_a_pattern_that_takes_for_ever() -> None:
    """Python's own engine holds Python's lock, so that no other thread heeds the signal, but calls handlers."""
    search = "import re; print('stuck', flush=True); re.search('(a+)+$', 'a' * 60 + 'b')"
    assert ended(running(search, drain=600, longest=0.1), signal.SIGTERM, signal.SIGTERM)[0] == 1


def test_a_signal_that_interrupts_the_handler_of_another() -> None:
    """It is handled after it: the end that it orders is not replaced by that of the one before."""
    program = """
import os, signal, threading, time
from healthd.runtime import signals
heeded = []
def handle(number):
    heeded.append(f"begin {number.real}")
    if number == signal.SIGTERM:
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(1000):
            pass  # Python calls a handler in C between two of these
    heeded.append(f"end {number.real}")
signals.heed(handle)
os.kill(os.getpid(), signal.SIGTERM)
while len(heeded) < 4:
    time.sleep(0.001)
print(*heeded, sep=", ")
"""
    said = subprocess.run([sys.executable, "-c", program], check=True, timeout=60, capture_output=True, text=True)
    assert said.stdout == "begin 15, end 15, begin 2, end 2\n"


def test_children_are_born_without_it(tmp_path: Path) -> None:
    """A program that is run is ended by the signal that its parent heeds; one that was forked tells its parent nothing
    of the signals that it gets itself."""
    out = tmp_path / "out"
    program = f"""
import os, signal, subprocess, time
from healthd.runtime import signals
heeded = []
signals.heed(heeded.append)
child = subprocess.Popen(["sleep", "600"])
child.terminate()
code = child.wait()
forked = os.fork()
if not forked:
    os.kill(os.getpid(), signal.SIGHUP)
    time.sleep(0)
    os._exit(0)
os.waitpid(forked, 0)
os.kill(os.getpid(), signal.SIGHUP)
while not heeded:
    time.sleep(0.001)
open({str(out)!r}, "w").write(f"{{code}} {{len(heeded)}}")
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
    assert out.read_text() == f"{-signal.SIGTERM} 1"
