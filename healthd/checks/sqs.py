"""Queue of Amazon SQS: how many messages wait, how long the oldest does, and what is in its dead-letter queue."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from healthd.checks.aws_account import Account, CallError
from healthd.checks.aws_metric import newest
from healthd.checks.contract import CheckConfig, CheckContext
from healthd.checks.finding import Finding, sum_up
from healthd.checks.limits import AgeLimits, beyond, show_age
from healthd.checks.sqs_options import SQSConfig
from healthd.model import FailureKind, JSONScalar, Measure, Result

_NO_QUEUE = {"AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist"}
_AGE = ("AWS/SQS", "ApproximateAgeOfOldestMessage")
_ATTRIBUTES = (
    "ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed",
    "RedrivePolicy",
)  # fmt: skip


class SQS:
    """Reads the attributes of the queue and of its dead-letter queue, and one metric. What may not be read of these
    does not hide the rest."""

    config_model: ClassVar[type[CheckConfig]] = SQSConfig

    def __init__(self, config: SQSConfig, context: CheckContext) -> None:
        self._config, self._clock = config, context.clock
        self._account = Account(config)
        self._urls: dict[str, str] = {}

    async def probe(self) -> Result:
        return await self._account.probed(self._look)

    async def close(self) -> None:
        await self._account.close()

    async def _look(self) -> Result:
        config, findings = self._config, list[Finding]()
        try:
            found = await self._attributes(config.queue, config.owner)
        except CallError as error:
            if error.code not in _NO_QUEUE:
                raise
            return Result.unhealthy(
                FailureKind.UNEXPECTED_RESPONSE, f"there is no queue {config.queue} in {config.region}"
            )
        waiting = int(found["ApproximateNumberOfMessages"])
        in_flight = int(found["ApproximateNumberOfMessagesNotVisible"])
        observed: dict[str, JSONScalar | list[str]] = {"waiting": waiting, "inFlight": in_flight}
        observed["delayed"] = int(found["ApproximateNumberOfMessagesDelayed"])
        measures = [Measure("waiting", waiting), Measure("in_flight", in_flight)]
        if config.oldest != AgeLimits():
            try:
                age = await self._oldest(waiting)
            except CallError as error:
                findings.append(error.finding)
            else:
                observed["oldestSeconds"] = age
                if age is not None:
                    measures.append(Measure("oldest", age, "s"))
                    findings += beyond("a message has waited for", age, config.oldest, show_age)
        findings += beyond("waiting messages:", waiting, config.waiting)
        if (dead := _dead_letter_queue(found)) is not None:
            try:
                left = int((await self._attributes(*dead))["ApproximateNumberOfMessages"])
            except CallError as error:
                findings.append(error.finding)
            else:
                observed["deadLetters"] = left
                measures.append(Measure("dead_letters", left))
                findings += beyond(f"messages in {dead[0]}:", left, config.dead_letters)
        fine = f"{waiting} waiting, {in_flight} in flight"
        return sum_up(findings, fine=fine, observed=observed, measures=tuple(measures))

    async def _attributes(self, queue: str, owner: str | None) -> dict[str, Any]:
        if (url := self._urls.get(queue)) is None:
            named = {"QueueName": queue} | ({"QueueOwnerAWSAccountId": owner} if owner else {})
            url = str((await self._account.ask("sqs", "get_queue_url", "sqs:GetQueueUrl", **named))["QueueUrl"])
            self._urls[queue] = url
        try:
            answer = await self._account.ask(
                "sqs",
                "get_queue_attributes",
                "sqs:GetQueueAttributes",
                QueueUrl=url,
                AttributeNames=[*_ATTRIBUTES],
            )
        except CallError:
            del self._urls[queue]
            raise
        return dict(answer["Attributes"])

    async def _oldest(self, waiting: int) -> float | None:
        """Return how long the oldest message waits, in seconds; None if CloudWatch does not know it (yet)."""
        if waiting == 0:
            return 0.0
        now = self._clock.now()
        return await newest(self._account, _AGE, {"QueueName": self._config.queue}, "Maximum", now)


def _dead_letter_queue(attributes: dict[str, Any]) -> tuple[str, str] | None:
    """Return name and owner of the dead-letter queue; None if the queue has none."""
    policy = json.loads(attributes.get("RedrivePolicy") or "{}")
    arn = str(policy.get("deadLetterTargetArn") or "").split(":")
    return (arn[5], arn[4]) if len(arn) == 6 else None
