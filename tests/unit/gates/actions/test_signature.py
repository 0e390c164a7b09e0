"""The signature of a webhook, as its documentation tells a receiver to check it."""

import re
from pathlib import Path
from typing import Any

from healthd_gates.actions.webhook import signature

PAGE = (Path(__file__).parents[4] / "docs" / "actions.md").read_text(encoding="utf-8")


def documented() -> Any:
    """The function that the page shows."""
    (source,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names: dict[str, Any] = {}
    exec(f"import hashlib, hmac\n{source}", names)
    return names["is_genuine"]


def test_a_receiver_that_follows_the_documentation_accepts_it() -> None:
    """And refuses another body, another secret, and what is old."""
    is_genuine = documented()
    header = signature("a secret of some length", 1_700_000_000, b'{"key":"x"}')
    assert is_genuine(header, b'{"key":"x"}', "a secret of some length", 1_700_000_010)
    assert not is_genuine(header, b'{"key":"y"}', "a secret of some length", 1_700_000_010)
    assert not is_genuine(header, b'{"key":"x"}', "another secret of that length", 1_700_000_010)
    assert not is_genuine(header, b'{"key":"x"}', "a secret of some length", 1_700_000_400)


def test_the_form_does_not_change() -> None:
    """Receivers depend on it."""
    expected = "41f327a51beedaa695ba7e5bf97611e5ea7426069e20ce38ebcb359dbd7c5f3b"
    assert signature("correct horse battery", 1, b"{}") == f"t=1,v1={expected}"
