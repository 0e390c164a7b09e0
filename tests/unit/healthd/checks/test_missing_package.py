"""A kind whose package is not installed is refused with the extra to install."""

import sys

import pytest

from healthd.checks import CHECKS


def test_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rather than the module that Python misses."""
    monkeypatch.delitem(sys.modules, "healthd.checks.aws", raising=False)
    for module in [name for name in sys.modules if name.partition(".")[0] == "aiobotocore"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "aiobotocore", None)
    with pytest.raises(ValueError, match=r"kind 'aws' needs aiobotocore: install healthd\[aws\]"):
        CHECKS.model_of({"kind": "aws"})
