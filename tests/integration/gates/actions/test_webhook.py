"""The webhook against a receiver that answers as it is told."""

import asyncio
import gzip
import hashlib
import hmac
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from healthd_gates.actions.contract import ActionConfig, Ending
from tests.integration.gates.actions.ordering import configured, described, order, tried
from tests.servers import peers, tls
from tests.servers.peers import Answer, Peer
from tests.servers.ports import free_port

SECRET = "correct horse battery staple"


def webhook(url: str, **changes: Any) -> ActionConfig:
    return configured(kind="webhook", url=url, **changes)


async def test_the_receiver_gets_a_signed_request_with_a_key(peer: Peer) -> None:
    """JSON that says what to do; the signature is over the time and the body as sent."""
    peer.answer("POST", "/roll-back", Answer(204))
    config = webhook(f"{peer.url}/roll-back", secret=SECRET, headers={"Authorization": "Bearer abc123"})
    outcome = await tried(config, order())
    assert outcome.ending is Ending.DONE
    (received,) = peer.received
    body = received.json()
    assert isinstance(body, dict)
    assert (body["service"], body["rollback"], body["candidate"]["target"]) == ("api", True, "green")
    assert (body["baseline"]["version"], body["decision"]["verdict"]) == ("1.0", "fail")
    assert received.headers["Idempotency-Key"] == body["key"] == "0123:rollback:back"
    assert received.headers["Authorization"] == "Bearer abc123"
    signed = dict(part.split("=") for part in received.headers["X-Healthd-Signature"].split(","))
    assert abs(time.time() - int(signed["t"])) < 10
    expected = hmac.new(SECRET.encode(), f"{signed['t']}.".encode() + received.body, hashlib.sha256).hexdigest()
    assert hmac.compare_digest(signed["v1"], expected)


async def test_a_repetition_is_the_same_request(peer: Peer) -> None:
    """Key and body are the same, so that a receiver can tell it."""
    peer.answer_once("POST", "/", Answer(503), Answer(200))
    config = webhook(peer.url)
    assert [(await tried(config, order())).ending for _ in range(2)] == [Ending.RETRY, Ending.DONE]
    first, second = peer.received
    assert first.body == second.body
    assert first.headers["Idempotency-Key"] == second.headers["Idempotency-Key"]


@pytest.mark.parametrize(
    ("status", "ending"),
    [
        (200, Ending.DONE),
        (202, Ending.DONE),
        (302, Ending.REFUSED),
        (400, Ending.REFUSED),
        (401, Ending.REFUSED),
        (404, Ending.REFUSED),
        (408, Ending.RETRY),
        (409, Ending.RETRY),
        (410, Ending.NO_BASELINE),
        (422, Ending.REFUSED),
        (425, Ending.RETRY),
        (429, Ending.RETRY),
        (500, Ending.RETRY),
        (503, Ending.RETRY),
    ],
)
async def test_what_each_status_means(peer: Peer, status: int, ending: Ending) -> None:
    """2xx is done; what cannot get better by waiting is not repeated."""
    peer.answer("POST", "/", Answer(status, headers={"Location": "/elsewhere"}))
    outcome = await tried(webhook(peer.url), order())
    assert outcome.ending is ending
    assert str(status) in outcome.detail


async def test_a_receiver_says_when_to_come_back(peer: Peer) -> None:
    """In seconds, or as a date; nonsense is no time at all."""
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    peer.answer_once("POST", "/", *(Answer(503, headers={"Retry-After": at}) for at in ("120", date, "soon")))
    in_seconds, by_date, never = [(await tried(webhook(peer.url), order())).after for _ in range(3)]
    assert (in_seconds, never) == (120, 0)
    assert 80 <= by_date <= 90


async def test_a_receiver_that_hangs_hangs_up_or_is_not_there_is_tried_again(peer: Peer) -> None:
    """Each in the action's own time, and with a reason."""
    peer.answer("POST", "/slow", Answer(delay=30))
    peer.answer("POST", "/abort", Answer(hang_up=True))
    slow = await tried(webhook(f"{peer.url}/slow", timeout="2s"), order())
    assert (slow.ending, slow.detail) == (Ending.RETRY, "no answer within 2 s")
    aborted = await tried(webhook(f"{peer.url}/abort"), order())
    assert (aborted.ending, "closed the connection" in aborted.detail) == (Ending.RETRY, True)
    absent = await tried(webhook("http://127.0.0.1:9/x"), order())
    assert absent.detail == "127.0.0.1:9 refused the connection"


async def test_nothing_secret_is_told(peer: Peer) -> None:
    """Not the address's path, not the headers, not what a receiver echoes of them."""
    peer.answer("POST", "/hook/T0P/S3CRET", Answer(400, body=f"bad key {SECRET} for Bearer abc123xyz"))
    config = webhook(f"{peer.url}/hook/T0P/S3CRET", secret=SECRET, headers={"Authorization": "Bearer abc123xyz"})
    told = (await tried(config, order())).detail + await described(config, order()) + repr(config)
    for secret in ("S3CRET", "abc123xyz", "battery"):
        assert secret not in told
    assert "answered 400: bad key ***" in told


@asynccontextmanager
async def speaking(*said: bytes) -> AsyncIterator[str]:
    """A receiver that says this to each request and then nothing any more, with the connection open."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"".join(said))
        await writer.drain()

    server = await asyncio.start_server(serve, "127.0.0.1", free_port())
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


@pytest.mark.parametrize(
    ("status", "ending"), [("200 OK", Ending.DONE), ("410 Gone", Ending.NO_BASELINE), ("503 Down", Ending.RETRY)]
)
async def test_a_status_counts_even_where_its_body_never_ends(status: str, ending: Ending) -> None:
    """What was said is said: a 200 is no timeout, and is not asked for again."""
    async with speaking(f"HTTP/1.1 {status}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()) as url:
        outcome = await tried(webhook(url, timeout="10s"), order())
    assert outcome.ending is ending
    assert outcome.detail.split(" answered ")[1] == status[:3]


async def test_half_a_secret_is_not_told_either(peer: Peer) -> None:
    """One that a receiver echoes is replaced before its answer is cut."""
    secret = "tr0ub4dor&3-correct-horse"
    for before in range(170, 201):
        peer.answer("POST", "/", Answer(400, body="x" * before + secret))
        outcome = await tried(webhook(peer.url, headers={"X-Api": secret}), order())
        assert "tr0ub4" not in outcome.detail


async def test_a_redirect_leads_nowhere(peer: Peer) -> None:
    """Not to another host, where a signed order and its credentials would go."""
    async with peers.peer() as elsewhere:
        elsewhere.answer("POST", "/", Answer(200))
        peer.answer("POST", "/", Answer(307, headers={"Location": f"{elsewhere.url}/"}))
        outcome = await tried(webhook(peer.url), order())
        assert (outcome.ending, elsewhere.received) == (Ending.REFUSED, [])
    assert "redirects are not followed" in outcome.detail


async def test_a_compressed_answer_is_not_unpacked(peer: Peer) -> None:
    """A few bytes could become gigabytes."""
    packed = gzip.compress(b"0" * 50_000_000)
    peer.answer("POST", "/", Answer(400, body=packed, headers={"Content-Encoding": "gzip"}))
    outcome = await tried(webhook(peer.url), order())
    assert outcome.ending is Ending.REFUSED
    assert "0000" not in outcome.detail
    assert peer.received[0].headers["Accept-Encoding"] == "identity"


async def test_a_receiver_is_trusted_by_the_configured_authority(authority: tls.Authority, tmp_path: Path) -> None:
    """Without it the try fails, and says that it is TLS that did."""
    async with peers.peer(authority.good().context(tmp_path)) as secure:
        secure.answer("POST", "/", Answer(200))
        assert (await tried(webhook(secure.url, tls={"ca": authority.trust}), order())).ending is Ending.DONE
        unknown = await tried(webhook(secure.url), order())
        assert unknown.ending is Ending.RETRY
        assert "TLS with 127.0.0.1" in unknown.detail


async def test_a_dry_run_sends_nothing(peer: Peer) -> None:
    """It says where to and for what."""
    config = webhook(f"{peer.url}/back", secret=SECRET)
    assert await described(config, order()) == f"POST to {peer.url} for api 2.0, signed"
    assert not peer.received


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"url": "ftp://x/"}, "is not a URL: write http://host/path"),
        ({"secret": "short"}, "at least 16"),
        ({"headers": {"Content-Type": "text/plain"}}, "set by the webhook itself"),
        ({"headers": {"X-A": "a\r\nB: c"}}, "characters that a header cannot carry"),
        ({"headers": {"X A": "a"}}, "not the name of a header"),
    ],
)
def test_a_bad_configuration_is_refused(changes: dict[str, Any], message: str) -> None:
    """With the reason, and without the value."""
    with pytest.raises(ValidationError, match=message) as refused:
        configured(**{"kind": "webhook", "url": "http://x/", **changes})
    assert "'short'" not in str(refused.value)
