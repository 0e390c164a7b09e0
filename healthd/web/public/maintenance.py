"""Planned maintenance that customers are told of beforehand: its times, and the window that is in force with it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from healthd.config.incident import Standing, Update
from healthd.config.public_page import Component
from healthd.units import stamp
from healthd.web.caller import Caller
from healthd.web.new_window import NewWindow, ends_too_early
from healthd.web.parsing import validated
from healthd.web.problems import Problem
from healthd.web.public.written import NewIncident, NewUpdate
from healthd.web.windows_api import WindowsApi

_SCOPE = "windows:write"
_LONGEST = timedelta(days=366)


def opening(wanted: NewIncident, now: datetime) -> dict[str, Any]:
    """Return state, impact and times of what is opened. Raises Problem 422."""
    if wanted.window and not wanted.components:
        raise Problem(422, "Invalid incident", "window: it covers the checks of components: name them, or * for all")
    if not wanted.is_planned:
        if wanted.window:
            raise Problem(422, "Invalid incident", "window: planned maintenance alone has one: write from and to")
        return {"state": wanted.state or "investigating", "impact": wanted.impact or "degraded"}
    if wanted.state is not None:
        raise Problem(422, "Invalid incident", "state: planned maintenance has it by its times: leave it out")
    if wanted.impact == "none":
        raise Problem(422, "Invalid incident", "impact: an announcement has no times: leave impact out, or the times")
    start, end = _times("incident", now, wanted.start, wanted.end, wanted.lasts)
    return {"starts": start, "ends": end, "state": _standing(start, now), "impact": wanted.impact or "maintenance"}


def following(last: Update, wanted: NewUpdate, now: datetime) -> dict[str, Any]:
    """Return what an update changes of times and state. Raises Problem 422."""
    if last.starts is None or last.ends is None:
        if wanted.is_moved:
            raise Problem(422, "Invalid update", "it is no planned maintenance, which alone has from, to and for")
        return {}
    if wanted.impact == "none":
        raise Problem(422, "Invalid update", "impact: planned maintenance is no announcement: degraded or outage")
    if wanted.state == "resolved":
        if wanted.is_moved:
            raise Problem(422, "Invalid update", "write state, which ends it now, or other times, not both")
        return {"state": "cancelled"} if last.state == "scheduled" else {"state": "completed", "ends": now}
    if wanted.state is not None:
        raise Problem(422, "Invalid update", "state: planned maintenance has it by its times; only resolved ends it")
    if not wanted.is_moved:
        return {}
    end = wanted.end if wanted.end is not None or wanted.lasts is not None else last.ends
    start, end = _times("update", now, wanted.start or last.starts, end, wanted.lasts)
    return {"starts": start, "ends": end, "state": _standing(start, now)}


def _times(
    what: str, now: datetime, start: datetime | None, end: datetime | None, lasts: float | None
) -> tuple[datetime, datetime]:
    """Return start, which is now by default, and end; `lasts` is in seconds. Raises Problem 422."""
    begins = start or now
    if end is not None and lasts is not None:
        told = "write to or for, not both"
    elif begins - now > _LONGEST:
        told = "from must be within a year from now"
    elif lasts is not None and lasts > _LONGEST.total_seconds():
        told = f"for must not be longer than a year: write at most {_LONGEST.days}d"
    elif (ends := begins + timedelta(seconds=lasts) if lasts is not None else end) is None:
        told = "it needs an end: write for, such as 1h, or to"
    elif ends - begins > _LONGEST:
        told = "to must be within a year after from"
    elif ends <= max(now, begins):
        told = ends_too_early(lasts) + (f": it counts from the begin, {stamp(begins)}" if start and lasts else "")
    else:
        return begins, ends
    raise Problem(422, f"Invalid {what}", told)


def _standing(start: datetime, now: datetime) -> Standing:
    return "in_progress" if start <= now else "scheduled"


class Maintenance:
    """Windows that are in force with maintenance that was announced. Every method raises Problem."""

    def __init__(self, windows: WindowsApi) -> None:
        self._windows = windows

    async def begin(self, caller: Caller, update: Update, parts: Sequence[Component]) -> Update:
        """Put a window in force for all checks of these components, in place of the one that the update names, if any;
        return the update with its id."""
        if not caller.may(_SCOPE):
            raise caller.lacks(_SCOPE)
        checks, groups = [it for part in parts for it in part.checks], [it for part in parts for it in part.groups]
        named = {"checks": list(dict.fromkeys(checks)), "groups": list(dict.fromkeys(groups))}
        times = {"from": update.starts, "to": update.ends}
        asked = {"kind": "maintenance", **named, **times, "reason": update.title}
        wanted = validated(asked, NewWindow, "Invalid window", self._windows.surroundings())
        put = self._windows.move(caller, update.window, wanted) if update.window else self._windows.add(caller, wanted)
        return update.model_copy(update={"window": (await put).id})

    async def follow(self, caller: Caller, last: Update, update: Update, parts: Sequence[Component]) -> Update:
        """End the window of maintenance that is over or withdrawn, and move it for other times or components. Whether
        there is one is asked of the journal where it is not known here."""
        is_ended = update.is_over or update.withdrawn
        was, now = ((it.starts, it.ends, it.components, it.is_of_all) for it in (last, update))
        is_same = was == now
        if last.window is None or (is_same and not is_ended):
            return update
        window = self._windows.find(last.window)
        if window is None and not last.is_over:
            window = await self._windows.look_up(last.window)  # another replica may have put it in force just now
            if window is None:  # somebody has ended it, and nothing else: that stays so
                return update.model_copy(update={"window": None})
        if window is None and is_ended:
            return update
        if not caller.may(_SCOPE):
            raise caller.lacks(_SCOPE)
        if not is_ended and not parts:
            told = f"components: the window {last.window} covers the checks of some: name them, or * for all; or end it"
            raise Problem(422, "Invalid update", told)
        if not is_ended:
            return await self.begin(caller, update, parts)
        if window is not None:
            await self._windows.end(caller, window)
        return update
