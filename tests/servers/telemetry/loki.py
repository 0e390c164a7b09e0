"""A double of Loki's range queries."""

from __future__ import annotations

import re
from collections.abc import Mapping

from tests.servers.peers import Answer, Peer, Received
from tests.servers.telemetry.store import Store

PATH, TENANT = "/loki/api/v1/query_range", "shop"
_PART = re.compile(r'label_replace\((?P<text>.+?), "(?P<label>\w+)", "(?P<value>\w+)", "", ""\)(?: or |$)')
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
        parts = list(_PART.finditer(asked["query"]))
        result = list[dict[str, object]]()
        for part in parts:
            found = _COUNT.fullmatch(part["text"]) or _MEAN.fullmatch(part["text"])
            if found is None:
                return _no_query(part["text"])
            if values := self._values(found, asked):
                result.append({"metric": {part["label"]: part["value"]}, "values": values})
        if "".join(part[0] for part in parts) != asked["query"]:
            return _no_query(asked["query"])
        if len({str(each["metric"]) for each in result}) != len(
            result
        ):  # `or` has each set of labels once, from the left
            return _no_query("the same labels twice")
        data = {"resultType": "matrix", "result": result, "stats": {}}
        return Answer(json={"status": "success", "data": data})

    def _values(self, found: re.Match[str], asked: Mapping[str, str]) -> list[list[object]]:
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
        return values


def _no_query(text: str) -> Answer:
    return _text(400, f"parse error at line 1, col 1: syntax error: unexpected {text[:5]}")


def _text(status: int, text: str) -> Answer:
    return Answer(status=status, body=text + "\n", headers={"Content-Type": "text/plain; charset=utf-8"})
