"""Account of AWS as a check reaches it: options for credentials, clients that are kept, calls by the names of IAM."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession

from healthd.aws.client import proxies_to
from healthd.checks.aws_failures import AWSError, explain_aws
from healthd.checks.aws_options import AWSOptions
from healthd.checks.finding import Finding, of_third_party, sum_up
from healthd.http.session import Resolver
from healthd.model import FailureKind, Result


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
        self._proxies: dict[str, str] | None = None
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
        """Return the client of a service such as `elbv2`, on the way that is in force now."""
        options = self._options
        proxies = proxies_to(service, options.region, options.endpoint_url)
        if proxies != self._proxies:  # after a reload
            self._proxies = proxies
            await self.close()
        if service not in self._clients:
            self._clients[service] = await self._open.enter_async_context(
                self._session.create_client(
                    service,
                    region_name=options.region,
                    endpoint_url=options.endpoint_url,
                    config=AioConfig(
                        connect_timeout=options.patience,
                        read_timeout=options.patience,
                        retries={"total_max_attempts": 1},  # the next probe is the retry
                        connector_args={"use_dns_cache": False, "resolver": Resolver()},
                        proxies=proxies,
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
