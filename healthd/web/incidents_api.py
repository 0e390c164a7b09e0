"""`GET`, `POST /incidents`, `POST /incidents/{incident}/updates` and `DELETE /incidents/{incident}`: what people
write on the public pages."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from healthd.config.incident import Incident
from healthd.monitoring.incidents import Incidents
from healthd.units import stamp
from healthd.web.auth import Guard
from healthd.web.parsing import body_of
from healthd.web.problems import answering_problems
from healthd.web.public.writing import Writing
from healthd.web.public.written import ALL, NewIncident, NewUpdate

_NO_STORE = {"Cache-Control": "no-store"}
_SCOPE = "incidents:write"


class IncidentsApi:
    """API calls on incidents."""

    def __init__(self, incidents: Incidents, writing: Writing, guard: Guard) -> None:
        self._incidents, self._writing, self._guard = incidents, writing, guard

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/incidents", answering_problems(self._list)),
            web.post("/incidents", answering_problems(self._open)),
            web.post("/incidents/{incident}/updates", answering_problems(self._update)),
            web.delete("/incidents/{incident}", answering_problems(self._withdraw)),
        ]

    async def _list(self, request: web.Request) -> web.Response:
        """Answer with all incidents, those that are open first, then the latest."""
        await self._guard.prepare(request)
        self._guard.require(request, "health:read")
        incidents, complete = self._incidents.all(), self._incidents.is_complete
        text = await asyncio.to_thread(self._listed, incidents, complete=complete)  # there may be thousands of updates
        return web.Response(text=text, content_type="application/json", headers=_NO_STORE)

    async def _open(self, request: web.Request) -> web.Response:
        await self._guard.prepare(request)
        caller = self._guard.require(request, _SCOPE)
        wanted = await body_of(request, NewIncident, "incident", self._writing.pages)
        incident = await self._writing.open(caller, wanted)
        return web.json_response(self._document(incident), status=201, headers=_NO_STORE)

    async def _update(self, request: web.Request) -> web.Response:
        await self._guard.prepare(request)
        caller = self._guard.require(request, _SCOPE)
        meant = await self._writing.meant(request.match_info["incident"])
        wanted = await body_of(request, NewUpdate, "update", self._writing.components_of(meant.last.pages))
        incident = await self._writing.update(caller, meant, wanted)
        return web.json_response(self._document(incident), status=201, headers=_NO_STORE)

    async def _withdraw(self, request: web.Request) -> web.Response:
        await self._guard.prepare(request)
        caller = self._guard.require(request, _SCOPE)
        incident = await self._writing.withdraw(caller, request.match_info["incident"])
        return web.json_response(self._document(incident) | {"withdrawn": True}, headers=_NO_STORE)

    def _listed(self, incidents: Sequence[Incident], *, complete: bool) -> str:
        return json.dumps({"incidents": [self._document(it) for it in incidents], "complete": complete})

    def _document(self, incident: Incident) -> dict[str, Any]:
        last = incident.last
        planned = {"from": stamp(last.starts), "to": stamp(last.ends)} if last.starts and last.ends else {}
        return {
            "id": incident.id,
            "title": last.title,
            "state": last.state,
            "impact": last.impact,
            "pages": list(last.pages),
            "components": [ALL] if last.is_of_all else list(last.components),
            "opened": stamp(incident.opened),
            "since": stamp(incident.turned.at),
            **planned,
            **({"window": last.window} if last.window else {}),
            "updates": [
                {"at": stamp(it.at), "state": it.state, "text": it.text, "author": it.author}
                for it in reversed(incident.updates)
            ],
            "stored": not self._incidents.is_unsaved(incident.id),
        }
