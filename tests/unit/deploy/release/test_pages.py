"""What pages say until the first release, and the address of the repository: nothing of it is left in a release."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from deploy.release import pages

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
