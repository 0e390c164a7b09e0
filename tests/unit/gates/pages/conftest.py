"""Gates that live in virtual time, and their pages."""

from tests.unit.gates.engine.conftest import _scripted, file, pytest_asyncio_loop_factories

__all__ = ["_scripted", "file", "pytest_asyncio_loop_factories"]
