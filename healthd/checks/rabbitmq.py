"""RabbitMQ by its management: alarms that block publishers, and one queue: its state, its consumers, what waits."""

from __future__ import annotations

from typing import Any, ClassVar
from urllib.parse import quote

from healthd.checks.api_check import json_object
from healthd.checks.contract import CheckConfig, CheckContext
from healthd.checks.finding import degraded
from healthd.checks.http_address import split_login
from healthd.checks.http_client import Answer, HttpClient, Request
from healthd.checks.rabbitmq_state import Broker, Queue, RabbitMQConfig, judge, queue_of
from healthd.checks.retry_after import asked_pause
from healthd.model import FailureKind, Result


class RabbitMQ:
    """Asks for the queue and for the alarms over one connection, which ends with the probe."""

    config_model: ClassVar[type[CheckConfig]] = RabbitMQConfig

    def __init__(self, config: RabbitMQConfig, context: CheckContext) -> None:
        self._config, self._clock = config, context.clock
        self._client = HttpClient(
            config.patience,
            keep_alive=True,
            ca_file=config.ca_file,
            server_name=config.server_name,
            client=config.client,
        )
        self._base, self._login = split_login(config.url)

    async def probe(self) -> Result:
        try:
            return await self._look()
        finally:
            await self._client.close()

    async def close(self) -> None:
        await self._client.close()

    async def _look(self) -> Result:
        answer = await self._get("health", "checks", "alarms")
        if isinstance(answer, Result):
            return answer
        alarms = _alarms_of(answer)
        if isinstance(alarms, Result):
            return alarms
        if self._config.queue is None:
            return judge(Broker(alarms), self._config, answer.latency)
        queue = await self._queue(self._config.queue)
        if isinstance(queue, Result):
            return queue
        missing = () if queue is not None else (degraded(_NO_FIGURES, FailureKind.UNEXPECTED_RESPONSE),)
        return judge(Broker(alarms, queue, missing), self._config, answer.latency)

    async def _queue(self, name: str) -> Queue | Result | None:
        """Return the queue; None as long as the management has no figures of it."""
        answer = await self._get("queues", self._config.vhost, name)
        if isinstance(answer, Result):
            return answer
        if answer.status == 404:
            return await self._missing(name)
        document = json_object(answer)
        if document is None or "vhost" not in document:
            return _foreign(answer)
        return queue_of(document, self._clock.now().timestamp())

    async def _missing(self, name: str) -> Result:
        """Return why there is no such queue: one whose node is down has a line in the list, and no page of its own."""
        answer = await self._get("queues", self._config.vhost, page="1", page_size="500", name=name, columns=_COLUMNS)
        if isinstance(answer, Result):
            return answer
        items: Any = (json_object(answer) or {}).get("items")
        named = (each for each in items or () if isinstance(each, dict) and each.get("name") == name)
        text = f"there is no queue {name} in the virtual host {self._config.vhost}"
        if (listed := next(named, None)) is not None:
            text = f"the queue {name} is {listed.get('state')}: it is on {listed.get('node')}"
        return Result.unhealthy(FailureKind.UNEXPECTED_RESPONSE, text, latency=answer.latency)

    async def _get(self, *path: str, **query: str) -> Answer | Result:
        """Return an answer that the management meant: with 200, 404, or 503 for alarms; otherwise what is wrong."""
        to = f"{self._base.raw_path.rstrip('/')}/api/{'/'.join(quote(part, safe='') for part in path)}"
        url = self._base.with_path(to, encoded=True).with_query(query)
        answer = await self._client.ask(Request(url, headers=self._login))
        if isinstance(answer, Result):
            return answer
        document = json_object(answer) or {}
        if answer.status in (401, 403):
            return _refused(answer, str(document.get("reason", "")), self._config.vhost)
        if answer.status in (200, 404) or "alarms" in document:
            return answer
        return Result.unhealthy(
            FailureKind.RATE_LIMITED if answer.status == 429 else FailureKind.UNEXPECTED_RESPONSE,
            f"the management answers {answer.status}",
            latency=answer.latency,
            retry_after=asked_pause(answer, self._clock.now()) if answer.status == 429 else None,
        )


_COLUMNS = "name,state,node"
_NO_FIGURES = (
    "the management has no figures of the queue: for some seconds after the start of a queue or node, and for good "
    "with disable_metrics_collector"
)


def _alarms_of(answer: Answer) -> list[str] | Result:
    """Return the alarms, or what is wrong with an answer that tells of none."""
    document: dict[str, Any] = json_object(answer) or {}
    if document.get("status") == "ok":
        return []
    alarms = document.get("alarms")
    if isinstance(alarms, list) and alarms:
        return [_alarm(each) for each in alarms]
    return _foreign(answer)


def _alarm(entry: Any) -> str:
    if isinstance(entry, dict) and {"resource", "node"} <= entry.keys():
        return f"{entry['resource']} on {entry['node']}"
    return str(entry)[:100]


def _foreign(answer: Answer) -> Result:
    text = f"the answer ({answer.status}) is not that of the management of a RabbitMQ of 3.8 or later"
    return Result.unhealthy(FailureKind.UNEXPECTED_RESPONSE, text, latency=answer.latency)


def _refused(answer: Answer, reason: str, vhost: str) -> Result:
    """Return what a 401 means: RabbitMQ has it for a wrong password, and for rights that are missing."""
    if "management user" in reason:
        text = "the user may not see the management: give it the tag `management` (rabbitmqctl set_user_tags)"
    elif "virtual host" in reason:
        text = f"the user has no permission in the virtual host {vhost} (rabbitmqctl set_permissions)"
    else:
        return Result.unhealthy(FailureKind.AUTH, "user or password is not accepted", latency=answer.latency)
    return Result.unhealthy(FailureKind.PERMISSION, text, latency=answer.latency)
