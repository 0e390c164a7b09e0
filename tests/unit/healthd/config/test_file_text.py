"""Files that a configuration is read from: regular ones, of a size that a person writes, as UTF-8."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from healthd.config.file import ConfigError, load
from healthd.config.settings import Settings


def refused(file: Path) -> str:
    with pytest.raises(ConfigError) as error:
        load(file, Settings, {})
    return str(error.value)


@pytest.fixture(params=["the file", "a value", "an included file"])
def told(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Path], str]:
    """What is said of a file that is the configuration, or that it names."""

    def of(file: Path) -> str:
        main = tmp_path / "main.yaml"
        if request.param == "the file":
            return refused(file)
        main.write_text(f"include: ['{file}']\n" if "included" in request.param else f"version: '${{file:{file}}}'\n")
        return refused(main)

    return of


def test_devices_and_pipes(told: Callable[[Path], str], tmp_path: Path) -> None:
    """A device without end and a pipe that nobody writes into are refused at once."""
    os.mkfifo(tmp_path / "pipe")
    assert told(Path("/dev/zero")).endswith("cannot be read: it is not a regular file")
    assert told(tmp_path / "pipe").endswith("cannot be read: it is not a regular file")


def test_size(told: Callable[[Path], str], tmp_path: Path) -> None:
    """A file that was put there by mistake is not read into memory."""
    with (tmp_path / "large").open("wb") as large:
        large.truncate(10**11)
    assert " bytes" in told(tmp_path / "large")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("version: ä\n".encode("utf-16"), "is UTF-16 text: save it as UTF-8"),
        ("level: basic\nversion: ä\n".encode("latin-1"), "is not UTF-8 text: byte 0xE4: save it as UTF-8"),
    ],
)
def test_encodings(told: Callable[[Path], str], tmp_path: Path, content: bytes, why: str) -> None:
    """The encoding is told, and where it shows."""
    file = tmp_path / "odd.yaml"
    file.write_bytes(content)
    assert told(file).endswith(f"cannot be read: {why}")


def test_the_line_of_a_byte_that_is_no_text(tmp_path: Path) -> None:
    """An editor goes there."""
    file = tmp_path / "odd.yaml"
    file.write_bytes("level: basic\nversion: ä\n".encode("latin-1"))
    assert refused(file).startswith(f"{file}:2: cannot be read: ")


def test_what_a_shell_passes_on() -> None:
    """`healthd config check <(helm template …)` reads a pipe to its end."""
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as pipe:
        pipe.write("version: '1.2'\n")
    try:
        assert load(Path(f"/dev/fd/{reading}"), Settings, {}).version == "1.2"
    finally:
        os.close(reading)
