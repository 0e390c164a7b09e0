"""Options are read without the drivers of their kinds."""

import subprocess
import sys
from importlib import import_module

import pytest

from healthd.checks import CHECKS, KINDS, MODELS

DRIVERS = ("aiobotocore", "aiomysql", "asyncpg", "botocore", "dns.asyncresolver", "motor", "pymongo", "redis")
EVERY_KIND = f"""
import sys
from healthd.checks import CHECKS, KINDS
from healthd.registry import leaving_out_drivers

with leaving_out_drivers():
    for kind in KINDS:
        CHECKS.model_of({{"kind": kind}})
print(*(name for name in {DRIVERS} if name in sys.modules))
"""


def test_no_kind_needs_its_driver_to_be_read() -> None:
    """Neither those of today nor one that is added: health is served before a driver is loaded."""
    seen = subprocess.run([sys.executable, "-c", EVERY_KIND], capture_output=True, text=True, check=True)
    assert seen.stdout.split() == []


@pytest.mark.parametrize("kind", MODELS)
def test_the_model_is_that_of_the_kind(kind: str) -> None:
    module, _, name = MODELS[kind].partition(":")
    assert kind in KINDS
    assert CHECKS.find(kind).config_model is getattr(import_module(module), name)


READ_AGAIN = """
from healthd.checks import CHECKS
from healthd.registry import leaving_out_drivers

for _ in range(2):
    with leaving_out_drivers():
        CHECKS.model_of({"kind": "redis"})
    print(CHECKS.lacks_driver("redis"))
    CHECKS.find("redis")
"""


def test_a_driver_that_is_loaded_is_not_waited_for_again() -> None:
    """The file is read again at each reload, and a check that changed goes on at once."""
    seen = subprocess.run([sys.executable, "-c", READ_AGAIN], capture_output=True, text=True, check=True)
    assert seen.stdout.split() == ["True", "False"]
