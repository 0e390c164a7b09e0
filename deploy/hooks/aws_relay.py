"""A Lambda that brings lifecycle hooks of Amazon ECS and AWS CodeDeploy to healthd, and the answer back.

It needs nothing but Lambda's Python. `HEALTHD_HOOK` is the address to call, `HEALTHD_TOKEN_PARAMETER` the name of the
SecureString of SSM that is a token with the scope `gates:hooks`, `HEALTHD_PATIENCE` for how many seconds a healthd that
is out of reach is waited for (900 unless given). `HEALTHD_TOKEN` in the place of the parameter is the token itself,
which everyone reads who may read the function's configuration.

What it raises fails the hook, and with it the deployment: only a pass promotes.
"""

from __future__ import annotations

import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

_TIMEOUT = 10.0  # seconds
_SSM_TIMEOUT = 2.0  # to connect, and again to read
_ASK_AGAIN = 30
_PATIENCE = 900.0
_SINCE = "healthdUnreachableSince"  # seconds since 1970, in ECS's keeping between two calls
_TRIES, _PAUSE = 5, 2.0  # of a CodeDeploy hook, which is called once


class Unreachable(Exception):  # noqa: N818 - what has happened, not a fault of the event
    """healthd did not answer, or not now."""


class Refused(Exception):  # noqa: N818
    """healthd will not answer this event, however often it is asked."""


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """The entry point, for both services: they send different events."""
    return _codedeploy(event) if "LifecycleEventHookExecutionId" in event else _ecs(event)


def _ecs(event: dict[str, Any]) -> dict[str, Any]:
    """ECS takes the answer from here, and calls again as long as it is `IN_PROGRESS`."""
    kept = event.get("hookDetails") or {}
    try:
        answer = _ask(event)
        if kept.get(_SINCE):  # ECS puts together what it is told: what is over has to be taken back
            answer["hookDetails"][_SINCE] = None
        return answer
    except Unreachable as error:
        since = float(kept.get(_SINCE) or time.time())
        waited = time.time() - since
        print(f"healthd has not been reached for {waited:.0f} s: {error}")
        if waited >= float(os.environ.get("HEALTHD_PATIENCE", _PATIENCE)):
            return {"hookStatus": "FAILED", "hookDetails": {"healthdSays": str(error)}}
        return {"hookStatus": "IN_PROGRESS", "callBackDelay": _ASK_AGAIN, "hookDetails": {_SINCE: since}}


def _codedeploy(event: dict[str, Any]) -> dict[str, Any]:
    """healthd tells CodeDeploy itself; here it is enough that it has heard."""
    for attempt in range(1, _TRIES + 1):
        try:
            return _ask(event)
        except Unreachable as error:
            print(f"healthd was not reached: {error}")
            if attempt == _TRIES:
                raise
            time.sleep(_PAUSE * attempt)
    raise AssertionError("unreachable: the last attempt returns or raises")


def _ask(event: Mapping[str, Any]) -> dict[str, Any]:
    """healthd's answer. Raises Unreachable and Refused."""
    token = _token()
    request = urllib.request.Request(
        os.environ["HEALTHD_HOOK"],
        data=json.dumps(event).encode(),
        headers={"Content-Type": "application/json", "Authorization": f"Bearer {token}"},
    )
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT) as response:
            answer: dict[str, Any] = json.load(response)
    except urllib.error.HTTPError as error:
        said = f"healthd answered {error.code}: {error.read(500).decode('utf-8', 'replace')}"
        if error.code == 429 or error.code >= 500:
            raise Unreachable(said) from None
        raise Refused(said) from None
    except (OSError, ValueError) as error:  # no connection, no answer in time, or one that is no JSON
        raise Unreachable(f"{type(error).__name__}: {error}") from None
    print(json.dumps(answer))
    return answer


def _token() -> str:
    """The token, read anew at each call, so that another one needs no new Lambda. Raises Unreachable and Refused."""
    parameter = os.environ.get("HEALTHD_TOKEN_PARAMETER")
    if not parameter:
        return os.environ["HEALTHD_TOKEN"]
    import boto3  # of Lambda's runtime
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    once = Config(connect_timeout=_SSM_TIMEOUT, read_timeout=_SSM_TIMEOUT, retries={"total_max_attempts": 1})
    try:
        said = boto3.client("ssm", config=once).get_parameter(Name=parameter, WithDecryption=True)
    except ClientError as error:
        final = error.response["Error"]["Code"] in ("AccessDeniedException", "ParameterNotFound")
        raise (Refused if final else Unreachable)(f"SSM did not give {parameter}: {error}") from None
    except BotoCoreError as error:
        raise Unreachable(f"SSM did not give {parameter}: {error}") from None
    value: str = said["Parameter"]["Value"]
    return value
