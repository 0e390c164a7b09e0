"""Asynchronous drivers of MongoDB: PyMongo's own client, which works on the event loop, and Motor, which runs PyMongo
in threads. The only file that touches either."""

from __future__ import annotations

import asyncio
import threading
from enum import StrEnum
from typing import Annotated, Any

from healthd.checks.by_driver import ByDriver


class Driver(StrEnum):
    """Driver of a client. Motor gets critical fixes alone, until May 2027."""

    PYMONGO = "pymongo"
    MOTOR = "motor"


def installed(driver: Driver) -> Driver:
    """Load a driver and return it. Raises ValueError."""
    try:
        load(driver)
    except ImportError as error:
        raise ValueError(f"cannot be loaded: {error}; leave it out, or install {driver}") from None
    return driver


InstalledDriver = Annotated[Driver, ByDriver("healthd.checks.mongodb_driver:installed")]

_closing: set[asyncio.Task[None]] = set()


def load(driver: Driver) -> None:
    """Import a driver, so that the first probe does not, in the event loop. Raises ImportError."""
    if driver is Driver.MOTOR:
        import motor.motor_asyncio  # noqa: F401


def load_resolver() -> None:
    """Import what both drivers resolve mongodb+srv:// with, for the same reason."""
    import dns.asyncbackend
    import dns.asyncresolver

    dns.asyncbackend.set_default_backend("asyncio")


def connect(driver: Driver, uri: str, **options: Any) -> Any:
    """Return a client, which connects when it is first asked. Raises PyMongoError."""
    if driver is Driver.MOTOR:
        from motor.motor_asyncio import AsyncIOMotorClient

        return AsyncIOMotorClient(uri, **options)
    from pymongo import AsyncMongoClient

    return AsyncMongoClient(uri, **options)


def drop(driver: Driver, client: Any) -> None:
    """Close a client without waiting: it says goodbye to a peer that may be dead, until its own timeouts end that."""
    if driver is Driver.MOTOR:
        threading.Thread(target=client.delegate.close, name="mongodb-close", daemon=True).start()
        return
    task = asyncio.get_running_loop().create_task(client.close(), name="mongodb-close")
    _closing.add(task)
    task.add_done_callback(_closed)


def _closed(task: asyncio.Task[None]) -> None:
    _closing.discard(task)
    if not task.cancelled():
        task.exception()  # nobody waits for it
