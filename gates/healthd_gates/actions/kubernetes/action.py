"""Rolls back, and divides the traffic, in a Kubernetes cluster: reads, changes, and reads again until the change has
taken effect."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

import aiohttp

from healthd.checks.unreachable import brief_of_any
from healthd.kubernetes.api import Cluster, Object, Right
from healthd.kubernetes.failures import ApiRefusal, CredentialsError
from healthd_gates.actions.contract import ActionConfig, ActionContext, ActionRequest, ActionResult, Ending, Unable
from healthd_gates.actions.kubernetes import canary_ingress, route
from healthd_gates.actions.kubernetes.argo import ROLLOUT_REVISION, look_at_rollout
from healthd_gates.actions.kubernetes.config import KubernetesConfig, labels_of
from healthd_gates.actions.kubernetes.controller_revisions import (
    controller_revision_history,
    look_at_daemon_set,
    look_at_stateful_set,
)
from healthd_gates.actions.kubernetes.move import Move, Waiting
from healthd_gates.actions.kubernetes.objects import PLACES
from healthd_gates.actions.kubernetes.outcome import outcome_of
from healthd_gates.actions.kubernetes.revisions import (
    DEPLOYMENT_REVISION,
    History,
    hindrance,
    look_at_deployment,
    replica_set_history,
)
from healthd_gates.actions.kubernetes.route import Split
from healthd_gates.actions.kubernetes.service import point_back, ready, ready_endpoints, shown
from healthd_gates.actions.kubernetes.versions import AmbiguousError, Versions
from healthd_gates.actions.targets import places
from healthd_gates.sources.contract import Arms

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 1.0  # seconds between two reads while the cluster carries out a change
_PATIENT_FOR = 0.7  # share of a timeout, after which the rest is for the next attempt and people see the progress
Divide = Callable[[Object, str, Split], ActionResult | Move | None]
_SLICES, _SERVICE_NAME = "apis/discovery.k8s.io/v1", "kubernetes.io/service-name"
_HISTORIES: Mapping[str, Callable[[Object, Sequence[Object]], History]] = {
    "deployment": lambda owner, found: replica_set_history(owner, found, DEPLOYMENT_REVISION),
    "rollout": lambda owner, found: replica_set_history(owner, found, ROLLOUT_REVISION),
    "statefulset": controller_revision_history,
    "daemonset": controller_revision_history,
}
_LOOKS: Mapping[str, Callable[[Object, str, History, Versions, str], ActionResult | Move | Waiting]] = {
    "deployment": look_at_deployment,
    "rollout": look_at_rollout,
    "statefulset": look_at_stateful_set,
    "daemonset": look_at_daemon_set,
}
_MOVES = 3  # an undo and a promotion; more in one attempt would be a conflict with somebody else


class Kubernetes:
    """Changes one object, reading it first: what is right already counts as done, and what somebody else has changed
    is left alone. Every change names the version of the object that it was made for, so that it overwrites nobody's
    work.
    """

    config_model: ClassVar[type[ActionConfig]] = KubernetesConfig

    def __init__(self, config: KubernetesConfig, context: ActionContext) -> None:
        self._config, self._clock = config, context.clock
        self._cluster = Cluster(config.kubeconfig, config.context, context.environ)
        self._has_no_pods = False

    async def execute(self, order: ActionRequest) -> ActionResult:
        return await self._asking(lambda: self._execute(order))

    async def describe(self, order: ActionRequest) -> str:
        async def tell() -> ActionResult:
            found = await self._look(order)
            if isinstance(found, ActionResult):
                return found
            return ActionResult(Ending.DONE, f"would {'' if isinstance(found, Move) else 'wait: '}{found.says}")

        told = await self._asking(tell)
        if told.ending is not Ending.DONE:
            raise Unable(told.detail)
        return told.detail

    async def test(self) -> ActionResult:
        """Check that the object exists, and every right that a rollback needs. Changes nothing."""

        async def look() -> ActionResult:
            if (missing := await self._missing()) is not None:
                return ActionResult(Ending.REFUSED, missing)
            await self._cluster.get(self._object_path)
            return ActionResult(Ending.DONE, "it is there, and may be read and changed")

        return await self._asking(look)

    async def hindrance(self, order: ActionRequest) -> str | None:
        found = await self._missing()
        if found is None and not self._config.moves_traffic:
            try:
                found = hindrance(*await self._look_at_workload(order))
            except AmbiguousError as error:
                found = str(error)
        return None if found is None else f"{self._config.object_name}: {found}"

    async def _missing(self) -> str | None:
        missing = [right for right in self._rights() if not await self._cluster.may(right, self._config.namespace)]
        if not missing:
            return None
        return f"whoever asks here may not {', '.join(map(str, missing))} in namespace {self._config.namespace}"

    async def close(self) -> None:
        await self._cluster.close()

    async def _execute(self, order: ActionRequest) -> ActionResult:
        """Make the changes that are needed, and wait for the cluster to carry them out as long as the attempt has
        time."""
        until = self._clock.steady() + self._config.timeout * _PATIENT_FOR
        did: list[str] = []
        pause = _FIRST_PAUSE
        while True:
            found = await self._look(order)
            if isinstance(found, Move) and len(did) < _MOVES:
                try:
                    await self._cluster.patch(found.patch)
                except ApiRefusal as refusal:
                    if not refusal.is_conflict or self._clock.steady() >= until:
                        raise
                    await asyncio.sleep(pause)  # a controller writes often: read again what it has left
                    continue
                did.append(found.says)
            elif isinstance(found, ActionResult):
                # Whatever is done was read off the cluster, after the last change too. An Ingress' controller tells
                # nothing, and no traffic is at pods of which there are none.
                is_seen = found.ending is Ending.DONE and self._config.ingress is None and not self._has_no_pods
                return replace(_after(did, found), seen=is_seen)
            elif isinstance(found, Move) or self._clock.steady() >= until:
                return _after(did, ActionResult(Ending.RETRY, found.says))
            else:
                await asyncio.sleep(pause)
                pause = min(_LONGEST_PAUSE, 2 * pause)

    async def _asking(self, ask: Callable[[], Awaitable[ActionResult]]) -> ActionResult:
        """Call `ask`, and return any refusal of the cluster as the outcome."""
        try:
            outcome = await ask()
        except ApiRefusal as refusal:
            outcome = outcome_of(refusal)
        except CredentialsError as error:
            outcome = ActionResult(Ending.RETRY, str(error))
        except AmbiguousError as error:
            outcome = ActionResult(Ending.REFUSED, str(error))
        except (aiohttp.ClientError, OSError) as error:
            outcome = ActionResult(Ending.RETRY, f"the Kubernetes API was not reached: {brief_of_any(error)}")
        return replace(outcome, detail=f"{self._config.object_name}: {outcome.detail}")

    async def _look(self, order: ActionRequest) -> ActionResult | Move | Waiting:
        if self._config.service is not None:
            return await self._look_at_service(order.arms)
        if self._config.sets_weight:
            return await self._look_at_weights(order)
        owner, _, found = await self._look_at_workload(order)
        self._has_no_pods = owner["spec"].get("replicas") == 0
        return found

    async def _look_at_workload(self, order: ActionRequest) -> tuple[Object, Versions, ActionResult | Move | Waiting]:
        key, _ = self._config.named
        owner = await self._cluster.get(self._object_path)
        labels = (owner["spec"].get("selector") or {}).get("matchLabels") or {}
        matching = await self._cluster.list(self._path("apis/apps/v1", PLACES[key].lists.resource), labels)
        history = _HISTORIES[key](owner, matching)
        versions = self._versions(order).settled(_templates(owner, history))
        return owner, versions, _LOOKS[key](owner, self._object_path, history, versions, order.key)

    async def _look_at_service(self, arms: Arms) -> ActionResult | Move:
        wanted = labels_of(self._config.selector, arms.baseline, "baseline")
        candidates = labels_of(self._config.selector, arms.candidate, "candidate")
        service = await self._cluster.get(self._object_path)
        found = point_back(service, self._object_path, wanted, candidates)
        if isinstance(found, ActionResult):
            return found
        selects: Mapping[str, str] = {**(service["spec"].get("selector") or {}), **wanted}
        pods = await self._cluster.list(self._path("api/v1", "pods"), selects)
        return found if ready(pods) else ActionResult(Ending.NO_BASELINE, f"no pod with {shown(wanted)} is ready")

    async def _look_at_weights(self, order: ActionRequest) -> ActionResult | Move | Waiting:
        known, baseline = places(self._config.backends, order.arms)
        candidate = known or next(name for name in self._config.backends.values() if name != baseline)
        split, path = Split(candidate, baseline, order.share), self._object_path
        found = await self._cluster.get(path)
        divide: Divide = route.divide if self._config.route else canary_ingress.divide
        divided = divide(found, path, split)
        if divided is None:
            return route.taken_up(found)
        if isinstance(divided, ActionResult):
            return divided
        if split.share > 0 and (problem := route.unresolved(found)):
            return Waiting(problem)
        gains = candidate if split.share > 0 else baseline
        slices = await self._cluster.list(self._path(_SLICES, "endpointslices"), {_SERVICE_NAME: gains})
        if ready_endpoints(slices):
            return divided
        ending = Ending.RETRY if split.share > 0 else Ending.NO_BASELINE
        return ActionResult(ending, f"no endpoint of {gains} is ready")

    def _versions(self, order: ActionRequest) -> Versions:
        baseline = order.arms.baseline
        return Versions(
            self._config.version_label,
            order.arms.candidate.version,
            baseline.version if baseline else None,
            self._config.container,
            order.quarantined,
        )

    def _rights(self) -> list[Right]:
        """Return the rights that are granted in `deploy/kubernetes/rollback`."""
        key, name = self._config.named
        place = PLACES[key]
        status = [Right("patch", place.group, f"{place.plural}/status", name)] if key == "rollout" else []
        return [*(Right(verb, place.group, place.plural, name) for verb in ("get", "patch")), *status, place.lists]

    @property
    def _object_path(self) -> str:
        key, name = self._config.named
        return self._path(PLACES[key].path, PLACES[key].plural, name)

    def _path(self, group: str, plural: str, name: str = "") -> str:
        return f"/{group}/namespaces/{self._config.namespace}/{plural}{f'/{name}' if name else ''}"


def _after(did: Sequence[str], found: ActionResult) -> ActionResult:
    """Return the result of an attempt that changed something: the first change says what the others were for."""
    if not did:
        return found
    done = f"did {did[0]}"
    return replace(found, detail=done if found.ending is Ending.DONE else f"{done}; {found.detail}")


def _templates(owner: Object, history: History) -> list[Object]:
    """Return the pod templates of a workload, the present one and the earlier ones."""
    now = owner["spec"].get("template")
    return [*([now] if now else []), *(each.template for each in history.revisions)]
