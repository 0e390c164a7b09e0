"""What the answer to an export means."""

from __future__ import annotations

import pytest
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]

from healthd.config.otlp import Otlp
from healthd.otlp.sending import ExportError, receiver_of
from tests.servers.peers import Answer, Peer

TEXT = "data refused due to high memory usage"  # of a collector's memory_limiter


@pytest.mark.parametrize(
    ("body", "kind", "says"),
    [
        (Status(code=14, message=TEXT).SerializeToString(), "application/x-protobuf", TEXT),
        (b"\x12", "application/x-protobuf", ""),
        (b"upstream\x00 is away\n", "text/plain", "upstream is away"),
    ],
)
async def test_a_refusal_is_told_in_its_own_words(peer: Peer, body: bytes, kind: str, says: str) -> None:
    """A Status in protobuf, as collectors send it, or a text; nothing of the encoding."""
    peer.answer("POST", "/v1/metrics", Answer(503, body=body, headers={"Content-Type": kind, "Retry-After": "7"}))
    receiver = await receiver_of(Otlp.model_validate({"endpoint": peer.url}))
    with pytest.raises(ExportError) as refused:
        await receiver.send("metrics", b"")
    await receiver.session.close()
    assert str(refused.value) == f"{peer.url}/v1/metrics answered 503{': ' if says else ''}{says}"
    assert (refused.value.final, refused.value.retry_after) == (False, 7.0)


@pytest.mark.parametrize("kind", ["text/html", "text/html; charset=utf-8"])
async def test_a_page_is_no_receipt(peer: Peer, kind: str) -> None:
    """A login page of a proxy at a wrong address says 200 to everything."""
    peer.answer("POST", "/v1/traces", Answer(200, body=b"<html>login</html>", headers={"Content-Type": kind}))
    receiver = await receiver_of(Otlp.model_validate({"endpoint": peer.url}))
    with pytest.raises(ExportError, match=r"/v1/traces answered with a page for people, as no receiver of OTLP does"):
        await receiver.send("traces", b"")
    await receiver.session.close()
