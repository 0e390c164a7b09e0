"""What a release says of itself: its changelog, and the version of its chart."""

import json
import os
import shutil
import subprocess
import tarfile
from datetime import date
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from deploy.release import changelog, chart, node
from deploy.release.source import Commit
from tests.servers.programs import require

ROOT = Path(__file__).parents[4]
BEFORE = "# Changelog\n\n## [Unreleased]\n\n### Added\n\n- A thing.\n\n## [0.1.0] - 2026-01-01\n\n- The first.\n"


def commit(**changes: object) -> Commit:
    given: dict[str, object] = {"hash": "a" * 40, "time": 1, "version": "0.1.0", "tag": "v0.1.0", "changed": False}
    return Commit(**(given | changes))  # type: ignore[arg-type]


def test_a_version_is_cut_from_what_is_unreleased() -> None:
    cut = changelog.cut(BEFORE, "0.2.0", date(2026, 12, 1))
    assert changelog.notes(cut, "0.2.0") == "### Added\n\n- A thing.\n"
    assert changelog.notes(cut, "0.1.0") == "- The first.\n"
    assert "## [Unreleased]\n\n## [0.2.0] - 2026-12-01\n" in cut


@pytest.mark.parametrize(
    ("text", "version", "says"),
    [
        ("# Changelog\n", "0.2.0", "no part"),
        (BEFORE, "0.1.0", "already"),
        (BEFORE.replace("- A thing.\n", ""), "0.2.0", "nothing stands"),
    ],
)
def test_what_cannot_be_cut_is_refused(text: str, version: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        changelog.cut(text, version, date(2026, 12, 1))


def test_notes_of_a_version_that_was_not_cut() -> None:
    with pytest.raises(ValueError, match="has no part"):
        changelog.notes(BEFORE, "0.10")


def test_the_changelog_of_the_project_can_be_cut() -> None:
    """Right behind a release too, once something new stands in it."""
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    begun = text.replace("## [Unreleased]\n", "## [Unreleased]\n\n- A thing.\n")
    assert changelog.notes(changelog.cut(begun, "99.0.0", date(2026, 12, 1)), "99.0.0").startswith("- A thing.\n")


@pytest.mark.parametrize(
    ("version", "semantic"),
    [
        ("1.2.3", "1.2.3"),
        ("1.2.3rc1", "1.2.3-rc.1"),
        ("0.1.dev4+gabc", "0.1.0-dev.4+gabc"),
        ("0.2.0.dev319+gc0acd84d0.d20261126", "0.2.0-dev.319+gc0acd84d0.d20261126"),
    ],
)
def test_a_version_as_helm_reads_it(version: str, semantic: str) -> None:
    assert chart.as_semver(version) == semantic


def test_the_chart_carries_the_version_and_the_rules(tmp_path: Path) -> None:
    """The rules as a file, where the tree has a link."""
    chart.build(ROOT, tmp_path, commit(version="1.2.3rc1"))
    with tarfile.open(tmp_path / "healthd-1.2.3-rc.1.tgz") as archive:
        read = {entry.name: archive.extractfile(entry) for entry in archive}
        described = YAML(typ="safe").load(read["healthd/Chart.yaml"])
        rules = read["healthd/files/healthd.rules.yml"]
        assert rules is not None
        assert rules.read() == (ROOT / "deploy/prometheus/healthd.rules.yml").read_bytes()
    assert (described["version"], described["appVersion"]) == ("1.2.3-rc.1", "1.2.3rc1")


def test_npm_installs_the_client_under_the_version_of_the_release(tmp_path: Path) -> None:
    """Out of every registry; its page leads to the repository, and nothing of it keeps it from being published."""
    npm = require("npm")
    path = os.pathsep.join([str(require("node").parent), os.environ["PATH"]])
    node.build(ROOT, tmp_path, commit(version="1.2.3rc1", tag="v1.2.3rc1"))
    command = [str(npm), "install", "--offline", "--no-audit", "--no-fund", "./healthd-gates-1.2.3-rc.1.tgz"]
    subprocess.run(command, env={**os.environ, "PATH": path}, cwd=tmp_path, check=True, capture_output=True)
    installed = tmp_path / "node_modules/healthd-gates"
    described = json.loads((installed / "package.json").read_text())
    assert (described["version"], "private" in described) == ("1.2.3-rc.1", False)
    assert {file.name for file in installed.iterdir()} == {*described["files"], "package.json", "LICENSE"}
    assert "/blob/v1.2.3rc1/docs/http.md)" in (installed / "README.md").read_text()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({}, None),
        ({"changed": True}, "the tree has changes that are not committed"),
        ({"tag": None}, "no tag vX.Y.Z stands at this commit"),
        ({"version": "0.2.0"}, "the tag v0.1.0 is not the version 0.2.0"),
    ],
)
def test_only_a_tagged_commit_is_released(changes: dict[str, object], says: str | None) -> None:
    assert commit(**changes).why_no_release() == says


def test_make_says_that_there_is_no_tag_before_it_installs(tmp_path: Path) -> None:
    """And with one, or with leave to build without, it goes on to what installs, which here cannot."""
    shutil.copytree(ROOT / "requirements", tmp_path / "requirements")
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)

    def git(*words: str) -> None:
        named = ["-c", "user.name=n", "-c", "user.email=n@example.com", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", *named, *words], cwd=tmp_path, check=True, capture_output=True)

    def make(*words: str) -> str:
        command = ["make", "release", "PYTHON=install-python", *words]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False).stderr

    git("init")
    git("commit", "--allow-empty", "--message", "Begin")
    assert make().startswith("no tag vX.Y.Z stands at this commit: make release ARGS=--untagged builds it")
    assert "install-python" in make("ARGS=--untagged --out here")
    git("tag", "--annotate", "v0.1.0", "--message", "Release 0.1.0")
    assert "install-python" in make()
