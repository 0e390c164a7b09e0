"""The sources of one gate: each is asked once an evaluation, whatever the number of criteria."""

from typing import Any, ClassVar

from healthd_gates.config.observed import ReadSource
from healthd_gates.config.policy import Policy
from healthd_gates.config.service import Service
from healthd_gates.domain.evidence import Counts, Evidence, Stream
from healthd_gates.engine.observer import Traffic
from healthd_gates.engine.source_readers import Opened, SourceReaders, cursor_of
from healthd_gates.engine.spec import GateSpec
from healthd_gates.sources.contract import Cursor, Look, Source, SourceConfig
from tests.fakes.gates import ScriptedConfig
from tests.unit.gates.judge.evidence import START

PROMETHEUS = {"kind": "prometheus", "url": "http://127.0.0.1:9", "requests": "r", "errors": "e"}


class Counted:
    """Counts how often it is asked, and says so in its numbers."""

    config_model: ClassVar[type[SourceConfig]] = SourceConfig

    def __init__(self, *_: Any) -> None:
        self.asked = 0

    async def observe(self, since: Cursor | None) -> Look:
        self.asked += 1
        at = (since or {"at": 0})["at"] + 1
        own = {"checkouts": Stream(Counts(at, 0))}
        evidence = None if since is None else Evidence(START, 5.0, Counts(10 * at, 1), streams=own)
        return Look(evidence, {"at": at}, ("hm",))

    async def close(self) -> None: ...


def spec(*criteria: dict[str, Any], **service: Any) -> GateSpec:
    return GateSpec(Policy.model_validate({"criteria": criteria}), Service.model_validate(service))


RATIO = {"kind": "ratio", "bad": "b", "of": "a", "limit": "2%"}


def test_criteria_of_one_source_are_read_together() -> None:
    named = [{**RATIO, "name": f"r{n}", "source": "shop"} for n in range(3)]
    sources = spec({"kind": "error_rate"}, *named, source=PROMETHEUS, sources={"shop": PROMETHEUS}).sources
    assert [(one.name, [series.stream for series in one.series]) for one in sources] == [
        (None, []),
        ("shop", ["r0", "r1", "r2"]),
    ]


def test_the_first_source_by_its_name_is_the_first_source() -> None:
    """It is not asked twice because one criterion names it and another one does not."""
    [only] = spec(
        {"kind": "error_rate"},
        {"kind": "latency", "source": "shop"},
        {**RATIO, "source": "shop"},
        sources={"shop": PROMETHEUS},
    ).sources
    assert (only.name, only.streams, [series.stream for series in only.series]) == (None, ("@shop",), ["ratio"])


async def test_each_is_asked_once_and_goes_on_where_it_stood() -> None:
    given = spec(
        {"kind": "error_rate"},
        {"kind": "latency", "source": "edge"},
        {**RATIO, "source": "edge"},
        source=PROMETHEUS,
        sources={"edge": PROMETHEUS},
    )
    asked = [Counted(), Counted()]

    def opened(what: ReadSource, one: Source) -> Opened:
        return Opened(what, Traffic(lambda: one, ScriptedConfig(timeout=1.0), None))

    readers = SourceReaders([opened(what, one) for what, one in zip(given.sources, asked, strict=True)])
    first = await readers.look()
    assert (first.evidence, readers.cursor) == (None, {"source": {"at": 1}, "sources": {"edge": {"at": 1}}})
    second = await readers.look()
    assert [one.asked for one in asked] == [2, 2]
    assert second.notes == ("hm", "edge: hm")
    assert second.evidence is not None
    assert second.evidence.candidate == Counts(20, 1)
    assert second.evidence.streams == {"checkouts": Stream(Counts(2, 0)), "@edge": Stream(Counts(20, 1))}
    kept = readers.cursor
    assert (cursor_of(kept, None), cursor_of(kept, "edge"), cursor_of({"source": None}, "edge")) == (
        {"at": 2},
        {"at": 2},
        None,
    )
