"""The documentation as a site: built without a warning, every page reachable, and what it says of messages holds."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", str(folder)]
    env = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return folder


def test_every_page_is_in_the_site_and_is_led_to(site: Path) -> None:
    pages = [file.relative_to(ROOT / "docs") for file in (ROOT / "docs").rglob("*.md")]
    built = {page.with_suffix(".html").as_posix().replace("README.html", "index.html") for page in pages}
    assert [page for page in built if not (site / page).exists()] == []
    start = (site / "index.html").read_text(encoding="utf-8")
    assert [page for page in built if f'href="{page}"' not in start and f'href="./{page}"' not in start] == []


def test_each_page_says_which_version_it_is_of(site: Path) -> None:
    """That of the commit, as the packages that are built from it: at a tag, the release's."""
    command = [sys.executable, "-m", "hatchling", "version"]
    version = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()
    pages = [page.read_text("utf-8") for page in site.rglob("*.html")]
    assert len(pages) > 100
    assert [page for page in pages if f"Documentation of healthd {version}\n" not in page] == []


def test_nothing_is_fetched_from_elsewhere(site: Path) -> None:
    """Neither a font, nor a script, nor a picture."""
    for page in site.rglob("*.html"):
        outside = re.findall(r'<(?:script|img|link)\b[^>]*?(?:src|href)="(https?://[^"]+)"', page.read_text("utf-8"))
        assert outside == [], page


def test_files_of_the_repository_come_along(site: Path) -> None:
    assert (site / "repository/deploy/ci/gate.sh").read_bytes() == (ROOT / "deploy/ci/gate.sh").read_bytes()


def test_messages_of_troubleshooting_are_messages_of_the_program() -> None:
    """Word for word, so that searching for one finds it."""
    page = (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8")
    shown = [found[1] or found[2] for found in re.finditer(r"^\| (?:`` ?(.+?) ?``|`([^`]+)`) \|", page, re.MULTILINE)]
    assert len(shown) > 12
    sources = [*(ROOT / "healthd").rglob("*.py"), *(ROOT / "gates").rglob("*.py"), ROOT / "deploy/ci/gate.sh"]
    text = "\n".join(file.read_text(encoding="utf-8") for file in sources)
    assert [message for message in shown if message not in text] == []
