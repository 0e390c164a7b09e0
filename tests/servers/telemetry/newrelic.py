"""A double of New Relic's NerdGraph, as far as NRQL of one account."""

from __future__ import annotations

import re
from typing import Any

from tests.servers.peers import Answer, Peer, Received
from tests.servers.telemetry.store import Event, Store

KEY, ACCOUNT = "NRAK-" + "7" * 27, 1234567
_NRQL = re.compile(
    r"SELECT (?P<select>.+?) FROM (?P<table>\w+)(?: WHERE (?P<where>.+?))?"
    r" SINCE (?P<since>\d+) UNTIL (?P<until>\d+) TIMESERIES (?P<window>\d+) seconds"
)
_FILTER = re.compile(r"filter\(count\(\*\), WHERE (?P<where>.+)\)")
_CALL = re.compile(r"(\w+): nrql\(query: \$(\w+), timeout: (\d+)\) \{ results \}")


class NewRelic:
    """Answers as NerdGraph would of the events of `store`, each of them a Transaction."""

    def __init__(self, peer: Peer, store: Store) -> None:
        self.store = store
        self.failing: dict[str, Any] | None = None
        """An error of one part of the answer, which NerdGraph reports beside the others."""
        peer.answer("POST", "/graphql", self._answer)

    def _answer(self, received: Received) -> Answer:
        if received.headers.get("API-Key") != KEY:
            message = "Invalid or missing API key."
            return Answer(status=401, json={"errors": [{"title": "Unauthorized", "message": message}]})
        body: Any = received.json()
        variables = body["variables"]
        if variables["account"] != ACCOUNT:
            return Answer(json={"data": {"actor": {"account": None}}})
        account: dict[str, Any] = {}
        for alias, name, _ in _CALL.findall(body["query"]):
            found = _NRQL.fullmatch(variables[name])
            if found is None:
                return Answer(json=_failed(alias, f"NRQL Syntax Error: {variables[name]}", "INVALID_INPUT"))
            account[alias] = {"results": self._rows(found)}
        if self.failing is not None:
            first = next(iter(account))
            return Answer(json={"data": {"actor": {"account": {**account, first: None}}}, "errors": [self.failing]})
        return Answer(json={"data": {"actor": {"account": account}}})

    def _rows(self, asked: re.Match[str]) -> list[dict[str, Any]]:
        since, until, window = (int(asked[name]) for name in ("since", "until", "window"))
        since, until = since // 1000, until // 1000
        assert (until - since) / window <= 366
        events = self.store.found(_conditions(asked["where"]))
        rows = []
        for begin in range(since, until, window):
            inside = [each for each in events if begin <= each.at < begin + window]
            row: dict[str, Any] = {"beginTimeSeconds": begin, "endTimeSeconds": begin + window}
            for select in re.split(r"(?<='), ", asked["select"]):
                function, _, alias = select.partition(" AS ")
                ((name, number),) = self._selected(function, inside).items()
                row[alias.strip("'") or name] = number
            rows.append(row)
        return rows

    def _selected(self, select: str, inside: list[Event]) -> dict[str, Any]:
        if select == "count(*)":
            return {"count": len(inside)}
        if (filtered := _FILTER.fullmatch(select)) is not None:
            fitting = self.store.found(_conditions(filtered["where"]))
            return {"count": sum(each in fitting for each in inside)}
        assert select == "average(value)"
        values = [float(each.fields["value"]) for each in inside]
        return {"average.value": sum(values) / len(values) if values else None}


def _conditions(where: str | None) -> list[str]:
    return where.split(" AND ") if where else []


def _failed(alias: str, message: str, kind: str) -> dict[str, Any]:
    error = {"message": message, "path": ["actor", "account", alias], "extensions": {"errorClass": kind}}
    return {"data": {"actor": {"account": {alias: None}}}, "errors": [error]}
