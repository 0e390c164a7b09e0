"""A double of Loki's range queries."""

from __future__ import annotations

import re

from tests.servers.peers import Answer, Peer, Received
from tests.servers.telemetry.store import Store

PATH, TENANT = "/loki/api/v1/query_range", "shop"
_COUNT = re.compile(r"sum\(count_over_time\(\{(?P<stream>[^}]*)\}(?P<pipe>[^\[]*)\[(?P<range>\d+)s\]\)\)")
_MEAN = re.compile(r"avg\(avg_over_time\(\{(?P<stream>[^}]*)\}(?P<pipe>[^\[]*)\| unwrap value \[(?P<range>\d+)s\]\)\)")


class Loki:
    """Answers as a Loki with several tenants would of the events of `store`, each of them a line."""

    def __init__(self, peer: Peer, store: Store) -> None:
        self.store = store
        peer.answer("GET", PATH, self._answer)

    def _answer(self, received: Received) -> Answer:
        if received.headers.get("X-Scope-OrgID") != TENANT:
            return _text(401, "no org id")
        asked = received.query
        found = _COUNT.fullmatch(asked["query"]) or _MEAN.fullmatch(asked["query"])
        if found is None:
            return _text(400, f"parse error at line 1, col 1: syntax error: unexpected {asked['query'][:5]}")
        step, length = int(asked["step"].removesuffix("s")), int(found["range"])
        at, end = int(asked["start"]) / 10**9, int(asked["end"]) / 10**9
        stages = [each for each in found["pipe"].strip().strip("|").split("|") if each.strip() not in ("", "json")]
        events = self.store.found([*found["stream"].split(","), *stages])
        values = list[list[object]]()
        while at <= end:
            inside = [each for each in events if at - length < each.at <= at]
            if inside:
                means = [float(each.fields.get("value", 0.0)) for each in inside]
                value = len(inside) if found.re is _COUNT else sum(means) / len(means)
                values.append([at, f"{value:g}"])
            at += step
        result = [{"metric": {}, "values": values}] if values else []
        data = {"resultType": "matrix", "result": result, "stats": {}}
        return Answer(json={"status": "success", "data": data})


def _text(status: int, text: str) -> Answer:
    return Answer(status=status, body=text + "\n", headers={"Content-Type": "text/plain; charset=utf-8"})
