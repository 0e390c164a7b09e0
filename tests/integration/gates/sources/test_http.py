"""Numbers in JSON over real connections: exact through restarts and gaps, and nothing made of what is not there."""

from __future__ import annotations

from typing import Any

import pytest

from healthd.model import FailureKind
from healthd.runtime.lookups import noting
from healthd.runtime.redaction import Redactor, secrets_of
from healthd_gates.domain.evidence import Counts, Events, Values
from healthd_gates.sources import build_source
from healthd_gates.sources.contract import Arm, ArmError, Arms, Series, SourceContext, SourceUnavailable
from healthd_gates.sources.http import HttpSourceConfig
from healthd_gates.sources.inspection import InspectableSource
from tests.fakes.sources import Desk, HandClock, WallClock
from tests.servers import peers
from tests.servers.peers import Answer, Peer

LOGINS = Series("logins", "counts", {"of": "logins.all", "bad": "logins.failed"})
ERRORS = Series("log_errors", "events", {"events": "errors"})
PER_REQUEST = Series("retries", "events", {"events": "retries", "requests": "/logins/all"})
QUEUE = Series("queue", "values", {"value": "queue.-1.depth"})


def desk(
    config: dict[str, Any], *series: Series, candidate: Arm, baseline: Arm | None = None, clock: HandClock | None = None
) -> Desk:
    model = HttpSourceConfig.model_validate({"kind": "http", **config})
    arms = Arms("shop", candidate, baseline)
    model.check(arms)
    for each in series:
        model.check_series(each)
        model.check_series_of(each, arms)
    clock = clock or WallClock()
    context = SourceContext(clock, Redactor(secrets_of(model)), series=series)
    return Desk(build_source(model, arms, context), clock)


def document(all_: float, failed: float, errors: float, depth: Any = 3) -> Answer:
    return Answer(
        json={
            "logins": {"all": all_, "failed": failed},
            "errors": errors,
            "retries": errors * 2,
            "queue": [{"depth": 99}, {"depth": depth}],
        }
    )


async def test_one_look_asks_each_address_once_for_all_criteria(peer: Peer) -> None:
    """Counters are differences, values are what stands there; both arms by one address, told apart by its query."""
    gate = desk(
        {"url": f"{peer.url}/stats?version=$version", "requests": "logins.all", "errors": "logins.failed"},
        *(LOGINS, ERRORS, PER_REQUEST, QUEUE),
        candidate=Arm("1.4+x"),
        baseline=Arm("1.3"),
    )
    peer.answer("GET", "/stats", document(100, 5, 7))
    assert (await gate.look()).evidence is None
    assert sorted(each.query["version"] for each in peer.received) == ["1.3", "1.4+x"]
    peer.answer("GET", "/stats", document(130, 6, 9, depth="14.5"))
    evidence = await gate.seen(5)
    await gate.source.close()
    assert evidence.candidate == evidence.baseline == Counts(30, 1)
    assert evidence.streams["logins"].candidate == Counts(30, 1)
    assert evidence.streams["log_errors"].baseline == Events(2, None, 1)
    assert evidence.streams["retries"].candidate == Events(4, 30, 1)
    assert evidence.streams["queue"].candidate == Values((14.5,))
    assert evidence.gaps == 0
    assert len(peer.received) == 4


async def test_targets_add_up_and_a_counter_that_fell_began_anew(peer: Peer) -> None:
    """One that is away is a gap, and catches up."""
    async with peers.peer() as other:
        gate = desk({"url": "/stats"}, LOGINS, QUEUE, candidate=Arm("2", urls=(peer.url, f"{other.url}/base")))
        peer.answer("GET", "/stats", document(1000, 50, 0, depth=1))
        other.answer("GET", "/stats", document(10, 0, 0, depth=3))
        await gate.look()
        peer.answer("GET", "/stats", document(40, 2, 0, depth=1))
        other.answer("GET", "/stats", Answer(status=503))
        first = (await gate.seen(5)).streams
        other.answer("GET", "/stats", document(25, 4, 0, depth=5))
        second = (await gate.seen(5)).streams
        await gate.source.close()
    assert (first["logins"].candidate, first["logins"].gaps, first["logins"].resets) == (Counts(40, 2), 1, 1)
    assert first["queue"].candidate == Values((1,))
    assert second["logins"].candidate == Counts(15, 4)
    assert second["queue"].candidate == Values((1, 5))


async def test_another_process_goes_on_where_the_first_was_killed(peer: Peer) -> None:
    """The cursor is all that it needs."""
    config = {"url": f"{peer.url}/s", "requests": "logins.all", "errors": "logins.failed"}
    killed = desk(config, LOGINS, candidate=Arm("2"))
    peer.answer("GET", "/s", document(100, 5, 0))
    await killed.look()
    await killed.source.close()
    peer.answer("GET", "/s", document(175, 9, 0))
    gate = desk(config, LOGINS, candidate=Arm("2"))
    gate.cursor = killed.cursor
    evidence = await gate.seen()
    await gate.source.close()
    assert evidence.candidate == evidence.streams["logins"].candidate == Counts(75, 4)


@pytest.mark.parametrize(
    ("answer", "kind", "says"),
    [
        (Answer(status=401), FailureKind.AUTH, "answered 401"),
        (Answer(status=302, headers={"Location": "/login"}), FailureKind.UNEXPECTED_RESPONSE, "redirects"),
        (Answer(body="<html>hush-hush</html>"), FailureKind.UNEXPECTED_RESPONSE, "did not answer with JSON"),
        (Answer(body="[" * 100_000), FailureKind.UNEXPECTED_RESPONSE, "did not answer with JSON"),
        (Answer(hang_up=True), FailureKind.UNEXPECTED_RESPONSE, ""),
    ],
)
async def test_an_outage_is_no_telemetry_and_what_was_counted_meanwhile_comes(
    peer: Peer, answer: Answer, kind: FailureKind, says: str
) -> None:
    """Neither zero nor a failure."""
    gate = desk({"url": f"{peer.url}/s", "bearer": "hush-hush"}, LOGINS, candidate=Arm("2"))
    peer.answer("GET", "/s", document(100, 5, 0))
    await gate.look()
    peer.answer("GET", "/s", answer)
    with pytest.raises(SourceUnavailable) as outage:
        await gate.look(5)
    assert says in str(outage.value)
    assert "hush" not in str(outage.value)
    assert kind in (outage.value.kind, FailureKind.UNEXPECTED_RESPONSE)
    peer.answer("GET", "/s", document(150, 6, 0))
    assert (await gate.seen(5)).streams["logins"].candidate == Counts(50, 1)
    await gate.source.close()
    assert peer.received[0].headers["Authorization"] == "Bearer hush-hush"


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (True, "is true, which is no number"),
        (None, "is null, which is no number"),
        ("hush", "is a text, which is no number"),
        ({"a": 1}, "is an object, which is no number"),
        ("1e999", "is a text, which is no number"),
        (-4, "is -4, which no counter can be"),
    ],
)
async def test_what_is_no_number_is_no_telemetry_of_that_series_alone(peer: Peer, value: Any, says: str) -> None:
    """The others are judged; and it is said which one, without the value."""
    gate = desk({"url": f"{peer.url}/s"}, LOGINS, ERRORS, candidate=Arm("2"))
    peer.answer("GET", "/s", document(100, 5, 0))
    await gate.look()
    peer.answer("GET", "/s", document(110, value, 4))
    look = await gate.look(5)
    await gate.source.close()
    assert look.evidence is not None
    assert look.evidence.streams["logins"].candidate is None
    assert look.evidence.streams["log_errors"].candidate == Events(4, None, 1)
    assert any(f"criterion logins: candidate: logins.failed {says}" in note for note in look.notes)


async def test_a_version_with_dots_is_one_name_in_a_path(peer: Peer) -> None:
    """As it is in the document, and no other way down."""
    series = Series("queue", "values", {"value": "versions.$version.depth"})
    gate = desk({"url": f"{peer.url}/s"}, series, candidate=Arm("1.4.2"), baseline=Arm("1.4.1"))
    peer.answer("GET", "/s", Answer(json={"versions": {"1.4.2": {"depth": 8}, "1": {"4": {"1": {"depth": 3}}}}}))
    await gate.look()
    stream = (await gate.seen(5)).streams["queue"]
    await gate.source.close()
    assert (stream.candidate, stream.baseline) == (Values((8,)), None)
    assert len(peer.received) == 2, "one address, both arms"


async def test_the_inspection_shows_the_numbers_and_names_what_is_not_there(peer: Peer) -> None:
    """What no version changes is refused; what may come with the candidate is told."""
    later = Series("later", "values", {"value": "versions.$version"})
    gone = Series("gone", "values", {"value": "queu.depth"})
    gate = desk({"url": f"{peer.url}/s"}, LOGINS, later, gone, candidate=Arm("2"))
    peer.answer("GET", "/s", document(100, 5, 0))
    assert isinstance(gate.source, InspectableSource)
    found = await gate.source.inspect()
    await gate.source.close()
    assert found.arms["candidate"].numbers == {"logins.of": 100, "logins.bad": 5}
    assert found.refused == ("candidate: gone.value: queu.depth is not there; did you mean queue.depth?",)
    assert found.doubtful == ("candidate: later.value: versions.$version is not there",)


def test_what_it_cannot_answer_is_said_before_a_gate() -> None:
    """A part of a criterion that has no sense here, and an arm without what the path or the address needs."""
    with pytest.raises(ValueError, match="up: what answers is there"):
        HttpSourceConfig(kind="http", url="/s").check_series(Series("x", "events", {"events": "a", "up": "b"}))
    with pytest.raises(ArmError, match=r"candidate\.labels\.region: is needed"):
        desk({"url": "http://a/?region=$region"}, candidate=Arm("2"))
    with pytest.raises(ArmError, match=r"candidate\.target: is needed"):
        desk({"url": "/stats"}, candidate=Arm("2"))
    assert not HttpSourceConfig(kind="http", url="http://a/").tells_series_apart(LOGINS)
    assert HttpSourceConfig(kind="http", url="/stats").tells_series_apart(LOGINS)


@pytest.mark.usefixtures("hung_resolver")
async def test_a_name_that_is_not_resolved_in_time_is_dns() -> None:
    """And not a source that kept silent; also for a look that waits for the lookup of the one before."""
    gate = desk({"url": "http://hung.example/", "timeout": "3s"}, LOGINS, candidate=Arm("2"))
    for _ in range(2):
        with noting(), pytest.raises(SourceUnavailable, match=r"^the name hung\.example was not resolved") as outage:
            await gate.look()
        assert outage.value.kind is FailureKind.DNS
    await gate.source.close()
