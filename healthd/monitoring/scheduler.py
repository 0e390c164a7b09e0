"""APScheduler. Its import reads three times what every installed package plugs into it: here not once more.

What it imports at its own start is imported here, in a thread: Python looks for one module at a time, so that in the
event loop an import would wait for one that hangs, and health with it.
"""

from healthd.registry import installed_entry_points
from healthd.runtime.lean_imports import replacing

with replacing("importlib.metadata", "entry_points", lambda **wanted: installed_entry_points().select(**wanted)):
    from apscheduler.executors.asyncio import AsyncIOExecutor as AsyncIOExecutor
    from apscheduler.schedulers.asyncio import AsyncIOScheduler as AsyncIOScheduler
    from apscheduler.triggers.interval import IntervalTrigger as IntervalTrigger
