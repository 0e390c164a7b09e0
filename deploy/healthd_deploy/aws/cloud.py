"""AWS clients of a deploy, and errors of AWS as the end of a step. The SDK is imported here."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

from healthd.aws.client import new_client, new_session
from healthd_deploy.aws.settings import Aws
from healthd_deploy.core.exit import StepFailed

Call = dict[str, Any]
_THROTTLED = {"RequestLimitExceeded", "Throttling", "ThrottlingException", "TooManyRequestsException"}


@dataclass(frozen=True, slots=True)
class Cloud:
    """Clients. The SDK retries every call except SendCommand: `ssm_once` leaves that to its caller."""

    elbv2: Any
    ssm: Any
    ssm_once: Any
    ec2: Any
    attempts: int


@asynccontextmanager
async def opened(config: Aws, arn: str) -> AsyncIterator[Cloud]:
    """Open the clients, for the region of `arn` unless the configuration names another."""
    region = config.region or arn.split(":")[3]
    session = new_session()

    def client(service: str, attempts: int) -> Any:
        return new_client(
            service,
            region=region,
            endpoint=config.endpoint,
            timeout=config.timeout,
            attempts=attempts,
            retries=config.retries,
            session=session,
        )

    with explained():
        async with (
            client("elbv2", config.attempts) as elbv2,
            client("ssm", config.attempts) as ssm,
            client("ssm", 1) as ssm_once,
            client("ec2", config.attempts) as ec2,
        ):
            yield Cloud(elbv2, ssm, ssm_once, ec2, config.attempts)


@contextmanager
def explained() -> Iterator[None]:
    """Raise StepFailed for an error of AWS or its SDK: the call, and how to fix it."""
    from healthd.checks.aws_failures import AWSError, explain_aws

    try:
        yield
    except AWSError as error:
        call = getattr(error, "operation_name", None) or "a call"
        message = explain_aws(error, str(call))[1]
        said = getattr(error, "response", {}).get("Error", {}).get("Message", "")
        raise StepFailed(f"AWS: {message}{f': {said[:300]}' if said else ''}") from error


def is_refused(error: Exception) -> bool:
    """True if AWS refused the call, so that nothing has changed; throttling and AWS's own faults may be retried."""
    answer = getattr(error, "response", {})
    status = int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 500))
    return status < 500 and answer.get("Error", {}).get("Code") not in _THROTTLED
