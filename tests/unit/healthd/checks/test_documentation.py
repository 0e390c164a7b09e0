"""The examples in docs/checks are valid configurations."""

import re
from pathlib import Path
from typing import Any

import pytest

from healthd.checks.misconfigured import MisconfiguredConfig
from healthd.config.file import parse
from healthd.config.settings import Settings

PAGES = Path(__file__).parents[4] / "docs" / "checks"
EXAMPLES = [
    pytest.param(text, id=f"{page.stem}-{number}")
    for page in sorted(PAGES.glob("*.md"))
    for number, text in enumerate(re.findall(r"```yaml\n(checks:.*?)```", page.read_text(), re.DOTALL))
]


class EverythingIsSet(dict[str, str]):
    """An environment in which every variable has a value that fits its name."""

    def get(self, name: str, default: Any = None) -> str:
        server, _, _ = name.lower().partition("_")
        database = "0" if server == "redis" else "database"
        return f"{server}://localhost/{database}" if name.endswith("_URI") else f"value-of-{name}"


@pytest.mark.parametrize("example", EXAMPLES)
def test_example_is_valid(example: str) -> None:
    """As it stands, with every variable set."""
    settings = parse(example, "example", Settings, EverythingIsSet())
    assert settings.active_checks
    assert not any(isinstance(check, MisconfiguredConfig) for check in settings.active_checks.values())
