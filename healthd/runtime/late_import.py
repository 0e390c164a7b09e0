"""Imports while the event loop goes on."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from importlib import import_module
from types import ModuleType


async def late_import(name: str) -> ModuleType:
    """Import a module in a thread, which nobody waits for at the end: an import may hang. Raises ImportError."""
    loop = asyncio.get_running_loop()
    imported: asyncio.Future[ModuleType] = loop.create_future()

    def settle(module: ModuleType | None, error: BaseException | None) -> None:
        if imported.cancelled():
            return
        if module is not None:
            imported.set_result(module)
        else:
            failed = ImportError(f"{name} cannot be imported: {error!r}")
            failed.__cause__ = error
            imported.set_exception(failed)

    def work() -> None:
        module: ModuleType | None = None
        problem: BaseException | None = None
        try:
            module = import_module(name)
        except (Exception, SystemExit) as error:
            problem = error
        with suppress(RuntimeError):  # the loop has closed meanwhile
            loop.call_soon_threadsafe(settle, module, problem)

    threading.Thread(target=work, name=f"import {name}", daemon=True).start()
    return await imported
