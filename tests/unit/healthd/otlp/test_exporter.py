"""What is exported, when, and what becomes of it where the receiver is away, slow, or says no. Virtual time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import Metric
from prometheus_client.registry import Collector
from structlog.testing import capture_logs

from healthd.config.in_force import InForce
from healthd.config.otlp import Otlp
from healthd.config.settings import Settings
from healthd.otlp import channel
from healthd.otlp.books import export_metrics
from healthd.otlp.exporter import Exporter
from healthd.otlp.sending import ExportError
from healthd.otlp.span import Span, SpanEvent
from healthd.runtime.redaction import Redactor
from tests.fakes.monitoring import MIDNIGHT, LoopClock
from tests.servers import otlp

pytestmark = pytest.mark.looptime


class Away:
    """A receiver that does what `answers` says, and keeps what it takes; the last one stays."""

    def __init__(self) -> None:
        self.answers: list[Any] = [b""]
        self.asked: list[tuple[float, str]] = []
        self.taken: list[tuple[str, bytes]] = []
        self.config: Otlp | None = None
        self.session = self

    async def close(self) -> None:
        """As a session is closed."""

    async def send(self, signal: str, body: bytes) -> bytes:
        self.asked.append((asyncio.get_running_loop().time(), signal))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer is None:
            await asyncio.sleep(10_000)
        if isinstance(answer, Exception):
            raise answer
        self.taken.append((signal, body))
        return answer  # type: ignore[no-any-return]


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Away:
    away = Away()

    async def receiver_of(config: Otlp) -> Away:
        away.config = config
        return away

    async def at_once(work: Any, name: str) -> Any:
        return work()

    monkeypatch.setattr(channel, "receiver_of", receiver_of)
    monkeypatch.setattr(channel, "in_daemon_thread", at_once)  # a thread would not keep virtual time
    return away


SETTINGS = {"otlp": {"endpoint": "http://collector.test:4318", "interval": "60s", "compression": "none"}}
TRACES = {"otlp": {**SETTINGS["otlp"], "signals": ["traces"]}}


class Stand:
    def __init__(self, registry: CollectorRegistry, settings: InForce[Settings], exporter: Exporter) -> None:
        self.registry, self.settings, self.exporter = registry, settings, exporter

    def items(self, signal: str) -> dict[str, float]:
        outcomes = ("exported", "refused", "dropped")
        found = {each: self._value("healthd_otlp_items_total", signal=signal, outcome=each) for each in outcomes}
        return {outcome: value for outcome, value in found.items() if value}

    def up(self, signal: str) -> float | None:
        return self._value("healthd_otlp_up", signal=signal)

    def _value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)

    def take(self, settings: dict[str, Any]) -> None:
        self.settings.replace(Settings.model_validate(settings))
        self.exporter.arrange()


@asynccontextmanager
async def exporting(settings: dict[str, Any] | None = None) -> AsyncIterator[Stand]:
    registry, clock = CollectorRegistry(), LoopClock()
    in_force = InForce(Settings.model_validate(SETTINGS if settings is None else settings))
    redact = Redactor(["s3cret-word"])
    exporter = Exporter(in_force, registry, clock=clock, redact=redact, books=export_metrics(registry))
    task = asyncio.create_task(exporter.run())
    await asyncio.sleep(0)
    try:
        yield Stand(registry, in_force, exporter)
    finally:
        task.cancel()
        await asyncio.wait({task})


def span(number: int = 1, **more: Any) -> Span:
    return Span("ab" * 16, f"{number:016x}", None, "gate api", MIDNIGHT, MIDNIGHT + timedelta(seconds=1), **more)


async def test_metrics_at_an_interval_and_spans_at_once(receiver: Away) -> None:
    async with exporting() as stand:
        Counter("probes", "", registry=stand.registry).inc(2)
        await asyncio.sleep(10)
        assert (stand.up("traces"), stand.up("metrics")) == (None, None)  # what was not tried has not failed
        stand.exporter.emit(span())
        await asyncio.sleep(115)
    assert receiver.asked == [(11.0, "traces"), (60.0, "metrics"), (120.0, "metrics")]
    assert otlp.decoded(receiver.taken[-1][1])["probes_total", ()] == 2
    assert stand.items("traces") == {"exported": 1}
    assert (stand.up("traces"), stand.up("metrics")) == (1, 1)


async def test_without_a_receiver_nothing_is_kept(receiver: Away) -> None:
    async with exporting({}) as stand:
        stand.exporter.emit(span())
        await asyncio.sleep(1000)
        await stand.exporter.close()
    assert receiver.asked == []
    assert stand.items("traces") == {}
    assert stand.up("metrics") is None


async def test_a_receiver_that_is_away_is_told_once_and_spans_wait(receiver: Away) -> None:
    """They are tried again after longer and longer pauses."""
    gone = ExportError("cannot be reached: collector.test:4318 refused the connection")
    receiver.answers = [gone] * 4 + [b""]
    with capture_logs() as logs:
        async with exporting(TRACES) as stand:
            stand.exporter.emit(span())
            await asyncio.sleep(30)
            assert stand.up("traces") == 0
            assert stand.items("traces") == {}
            await asyncio.sleep(300)
    assert [moment for moment, _ in receiver.asked] == [1.0, 6.0, 16.0, 36.0, 76.0]
    assert stand.items("traces") == {"exported": 1}
    told = [(line["event"], line["signal"]) for line in logs]
    assert told.count(("otlp export failed", "traces")) == 1
    assert told.count(("otlp export works again", "traces")) == 1


async def test_metrics_that_cannot_be_sent_are_dropped(receiver: Away) -> None:
    """The next ones say all, and come when the receiver wants them."""
    receiver.answers = [ExportError("answered 503", retry_after=200.0), b""]
    async with exporting() as stand:
        Counter("probes", "", registry=stand.registry)
        await asyncio.sleep(300)
    assert [moment for moment, _ in receiver.asked] == [60.0, 260.0]
    assert stand.items("metrics")["dropped"] > 0


async def test_metrics_are_there_again_a_minute_after_the_receiver(receiver: Away) -> None:
    """However long it was away."""
    receiver.answers = [ExportError("cannot be reached")] * 8 + [b""]
    async with exporting():
        await asyncio.sleep(9 * 60)
    assert [moment for moment, _ in receiver.asked] == [60.0 * number for number in range(1, 10)]


@pytest.mark.parametrize(
    ("answer", "next_at"),
    [
        (ExportError("answered 429", retry_after=120.0), 121.0),
        (ExportError("answered 503", retry_after=0.0), 2.0),
        (ExportError("answered 503", retry_after=10_000.0), 301.0),
        (None, 16.0),
    ],
    ids=["later", "now", "in hours", "hangs"],
)
async def test_when_a_receiver_is_asked_again(receiver: Away, answer: Exception | None, next_at: float) -> None:
    """When it wants to, five minutes later at the most; one that hangs is left after the timeout."""
    receiver.answers = [answer, b""]
    async with exporting(TRACES) as stand:
        stand.exporter.emit(span())
        await asyncio.sleep(400)
    assert [round(moment) for moment, _ in receiver.asked] == [1, next_at]
    assert stand.items("traces") == {"exported": 1}


async def test_what_is_refused_is_not_sent_again(receiver: Away) -> None:
    """Nor does it hold up what comes after it."""
    receiver.answers = [ExportError("answered 400: no such field", final=True), b""]
    async with exporting() as stand:
        stand.exporter.emit(span(1))
        await asyncio.sleep(5)
        stand.exporter.emit(span(2))
        await asyncio.sleep(20)
    assert stand.items("traces") == {"refused": 1, "exported": 1}


async def test_partial_success_is_counted(receiver: Away) -> None:
    answer = ExportTraceServiceResponse()
    answer.partial_success.rejected_spans, answer.partial_success.error_message = 1, "s3cret-word is too old"
    receiver.answers = [answer.SerializeToString()]
    with capture_logs() as logs:
        async with exporting() as stand:
            for number in range(1, 4):
                stand.exporter.emit(span(number))
            await asyncio.sleep(5)
    assert stand.items("traces") == {"exported": 2, "refused": 1}
    assert [line["problem"] for line in logs] == ["refused 1 of 3: *** is too old"]


async def test_an_answer_that_is_no_message_is_a_success(receiver: Away) -> None:
    receiver.answers = [b"\xff\xff not protobuf"]
    async with exporting() as stand:
        stand.exporter.emit(span())
        await asyncio.sleep(5)
    assert stand.items("traces") == {"exported": 1}


async def test_an_error_of_our_own_holds_nothing_up(receiver: Away) -> None:
    """It is counted, and told with its place; what comes after it is sent, and the end has no error."""
    receiver.answers = [ValueError("no header for s3cret-word"), b""]
    with capture_logs() as logs:
        async with exporting(TRACES) as stand:
            stand.exporter.emit(span(1))
            await asyncio.sleep(5)
            assert (stand.items("traces"), stand.up("traces")) == ({"dropped": 1}, 0)
            stand.exporter.emit(span(2))
            await asyncio.sleep(60)
            assert (stand.items("traces"), stand.up("traces")) == ({"dropped": 1, "exported": 1}, 1)
            receiver.answers = [ValueError("again")]
            stand.exporter.emit(span(3))
            await stand.exporter.close()
    assert stand.items("traces") == {"dropped": 2, "exported": 1}
    told = [line for line in logs if line["event"] == "otlp export failed"]
    assert told[0]["problem"] == "cannot be sent: ValueError: no header for ***"
    assert isinstance(told[0]["exc_info"], ValueError)


async def test_a_span_that_is_no_message_holds_nothing_up(receiver: Away) -> None:
    async with exporting(TRACES) as stand:
        stand.exporter.emit(replace(span(1), trace_id="no hexadecimal number"))
        await asyncio.sleep(5)
        stand.exporter.emit(span(2))
        await asyncio.sleep(60)
    assert stand.items("traces") == {"dropped": 1, "exported": 1}


async def test_metrics_that_cannot_be_collected_leave_spans_as_they_are(receiver: Away) -> None:
    class Broken(Collector):
        def collect(self) -> list[Metric]:
            raise RuntimeError("dictionary changed size during iteration")

    async with exporting() as stand:
        stand.registry._collector_to_names[broken := Broken()] = []  # as one that breaks after it was registered
        await asyncio.sleep(65)
        assert receiver.asked == []
        stand.exporter.emit(span())
        await asyncio.sleep(5)
        assert receiver.asked == [(66.0, "traces")]
        del stand.registry._collector_to_names[broken]
        await asyncio.sleep(60)
    assert "metrics" in [signal for _, signal in receiver.asked]


async def test_losses_are_counted_from_zero(receiver: Away) -> None:
    """Without a first value, an alert would not see the first loss as an increase."""
    async with exporting() as stand:
        for signal in ("metrics", "traces"):
            for outcome in ("exported", "refused", "dropped"):
                labels = {"signal": signal, "outcome": outcome}
                assert stand.registry.get_sample_value("healthd_otlp_items_total", labels) == 0


async def test_more_than_can_wait_is_dropped(receiver: Away) -> None:
    receiver.answers = [ExportError("away")]
    async with exporting() as stand:
        for number in range(1, 3001):
            stand.exporter.emit(span(number))
        await asyncio.sleep(5)
        assert stand.items("traces") == {"dropped": 952}
        receiver.answers = [b""]
        await asyncio.sleep(20)
    assert stand.items("traces") == {"dropped": 952, "exported": 2048}


async def test_a_reload_is_followed(receiver: Away) -> None:
    """Another receiver at once, another interval at once, and none."""
    async with exporting({}) as stand:
        await asyncio.sleep(5)
        stand.take({"otlp": {**SETTINGS["otlp"], "interval": "10s"}})
        await asyncio.sleep(12)
        assert receiver.asked == [(15.0, "metrics")]
        stand.take({"otlp": {**SETTINGS["otlp"], "interval": "1h", "endpoint": "http://other.test"}})
        stand.exporter.emit(span())
        await asyncio.sleep(60)
        assert receiver.asked[1:] == [(18.0, "traces")]
        assert receiver.config is not None
        assert receiver.config.endpoint == "http://other.test"
        stand.take({})
        stand.exporter.emit(span())
        await asyncio.sleep(7200)
        assert len(receiver.asked) == 2
        assert stand.up("traces") is None


@pytest.mark.parametrize(("answer", "items"), [(b"", {"exported": 2}), (None, {"dropped": 2})])
async def test_the_end_sends_what_is_left_for_some_seconds(receiver: Away, answer: bytes | None, items: Any) -> None:
    receiver.answers = [answer]
    with capture_logs() as logs:
        async with exporting() as stand:
            stand.exporter.emit(span(1))
            stand.exporter.emit(span(2))
            task = asyncio.create_task(stand.exporter.close())
            began = asyncio.get_running_loop().time()
            await task
            assert asyncio.get_running_loop().time() - began <= 3.2
    assert stand.items("traces") == items
    lost = [line["spans"] for line in logs if line["event"] == "otlp spans lost at the end"]
    assert lost == ([2] if "dropped" in items else [])


async def test_no_secret_leaves_in_a_span(receiver: Away) -> None:
    async with exporting() as stand:
        event = SpanEvent("look", MIDNIGHT, {"sentence": "no s3cret-word"})
        stand.exporter.emit(span(attributes={"a": "s3cret-word"}, events=(event,), failed="s3cret-word"))
        await asyncio.sleep(5)
    assert b"s3cret-word" not in receiver.taken[0][1]
    assert b"no ***" in receiver.taken[0][1]
