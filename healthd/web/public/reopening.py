"""Reopening of an incident: what is over stays so, unless somebody asks for it to be opened again."""

from __future__ import annotations

from typing import Any

from healthd.config.incident import Incident
from healthd.units import stamp
from healthd.web.problems import Problem
from healthd.web.public.written import NewUpdate


def reopening(incident: Incident, wanted: NewUpdate) -> dict[str, Any]:
    """Return what an update that opens an incident again changes of its state. Raises Problem 409 for a state of what
    is over, which nobody asked to open, and 422."""
    last = incident.last
    if not wanted.reopen:
        if last.is_over and (wanted.state is not None or (last.state == "cancelled" and wanted.is_moved)):
            raise _over(incident, wanted)
        return {}
    if not last.is_over:
        raise Problem(409, "Incident is open", "reopen: it is not over: leave reopen out")
    if wanted.state == "resolved":
        raise Problem(422, "Invalid update", "state: what is opened again is not resolved: leave state or reopen out")
    if last.starts is None:
        return {"state": wanted.state or "investigating"}
    if not wanted.is_moved:
        raise Problem(422, "Invalid update", "reopen: planned maintenance is opened again by new times: for or to")
    return {}


def _over(incident: Incident, wanted: NewUpdate) -> Problem:
    end = incident.turned
    by = "" if end.state == "completed" else f", by {end.author}"  # planned maintenance ends by its times too
    told = f"it is {end.state} since {stamp(end.at)}{by}: to add a text leave the state out (`healthd incident update`)"
    if wanted.state != "resolved":
        told += '; to open it again say so (`healthd incident update --reopen`, or "reopen": true)'
    return Problem(409, "Incident is over", told)
