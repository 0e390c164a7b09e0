"""Lines to a reader who may have stopped reading."""

import os
import time
from collections.abc import Iterator

import pytest

from healthd.runtime.line_writer import LineWriter
from tests.servers.waiting import HANGS

LINE = "x" * 999 + "\n"


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    yield reading, writing
    for end in (reading, writing):
        try:
            os.close(end)
        except OSError:
            continue


def read(descriptor: int, enough: int) -> bytes:
    text = b""
    while text.count(b"\n") < enough:
        text += os.read(descriptor, 2**20)
    return text


def test_nobody_who_writes_waits_for_a_reader(pipe: tuple[int, int]) -> None:
    """What finds the queue full is dropped and counted; the rest comes once somebody reads, in order."""
    reading, writing = pipe
    writer = LineWriter(writing, most_bytes=50_000)
    for _ in range(1000):
        writer.write(LINE)
    lost = writer.count_dropped()
    assert 1000 - 70 - 50 <= lost < 1000  # a pipe holds 64 kB
    assert writer.take_losses() == 0, "there is no room to say so yet"
    assert read(reading, 1000 - lost).decode() == LINE * (1000 - lost)
    while not (told := writer.take_losses()):
        time.sleep(0.01)
    assert (told, writer.take_losses()) == (lost, 0)
    writer.write("after\n")
    assert read(reading, 1) == b"after\n"


def test_the_end_does_not_wait_for_a_reader_either(pipe: tuple[int, int]) -> None:
    """Nor for the end is there more than a moment; a reader who reads gets all."""
    reading, writing = pipe
    writer = LineWriter(writing)
    for _ in range(200):
        writer.write(LINE)
    began = time.monotonic()
    writer.close(0.2)
    assert 0.1 < time.monotonic() - began < HANGS
    assert len(read(reading, 200)) == 200 * len(LINE)


def test_a_reader_who_is_gone_costs_lines_only(pipe: tuple[int, int]) -> None:
    """As a closed terminal, or a log collector that died."""
    reading, writing = pipe
    os.close(reading)
    writer = LineWriter(writing)
    writer.write(LINE)
    writer.write(LINE)
    writer.close(5)
    assert writer.count_dropped() == 2


def test_a_pipe_that_somebody_made_non_blocking(pipe: tuple[int, int]) -> None:
    """As a parent does that shares it: nothing is lost for that."""
    reading, writing = pipe
    os.set_blocking(writing, False)
    writer = LineWriter(writing)
    for _ in range(300):
        writer.write(LINE)
    assert len(read(reading, 300)) == 300 * len(LINE)
    writer.close(5)
    assert writer.count_dropped() == 0
