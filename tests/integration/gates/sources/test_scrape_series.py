"""Series that criteria name of their own, on the targets' pages: exact through restarts and gaps, one look a page."""

from __future__ import annotations

from typing import Any

import pytest

from healthd.runtime.redaction import Redactor
from healthd_gates.domain.evidence import Counts, Events, Values
from healthd_gates.sources import build_source
from healthd_gates.sources.contract import Arm, Arms, Series, SourceContext
from healthd_gates.sources.inspection import InspectableSource
from healthd_gates.sources.scrape import ScrapeConfig
from tests.fakes.sources import Desk, WallClock
from tests.servers import peers
from tests.servers.peers import Answer, Peer

LOGINS = Series("logins", "counts", {"of": "logins_total", "bad": 'logins_total{result="failed"}'})
LOGGED = Series("log_errors", "events", {"events": 'logged_total{level="error"}'})
RETRIES = Series("retries", "events", {"events": "retries_total", "requests": "logins_total"})
QUEUE = Series("queue", "values", {"value": 'queue_depth{name="mail"}'})
ALL = (LOGINS, LOGGED, RETRIES, QUEUE)


def gate(*urls: str, series: tuple[Series, ...] = ALL, baseline: str | None = None) -> Desk:
    raw = {"kind": "scrape", "requests": "requests_total", "errors": 'requests_total{status="500"}'}
    config = ScrapeConfig.model_validate(raw)
    arms = Arms("shop", Arm("2", urls=urls), None if baseline is None else Arm("1", urls=(baseline,)))
    config.check(arms)
    for each in series:
        config.check_series(each)
        config.check_series_of(each, arms)
    clock = WallClock()
    return Desk(build_source(config, arms, SourceContext(clock, Redactor(()), series=series)), clock)


def page(logins: float, failed: float, errors: float | None = None, depth: Any = 3) -> Answer:
    lines = [
        f'requests_total{{status="200"}} {logins}',
        f'logins_total{{result="ok"}} {logins - failed}',
        f'logins_total{{result="failed"}} {failed}',
        f"retries_total {failed * 2}",
        f'queue_depth{{name="mail"}} {depth}',
        'queue_depth{name="other"} 99',
        *([f'logged_total{{level="error"}} {errors}'] if errors is not None else ['logged_total{level="info"} 1']),
    ]
    return Answer(body="\n".join(lines) + "\n", headers={"Content-Type": "text/plain; version=0.0.4"})


async def test_one_page_answers_all_criteria_of_both_arms(peer: Peer) -> None:
    """Counters are differences, values are what stands there, and a counter without its first event is none."""
    async with peers.peer() as other:
        desk = gate(peer.url, baseline=other.url)
        peer.answer("GET", "/metrics", page(100, 5))
        other.answer("GET", "/metrics", page(1000, 10, errors=4))
        assert (await desk.look()).evidence is None
        peer.answer("GET", "/metrics", page(130, 6, errors=2, depth=14.5))
        other.answer("GET", "/metrics", page(1200, 10, errors=4))
        streams = (await desk.seen()).streams
        await desk.source.close()
    assert (streams["logins"].candidate, streams["logins"].baseline) == (Counts(30, 1), Counts(200, 0))
    assert (streams["log_errors"].candidate, streams["log_errors"].baseline) == (Events(2, None, 1), Events(0, None, 1))
    assert streams["retries"].candidate == Events(2, 30, 1)
    assert streams["queue"].candidate == Values((14.5,))
    assert len(peer.received) == 2


async def test_targets_add_up_and_one_that_was_away_catches_up(peer: Peer) -> None:
    async with peers.peer() as other:
        desk = gate(peer.url, other.url, series=(LOGINS, QUEUE))
        peer.answer("GET", "/metrics", page(1000, 50, depth=1))
        other.answer("GET", "/metrics", page(10, 0))
        await desk.look()
        peer.answer("GET", "/metrics", page(40, 2, depth=1))
        other.answer("GET", "/metrics", Answer(status=503))
        first = (await desk.seen()).streams
        other.answer("GET", "/metrics", page(25, 4, depth=5))
        second = (await desk.seen()).streams
        await desk.source.close()
    assert (first["logins"].candidate, first["logins"].gaps) == (Counts(40, 2), 1)
    assert first["queue"].candidate == Values((1,))
    assert second["logins"].candidate == Counts(15, 4)
    assert second["queue"].candidate == Values((1, 5))


@pytest.mark.parametrize("wrong", ["logins_total NaN", 'logins_total{outcome="failed"} 3'])
async def test_what_is_wrong_with_one_criterion_concerns_that_one_alone(peer: Peer, wrong: str) -> None:
    desk = gate(peer.url, series=(LOGINS, QUEUE))
    for requests in (10, 20):
        body = f'requests_total{{status="200"}} {requests}\n{wrong}\nqueue_depth{{name="mail"}} NaN\n'
        peer.answer("GET", "/metrics", Answer(body=body, headers={"Content-Type": "text/plain"}))
        look = await desk.look()
    await desk.source.close()
    assert look.evidence is not None
    assert look.evidence.candidate == Counts(10, 0)
    assert look.evidence.streams["logins"].candidate is None
    assert look.evidence.streams["queue"].candidate is None
    assert any(note.startswith("criterion logins: candidate: ") for note in look.notes)


async def test_a_metric_that_is_not_there_is_named_before_the_gate_starts(peer: Peer) -> None:
    desk = gate(peer.url, series=(LOGINS, Series("q", "values", {"value": "queue_dept"})))
    peer.answer("GET", "/metrics", page(10, 1))
    assert isinstance(desk.source, InspectableSource)
    found = await desk.source.inspect()
    await desk.source.close()
    assert found.arms["candidate"].series["logins.errors"] == 1
    assert "candidate: criterion q: there is no metric queue_dept. Did you mean queue_depth?" in found.doubtful


@pytest.mark.parametrize(
    ("series", "problem"),
    [
        (Series("m", "values", {"value": "a_sum / a_count"}), "value: .* needs a server that evaluates PromQL"),
        (Series("m", "counts", {"of": "rate(a[5m])", "bad": "b"}), "of: .*is not a vector selector"),
        (Series("m", "events", {"events": "a", "up": "up"}), "up: a page that answers shows"),
    ],
)
def test_a_text_that_no_page_could_answer_is_refused(series: Series, problem: str) -> None:
    config = ScrapeConfig.model_validate({"kind": "scrape", "requests": "a", "errors": "b"})
    with pytest.raises(ValueError, match=problem):
        config.check_series(series)
