"""Workload, node or CronJob of a Kubernetes cluster."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import ClassVar

import aiohttp
from yarl import URL

from healthd.checks import kubernetes_state as state
from healthd.checks.aiohttp_failures import explain_aiohttp
from healthd.checks.connect import Endpoint
from healthd.checks.contract import CheckConfig, CheckContext
from healthd.checks.finding import of_third_party, sum_up
from healthd.checks.kubernetes_options import KubernetesConfig
from healthd.kubernetes.api import Cluster
from healthd.kubernetes.failures import ApiRefusal, CredentialsError
from healthd.model import FailureKind, Result

_KINDS = {401: FailureKind.AUTH, 403: FailureKind.PERMISSION, 429: FailureKind.RATE_LIMITED}


class Kubernetes:
    """Reads one object, or the list of nodes. Credentials that have expired meanwhile are read again, once a probe."""

    config_model: ClassVar[type[CheckConfig]] = KubernetesConfig

    def __init__(self, config: KubernetesConfig, context: CheckContext) -> None:
        self._config, self._clock = config, context.clock
        self._cluster = Cluster(config.kubeconfig, config.context, context.environ)

    async def probe(self) -> Result:
        try:
            async with asyncio.timeout(self._config.patience):
                return await self._look()
        except TimeoutError:
            late = f"the Kubernetes API did not answer within {self._config.patience:g} s"
            return Result.unhealthy(FailureKind.TIMEOUT, late)
        except CredentialsError as error:
            return Result.unhealthy(FailureKind.MISCONFIGURED, str(error))
        except ApiRefusal as refusal:
            return self._refused(refusal)
        except (aiohttp.ClientError, OSError) as error:
            url = URL(self._cluster.server or "")
            return Result.unhealthy(*explain_aiohttp(error, Endpoint(url.host or "the API server", url.port or 443)))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            odd = f"{self._config.object_name} is not as documented: {type(error).__name__}"
            return Result.unhealthy(FailureKind.UNEXPECTED_RESPONSE, odd)

    async def close(self) -> None:
        await self._cluster.close()

    async def _look(self) -> Result:
        start = time.perf_counter()
        try:
            result = await self._judged()
        except ApiRefusal as refusal:
            if refusal.status != 401:
                raise
            await self._cluster.close()
            start = time.perf_counter()
            result = await self._judged()
        return replace(result, latency=time.perf_counter() - start)

    async def _judged(self) -> Result:
        config, cluster = self._config, self._cluster
        if config.nodes is not None:
            return state.nodes(await cluster.list(config.path, config.nodes), config.at_least)
        found = await cluster.get(config.path)
        if config.node is not None:
            return state.node(found)
        if config.cronjob is not None and config.max_age is not None:
            return state.cron_job(found, config.max_age, self._clock.now())
        judge = (
            state.deployment if config.deployment else state.stateful_set if config.statefulset else state.daemon_set
        )
        return judge(found, config.at_least)

    def _refused(self, refusal: ApiRefusal) -> Result:
        name = self._config.object_name
        if refusal.is_unknown_kind:
            return Result.unhealthy(FailureKind.MISCONFIGURED, f"the cluster does not know what a {name} is")
        if refusal.status == 404:
            return Result.unhealthy(FailureKind.UNEXPECTED_RESPONSE, f"there is no {name}")
        kind = _KINDS.get(refusal.status, FailureKind.UNEXPECTED_RESPONSE)
        found = sum_up([of_third_party(kind, f"{name}: {refusal}")])
        return replace(found, retry_after=refusal.after or None)
