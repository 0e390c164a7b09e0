"""The rabbitmq check against what a RabbitMQ's management answers, over real HTTP."""

from __future__ import annotations

import time
from typing import Any

import pytest
from pydantic import ValidationError

from healthd.checks.rabbitmq_state import RabbitMQConfig
from healthd.model import FailureKind, Result, Status
from tests.integration.healthd.checks.probing import watched
from tests.servers import rabbitmq
from tests.servers.peers import Answer, Peer

MAILS = "/api/queues/%2F/mails"


async def look(peer: Peer, queue: Answer | None, alarms: Answer = rabbitmq.NO_ALARM, **options: Any) -> Result:
    """One probe; with an answer for the queue `mails`, of that."""
    peer.answer("GET", rabbitmq.ALARMS, alarms)
    if queue is not None:
        peer.answer("GET", MAILS, queue)
        options = {"queue": "mails"} | options
    url = peer.url.replace("://", "://healthd:MARK%40%2F0123@")
    async with watched("rabbitmq", url=url, **{"timeout": "20s", **options}) as check:
        result = await check.look()
    assert peer.received[-1].headers["Authorization"] == "Basic aGVhbHRoZDpNQVJLQC8wMTIz"
    assert "MARK" not in repr(result)
    return result


async def test_a_queue_with_a_consumer(peer: Peer) -> None:
    """A queue that is consumed is healthy, and its figures are told."""
    result = await look(peer, rabbitmq.queue(3, 2, 1))
    assert (result.status, result.message) == (Status.HEALTHY, "3 waiting, 2 unacknowledged, 1 consumer")
    assert {it.name: it.value for it in result.measures} == {"waiting": 3, "unacknowledged": 2, "consumers": 1}


async def test_the_alarms_alone(peer: Peer) -> None:
    """Without a queue nothing else is asked for."""
    assert (await look(peer, None)).status is Status.HEALTHY
    assert [it.path for it in peer.received] == [rabbitmq.ALARMS]


@pytest.mark.parametrize(
    ("queue", "options", "status", "text"),
    [
        (rabbitmq.queue(7, 0, 0), {}, Status.UNHEALTHY, "no consumer, and 7 messages wait"),
        (rabbitmq.queue(1, 0, 1), {"consumers": 2}, Status.DEGRADED, "1 of 2 consumers are there, and 1 message waits"),
        (rabbitmq.queue(0, 0, 0), {"consumers": 0}, Status.HEALTHY, "0 waiting, 0 unacknowledged, 0 consumers"),
        (rabbitmq.queue(9), {"waiting": {"degraded": 8}}, Status.DEGRADED, "waiting messages: 9, more than 8"),
        (
            rabbitmq.queue(0, 9),
            {"unacknowledged": {"unhealthy": 8}},
            Status.UNHEALTHY,
            "unacknowledged messages: 9, more than 8",
        ),
        (rabbitmq.queue(state="crashed"), {}, Status.UNHEALTHY, "the queue mails is crashed"),
        (
            rabbitmq.quorum_queue(["rabbit@a", "rabbit@b", "rabbit@c"], ["rabbit@a", "rabbit@c"]),
            {},
            Status.DEGRADED,
            "1 of 3 members of the queue are not online: rabbit@b",
        ),
    ],
)
async def test_what_is_wrong_with_a_queue(
    peer: Peer, queue: Answer, options: dict[str, Any], status: Status, text: str
) -> None:
    """Each fault of a queue has its status and sentence."""
    result = await look(peer, queue, **options)
    assert (result.status, result.message) == (status, text)


@pytest.mark.parametrize(("age", "status"), [(10, Status.HEALTHY), (400, Status.DEGRADED), (4000, Status.UNHEALTHY)])
async def test_the_next_message_is_old(peer: Peer, age: int, status: Status) -> None:
    """A message waits since its publisher's timestamp; one that is not there waits not at all."""
    stamped = int(time.time()) - age
    assert (await look(peer, rabbitmq.queue(1, stamped=stamped))).status is status
    assert (await look(peer, rabbitmq.queue(0, stamped=stamped))).status is Status.HEALTHY


async def test_a_stamp_in_milliseconds(peer: Peer) -> None:
    """`Date.now()` is read as what it is, and a stamp of the future says nothing."""
    old, ahead = int((time.time() - 4000) * 1000), int(time.time()) + 4000
    assert (await look(peer, rabbitmq.queue(1, stamped=old))).status is Status.UNHEALTHY
    result = await look(peer, rabbitmq.queue(1, stamped=ahead))
    assert (result.status, result.observed["oldestSeconds"]) == (Status.HEALTHY, None)


@pytest.mark.parametrize("entry", [{"node": "rabbit@a", "name": "memory"}, "memory", 5])
async def test_an_alarm_in_other_words_is_an_alarm(peer: Peer, entry: object) -> None:
    """What an alarm says is not understood, that there is one is."""
    result = await look(peer, None, Answer(503, json={"status": "failed", "alarms": [entry]}))
    assert (result.status, result.kind) == (Status.UNHEALTHY, FailureKind.EXHAUSTED)


async def test_an_alarm_blocks_publishers(peer: Peer) -> None:
    """An alarm is told with its node, beside what is wrong with the queue."""
    result = await look(peer, rabbitmq.queue(1, 0, 0), rabbitmq.alarm("memory"))
    assert result.message == (
        "publishers are blocked by an alarm: memory on rabbit@a; no consumer, and 1 message waits"
    )
    assert (result.status, result.kind) == (Status.UNHEALTHY, FailureKind.EXHAUSTED)


async def test_no_figures_yet(peer: Peer) -> None:
    """A queue without figures is neither well nor gone."""
    result = await look(peer, rabbitmq.queue_just_begun())
    assert result.status is Status.DEGRADED
    assert "no figures of the queue" in result.message


@pytest.mark.parametrize(
    ("page", "text"),
    [
        (rabbitmq.listed(("mails-old", "rabbit@b", "running")), "there is no queue mails in the virtual host /"),
        (
            rabbitmq.listed(("mails-old", "rabbit@a", "running"), ("mails", "rabbit@b", "down")),
            "the queue mails is down: it is on rabbit@b",
        ),
    ],
)
async def test_a_queue_that_is_not_found(peer: Peer, page: Answer, text: str) -> None:
    """A queue whose node is down is not called missing, although its own page says so."""
    peer.answer("GET", "/api/queues/%2F", page)
    result = await look(peer, rabbitmq.NOT_FOUND)
    assert (result.status, result.message) == (Status.UNHEALTHY, text)
    assert peer.received[-1].query["name"] == "mails"


@pytest.mark.parametrize(
    ("answer", "kind", "text"),
    [
        (rabbitmq.LOGIN_FAILED, FailureKind.AUTH, "user or password is not accepted"),
        (rabbitmq.NOT_MANAGEMENT, FailureKind.PERMISSION, "give it the tag `management`"),
        (rabbitmq.NO_PERMISSION, FailureKind.PERMISSION, "no permission in the virtual host /"),
        (Answer(200, body="<html>"), FailureKind.UNEXPECTED_RESPONSE, "is not that of the management"),
        (Answer(200, json={"status": "UP"}), FailureKind.UNEXPECTED_RESPONSE, "is not that of the management"),
        (Answer(503, body="draining"), FailureKind.UNEXPECTED_RESPONSE, "the management answers 503"),
        (Answer(429, headers={"Retry-After": "9"}), FailureKind.RATE_LIMITED, "the management answers 429"),
        (Answer(hang_up=True), FailureKind.CONNECT, "closed the connection"),
    ],
)
@pytest.mark.parametrize("of", ["alarms", "queue"])
async def test_what_is_no_answer(peer: Peer, of: str, answer: Answer, kind: FailureKind, text: str) -> None:
    """Nothing but a RabbitMQ is taken for one, and each refusal has its cure."""
    result = await (look(peer, answer) if of == "queue" else look(peer, None, answer))
    assert (result.status, result.kind) == (Status.UNHEALTHY, kind)
    assert text in result.message


async def test_no_management_at_all(peer: Peer) -> None:
    """A server without such a page is no RabbitMQ, whether or not a queue is asked for."""
    result = await look(peer, None, rabbitmq.NOT_FOUND)
    assert result.message == "the answer (404) is not that of the management of a RabbitMQ of 3.8 or later"


async def test_names_are_escaped(peer: Peer) -> None:
    """A name with a slash or a space asks for that queue, below a path of the management's own."""
    peer.answer("GET", f"/rabbit{rabbitmq.ALARMS}", rabbitmq.NO_ALARM)
    peer.answer("GET", "/rabbit/api/queues/shop%2Feu/a%20b", rabbitmq.queue())
    url = f"{peer.url}/rabbit/".replace("://", "://healthd:MARK0123@")
    async with watched("rabbitmq", url=url, vhost="shop/eu", queue="a b") as check:
        assert (await check.look()).status is Status.HEALTHY


@pytest.mark.parametrize(
    ("url", "cure"),
    [
        ("amqps://healthd:MARK@rabbit/", "is the broker's address: write the management's"),
        ("http://healthd:MARK@rabbit:5672", "the management listens on 15672"),
        ("https://healthd:MARK@rabbit/?vhost=x", "write the address of the management alone"),
        ("http://rabbit:15672", "names no user"),
        ("http://healthd:MARK@rabbit:15672/api", "which healthd adds"),
        ("rabbit:15672", "is not a URL"),
    ],
)
def test_another_address(url: str, cure: str) -> None:
    """An address that cannot be the management's is refused with the one that could, and no secret."""
    with pytest.raises(ValidationError, match=cure) as refused:
        RabbitMQConfig.model_validate({"url": url})
    assert "MARK" not in str(refused.value)


def test_a_limit_is_of_a_queue() -> None:
    """One that is written without a queue would never be looked at."""
    with pytest.raises(ValidationError, match="consumers, waiting without a queue: name the queue"):
        RabbitMQConfig.model_validate({"url": "http://u:p@rabbit:15672", "consumers": 2, "waiting": {"degraded": 1}})
