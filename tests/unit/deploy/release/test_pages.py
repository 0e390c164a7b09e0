"""What pages say until the first release, and the address of the repository: nothing of it is left in a release."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from deploy.release import __main__ as release
from deploy.release import pages, source
from deploy.release.source import Commit

ROOT = Path(__file__).parents[4]
PAGE = """\
Before.
<!-- until the first release -->
Nothing is released yet:
build it.
<!-- from then on:
It is at github.com/OWNER/healthd.
-->
- One.
<!-- until the first release -->
- Two.
<!-- from then on: -->
- Three.
"""
BEFORE_ALL = re.compile(
    r"no release (?:has been|was|is)|(?:not|never|nothing) (?:was |is |has been )?(?:yet )?published|is nobody's"
    r"|(?:before|until) (?:its|the|our) first release|(?:in|on) no (?:registry|index) yet|not ours before",
    re.IGNORECASE,
)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A repository of one page, whose address is known."""
    (tmp_path / "pyproject.toml").write_text('[project]\nurls = {Source = "https://github.com/acme/health-d/"}\n')
    (tmp_path / "page.md").write_text(PAGE)
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\xff")
    return tmp_path


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository as the first release has it, without its tests."""
    try:
        listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    except (OSError, subprocess.CalledProcessError) as none:
        pytest.skip(f"git lists no files here: {none}")
    tree = tmp_path_factory.mktemp("tree")
    for name in names:
        if name and not name.startswith("tests/") and (ROOT / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, tree / name, follow_symlinks=False)
    project = tree / "pyproject.toml"
    project.write_text(
        project.read_text().replace('Source = "https://github.com/OWNER', 'Source = "https://github.com/acme')
    )
    pages.finish(tree)
    return tree


def test_the_one_takes_the_place_of_the_other(tree: Path) -> None:
    assert pages.unfinished(tree) == ["page.md"]
    assert pages.finish(tree) == ["page.md"]
    assert (tree / "page.md").read_text() == "Before.\nIt is at github.com/acme/health-d.\n- One.\n- Three.\n"
    assert pages.unfinished(tree) == []


def test_an_address_that_is_not_known_is_asked_for(tree: Path) -> None:
    """Before a page is changed."""
    (tree / "pyproject.toml").write_text('[project]\nurls = {Source = "https://github.com/OWNER/healthd"}\n')
    with pytest.raises(ValueError, match="write the repository's address in the place of OWNER/healthd"):
        pages.finish(tree)
    assert (tree / "page.md").read_text() == PAGE


def test_a_passage_that_does_not_end_is_left_and_refused(tree: Path) -> None:
    (tree / "page.md").write_text(PAGE.replace("from then on", "then"))
    pages.finish(tree)
    assert pages.unfinished(tree) == ["page.md"]


def test_the_first_release_leaves_nothing_unsaid(finished: Path) -> None:
    assert pages.unfinished(finished) == []
    for name in ("docs/install.md", "RELEASE.md", "deploy/ci/action/action.yml", "deploy/ci/azure/gate.yml"):
        text = (finished / name).read_text(encoding="utf-8")
        assert pages.address(finished).removeprefix("https://github.com/") in text, name


def test_what_holds_until_then_is_marked(finished: Path) -> None:
    """Else somebody would have to remember where it stands."""
    written = [*finished.glob("*.md"), *finished.glob("docs/**/*.md"), *finished.glob("clients/**/*.md")]
    assert len(written) > 50
    said = {
        f"{file.relative_to(finished)}: {found[0]}"
        for file in written
        for found in BEFORE_ALL.finditer(" ".join(file.read_text(encoding="utf-8").split()))
    }
    assert said == set()


def test_the_readme_leads_to_the_repository() -> None:
    """Where an index shows it; pictures too."""
    text = pages.absolute(
        (ROOT / "README.md").read_text(encoding="utf-8"), "https://example.com/acme/healthd", "v0.1.0"
    )
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert [link for link in links if not link.startswith("https://")] == []
    assert "](https://example.com/acme/healthd/blob/v0.1.0/docs/install.md)" in text
    assert "](https://example.com/acme/healthd/raw/v0.1.0/docs/images/status-page.png)" in text
    assert pages.absolute("[a](#b) [c](mailto:d@example.com)", "https://x", "r") == "[a](#b) [c](mailto:d@example.com)"


def test_the_steps_of_a_first_release(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`cut` asks for the address before it changes anything; `build` refuses a tag whose pages are not finished, and
    leaves alone what was built before."""
    monkeypatch.setattr(release, "ROOT", finished)
    runner, project, page = CliRunner(), finished / "pyproject.toml", finished / "page.md"
    address, changes = project.read_text(encoding="utf-8"), finished / "CHANGELOG.md"
    changes.write_text("# Changelog\n\n## [Unreleased]\n\n- A thing.\n")
    page.write_text(PAGE)
    project.write_text('[project]\nurls = {Source = "https://github.com/OWNER/healthd"}\n')
    refused = runner.invoke(release.main, ["cut", "0.9.0"])
    assert (refused.exit_code, "project.urls.Source" in refused.output) == (1, True)
    assert "0.9.0" not in changes.read_text()
    project.write_text(address)

    (finished / "dist").mkdir()
    tagged = Commit("a" * 40, 1, "0.9.0", "v0.9.0", False)
    monkeypatch.setattr(source, "read", lambda _: tagged)
    monkeypatch.setattr(source, "export", lambda root, _, tree: shutil.copytree(root, tree, dirs_exist_ok=True))
    refused = runner.invoke(release.main, ["build", "--out", str(finished / "dist")])
    assert (refused.exit_code, "page.md: not finished for a release" in refused.output) == (2, True)
    assert (finished / "dist").exists()

    assert runner.invoke(release.main, ["cut", "0.9.0"]).exit_code == 0
    assert "## [0.9.0] - " in changes.read_text()
    assert pages.unfinished(finished) == []
