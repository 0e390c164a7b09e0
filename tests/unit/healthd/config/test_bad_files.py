"""Every rule of the configuration has a bad example: what is said of it is in its first lines."""

from pathlib import Path

import pytest

from healthd.config.file import ConfigError, load
from healthd.config.settings import Settings

BAD = sorted((Path(__file__).parent / "bad").glob("*.yaml"))
ENVIRON = {"SET": "only-a-value"}


def expected(file: Path) -> list[str]:
    """The comments at the top, one a problem: line, key and message; what follows an ellipsis may be anything."""
    lines = file.read_text().splitlines()
    return [line.removeprefix("# ") for line in lines if line.startswith("# ")]


@pytest.mark.parametrize("file", BAD, ids=[file.stem for file in BAD])
def test_bad(file: Path) -> None:
    """It is refused, with the line, the key and the fix of every problem."""
    with pytest.raises(ConfigError) as refused:
        load(file, Settings, ENVIRON)
    found = [str(problem).removeprefix(f"{file}:").strip() for problem in refused.value.problems]
    assert len(found) == len(expected(file)), found
    for said, wanted in zip(found, expected(file), strict=True):
        start, ellipsis, _ = wanted.partition("…")
        assert said.startswith(start) if ellipsis else said == wanted
