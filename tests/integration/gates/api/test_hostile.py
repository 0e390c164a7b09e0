"""A request reaches nothing that the configuration does not name: seen from where the requests would arrive."""

import json
from pathlib import Path
from typing import Any

from tests.servers.gating import POLICIES, gating
from tests.servers.peers import Answer, Peer

EMPTY = {"status": "success", "data": {"resultType": "matrix", "result": []}}
INJECTIONS = [
    '"} or up{job="',
    "x\\",
    'x"',
    "{{x}}",
    ".*",
    "a|b",
    "$version",
    "a\nb",
    "${HOME}",
    "`id`",
    "$(id)",
    "é",
    "",
]


def requests(peer: Peer) -> list[dict[str, Any]]:
    """Bodies that try to name an address, a command or a file, in every place that takes a value."""
    found: list[dict[str, Any]] = []
    for value in INJECTIONS:
        found.append({"candidate": {"version": value}})
        found.append({"candidate": {"version": "2", "labels": {"zone": value}}})
        found.append({"candidate": {"version": "2", "labels": {"zone": "a"}}, "baseline": {"version": value}})
        found.append({"candidate": {"version": "2", "labels": {value: "a"}}})
    for value in (peer.url, f"{peer.url}/admin", "file:///etc/passwd", "/etc/passwd", "../../etc/passwd", "|id"):
        found.append({"candidate": {"version": "2", "target": value, "labels": {"zone": "a"}}})
        found.append({"policy": value, "candidate": {"version": "2", "labels": {"zone": "a"}}})
        found.append({"service": value, "candidate": {"version": "2", "labels": {"zone": "a"}}})
        found.append({"candidate": {"version": "2", "labels": {"zone": "a"}}, "url": value})
    return found


async def test_nothing_leaves_the_configuration(tmp_path: Path, peer: Peer) -> None:
    """Every attempt is refused with its field, and the only queries that arrive are those of the fair request."""
    for method in ("GET", "POST"):
        for path in ("query", "query_range"):
            peer.answer(method, f"/api/v1/{path}", Answer(json=EMPTY))
    selector = 'requests_total{service="shop",version="$version",zone="$zone"}'
    source = {"kind": "prometheus", "url": peer.url, "requests": selector, "errors": selector}
    async with gating(tmp_path, services={"shop": {"source": source, "policy": "silent"}}, policies=POLICIES) as api:
        for request in requests(peer):
            answer = await api.call("POST", "/gates/verify", {"service": "shop", **request})
            assert answer.status in {404, 422}, request
            assert answer.body["errors"][0]["field"]
        assert peer.received == []
        deployment = {"id": "$(id)", "url": f"{peer.url}/admin", "actor": '"; drop table gates'}
        fair = {"version": "2", "labels": {"zone": "eu-1"}}
        body = {"service": "shop", "candidate": fair, "deployment": deployment}
        assert (await api.call("POST", "/gates/verify?wait=10s", body)).status == 412
    queries = [received.body.decode() + json.dumps(dict(received.query)) for received in peer.received]
    assert queries
    assert {received.path.rpartition("/")[0] for received in peer.received} == {"/api/v1"}
    about_the_arm = [query for query in queries if "topk(" not in query]  # that one asks which labels the metric has
    assert about_the_arm
    assert not [query for query in about_the_arm if "eu-1" not in query]
