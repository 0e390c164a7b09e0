"""Views that Sentinels have of a master, and the status that they mean together. No I/O here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, StringConstraints

from healthd.checks.database import DatabaseConfig
from healthd.checks.redis_options import RedisURI
from healthd.model import FailureKind, Measure, Result, Status
from healthd.wording import excerpt, shape


def _has_a_port(uri: SecretStr) -> SecretStr:
    address = urlsplit(uri.get_secret_value())
    if address.scheme != "unix" and address.port is None:
        raise ValueError("names no port: a Sentinel usually listens on 26379")
    return uri


class RedisSentinelConfig(DatabaseConfig):
    kind: Literal["redis_sentinel"] = "redis_sentinel"
    sentinels: tuple[Annotated[RedisURI, AfterValidator(_has_a_port)], ...] = Field(min_length=1, max_length=20)
    """Addresses of all Sentinels: `redis://user:password@host:26379`, or `rediss://` with TLS."""
    master: Annotated[
        str, StringConstraints(pattern=shape(r"^[A-Za-z0-9._-]+$", "the name of a master, such as mymaster"))
    ]
    """Name of the master, as the Sentinels know it."""
    healthy_replicas: int = Field(1, ge=0, le=1000)
    """Least number of replicas in step that a failover could choose from; 0: not looked at."""

    @property
    def addresses(self) -> tuple[SecretStr, ...]:
        return self.sentinels


@dataclass(frozen=True, slots=True)
class View:
    """View of one Sentinel: the master and its replicas; why it sees no quorum, None if there is one; and the seconds
    that it took to answer a PING."""

    master: Mapping[str, str]
    replicas: tuple[Mapping[str, str], ...]
    lacks_quorum: str | None
    latency: float

    @property
    def address(self) -> tuple[str | None, str | None]:
        return self.master.get("ip"), self.master.get("port")

    @property
    def flags(self) -> frozenset[str]:
        return _flags(self.master)

    @property
    def in_step(self) -> int:
        """Number of replicas that are there, and linked to the master."""
        away = {"s_down", "o_down", "disconnected"}
        return sum(not _flags(each) & away and each.get("master-link-status") == "ok" for each in self.replicas)

    @property
    def sentinels(self) -> int:
        """Number of Sentinels that it knows, itself among them."""
        others = self.master.get("num-other-sentinels", "")
        return 1 + (int(others) if others.isdigit() else 0)


def judge(answers: Sequence[View | Result], config: RedisSentinelConfig) -> Result:
    """Return the worst of what all Sentinels say together."""
    views = [answer for answer in answers if isinstance(answer, View)]
    failures = [answer for answer in answers if isinstance(answer, Result)]
    if not views:
        first = failures[0]
        what = (
            "the Sentinel" if len(answers) == 1 else f"none of {len(answers)} Sentinels tells of the master: the first"
        )
        assert first.kind is not None
        return Result.unhealthy(first.kind, f"{what}: {first.message}")
    in_step, known = min(view.in_step for view in views), min(view.sentinels for view in views)
    observed: dict[str, Any] = {
        "sentinelsAnswering": len(views),
        "sentinelsKnown": known,
        "quorum": int(views[0].master.get("quorum", 0)),
        "replicasInStep": in_step,
    }
    wrong = sorted(_wrong(views, failures, in_step, config), key=lambda each: each[0] is not Status.UNHEALTHY)
    status, kind = wrong[0][:2] if wrong else (Status.HEALTHY, None)
    measures = (Measure("sentinels", len(views)), Measure("replicas", in_step))
    text = "; ".join(said for _, _, said in wrong)
    latency = max(view.latency for view in views)
    return Result(status, kind, text, latency, observed, measures=measures)


def _wrong(
    views: list[View], failures: list[Result], in_step: int, config: RedisSentinelConfig
) -> Iterator[tuple[Status, FailureKind, str]]:
    total = len(views) + len(failures)
    master = config.master
    down = [view for view in views if view.flags & {"s_down", "o_down"}]
    if any("o_down" in view.flags for view in views):
        yield Status.UNHEALTHY, FailureKind.NOT_PRIMARY, f"the Sentinels agree that the master {master} is down"
    elif len(down) == len(views):
        yield Status.UNHEALTHY, FailureKind.NOT_PRIMARY, f"no Sentinel that answers reaches the master {master}"
    elif down:
        text = f"{len(down)} of {len(views)} Sentinels do not reach the master {master}"
        yield Status.DEGRADED, FailureKind.NOT_PRIMARY, text
    if len({view.address for view in views}) > 1:
        text = f"the Sentinels name different masters as {master}: clients write to either"
        yield Status.UNHEALTHY, FailureKind.UNEXPECTED_RESPONSE, text
    if any("failover_in_progress" in view.flags for view in views):
        yield Status.DEGRADED, FailureKind.NOT_PRIMARY, f"a failover of {master} is under way"
    if failures:
        first = failures[0]
        assert first.kind is not None
        # By clients all are asked in turn: one that does not answer costs them time, and the quorum one vote.
        yield Status.DEGRADED, first.kind, f"{len(failures)} of {total} Sentinels cannot be asked: {first.message}"
    if lacking := [view.lacks_quorum for view in views if view.lacks_quorum is not None]:
        yield Status.DEGRADED, FailureKind.THRESHOLD, f"no failover is possible: {excerpt(lacking[0])}"
    if in_step < config.healthy_replicas:
        text = f"{in_step} of {config.healthy_replicas} replicas that a failover could choose from are in step"
        yield Status.DEGRADED, FailureKind.THRESHOLD, text


def _flags(told: Mapping[str, str]) -> frozenset[str]:
    return frozenset(told.get("flags", "").split(","))
