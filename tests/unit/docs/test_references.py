"""The documentation is true."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from docs.generate import DEPLOY_TOOLS, nested, pages
from healthd.checks import KINDS, find_kind
from healthd.checks.contract import CheckConfig
from healthd_deploy.core.settings import DeployConfig
from healthd_gates.config.settings import Config


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_reference_is_drawn_from_the_code(page: Path) -> None:
    """A generated page is what the code generates; `make docs` renews it."""
    assert page.read_text(encoding="utf-8") == pages()[page]


def _undescribed(model: type[BaseModel], seen: set[type[BaseModel]]) -> Iterator[str]:
    for each in (model, *nested(model, seen)):
        for name, field in each.model_fields.items():
            shared = next((base for base in (CheckConfig, DeployConfig) if issubclass(each, base)), each)
            inherited = each is not shared and name in shared.model_fields  # described once, for all
            if not (field.description or name == "kind" or inherited):
                yield f"{each.__name__}.{name}"


def test_every_option_is_described() -> None:
    """Each option of the configuration has a line that says what it is for."""
    seen: set[type[BaseModel]] = set()
    checks = [find_kind(kind).config_model for kind in KINDS]
    models: list[Any] = [Config, DeployConfig, *checks, *DEPLOY_TOOLS.values()]
    assert [place for model in models for place in _undescribed(model, seen)] == []


_LINK = re.compile(r"\]\((?!https?://|#)([^)#\s]+)(?:#[^)]*)?\)")
_ROOT = Path(__file__).parents[3]
_PAGES = [_ROOT / "README.md", *sorted((_ROOT / "docs").rglob("*.md")), *sorted((_ROOT / "deploy").rglob("*.md"))]


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: str(page.relative_to(_ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """No page points at one that there is not."""
    targets = _LINK.findall(page.read_text(encoding="utf-8"))
    assert [target for target in targets if not (page.parent / target).exists()] == []
