"""Any metric of CloudWatch and the states of alarms, against moto."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from math import inf
from typing import Any

import pytest
from aiobotocore.session import get_session

from healthd.runtime.redaction import Redactor
from healthd_gates.domain.evidence import Counts, Histogram, Values
from healthd_gates.sources import build_source
from healthd_gates.sources.cloudwatch_metrics import CloudWatchMetricsConfig
from healthd_gates.sources.contract import Arm, Arms, Series, SourceContext, SourceUnavailable
from tests.fakes.sources import Desk, HandClock
from tests.integration.gates.sources import trimmed_moto
from tests.servers.moto import CREDENTIALS, Moto

NOON = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=30)
ORDERS = 'Sum(Shop/Orders{Version="$version"})'
FAILED = 'Sum(Shop/Orders/Failed{Version="$version"})'
CHECKOUTS = Series("checkouts", "counts", {"of": ORDERS, "bad": FAILED})
DEPTH = Series("depth", "values", {"value": 'Maximum(AWS/SQS/Depth{Queue="mail"})'})
ALARM = Series("alarm", "values", {"value": "alarm(shop-p99)"})


@pytest.fixture(scope="module")
def server() -> Iterator[Moto]:
    with trimmed_moto.running() as running:
        yield running


@pytest.fixture
async def client(server: Moto, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Any]:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    server.reset()
    async with get_session().create_client("cloudwatch", "us-east-1", endpoint_url=server.url) as client:
        yield client


def gate(server: Moto, *series: Series, edges: tuple[float, ...] = (), **more: Any) -> Desk:
    raw = {"kind": "cloudwatch_metrics", "region": "us-east-1", "endpoint": server.url, "delay": "1m", **more}
    config = CloudWatchMetricsConfig.model_validate(raw)
    arms = Arms("shop", Arm("2"), Arm("1"))
    for each in series:
        config.check_series(each)
        config.check_series_of(each, arms)
    clock = HandClock(NOON - timedelta(seconds=20))
    context = SourceContext(clock, Redactor(()), edges=edges, series=series)
    return Desk(build_source(config, arms, context), clock)


async def put(
    client: Any, name: str, minute: float, *values: float, namespace: str = "Shop", **dimensions: str
) -> None:
    at = NOON + timedelta(minutes=minute, seconds=5)
    named = [{"Name": key, "Value": value} for key, value in dimensions.items()]
    data = [{"MetricName": name, "Value": value, "Timestamp": at, "Dimensions": named} for value in values]
    await client.put_metric_data(Namespace=namespace, MetricData=data)


async def alarm(client: Any, state: str) -> None:
    await client.put_metric_alarm(
        AlarmName="shop-p99",
        MetricName="Orders",
        Namespace="Shop",
        ComparisonOperator="GreaterThanThreshold",
        EvaluationPeriods=1,
        Period=60,
        Statistic="Sum",
        Threshold=1.0,
    )
    await client.set_alarm_state(AlarmName="shop-p99", StateValue=state, StateReason="test")


async def test_counts_values_and_alarms_of_closed_windows(server: Moto, client: Any) -> None:
    """Both versions by a dimension; a namespace may have slashes in it, and a metric's own values are counted below a
    limit."""
    await alarm(client, "ALARM")
    for minute in (0, 1):
        await put(client, "Orders", minute, 10, 20, Version="2")
        await put(client, "Orders", minute, 5, Version="1")
    await put(client, "Failed", 1, 3, namespace="Shop/Orders", Version="2")
    await put(client, "Took", 0, 0.1, 0.2, 3.0, Version="2")
    await put(client, "Depth", 1, 7, 9, namespace="AWS/SQS", Queue="mail")
    took = 'SampleCount(Shop/Took{Version="$version"})'
    below = 'TC(:$le)(Shop/Took{Version="$version"})'
    desk = gate(server, CHECKOUTS, DEPTH, ALARM, requests=took, errors=FAILED, latency=below, edges=(0.5,))
    assert (await desk.look()).evidence is None
    evidence = await desk.seen(20 + 3 * 60)
    await desk.source.close()
    edges = (0.0078, 0.016, 0.031, 0.062, 0.12, 0.25, 0.5, inf)
    assert evidence.candidate == Counts(3, 3, Histogram(edges, (0, 0, 0, 0, 1, 1, 0, 1)))
    streams = evidence.streams
    assert (streams["checkouts"].candidate, streams["checkouts"].baseline) == (Counts(60, 3), Counts(10, 0))
    assert streams["depth"].candidate == Values((9,))
    assert streams["alarm"].candidate == Values((1,))


@pytest.mark.parametrize("state", ["OK", "INSUFFICIENT_DATA"])
async def test_an_alarm_without_enough_data_says_nothing(server: Moto, client: Any, state: str) -> None:
    """It is neither well nor in alarm."""
    await alarm(client, state)
    desk = gate(server, ALARM)
    await desk.look()
    look = await desk.seen(20 + 3 * 60)
    await desk.source.close()
    assert look.streams["alarm"].candidate == (Values((0,)) if state == "OK" else None)


async def test_an_alarm_that_is_not_there_is_named(server: Moto, client: Any) -> None:
    assert client is not None
    desk = gate(server, ALARM)
    with pytest.raises(SourceUnavailable, match="CloudWatch has no alarm shop-p99"):
        await desk.look()
    await desk.source.close()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("Average(Shop/Orders)", "of: Average gives no count"),
        ("Smu(Shop/Orders)", "of: Smu is no statistic. Did you mean Sum?"),
        ("Shop/Orders", "of: 'Shop/Orders' is no metric"),
        ('Sum(Shop/Orders{Version!="1"})', "dimensions as name="),
        ("alarm(shop-p99)", "is no metric"),
    ],
)
def test_what_gives_no_counts_is_refused(text: str, problem: str) -> None:
    config = CloudWatchMetricsConfig.model_validate({"kind": "cloudwatch_metrics"})
    with pytest.raises(ValueError, match=problem):
        config.check_series(Series("checkouts", "counts", {"of": text, "bad": FAILED}))
