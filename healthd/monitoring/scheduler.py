"""APScheduler. Its import reads three times what every installed package plugs into it: here not once more.

What it imports at its own start is imported here, in a thread: Python looks for one module at a time, so that in the
event loop an import would wait for one that hangs, and health with it.
"""

from healthd.runtime.entry_points import read_once

with read_once():
    from apscheduler.executors.asyncio import AsyncIOExecutor as AsyncIOExecutor
    from apscheduler.schedulers.asyncio import AsyncIOScheduler as AsyncIOScheduler
    from apscheduler.triggers.interval import IntervalTrigger as IntervalTrigger
