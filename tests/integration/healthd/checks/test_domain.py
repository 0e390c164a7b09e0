"""The domain check, against answers in the form of RDAP."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from healthd.checks.domain import DomainConfig
from healthd.model import FailureKind, Result, Status
from tests.integration.healthd.checks.probing import Watched, watched
from tests.servers import rdap
from tests.servers.peers import Answer, Peer

DAY = timedelta(days=1)
UNEXPECTED = FailureKind.UNEXPECTED_RESPONSE
PATH = "/com/v1/domain/example.com"


def at(peer: Peer, path: str = "") -> str:
    return f"http://127.0.0.1:{peer.port}{path}"


def tell(peer: Peer, answer: Any, status: int = 200, path: str = PATH, **headers: str) -> None:
    peer.answer("GET", path, Answer(status, json=answer, headers=headers))


def registered(left: timedelta | None, *statuses: str) -> dict[str, Any]:
    end = None if left is None else datetime.now(UTC) + left
    return rdap.domain("example.com", expires=end, statuses=statuses or ("client transfer prohibited",))


@pytest.fixture
def registry(peer: Peer) -> Peer:
    """A registry of .com, and IANA's list with it."""
    other = ["https://rdap.example/"]
    tell(peer, rdap.bootstrap((["net", "org"], other), (["com"], [at(peer, "/com/v1/")])), path="/rdap/dns.json")
    return peer


def checked(peer: Peer, **options: Any) -> Any:
    given = {"domain": "example.com", "bootstrap": at(peer, "/rdap/dns.json"), "timeout": "20s", **options}
    return watched("domain", **given)


async def look(peer: Peer, **options: Any) -> Result:
    check: Watched
    async with checked(peer, **options) as check:
        return await check.look()


@pytest.mark.parametrize(
    ("answer", "status", "kind", "said"),
    [
        (registered(200 * DAY), Status.HEALTHY, None, ""),
        (registered(20 * DAY), Status.DEGRADED, FailureKind.THRESHOLD, "example.com expires in 20 days"),
        (registered(5 * DAY), Status.UNHEALTHY, FailureKind.THRESHOLD, "example.com expires in 5 days"),
        (registered(-3 * DAY), Status.UNHEALTHY, FailureKind.EXPIRED, "example.com expired 3 days ago"),
        (registered(300 * DAY, "redemption period"), Status.UNHEALTHY, FailureKind.EXPIRED, "is lost unless"),
        (registered(300 * DAY, "client hold"), Status.UNHEALTHY, UNEXPECTED, "not published by its registry"),
        (registered(None), Status.UNHEALTHY, UNEXPECTED, "has no end that its registry would tell"),
        (rdap.domain("other.com", expires=None), Status.UNHEALTHY, UNEXPECTED, "is about another domain"),
        ({"objectClassName": "entity"}, Status.UNHEALTHY, UNEXPECTED, "is not about a domain"),
        ([], Status.UNHEALTHY, UNEXPECTED, "is not about a domain"),
        (
            {"objectClassName": "domain", "events": [{"eventAction": "expiration", "eventDate": "soon"}]},
            Status.UNHEALTHY,
            UNEXPECTED,
            "has a date that is none",
        ),
    ],
)
async def test_truth_table(registry: Peer, answer: Any, status: Status, kind: FailureKind | None, said: str) -> None:
    """What a registry can say of a domain."""
    tell(registry, answer)
    result = await look(registry)
    assert (result.status, result.kind) == (status, kind), result
    assert said in result.message
    if kind is None:
        assert result.observed["domainDaysLeft"] == pytest.approx(200, abs=0.1)
        assert result.measures[0].value == pytest.approx(200 * 86400, abs=7200)  # since the tests were collected


async def test_the_earlier_end_counts(registry: Peer) -> None:
    """A registry renews by itself what the registrar has not been paid for."""
    answer = registered(300 * DAY)
    end = (datetime.now(UTC) + 3 * DAY).isoformat()
    answer["events"].append({"eventAction": "registrar expiration", "eventDate": end})
    tell(registry, answer)
    assert (await look(registry)).kind is FailureKind.THRESHOLD


async def test_not_registered(registry: Peer) -> None:
    tell(registry, {"errorCode": 404}, 404)
    result = await look(registry)
    assert (result.status, result.kind) == (Status.UNHEALTHY, FailureKind.EXPIRED)
    assert result.message == "example.com is not registered, says its registry"
    tell(registry, {"errorCode": 404}, 404, path="/com/v1/domain/app.example.com")
    below = await look(registry, domain="app.example.com")
    assert below.message.endswith("is it a name below the registered one?")


async def test_which_server_is_asked(registry: Peer) -> None:
    """By the list, which is kept, or by its own address; where a server sends its client on, the next one."""
    tell(registry, registered(200 * DAY), path="/moved/domain/example.com")
    tell(registry, None, 302, Location="/moved/domain/example.com")
    async with checked(registry) as check:
        for _ in range(3):
            await check.finds(Status.HEALTHY)
    paths = [request.path for request in registry.received]
    assert paths == ["/rdap/dns.json", *[PATH, "/moved/domain/example.com"] * 3]
    assert "application/rdap+json" in registry.received[1].headers["Accept"]
    assert (await look(registry, server=at(registry, "/moved"))).status is Status.HEALTHY
    unlisted = await look(registry, domain="example.de")
    assert (unlisted.status, unlisted.kind) == (Status.UNHEALTHY, FailureKind.MISCONFIGURED)
    assert "IANA lists no RDAP server for .de" in unlisted.message
    tell(registry, {"services": 3}, path="/rdap/dns.json")
    broken = await look(registry)
    assert (broken.kind, "no list of RDAP servers" in broken.message) == (UNEXPECTED, True)


async def test_a_registry_that_cannot_be_asked(registry: Peer) -> None:
    """Its trouble is not the domain's: what it said last counts, and is not green."""
    async with checked(registry) as check:
        tell(registry, {}, 503)
        result = await check.finds(Status.UNHEALTHY, UNEXPECTED)
        assert result.message == "the registry answers 503"
        tell(registry, registered(200 * DAY))
        await check.finds(Status.HEALTHY)
        tell(registry, {}, 503)
        result = await check.finds(Status.DEGRADED, UNEXPECTED)
        assert result.message.endswith("when last asked, example.com was registered: it expires in 200 days")
        tell(registry, registered(5 * DAY))
        await check.finds(Status.UNHEALTHY, FailureKind.THRESHOLD)
        tell(registry, {}, 503)
        await check.finds(Status.UNHEALTHY, FailureKind.THRESHOLD)
        tell(registry, {}, 404)
        await check.finds(Status.UNHEALTHY, FailureKind.EXPIRED)
        tell(registry, {}, 503)
        await check.finds(Status.UNHEALTHY, UNEXPECTED)


async def test_too_many_questions(registry: Peer) -> None:
    """The pause that is asked for is kept, and says nothing of the domain."""
    tell(registry, {}, 429, **{"Retry-After": "120"})
    result = await look(registry)
    assert (result.status, result.kind, result.retry_after) == (Status.DEGRADED, FailureKind.RATE_LIMITED, 120)


async def test_silence(registry: Peer) -> None:
    registry.answer("GET", PATH, Answer(delay=30))
    async with checked(registry, timeout="500ms") as check:
        await check.gives_up()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"domain": "localhost"}, "a registered domain alone"),
        ({"domain": "https://example.com/"}, "a registered domain alone"),
        ({"degraded": "3d"}, "the warning comes first"),
        ({"server": "rdap.denic.de"}, "String should match pattern"),
    ],
)
def test_refused_options(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        DomainConfig.model_validate({"domain": "example.com", **options})


def test_a_name_beyond_ascii() -> None:
    """It is asked for as the registry keeps it."""
    assert DomainConfig.model_validate({"domain": "Fußball.example."}).domain == "xn--fuball-cta.example"
