"""Files that are being written while a reload reads them: half of one may be valid too, and is not taken."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from healthd.config.file import ConfigError
from healthd.config.written_files import WrittenFiles
from healthd_gates.config.settings import Config

HALF = "include: healthd.d\nchecks: {db: {kind: process}}\n"
WHOLE = f"{HALF}notifiers: {{chat: {{kind: webhook, url: 'https://chat.test/'}}}}\nroutes: [{{to: chat}}]\n"
TEAM = "services: {cart: {source: {kind: push}}}\n"
Asleep = Callable[[Callable[[int], object]], None]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "healthd.d").mkdir()
    (tmp_path / "healthd.d/team.yaml").write_text(TEAM)
    (tmp_path / "c.yaml").write_text(WHOLE)
    return tmp_path


@pytest.fixture
def asleep(monkeypatch: pytest.MonkeyPatch) -> Asleep:
    """Sets what happens while a look sleeps, by the number of the look: one is made each 0.1 s."""

    def become(act: Callable[[int], object]) -> None:
        numbers = iter(range(10_000))
        monkeypatch.setattr("healthd.config.written_files.time.sleep", lambda _: act(next(numbers)))

    return become


def of(folder: Path) -> WrittenFiles[Config]:
    return WrittenFiles(folder / "c.yaml", Config, {})


@pytest.mark.parametrize("looks", [1, 4, 9])
@pytest.mark.parametrize(("name", "half", "whole"), [("c.yaml", HALF, WHOLE), ("healthd.d/team.yaml", "{}", TEAM)])
@pytest.mark.parametrize("broken", [False, True])
def test_half_of_a_file_is_not_taken(
    folder: Path, asleep: Asleep, looks: int, name: str, half: str, whole: str, broken: bool
) -> None:
    """Neither for the whole nor for a bad one, though its writer pauses for most of a second."""
    half = "checks: {" if broken else half
    (folder / name).write_text(half)
    texts = {looks: half + "# more", 2 * looks: whole}
    asleep(lambda number: (folder / name).write_text(texts[number]) if number in texts else None)
    taken = of(folder).load()
    assert (list(taken.notifiers), len(taken.routes), list(taken.services)) == (["chat"], 1, ["cart"])


def test_a_file_that_is_away_for_a_moment(folder: Path, asleep: Asleep) -> None:
    """As while an editor puts another in its place."""
    (folder / "c.yaml").unlink()
    asleep(lambda number: (folder / "c.yaml").write_text(WHOLE) if number == 3 else None)
    assert list(of(folder).load().notifiers) == ["chat"]


def test_an_included_file_that_comes_while_it_waits(folder: Path, asleep: Asleep) -> None:
    """It is part of what is taken."""
    more = folder / "healthd.d/more.yaml"
    asleep(lambda number: more.write_text("checks: {q: {kind: process}}\n") if number == 5 else None)
    assert {"db", "q"} <= of(folder).load().checks.keys()


def test_a_writer_without_end(folder: Path, asleep: Asleep) -> None:
    """It holds a reload up for 10 s, and no longer."""
    numbers: list[int] = []

    def write(number: int) -> None:
        numbers.append(number)
        (folder / "c.yaml").write_text(f"{WHOLE}# {number}")

    asleep(write)
    with pytest.raises(ConfigError, match=r"c\.yaml: changes all the time: reload once it is written"):
        of(folder).load()
    assert len(numbers) == 100


def test_a_writer_of_the_same_without_end(folder: Path, asleep: Asleep) -> None:
    """As a template that is rendered anew each second: it changes nothing, and nothing waits for it."""
    asleep(lambda number: os.utime(folder / "c.yaml", (number, number)))
    assert list(of(folder).load().notifiers) == ["chat"]


def test_what_changed_after_it_was_read(folder: Path, asleep: Asleep) -> None:
    """Taken or refused, with other texts: not where a file was only touched."""
    asleep(lambda _: None)
    files = of(folder)
    files.load()
    assert not files.changed()
    (folder / "c.yaml").touch()
    assert not files.changed()
    (folder / "healthd.d/team.yaml").write_text("services: {")
    assert files.changed()
    with pytest.raises(ConfigError):
        files.load()
    assert not files.changed()
    (folder / "healthd.d/team.yaml").write_text(TEAM)
    assert files.changed()
    assert list(files.load().services) == ["cart"]
    assert not WrittenFiles(None, Config, {}).changed()
