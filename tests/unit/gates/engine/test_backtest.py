"""A policy over the past is judged as a gate is."""

from datetime import timedelta

from healthd_gates.criteria.error_rate import ErrorRate
from healthd_gates.criteria.latency import Latency
from healthd_gates.domain.evidence import Counts, Evidence, Histogram
from healthd_gates.engine.backtest import replayed_rules
from healthd_gates.engine.spec import GateSpec
from healthd_gates.judge.judge import Judge
from healthd_gates.judge.rules import Rules, Timing
from tests.fakes.gates import config
from tests.fakes.monitoring import MIDNIGHT

PROMETHEUS = {"kind": "prometheus", "url": "http://a", "requests": "x_total", "errors": "y_total", "lookback": "5m"}


def test_numbers_may_be_as_late_as_the_source_says() -> None:
    """Between two scrapes of a slow Prometheus nothing has fallen silent, and all the traffic is expected where the
    policy says so."""
    configured = config(service={"source": PROMETHEUS}, policy={"exposure": "all"})
    spec = GateSpec(configured.policies["quick"], configured.services["api"])
    rules, left_out = replayed_rules(spec)
    assert (rules.timing.lateness, rules.whole, left_out) == (300.0, True, ())


def test_between_two_scrapes_no_rate_is_made_up() -> None:
    """After settling, and before the first scrape since then, nobody knows how long a proof would take."""
    judge = Judge(Rules((ErrorRate(), Latency()), timing=Timing(5, 30, 60, 600)))
    scraped = Counts(30, 0, Histogram((0.1, 5.0, float("inf")), (30, 0, 0), 1.5))
    for look in range(1, 8):
        numbers = scraped if look in (3, 6) else None
        standing = judge.step(Evidence(MIDNIGHT + timedelta(seconds=5 * look), 5, numbers))
    assert [criterion.sentence for criterion in standing.criteria] == [
        "The error rate is open: 0 % (0 of 60 requests while settling); limit 5 %.",
        "The p95 latency is open: no latencies since it settled; limit 5 s.",
    ]
