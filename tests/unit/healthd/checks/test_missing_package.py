"""A kind whose package is not installed is refused with the extra to install."""

import sys

import pytest

from healthd.checks import CHECKS


@pytest.mark.parametrize("kind", ["aws", "ecs", "rds", "s3", "sqs"])
def test_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """Rather than the module that Python misses."""
    ours = ("healthd.checks.aws", f"healthd.checks.{kind}")
    for module in [name for name in sys.modules if name.partition(".")[0] == "aiobotocore" or name.startswith(ours)]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "aiobotocore", None)
    with pytest.raises(ValueError, match=rf"kind '{kind}' needs aiobotocore: install healthd\[aws\]"):
        CHECKS.model_of({"kind": kind})
