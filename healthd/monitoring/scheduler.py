"""APScheduler. Its import reads three times what every installed package plugs into it: here not once more."""

from healthd.registry import installed_entry_points
from healthd.runtime.lean_imports import replacing

with replacing("importlib.metadata", "entry_points", lambda **wanted: installed_entry_points().select(**wanted)):
    from apscheduler.schedulers.asyncio import AsyncIOScheduler as AsyncIOScheduler
    from apscheduler.triggers.interval import IntervalTrigger as IntervalTrigger
