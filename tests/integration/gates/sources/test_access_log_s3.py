"""The access log of an Application Load Balancer in S3, as moto keeps it: late, by node, and each object once."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiobotocore.session import get_session

from healthd.model import FailureKind
from healthd_gates.criteria.error_rate import ErrorRate
from healthd_gates.domain.evidence import Events, Evidence
from healthd_gates.domain.standing import Verdict
from healthd_gates.judge.judge import Judge
from healthd_gates.judge.rules import Rules, Timing
from healthd_gates.sources.access_log.config import AccessLogConfig
from healthd_gates.sources.contract import Arm, HistoricalSource, Series, SourceUnavailable
from healthd_gates.sources.inspection import InspectableSource
from tests.fakes.sources import Desk, HandClock, desk
from tests.servers.alb_log import ARN, GROUPS, REGION, Log, line
from tests.servers.moto import CREDENTIALS, Moto
from tests.servers.peers import Answer, Peer
from tests.servers.ports import free_port

NOON = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
BUCKET = "shop-logs"


@pytest.fixture
async def log(aws: Moto, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Log]:
    """An empty log."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    aws.reset()
    async with get_session().create_client("s3", REGION, endpoint_url=aws.url) as client:
        await client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
        yield Log(client, BUCKET, "production")


def configured(url: str, s3: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    place = {"bucket": BUCKET, "prefix": "production", "load_balancer": ARN, "endpoint": url}
    arms = {"arms_by": "target_group_arn", "values": GROUPS, "timeout": "30s"}
    return {"kind": "access_log", "s3": {**place, **(s3 or {})}, **arms, **more}


def gate_at(url: str, at: datetime, *, series: tuple[Series, ...] = (), **more: Any) -> Desk:
    candidate, baseline = Arm("2", target="green"), Arm("1", target="blue")
    clock = HandClock(at)
    return desk(configured(url, **more), clock, candidate=candidate, baseline=baseline, series=series)


async def test_each_line_since_the_gate_began_counts_once(aws: Moto, log: Log) -> None:
    """By its own time and target group; from every node, when its five minutes have had their time to come."""
    gate = gate_at(aws.url, NOON + 2 * MINUTE)
    assert (await gate.look()).evidence is None
    before, after = NOON + MINUTE, NOON + 3 * MINUTE
    end = NOON + 5 * MINUTE
    await log.deliver(end, [line(before, 500)] * 9 + [line(after)] * 3 + [line(after, 502)])
    assert (await gate.seen(after=5 * 60)).candidate is None  # other nodes' objects may still come
    await log.deliver(end, [line(after, group="blue")] * 4 + [line(after, took=2.0)], node="10.0.0.9")
    await gate.look(after=120)
    await gate.look(after=60)
    await log.deliver(end + 5 * MINUTE, [line(end + MINUTE)] * 6)
    await gate.look(after=300)
    await gate.source.close()
    candidate, baseline = gate.total(), gate.total("baseline")
    assert candidate is not None
    assert baseline is not None
    assert (candidate.requests, candidate.errors, baseline.requests, baseline.errors) == (11, 1, 4, 0)
    assert candidate.latency is not None
    assert candidate.latency.sum_seconds == pytest.approx(10 * 0.048 + 2.0)
    assert gate.gaps == 0


async def test_a_gate_that_was_killed_goes_on_with_exact_counts(aws: Moto, log: Log) -> None:
    """Also with what came while it was down, and what came late, once; its place is small."""
    first = gate_at(aws.url, NOON)
    await first.look()
    end = NOON + 5 * MINUTE
    await log.deliver(end, [line(NOON + MINUTE)] * 5)
    await first.look(after=10 * 60)
    await first.source.close()
    second = gate_at(aws.url, NOON + 16 * MINUTE)
    second.cursor = first.cursor
    await log.deliver(end, [line(NOON + MINUTE)] * 7, node="10.0.0.9", late=9 * MINUTE)  # late, beside one that counted
    await log.deliver(end + 5 * MINUTE, [line(end + MINUTE, 503)] * 2)
    await second.look()
    await second.look(after=60)
    total = second.total()
    assert total is not None
    assert (total.requests, total.errors) == (9, 2)
    for minute in range(15, 100, 5):
        at = NOON + minute * MINUTE
        await log.deliver(at, [line(at - MINUTE)])
        if minute in (40, 80):  # twenty minutes late, and too late by far
            await log.deliver(NOON + 20 * MINUTE, [line(NOON + 19 * MINUTE)], node=f"10.0.1.{minute}")
        second.clock.at = at + 5 * MINUTE
        await second.look()
    await second.source.close()
    total = second.total()
    assert total is not None
    assert total.requests == 9 + 17 + 1
    assert second.cursor is not None
    assert len(second.cursor["place"]["read"]) < 10


async def test_an_object_of_the_last_day_that_is_delivered_on_the_next(aws: Moto, log: Log) -> None:
    """Its folder is that of the delivery."""
    midnight = NOON + timedelta(hours=12)
    gate = gate_at(aws.url, midnight - 4 * MINUTE)
    await gate.look()
    await log.deliver(midnight, [line(midnight - MINUTE)] * 3)
    assert (await log.client.list_objects_v2(Bucket=BUCKET))["Contents"][0]["Key"].count("/2026/11/27/")
    found = await gate.seen(after=9 * 60)
    await gate.source.close()
    assert found.candidate is not None
    assert found.candidate.requests == 3


async def test_events_are_of_the_time_of_the_objects(aws: Moto, log: Log) -> None:
    """Not of the seconds between two looks: a rate would be thirty times too high."""
    refused = Series("refused", "events", {"events": '{status="429"}'})
    gate = gate_at(aws.url, NOON, series=(refused,))
    await gate.look()
    await gate.look(after=8 * 60)
    await log.deliver(NOON + 5 * MINUTE, [line(NOON + MINUTE, 429)] * 30)
    found = await gate.seen(after=90)
    await gate.source.close()
    assert found.streams["refused"].candidate == Events(30, seconds=300.0)


async def test_nothing_new_is_no_telemetry_and_no_zero(aws: Moto, log: Log) -> None:
    """Until it is later than usual nothing is said; what came meanwhile counts then."""
    gate = gate_at(aws.url, NOON)
    await gate.look()
    assert (await gate.seen(after=9 * 60)).candidate is None
    with pytest.raises(SourceUnavailable, match=r"nothing new came to s3://shop-logs/production/AWSLogs/.* for 11m"):
        await gate.look(after=2 * 60)
    await log.deliver(NOON + 5 * MINUTE, [line(NOON + MINUTE)] * 2)
    found = await gate.seen(after=30)
    await gate.source.close()
    assert found.candidate is not None
    assert found.candidate.requests == 2


async def test_a_broken_object_is_a_gap(aws: Moto, log: Log) -> None:
    """The others count, and it is told."""
    gate = gate_at(aws.url, NOON)
    await gate.look()
    whole = gzip.compress(b"".join(f"{line(NOON + MINUTE)}\n".encode() for _ in range(1000)))
    await log.put(NOON + 5 * MINUTE, b"no gzip")
    await log.put(NOON + 5 * MINUTE, whole[:-9], node="10.0.0.9")
    await log.deliver(NOON + 5 * MINUTE, [line(NOON + MINUTE)] * 4, node="10.0.0.8")
    look = await gate.look(after=600)
    await gate.source.close()
    assert look.evidence is not None
    assert look.evidence.gaps == 2
    assert look.evidence.candidate is not None
    assert look.evidence.candidate.requests >= 4
    assert any("an object of the log is broken" in note for note in look.notes)


async def test_what_was_there_before_the_switch(aws: Moto, log: Log) -> None:
    """By the time in the lines, without the minutes of which objects may still come."""
    for minute in range(-30, 1, 5):
        end = NOON + minute * MINUTE
        await log.deliver(end, [line(end - MINUTE * each, group="blue") for each in (1, 2, 3)])
    gate = gate_at(aws.url, NOON + 5 * MINUTE)
    assert isinstance(gate.source, HistoricalSource)
    past = await gate.source.history(NOON - 40 * MINUTE, NOON, 60.0)
    await gate.source.close()
    assert [each.baseline.requests for each in past if each.baseline is not None] == [1] * len(past)
    assert past[0].at == NOON - 32 * MINUTE
    assert past[-1].at == NOON - 5 * MINUTE


async def test_source_test_shows_the_newest_lines(aws: Moto, log: Log) -> None:
    """And the requests of the newest minutes that are whole; it asks for the cure where there are none."""
    gate = gate_at(aws.url, NOON + 3 * MINUTE)
    assert isinstance(gate.source, InspectableSource)
    none = await gate.source.inspect()
    assert "has no object of the last hour: are the load balancer's access logs on?" in none.doubtful[0]
    settled = NOON - 10 * MINUTE
    await log.deliver(settled, [line(settled - MINUTE)] * 9 + [line(settled - MINUTE, 500)] * 3)
    await log.deliver(NOON, [line(NOON - MINUTE)] * 5 + [line(NOON - MINUTE, group="blue")] * 2)
    seen = await gate.source.inspect()
    await gate.source.close()
    assert {name: dict(arm.series) for name, arm in seen.arms.items()} == {
        "candidate": {"lines": 5},
        "baseline": {"lines": 2},
    }
    assert seen.arms["candidate"].newest == pytest.approx(180)
    assert seen.refused == ()
    counts = [arm.counts for arm in seen.arms.values()]
    assert [each and (each.requests, each.errors) for each in counts] == [(12, 3), (0, 0)]
    assert seen.arms["candidate"].counted == 600


async def test_what_is_larger_than_a_look_is_read_between_two(aws: Moto, log: Log) -> None:
    """A look that ends before its objects are read stops nothing; they count once, as a whole."""
    gate = gate_at(aws.url, NOON)
    await gate.look()
    for node in range(3):
        await log.deliver(NOON + 5 * MINUTE, [line(NOON + MINUTE)] * 20_000, node=f"10.0.0.{node}")
    gate.clock.forward(600)
    short = asyncio.create_task(gate.look())
    while not (reading := [task for task in asyncio.all_tasks() if task.get_name() == "access-log-s3"]):
        await asyncio.sleep(0.001)
    short.cancel()
    await asyncio.gather(short, return_exceptions=True)
    assert not reading[0].done()
    found = await gate.seen()
    await gate.source.close()
    assert found.candidate is not None
    assert found.candidate.requests == 60_000
    assert gate.gaps == 0


@pytest.mark.parametrize(
    ("fails_every", "until", "verdict", "within"),
    [
        (1000, 60, Verdict.PASS, 60),
        (2, 60, Verdict.FAIL, 15),
        (2, 0, Verdict.INCONCLUSIVE, 60),
        (1000, 10, Verdict.INCONCLUSIVE, 60),
    ],
)
async def test_what_a_gate_makes_of_it(
    aws: Moto, log: Log, fails_every: int, until: int, verdict: Verdict, within: int
) -> None:
    """A good release passes and a bad one fails within a quarter of an hour; where nothing comes, or no more, it is
    neither, once the log was silent for longer than it is late."""
    gate = gate_at(aws.url, NOON)
    rules = Rules(
        (ErrorRate(limit=0.02),),
        timing=Timing(30, 30, 1200, 1800, lateness=AccessLogConfig.model_validate(configured(aws.url)).lateness),
    )
    judge, standing = Judge(rules), None
    await gate.look()
    for step in range(1, 2 * within + 1):
        minute = step / 2 - 2  # two minutes after an object's end it is delivered
        end = NOON + minute * MINUTE
        if minute > 0 and minute % 5 == 0 and minute <= until:
            lines = [line(end - MINUTE, 500 if place % fails_every == 0 else 200) for place in range(4000)]
            await log.deliver(end, lines)
        try:
            evidence = (await gate.look(after=30)).evidence
        except SourceUnavailable:
            evidence = Evidence(gate.clock.now(), 30.0, gaps=1)
        assert evidence is not None
        standing = judge.step(evidence)
        if standing.verdict is not None:
            break
    await gate.source.close()
    assert standing is not None
    assert standing.verdict is verdict, standing.sentence


def refused(status: int, code: str, message: str = "no", **headers: str) -> Answer:
    """An answer of S3 that is an error."""
    body = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    return Answer(status, body=body, headers={"Content-Type": "application/xml", **headers})


@pytest.mark.parametrize(
    ("answer", "kind", "message"),
    [
        (
            refused(404, "NoSuchBucket"),
            FailureKind.MISCONFIGURED,
            "there is no bucket shop-logs: name the load balancer's",
        ),
        (
            refused(403, "AccessDenied"),
            FailureKind.PERMISSION,
            "may not call s3:ListBucket (AccessDenied): allow s3:ListBucket on arn:aws:s3:::shop-logs",
        ),
        (refused(403, "ExpiredToken"), FailureKind.AUTH, "AWS does not accept the credentials (ExpiredToken)"),
        (
            refused(301, "PermanentRedirect", **{"x-amz-bucket-region": "eu-central-1"}),
            FailureKind.MISCONFIGURED,
            "the bucket shop-logs is in eu-central-1: write region: eu-central-1",
        ),
        (refused(503, "SlowDown"), FailureKind.RATE_LIMITED, "too many calls of s3:ListBucket"),
        (refused(500, "InternalError"), FailureKind.UNEXPECTED_RESPONSE, "s3:ListBucket failed (InternalError)"),
    ],
)
async def test_why_a_bucket_cannot_be_listed(
    peer: Peer, monkeypatch: pytest.MonkeyPatch, answer: Answer, kind: FailureKind, message: str
) -> None:
    """In one sentence, with the cure; it is no telemetry."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    peer.answer("GET", f"/{BUCKET}", answer)
    gate = gate_at(peer.url, NOON)
    with pytest.raises(SourceUnavailable) as outage:
        await gate.look()
    await gate.source.close()
    assert outage.value.kind is kind
    assert message in str(outage.value)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (refused(403, "AccessDenied"), "allow s3:GetObject on arn:aws:s3:::shop-logs/production/AWSLogs/123456789012/"),
        (
            refused(403, "AccessDenied", "is not authorized to perform: kms:Decrypt on the resource"),
            "allow kms:Decrypt on that key (AccessDenied)",
        ),
    ],
)
async def test_why_an_object_cannot_be_read(aws: Moto, log: Log, peer: Peer, answer: Answer, message: str) -> None:
    """It counts once it can be."""
    gate = gate_at(aws.url, NOON)
    await gate.look()
    key = await log.deliver(NOON + 5 * MINUTE, [line(NOON + MINUTE)] * 3)
    entry = f"<Contents><Key>{key}</Key><Size>5</Size></Contents>"
    listed = f"<ListBucketResult><IsTruncated>false</IsTruncated>{entry}</ListBucketResult>"
    peer.answer("GET", f"/{BUCKET}", Answer(200, body=listed, headers={"Content-Type": "application/xml"}))
    peer.answer("GET", f"/{BUCKET}/{key}", answer)
    shut = gate_at(peer.url, NOON + 10 * MINUTE)
    shut.cursor = gate.cursor
    with pytest.raises(SourceUnavailable) as outage:
        await shut.look()
    await shut.source.close()
    assert (outage.value.kind, message in str(outage.value)) == (FailureKind.PERMISSION, True)
    found = await gate.seen(after=600)
    await gate.source.close()
    assert found.candidate is not None
    assert found.candidate.requests == 3


async def test_an_outage_of_s3_is_no_telemetry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Never a failure of the candidate, and never its health."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    gate = gate_at(f"http://127.0.0.1:{free_port()}", NOON)
    with pytest.raises(SourceUnavailable) as outage:
        await gate.look()
    await gate.source.close()
    assert outage.value.is_down
