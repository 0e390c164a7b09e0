"""What a Prometheus-compatible server may answer instead of counts, and how it is told who asks."""

from __future__ import annotations

from typing import Any

import pytest

from healthd.model import FailureKind
from healthd_gates.sources.contract import SourceUnavailable
from healthd_gates.sources.prometheus_api import QueryApi, Series
from tests.fakes.sources import desk
from tests.servers import peers, prometheus, tls
from tests.servers.peers import Answer

QUERY = "/api/v1/query"
SECRET = "prometheus-secret"


def result(*series: Any, **more: Any) -> Answer:
    return Answer(json={"status": "success", "data": {"resultType": "matrix", "result": list(series)}, **more})


def config(url: str, **more: Any) -> dict[str, Any]:
    given = {"kind": "prometheus", "url": url, "requests": "r_total", "errors": 'r_total{status="500"}'}
    return {**given, "timeout": "5s", **more}


ONE = {"metric": {"instance": "a"}, "values": [[1, "1"]]}
NATIVE = {
    "metric": {"instance": "a"},
    "histograms": [[1, {"count": "1", "sum": "0.3", "buckets": [[0, "0.25", "0.5", "1"]]}]],
}
REFUSED = {"status": "error", "errorType": "timeout", "error": "query timed out"}


@pytest.mark.parametrize(
    ("answer", "kind", "message"),
    [
        (result(ONE, warnings=["store b is away"]), FailureKind.UNEXPECTED_RESPONSE, "store b is away"),
        (result(ONE, isPartial=True), FailureKind.UNEXPECTED_RESPONSE, "in part only"),
        (result({"metric": {}, "histograms": [[1, {"count": "1"}]]}), FailureKind.UNEXPECTED_RESPONSE, "no result"),
        (result(ONE, ONE), FailureKind.EXHAUSTED, "more than max_series"),
        (result({"metric": {}}), FailureKind.UNEXPECTED_RESPONSE, "no result"),
        (Answer(json={"status": "success", "data": None}), FailureKind.UNEXPECTED_RESPONSE, "no result"),
        (Answer(body="<html>sign in</html>"), FailureKind.MISCONFIGURED, "check the url"),
        (Answer(status=302, headers={"Location": "/login"}), FailureKind.MISCONFIGURED, "redirects"),
        (Answer(status=503, json=REFUSED), FailureKind.TIMEOUT, "query timed out"),
        (Answer(status=502), FailureKind.UNEXPECTED_RESPONSE, "answered 502"),
        (Answer(status=429), FailureKind.RATE_LIMITED, "answered 429"),
        (Answer(status=403), FailureKind.PERMISSION, "answered 403"),
        (Answer(delay=10), FailureKind.TIMEOUT, r"/api/v1/query did not answer within (1|0\.\d+) s"),
        (Answer(hang_up=True), FailureKind.CONNECT, "closed the connection"),
        (Answer(body=b"[" * 3000), FailureKind.UNEXPECTED_RESPONSE, "more than max_size"),
    ],
)
async def test_anything_but_a_whole_answer_is_no_telemetry(
    peer: peers.Peer, answer: Answer, kind: FailureKind, message: str
) -> None:
    """Partial data is not counted: it could hide errors as well as invent them."""
    peer.answer("GET", QUERY, answer)
    gate = desk(config(peer.url, max_series=1, max_size=2000, timeout="1s" if answer.delay else "5s"))
    with pytest.raises(SourceUnavailable, match=message) as failure:
        await gate.look()
    await gate.source.close()
    assert failure.value.kind is kind


async def test_a_login_a_certificate_and_a_trusted_authority(authority: tls.Authority) -> None:
    """A real server behind TLS and a password; without either the failure says which, and never the password."""
    login = {"username": prometheus.USER, "password": prometheus.PASSWORD}
    with prometheus.running(authenticates=True, certificate=authority.good()) as server:
        trusted = {"tls": {"ca": str(authority.trust)}}
        refusals = []
        for more in ({**trusted, "basic": {**login, "password": "wrong-secret"}}, {**trusted, "tls": {}}):
            gate = desk(config(server.url, **more))
            with pytest.raises(SourceUnavailable) as refused:
                await gate.look()
            await gate.source.close()
            refusals.append(refused.value)
        gate = desk(config(server.url, **trusted, basic=login))
        await gate.look()
        await gate.source.close()
    assert [refusal.kind for refusal in refusals] == [FailureKind.AUTH, FailureKind.TLS]
    assert "secret" not in "".join(map(str, refusals))


async def test_tokens_headers_and_parameters_are_sent_and_never_shown(peer: peers.Peer) -> None:
    """As Mimir's tenants and Thanos's parameters need; an answer that repeats a secret is masked."""
    more = {"bearer": SECRET, "headers": {"X-Scope-OrgID": "tenant-1"}, "params": {"dedup": "true"}}
    gate = desk(config(f"{peer.url}/prometheus/", **more))
    peer.answer("GET", "/prometheus" + QUERY, Answer(json={"status": "error", "error": f"bad token {SECRET}"}))
    with pytest.raises(SourceUnavailable, match=r"bad token \*\*\*") as failure:
        await gate.look()
    await gate.source.close()
    (request, *_) = peer.received
    assert request.headers["Authorization"] == f"Bearer {SECRET}"
    assert request.headers["X-Scope-OrgID"] == "tenant-1"
    assert request.query["dedup"] == "true"
    assert SECRET not in str(failure.value)


@pytest.mark.parametrize("classic", ["", "lat_count"], ids=["nothing classic", "counts alone"])
async def test_a_native_histogram_is_named_as_the_cause(monkeypatch: pytest.MonkeyPatch, classic: str) -> None:
    """Whoever switches native histograms on loses the classic series, and learns why the gate sees none."""

    async def answered(api: QueryApi, query: str, at: float, expected: str) -> list[Series]:
        series: list[Any] = [NATIVE] if query.startswith("lat[") else []
        if classic and query.startswith(f"{classic}["):
            series = [{"metric": {"instance": "a"}, "values": [[at, "5"]]}]
        return api._series(query, {"resultType": expected, "result": series}, expected)

    monkeypatch.setattr(QueryApi, "_query", answered)
    gate = desk(config("http://prometheus.invalid", requests="lat_count", errors="e_total", latency="lat_bucket"))
    await gate.look()
    try:
        said = " ".join((await gate.look()).notes)
    except SourceUnavailable as silence:
        said = str(silence)
    assert "lat is a native histogram, and its classic series are not stored: select lat" in said
    await gate.source.close()
