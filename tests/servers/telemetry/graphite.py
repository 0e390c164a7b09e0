"""A double of Graphite's render API."""

from __future__ import annotations

import re
from base64 import b64encode
from collections import defaultdict
from itertools import pairwise

from tests.servers.peers import Answer, Peer, Received
from tests.servers.telemetry.store import Store

LOGIN = {"username": "healthd", "password": "g" * 12}
STEP = 10
_FUNCTION = re.compile(r"(\w+)\((.*)\)")
_ALIAS = re.compile(r'alias\((?P<text>.+),"(?P<name>\w+)"\)')
_COUNTER = re.compile(r"stats\.shop\.(?P<version>[\w*]+)\.(?P<what>requests|errors|le_\w+)\.count")
_GAUGE = re.compile(r"stats\.gauges\.shop\.(?P<version>\w+)\.value")


class Graphite:
    """Answers as a Graphite would of the events of `store`, which statsd counted every ten seconds."""

    def __init__(self, peer: Peer, store: Store) -> None:
        self.store, self.step = store, STEP
        peer.answer("GET", "/render", self._answer)

    def _answer(self, received: Received) -> Answer:
        login = f"{LOGIN['username']}:{LOGIN['password']}"
        if received.headers.get("Authorization") != f"Basic {b64encode(login.encode()).decode()}":
            return Answer(status=401, body="<html>401</html>", headers={"Content-Type": "text/html"})
        asked = received.query
        assert (asked["format"], asked["noCache"]) == ("json", "true")
        series = list[dict[str, object]]()
        for target in (value for name, value in received.pairs if name == "target"):
            found = self._series(target, int(asked["from"]), int(asked["until"]))
            if isinstance(found, Answer):
                return found
            series += found
        return Answer(json=series)

    def _series(self, whole: str, begin: int, end: int) -> list[dict[str, object]] | Answer:
        """Return the series of a target, or what is answered if one has a function that is not there."""
        named = _ALIAS.fullmatch(whole)
        target, functions = named["text"] if named is not None else whole, list[str]()
        while (called := _FUNCTION.fullmatch(target)) is not None:
            functions.append(called[1])
            target = called[2]
        if unknown := set(functions) - {"sumSeries", "averageSeries", "nonNegativeDerivative"}:
            text = f'Invalid parameters (Received request for unknown function: {unknown.pop()}); targets: "{target}"'
            return Answer(status=400, body=text, headers={"Content-Type": "text/html; charset=utf-8"})
        points = self._points(target, begin, end)
        if points is None:
            return []
        if "nonNegativeDerivative" in functions:
            points = [(None, points[0][1]), *((_increase(b, a), at) for (b, _), (a, at) in pairwise(points))]
        return [
            {"target": named["name"] if named is not None else whole, "tags": {"name": target}, "datapoints": points}
        ]

    def _points(self, path: str, begin: int, end: int) -> list[tuple[float | None, int]] | None:
        """Return the points after `begin` and up to `end`; None of a path that nothing ever wrote to."""
        counter, gauge = _COUNTER.fullmatch(path), _GAUGE.fullmatch(path)
        if counter is not None:
            version, what = counter["version"], counter["what"]
            conditions = [] if version == "*" else [f"version = '{version}'"]
            conditions += ["status >= 500"] if what == "errors" else []
            conditions += [f"took <= {what[3:].replace('_', '.')}"] if what.startswith("le_") else []
        elif gauge is not None:
            conditions = [f"version = '{gauge['version']}'"]
        else:
            return None
        events = self.store.found(conditions)
        if not events:
            return None
        found = defaultdict[int, list[float]](list)
        for each in events:
            found[int(each.at) // self.step * self.step].append(float(each.fields["value"]))
        values = {at: float(len(each)) if counter is not None else sum(each) / len(each) for at, each in found.items()}
        places = range((begin // self.step + 1) * self.step, end + 1, self.step)
        return [(values.get(at), at) for at in places]


def _increase(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None or after < before else after - before
