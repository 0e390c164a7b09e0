"""A double of the searches of Elasticsearch and OpenSearch."""

from __future__ import annotations

import re
from collections import Counter
from fnmatch import fnmatchcase
from typing import Any

from tests.servers.peers import Answer, Peer, Received
from tests.servers.telemetry.store import Store

INDEX, KEY = "logs-shop", "aWQ6a2V5"
MAPPING = {"@timestamp": "date", "service": "keyword", "version": "keyword", "status": "long", "took": "float"}
_TERM = re.compile(r"(?P<name>[\w.]+):(?P<operator>>=|<=|>|<)?(?P<value>(?:[\w.]|\\.)+)")


class Elasticsearch:
    """Answers as a cluster would of the events of `store`, each of them a document of one index."""

    def __init__(self, peer: Peer, store: Store) -> None:
        self.store, self.failed, self.timed_out, self.mapping = store, 0, False, dict(MAPPING)
        peer.answer("GET", f"/{INDEX}/_field_caps", self._fields)
        peer.answer("POST", f"/{INDEX}/_search", self._answer)
        peer.answer("POST", "/nothing-*/_search", lambda _: Answer(json=_found({}, total=0)))
        peer.fallback = self._no_index

    def _answer(self, received: Received) -> Answer:
        if received.headers.get("Authorization") != f"ApiKey {KEY}":
            reason = "unable to authenticate with provided credentials"
            return Answer(status=401, json=_error(401, "security_exception", reason))
        body: Any = received.json()
        assert body["size"] == 0
        (name, bounds), *_ = body["query"]["range"].items()
        assert name == "@timestamp"
        assert bounds["format"] == "epoch_millis"
        found = {}
        for alias, aggregation in body["aggs"].items():
            histogram = aggregation["aggs"]["windows"]["date_histogram"]
            window = int(histogram["fixed_interval"].removesuffix("s"))
            conditions = _conditions(aggregation["filter"]["query_string"]["query"])
            if conditions is None:
                return Answer(status=400, json=_error(400, "query_shard_exception", "Failed to parse query"))
            inside = [e for e in self.store.found(conditions) if bounds["gte"] <= e.at * 1000 < bounds["lt"]]
            counts = Counter(int(each.at) // window * window for each in inside)
            assert histogram["min_doc_count"] == 1
            buckets = [{"key": at * 1000, "doc_count": count} for at, count in sorted(counts.items())]
            found[alias] = {"doc_count": len(inside), "windows": {"buckets": buckets}}
        return Answer(json=_found(found, failed=self.failed, timed_out=self.timed_out))

    def _fields(self, received: Received) -> Answer:
        patterns = received.query["fields"].split(",")
        asked = [name for name in self.mapping if any(fnmatchcase(name, pattern) for pattern in patterns)]
        able = {"searchable": True, "aggregatable": True}
        fields = {name: {self.mapping[name]: {"type": self.mapping[name], **able}} for name in asked}
        return Answer(json={"indices": [INDEX], "fields": fields})

    def _no_index(self, received: Received) -> Answer:
        return Answer(status=404, json=_error(404, "index_not_found_exception", f"no such index [{received.path}]"))


def _conditions(text: str) -> list[str] | None:
    """Read the terms; text that is escaped stands for itself."""
    conditions = list[str]()
    for term in text.split(" AND "):
        found = _TERM.fullmatch(term)
        if found is None:
            return None
        value = re.sub(r"\\(.)", r"\1", found["value"])
        conditions.append(
            f"{found['name']} {found['operator'] or '='} " + (value if found["operator"] else f"'{value}'")
        )
    return conditions


def _found(aggregations: dict[str, Any], *, total: int = 2, failed: int = 0, timed_out: bool = False) -> dict[str, Any]:
    shards = {"total": total, "successful": total - failed, "skipped": 0, "failed": failed}
    hits: dict[str, Any] = {"max_score": None, "hits": []}
    document: dict[str, Any] = {"took": 3, "timed_out": timed_out, "_shards": shards, "hits": hits}
    return document | ({"aggregations": aggregations} if total else {})


def _error(status: int, kind: str, reason: str) -> dict[str, Any]:
    cause = {"type": kind, "reason": reason}
    return {"error": {"root_cause": [cause], **cause}, "status": status}
