"""These tests have the stage of those of gates being kept: virtual time, and a journal of their own."""

from tests.unit.gates.engine.conftest import _scripted as _scripted
from tests.unit.gates.engine.conftest import file as file
from tests.unit.gates.engine.conftest import pytest_asyncio_loop_factories as pytest_asyncio_loop_factories
