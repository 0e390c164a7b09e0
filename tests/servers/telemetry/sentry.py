"""A double of Sentry: an organization's issues and sessions."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from tests.servers.peers import Answer, Peer, Received
from tests.servers.telemetry.store import Store

ORGANIZATION, TOKEN = "shop", "sntrys_" + "7" * 40
_TERM = re.compile(r'([\w.]+):(?:"([^"]*)"|(\S+))')


class Sentry:
    """Answers as Sentry would of the events of `store`: a session has a `session.status`, and an issue none.

    `finest` are the seconds of the shortest interval that it offers.
    """

    def __init__(self, peer: Peer, store: Store) -> None:
        self.store, self.page, self.finest = store, 100, 60
        peer.answer("GET", f"/api/0/organizations/{ORGANIZATION}/issues/", self._issues)
        peer.answer("GET", f"/api/0/organizations/{ORGANIZATION}/sessions/", self._sessions)
        peer.fallback = Answer(status=404, json={"detail": "The requested resource does not exist"})

    def _issues(self, received: Received) -> Answer:
        if (refused := _refused(received)) is not None:
            return refused
        asked = received.query
        assert asked["sort"] == "new"
        terms = _conditions(asked.get("query", "is:unresolved"))
        found = [each for each in self.store.found(terms) if "session.status" not in each.fields]
        found.sort(key=lambda each: -each.at)
        size, offset = min(int(asked["limit"]), self.page), int(asked.get("cursor", "0:0:0").split(":")[1])
        shown = found[offset : offset + size]
        more = "true" if offset + size < len(found) else "false"
        link = f'<{received.path}?cursor=0:0:1>; rel="previous"; results="false"; cursor="0:0:1", '
        link += (
            f'<{received.path}?cursor=0:{offset + size}:0>; rel="next"; results="{more}"; cursor="0:{offset + size}:0"'
        )
        issues = [{"id": str(place), "firstSeen": _time(each.at)} for place, each in enumerate(shown)]
        return Answer(json=issues, headers={"Link": link})

    def _sessions(self, received: Received) -> Answer:
        if (refused := _refused(received)) is not None:
            return refused
        asked = received.query
        assert (asked["field"], asked["groupBy"]) == ("sum(session)", "session.status")
        interval = max(int(asked["interval"].removesuffix("m")) * 60, self.finest)
        start, end = (datetime.fromisoformat(asked[name]).replace(tzinfo=UTC).timestamp() for name in ("start", "end"))
        first = int(start) // interval * interval
        starts = range(first, max(int(end), first + interval), interval)
        counts: dict[str, list[int]] = {}
        for each in self.store.found(_conditions(asked.get("query", ""))):
            status, place = each.fields.get("session.status"), int((each.at - first) // interval)
            if status is not None and 0 <= place < len(starts):
                counts.setdefault(str(status), [0] * len(starts))[place] += 1
        groups = [
            {
                "by": {"session.status": status},
                "totals": {"sum(session)": sum(series)},
                "series": {"sum(session)": series},
            }
            for status, series in counts.items()
        ]
        document: dict[str, Any] = {"intervals": [_time(at) for at in starts], "groups": groups, "query": ""}
        return Answer(json=document)


def _refused(received: Received) -> Answer | None:
    if received.headers.get("Authorization") != f"Bearer {TOKEN}":
        return Answer(status=401, json={"detail": "Invalid token"})
    return None


def _conditions(search: str) -> list[str]:
    return [f"{name} = '{quoted or plain}'" for name, quoted, plain in _TERM.findall(search)]


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")
