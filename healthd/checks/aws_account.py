"""Account of AWS as a check reaches it: options for credentials, clients that are kept, calls by the names of IAM."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any, Self

import aiohttp
from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from pydantic import ConfigDict, Field, model_validator

from healthd.aws.region import check_region
from healthd.checks.api_check import BaseURL
from healthd.checks.aws_failures import AWSError, explain_aws
from healthd.checks.contract import CheckConfig
from healthd.checks.finding import Finding, of_third_party, sum_up
from healthd.model import FailureKind, Result
from healthd.runtime.credential import APIKey
from healthd.units import Duration
from healthd.wording import shape


class AWSOptions(CheckConfig):
    """Options of a check that asks AWS. Without keys here the SDK's own chain finds credentials: variables, profiles,
    the role of the host."""

    model_config = ConfigDict(hide_input_in_errors=True)

    interval: Duration = 60.0
    """Time between probes, plus or minus a tenth."""
    timeout: Duration = 10.0
    """Hard deadline of a probe."""
    region: str = Field(pattern=shape(r"^[a-z0-9-]+$", "a region, such as eu-central-1"))
    """Region of the resources."""
    access_key_id: APIKey | None = None
    """Access key. Without keys here the SDK's own chain finds them: variables, profiles, the role of the host."""
    secret_access_key: APIKey | None = None
    """Secret of `access_key_id`."""
    session_token: APIKey | None = None
    """Session token of temporary keys."""
    endpoint_url: BaseURL | None = None
    """Endpoint to use instead of AWS's own, such as a simulator."""

    @model_validator(mode="after")
    def _keys_come_in_pairs(self) -> Self:
        if (self.access_key_id is None) != (self.secret_access_key is None):
            raise ValueError("access_key_id and secret_access_key go together: give both or neither")
        check_region(self.region, self.endpoint_url)
        return self

    def credentials(self) -> dict[str, str | None]:
        """Return the credentials as arguments of a client."""
        if self.access_key_id is None or self.secret_access_key is None:
            return {}
        token = self.session_token.get_secret_value() if self.session_token is not None else None
        return {
            "aws_access_key_id": self.access_key_id.get_secret_value(),
            "aws_secret_access_key": self.secret_access_key.get_secret_value(),
            "aws_session_token": token,
        }


class CallError(Exception):
    """Call that AWS did not answer. `code` is AWS's own of a refusal, empty where there was none."""

    def __init__(self, action: str, cause: BaseException) -> None:
        self.finding: Finding = of_third_party(*explain_aws(cause, action))
        response = getattr(cause, "response", None) or {}
        self.code = str(response.get("Error", {}).get("Code", ""))
        super().__init__(self.finding.message)


class Account:
    """Clients of one check; each is kept until `close`."""

    def __init__(self, options: AWSOptions) -> None:
        self._options = options
        self._session = AioSession()
        self._clients: dict[str, Any] = {}
        self._open = AsyncExitStack()
        self._asking = ""
        self._latency: float | None = None

    async def probed(self, look: Callable[[], Awaitable[Result]]) -> Result:
        """Return what `look` finds, or why AWS did not answer it in time or at all. The latency is that of its first
        call."""
        self._latency = None
        try:
            async with asyncio.timeout(self._options.patience):
                found = await look()
        except TimeoutError:
            late = f"{self._asking} was not answered within {self._options.patience:g} s"
            return Result.unhealthy(FailureKind.TIMEOUT, late)
        except CallError as error:
            return sum_up([error.finding])
        except (KeyError, IndexError, TypeError, ValueError) as error:  # an answer that lacks what the API promises
            return sum_up([CallError(self._asking, error).finding])
        return replace(found, latency=self._latency)

    async def ask(self, service: str, method: str, action: str, **arguments: Any) -> Mapping[str, Any]:
        """Return the answer to a call, of which `action` is IAM's name. Raises CallError."""
        self._asking = action
        try:
            client = await self.client(service)
            start = time.perf_counter()
            answer: Mapping[str, Any] = await getattr(client, method)(**arguments)
        except AWSError as error:
            raise CallError(action, error) from error
        if self._latency is None:
            self._latency = time.perf_counter() - start
        return answer

    async def client(self, service: str) -> Any:
        """Return the client of a service such as `elbv2`."""
        if service not in self._clients:
            options = self._options
            self._clients[service] = await self._open.enter_async_context(
                self._session.create_client(
                    service,
                    region_name=options.region,
                    endpoint_url=options.endpoint_url,
                    config=AioConfig(
                        connect_timeout=options.patience,
                        read_timeout=options.patience,
                        retries={"total_max_attempts": 1},  # the next probe is the retry
                        connector_args={"use_dns_cache": False, "resolver": aiohttp.ThreadedResolver()},
                        warm_up_loader_caches=True,  # reads the service's model in a thread, not in the event loop
                        # A store of one's own has no name for each bucket.
                        s3={"addressing_style": "path"} if options.endpoint_url else None,
                    ),
                    **options.credentials(),
                )
            )
        return self._clients[service]

    async def close(self) -> None:
        """Drop every connection."""
        stack, self._open, self._clients = self._open, AsyncExitStack(), {}
        await stack.aclose()
