"""A double of InfluxDB's `/query`."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Any

from tests.servers.peers import Answer, Peer, Received
from tests.servers.telemetry.store import Event, Store

DATABASE, TOKEN = "shop", "i" * 40
_QUERY = re.compile(
    r'SELECT (?P<select>\w+)\("(?P<field>\w+)"\) FROM "(?P<measurement>\w+)" WHERE (?:\((?P<where>.+)\) AND )?'
    r"time >= (?P<start>\d+)s AND time < (?P<end>\d+)s GROUP BY time\((?P<window>\d+)s\) fill\(none\)"
)


class InfluxDB:
    """Answers as InfluxDB would of the events of `store`, each of them a point of the measurement `requests`."""

    def __init__(self, peer: Peer, store: Store) -> None:
        self.store, self.partial = store, False
        self.one_statement = False
        """True of InfluxDB 3, which takes one statement a call."""
        peer.answer("GET", "/query", self._answer)

    def _answer(self, received: Received) -> Answer:
        if received.headers.get("Authorization") != f"Token {TOKEN}":
            return Answer(status=401, json={"error": "authorization failed"})
        asked = received.query
        assert asked["epoch"] == "s"
        if asked["db"] != DATABASE:
            error = "not executed" if "; " in asked["q"] else f"database not found: {asked['db']}"
            return Answer(json={"results": [{"statement_id": 0, "error": error}]})
        statements = [_QUERY.fullmatch(text) for text in asked["q"].split("; ")]
        if self.one_statement and len(statements) > 1:
            return Answer(status=500, body="must provide only one InfluxQl statement per query")
        results = list[dict[str, Any]]()
        for place, found in enumerate(statements):
            if found is None:
                return Answer(status=400, json={"error": f"error parsing query: found {asked['q']}, expected SELECT"})
            results.append({"statement_id": place, **self._result(found)})
        return Answer(json={"results": results})

    def _result(self, found: re.Match[str]) -> dict[str, Any]:
        start, end, window = (int(found[name]) for name in ("start", "end", "window"))
        conditions = found["where"].replace('"', "").split(" AND ") if found["where"] else []
        points = defaultdict[int, list[Event]](list)
        for each in self.store.found(conditions):
            if start <= each.at < end and found["field"] in each.fields and found["measurement"] == "requests":
                points[int(each.at) // window * window].append(each)
        if not points:
            return {}
        rows = [[at, _selected(found["select"], found["field"], points[at])] for at in sorted(points)]
        series: dict[str, Any] = {"name": "requests", "columns": ["time", found["select"]], "values": rows}
        return {"series": [series | ({"partial": True} if self.partial else {})]}


def _selected(function: str, name: str, points: list[Event]) -> float:
    values = [float(each.fields[name]) for each in points]
    return {"count": len(values), "mean": sum(values) / len(values)}[function]
