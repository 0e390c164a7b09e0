"""The documentation is true."""

from pathlib import Path

import pytest

from docs.generate import pages


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_reference_is_drawn_from_the_code(page: Path) -> None:
    """A generated page is what the code generates; `make docs` renews it."""
    assert page.read_text(encoding="utf-8") == pages()[page]
