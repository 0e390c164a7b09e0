"""Newest value of a metric that AWS keeps of its own services in CloudWatch."""

from __future__ import annotations

from datetime import datetime, timedelta

from healthd.checks.aws_account import Account

_PERIOD = 60  # seconds: as often as SQS and RDS tell
_LATE = timedelta(minutes=10)  # how old the newest value may be: CloudWatch has it some minutes late


async def newest(
    account: Account, metric: tuple[str, str], dimensions: dict[str, str], statistic: str, now: datetime
) -> float | None:
    """Return the newest value of a metric, given as namespace and name; None if there was none in the last ten minutes.
    Raises CallError."""
    namespace, name = metric
    answer = await account.ask(
        "cloudwatch",
        "get_metric_statistics",
        "cloudwatch:GetMetricStatistics",
        Namespace=namespace,
        MetricName=name,
        Dimensions=[{"Name": key, "Value": value} for key, value in dimensions.items()],
        StartTime=now - _LATE,
        EndTime=now,
        Period=_PERIOD,
        Statistics=[statistic],
    )
    last = max(answer.get("Datapoints") or (), key=lambda each: each["Timestamp"], default=None)
    return float(last[statistic]) if last is not None else None
