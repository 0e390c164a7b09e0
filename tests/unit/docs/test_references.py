"""The documentation is true."""

import re
from importlib.util import find_spec
from pathlib import Path

import pytest
from pydantic import BaseModel

from docs.generate import PAGES
from docs.generator.config import DEPLOY_TOOLS
from docs.generator.options import own_fields
from docs.generator.sections import Section, sections
from healthd_deploy.core.settings import DeployConfig
from healthd_gates.config.settings import Config


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_reference_is_drawn_from_the_code(page: Path) -> None:
    """A generated page is what the code generates; `make docs` renews it."""
    assert page.read_text(encoding="utf-8") == PAGES[page]()


@pytest.mark.parametrize("model", [Config, DeployConfig, *DEPLOY_TOOLS.values()], ids=lambda model: model.__name__)
def test_every_option_is_described(model: type[BaseModel]) -> None:
    """Each option of the configuration has a line that says what it is for, and each thing that has options too."""
    inner = list({section.model: section for section in sections(model)}.values())
    places = [Section("", "", model), *inner]
    options = [
        (each, name, field) for each in places for name, field in own_fields(each.model, each.base or DeployConfig)
    ]
    assert [f"{each.title}.{name}" for each, name, field in options if not field.description] == []


@pytest.mark.parametrize("page", ["config.md", "deploy.md"])
def test_a_default_is_written_as_its_type_is(page: str) -> None:
    """A share, a ratio and a plain number are no duration: `limit: 5%`, not `50ms`."""
    rows = re.findall(
        r"^\| <a id[^`]*`(\w+)` \| (\w+)[^|]*\| `([^`]+)` \|", (_PAGES_OF / page).read_text("utf-8"), re.MULTILINE
    )
    written = {
        "duration": r"\d+(\.\d+)?(ms|s|m|h|d|w)",
        "percentage": r"[\d.]+%",
        "number": r"-?[\d.]+",
        "whole": r"-?\d+",
    }
    assert {kind for _, kind, _ in rows} >= {"duration"}
    assert [row for row in rows if row[1] in written and not re.fullmatch(written[row[1]], row[2])] == []


@pytest.mark.parametrize("page", ["config.md", "deploy.md"])
def test_anchors_of_the_reference_are_single(page: str) -> None:
    """Each leads to one place, and each link within the page leads to one."""
    text = (_ROOT / "docs" / "reference" / page).read_text(encoding="utf-8")
    anchors = re.findall(r'<a id="([^"]+)">', text)
    assert [anchor for anchor in set(anchors) if anchors.count(anchor) > 1] == []
    assert set(re.findall(r"\]\(#([^)]+)\)", text)) <= set(anchors)


def test_the_reference_has_every_option_at_its_path() -> None:
    """Among them those that a person looks for by name."""
    text = (_ROOT / "docs" / "reference" / "config.md").read_text(encoding="utf-8")
    anchors = set(re.findall(r'<a id="([^"]+)">', text))
    assert {"http.listen", "services.NAME.source-prometheus.url", "checks.NAME-postgresql.require"} <= anchors
    assert "**A change needs a restart.**" in next(line for line in text.splitlines() if 'id="http.listen"' in line)


_PAGES_OF = Path(__file__).parents[3] / "docs" / "reference"
_LINK = re.compile(r"\]\((?!https?://|#)([^)#\s]+)(?:#[^)]*)?\)")
_ROOT = Path(__file__).parents[3]
_PAGES = [_ROOT / "README.md", *sorted((_ROOT / "docs").rglob("*.md")), *sorted((_ROOT / "deploy").rglob("*.md"))]


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: str(page.relative_to(_ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """No page points at one that there is not."""
    targets = _LINK.findall(page.read_text(encoding="utf-8"))
    assert [target for target in targets if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("name", ["bench", "deploy", "docs", "grafana", "tests"])
def test_nothing_installed_takes_part_in_a_folder_of_ours(name: str) -> None:
    """As `docs` does, which aiomysql installs beside itself: a module of that would be one of ours."""
    found = find_spec(name)
    assert found is not None
    assert found.submodule_search_locations == [str(_ROOT / name)]
