"""Virtual time stands still while a thread works, however slow the machine is."""

import asyncio
import time

from healthd.runtime.daemon_thread import in_daemon_thread


async def test_a_daemon_thread_takes_no_time() -> None:
    """And a timer that is due meanwhile waits for it."""
    loop = asyncio.get_running_loop()
    timer = loop.create_task(asyncio.sleep(10.0))
    await in_daemon_thread(lambda: time.sleep(0.05), name="slow")
    assert (loop.time(), timer.done()) == (1000.0, False)
    await timer
    assert loop.time() == 1010.0
