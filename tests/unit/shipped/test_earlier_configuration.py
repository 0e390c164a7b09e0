"""A configuration of each earlier release is valid now: what it showed, and every option and word that it took.

Before the first release it is held to what that one is to promise. `python -m deploy.release cut` adds each release's.
"""

from pathlib import Path
from typing import Any

import pytest

from deploy.release import options
from healthd.config.file import load
from healthd.config.json_schema import config_schema
from healthd_gates.config.settings import Config
from tests.unit.shipped.test_configs import BALANCER, VARIABLES

ROOT = Path(__file__).parents[3]
RELEASES = sorted((ROOT / options.FOLDER).iterdir())
TCP = {"kind": {"const": "tcp"}, "port": {}, "level": {"enum": ["basic", "full"]}}
SCHEMA: dict[str, Any] = {
    "properties": {
        "retries": {"type": "integer"},
        "checks": {"additionalProperties": {"oneOf": [{"$ref": "#/$defs/Tcp"}]}},
    },
    "required": ["checks"],
    "$defs": {"Tcp": {"properties": TCP, "required": ["kind"]}},
}
LINES = {
    "retries", "checks!", "checks.*(tcp).kind!", "checks.*(tcp).kind=tcp", "checks.*(tcp).port",
    "checks.*(tcp).level", "checks.*(tcp).level=basic", "checks.*(tcp).level=full",
}  # fmt: skip


@pytest.fixture(scope="module")
def now() -> set[str]:
    return options.options(config_schema(Config))


@pytest.mark.parametrize("release", RELEASES, ids=lambda folder: folder.name)
def test_what_an_earlier_release_took_is_taken(release: Path, now: set[str]) -> None:
    """A word that changed stays an alias until the next major version: docs/upgrade.md promises it."""
    earlier = set((release / "options.txt").read_text(encoding="utf-8").splitlines())
    assert len(earlier) > 2000
    assert options.broken(earlier, now) == []


@pytest.mark.parametrize("release", RELEASES, ids=lambda folder: folder.name)
@pytest.mark.parametrize("environ", [VARIABLES | BALANCER, {}], ids=["configured", "bare"])
def test_the_full_file_of_an_earlier_release_is_valid(release: Path, environ: dict[str, str]) -> None:
    load(release / "full.yaml", Config, environ)


def test_a_schema_in_lines() -> None:
    assert options.options(SCHEMA) == LINES


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"checks.*(tcp).port"}, ["checks.*(tcp).port: is refused"]),
        ({"checks.*(tcp).level=full"}, ["checks.*(tcp).level=full: is refused"]),
        ({"retries", "retries!"}, ["retries: must be given"]),
        ({"checks.*(tcp).host!"}, ["checks.*(tcp).host: must be given"]),
        ({"checks!", "checks"}, []),
        ({"checks.*(tcp).host", "checks.*(udp).kind!", "checks.*(udp).port!"}, []),
    ],
    ids=["gone", "a word gone", "required", "new and required", "no more required", "new"],
)
def test_what_breaks_a_file_is_found(change: set[str], told: list[str]) -> None:
    """Each change takes away the lines that were there, and adds the others."""
    assert options.broken(LINES, LINES ^ change) == told
