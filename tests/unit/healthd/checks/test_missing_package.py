"""A kind whose package is not installed is refused with what to install."""

import re
import sys
import tomllib
from pathlib import Path

import pytest

from healthd.checks import CHECKS
from healthd.extras import PACKAGES, extra_of, how_to_get


@pytest.mark.parametrize("kind", ["aws", "ecs", "rds", "s3", "sqs"])
def test_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """Rather than the module that Python misses."""
    ours = ("healthd.checks.aws", f"healthd.checks.{kind}")
    for module in [name for name in sys.modules if name.partition(".")[0] == "aiobotocore" or name.startswith(ours)]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "aiobotocore", None)
    with pytest.raises(ValueError, match=rf"^kind '{kind}' needs aiobotocore: {re.escape(how_to_get('aws'))}$"):
        CHECKS.model_of({"kind": kind})


def test_what_is_to_be_installed_is_what_the_extra_brings() -> None:
    """By the package's own name: that of this distribution says nothing to a checkout, and may be another's."""
    project = tomllib.loads((Path(__file__).parents[4] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {extra: [wanted] for extra, wanted in PACKAGES.items()} == project["optional-dependencies"]
    assert how_to_get("aws") == 'pip install "aiobotocore>=2.22,<4", the extra aws'
    assert [extra_of(name) for name in ("h2", "opentelemetry-proto", "absent")] == ["grpc", "otlp", None]
