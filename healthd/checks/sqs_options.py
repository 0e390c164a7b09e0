"""Options of a check of a queue of SQS, read without the SDK."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from healthd.checks.aws_options import AWSOptions
from healthd.checks.limits import AgeLimits, NumberLimits
from healthd.wording import shape


class SQSConfig(AWSOptions):
    kind: Literal["sqs"] = "sqs"
    queue: Annotated[
        str, StringConstraints(pattern=shape(r"^[A-Za-z0-9_-]{1,75}(\.fifo)?$", "the name of a queue, not its URL"))
    ]
    """Name of the queue."""
    owner: str | None = Field(None, pattern=shape(r"^\d{12}$", "an account of 12 digits, in quotes"))
    """Account number of the queue's owner, if that is another."""
    oldest: AgeLimits = AgeLimits(degraded=300.0, unhealthy=1800.0)
    """Limits on how long the message waits that has waited longest, which CloudWatch tells some minutes late; `{}`: it
    is not asked."""
    waiting: NumberLimits = NumberLimits()
    """Limits on the number of waiting messages, delayed ones left out; none unless given."""
    dead_letters: NumberLimits = NumberLimits(degraded=0)
    """Limits on the number of messages in the dead-letter queue of its redrive policy."""
