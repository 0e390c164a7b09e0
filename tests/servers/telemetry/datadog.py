"""A double of Datadog's API for timeseries."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

from tests.servers.peers import Answer, Peer, Received
from tests.servers.telemetry.store import Event, Store, fits

PATH = "/api/v2/query/timeseries"
API_KEY, APPLICATION_KEY = "d" * 32, "a" * 40
_COUNT = re.compile(
    r"(?P<how>sum|avg|min|max|count)(?:\(v: v<=(?P<most>[\d.]+)\))?:(?P<metric>[\w.]+)\{(?P<tags>[^}]*)\}"
    r"(?P<count>\.as_count\(\))?\.rollup\((?:(?P<time>sum|avg|min|max), )?(?P<window>\d+)\)"
)


class Datadog:
    """Answers as Datadog would of the events of `store`, each of them one point of the metric that it names."""

    def __init__(self, peer: Peer, store: Store) -> None:
        self.store, self.requests_left = store, 10**6
        peer.answer("POST", PATH, self._answer)

    def _answer(self, received: Received) -> Answer:
        if (
            received.headers.get("DD-API-KEY") != API_KEY
            or received.headers.get("DD-APPLICATION-KEY") != APPLICATION_KEY
        ):
            return Answer(status=403, json={"errors": ["Forbidden"]})
        if not self.requests_left:
            limits = {"X-RateLimit-Limit": "10", "X-RateLimit-Period": "60", "X-RateLimit-Remaining": "0"}
            named = {**limits, "X-RateLimit-Reset": "17", "X-RateLimit-Name": "timeseries_query"}
            return Answer(
                status=429, json={"errors": ["Rate limit of 10 requests in 60 seconds reached"]}, headers=named
            )
        self.requests_left -= 1
        body: Any = received.json()
        assert body["data"]["type"] == "timeseries_request"
        asked = body["data"]["attributes"]
        assert isinstance(asked["from"], int)
        assert isinstance(asked["to"], int)
        named_queries = {each["name"]: each["query"] for each in asked["queries"]}
        assert all(each["data_source"] == "metrics" for each in asked["queries"])
        columns = dict[int, dict[int, float]]()
        for place, formula in enumerate(asked["formulas"]):
            found = _COUNT.fullmatch(named_queries[formula["formula"]])
            if found is None or int(found["window"]) * 1000 != asked["interval"]:
                detail = f"Error parsing query: {named_queries[formula['formula']]}"
                return Answer(status=400, json={"errors": [{"title": "Bad Request", "detail": detail}]})
            if points := self._points(found, asked["from"] / 1000, asked["to"] / 1000):
                columns[place] = points
        times = sorted({at for points in columns.values() for at in points})
        attributes = {
            "series": [{"group_tags": [], "query_index": place, "unit": None} for place in columns],
            "times": [at * 1000 for at in times],
            "values": [[points.get(at) for at in times] for points in columns.values()],
        }
        return Answer(json={"data": {"id": "0", "type": "timeseries_response", "attributes": attributes}})

    def _points(self, asked: re.Match[str], start: float, end: float) -> dict[int, float]:
        """The points of a query: sums of counts with `.as_count()`, and else, of the same events, rates."""
        window = int(asked["window"])
        tags = [tuple(tag.split(":", 1)) for tag in asked["tags"].split(",") if tag != "*"]
        found = self.store.found(f"{name} = '{value}'" for name, value in tags)
        fitting = [each for each in found if each.fields["metric"] == asked["metric"]]
        if asked["most"] is not None:
            fitting = [each for each in fitting if fits(each, ("took", "<=", float(asked["most"])))]
        inside = [each for each in fitting if start <= each.at <= end]
        if asked["how"] in ("sum", "count") and (asked["count"] or asked["how"] == "count"):
            return dict(Counter(int(each.at) // window * window for each in inside))
        return _means(inside, window)


def _means(events: list[Event], window: int) -> dict[int, float]:
    found = dict[int, list[float]]()
    for each in events:
        found.setdefault(int(each.at) // window * window, []).append(float(each.fields["value"]))
    return {at: sum(values) / len(values) for at, values in found.items()}
