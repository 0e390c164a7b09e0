"""The object that divides the traffic between the two targets: a Service's selector, which gives one of them all of it,
or the weights of an HTTPRoute or of a canary Ingress."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from healthd_deploy.core.exit import StepFailed, TargetDown
from healthd_deploy.core.steps import wait_until
from healthd_deploy.kubernetes.kubectl import Cluster, Object, pointer
from healthd_deploy.kubernetes.settings import Application
from healthd_gates.actions.contract import ActionResult, Ending
from healthd_gates.actions.kubernetes import canary_ingress, route
from healthd_gates.actions.kubernetes.move import Move
from healthd_gates.actions.kubernetes.route import Split
from healthd_gates.actions.kubernetes.service import ready_endpoints

_TRIES = 3  # of a change that was made for an older version of the object: controllers write to it, too


class Traffic(Protocol):
    """Methods raise StepFailed with a sentence that says what to do."""

    @property
    def place(self) -> str:
        """The object's kind and name, for people."""
        ...

    async def shares(self) -> Mapping[str, float]:
        """Return the largest share of the traffic, from 0 to 1, that each target has by any rule of the object."""
        ...

    async def refuse_dead(self, target: str) -> None:
        """Raise TargetDown for a target without a ready pod."""
        ...

    async def switch(self, target: str) -> None:
        """Give a target all of the traffic, never one without a ready pod, and never over a change that was made by
        others meanwhile."""
        ...


def traffic_of(application: Application, cluster: Cluster, *, patience: float, every: float) -> Traffic:
    """Return the object that the settings name. `patience` is the number of seconds that a Gateway gets to take up a
    change, `every` the time between two looks."""
    if application.service is not None:
        return _Selector(application, application.service, cluster)
    return _Weights(application, cluster, patience, every)


class _Selector:
    """A Service that selects the pods of one target by a label."""

    def __init__(self, application: Application, service: str, cluster: Cluster) -> None:
        self._app, self._service, self._cluster = application, service, cluster

    @property
    def place(self) -> str:
        return f"Service {self._service}"

    async def shares(self) -> Mapping[str, float]:
        selected = self._selected(await self._cluster.get("service", self._service))
        return {target: float(target == selected) for target in self._app.deployments}

    async def switch(self, target: str) -> None:
        service = await self._cluster.get("service", self._service)
        before = self._selected(service)
        if before == target:
            return
        await self._refuse_dead(target, service)
        place = pointer("spec", "selector", self._app.label)
        operations = [
            {"op": "test", "path": place, "value": before},
            {"op": "replace", "path": place, "value": target},
        ]
        try:
            await self._cluster.patch("service", self._service, operations)
        except StepFailed:
            # healthd's own rollback may have been faster
            if self._selected(await self._cluster.get("service", self._service)) != target:
                raise

    async def refuse_dead(self, target: str) -> None:
        await self._refuse_dead(target, await self._cluster.get("service", self._service))

    async def _refuse_dead(self, target: str, service: Object) -> None:
        selects = {**service["spec"]["selector"], self._app.label: target}
        if not any(map(is_ready, await self._cluster.pods(selects))):
            shown = ", ".join(f"{name}={value}" for name, value in sorted(selects.items()))
            raise TargetDown(f"no pod with {shown} is ready: {target} gets no traffic")

    def _selected(self, service: Object) -> str:
        target = (service["spec"].get("selector") or {}).get(self._app.label)
        if target not in self._app.deployments:
            known = " nor ".join(self._app.deployments)
            raise StepFailed(f"{self.place} selects {self._app.label}={target}: neither {known}")
        return str(target)


class _Weights:
    """An HTTPRoute, or a canary Ingress of ingress-nginx, with a Service for each target: divided as healthd's own
    action divides it, so that both may do the same at once."""

    def __init__(self, application: Application, cluster: Cluster, patience: float, every: float) -> None:
        self._cluster, self._patience, self._every = cluster, patience, every
        self._services = application.backends
        self._is_route = application.route is not None
        self._kind = "httproutes.gateway.networking.k8s.io" if self._is_route else "ingresses.networking.k8s.io"
        self._name = application.route or application.ingress or ""

    @property
    def place(self) -> str:
        return f"{'HTTPRoute' if self._is_route else 'Ingress'} {self._name}"

    async def shares(self) -> Mapping[str, float]:
        found = await self._object()
        module = route if self._is_route else canary_ingress
        shares = module.largest_shares(found, *self._services.values())
        return {target: shares[service] for target, service in self._services.items()}

    async def switch(self, target: str) -> None:
        for tried in range(1, _TRIES + 1):
            found = await self._object()
            move = self._divided(found, self._all_at(target))
            if move is None:
                return await self._taken_up()
            await self.refuse_dead(target)
            try:
                await self._cluster.patch(self._kind, self._name, move.patch.body, how=move.patch.kind)
            except StepFailed:
                now = await self._object()
                if tried == _TRIES or now["metadata"]["resourceVersion"] == found["metadata"]["resourceVersion"]:
                    raise
            else:
                return await self._taken_up()
        return None

    async def refuse_dead(self, target: str) -> None:
        if not ready_endpoints(await self._cluster.endpoints(self._services[target])):
            raise TargetDown(f"no endpoint of {self._services[target]} is ready: {target} gets no traffic")

    async def _object(self) -> Object:
        """Return the object as it is. Raises StepFailed for one that does not divide the traffic between the two."""
        found = await self._cluster.get(self._kind, self._name)
        self._divided(found, self._all_at(next(iter(self._services))))
        return found

    def _divided(self, found: Object, split: Split) -> Move | None:
        move = (route.divide if self._is_route else canary_ingress.divide)(found, "", split)
        if not isinstance(move, ActionResult):
            return move
        if move.ending is Ending.DONE:
            return None
        raise StepFailed(f"{self.place}: {move.detail}")

    def _all_at(self, target: str) -> Split:
        other = next(service for name, service in self._services.items() if name != target)
        return Split(self._services[target], other, 1.0)

    async def _taken_up(self) -> None:
        """Wait for a Gateway to have seen the change; an Ingress's controller does not tell."""
        if not self._is_route:
            return
        says = ""

        async def is_done() -> bool:
            nonlocal says
            found = route.taken_up(await self._cluster.get(self._kind, self._name, patient=False))
            says = "" if isinstance(found, ActionResult) else found.says
            return isinstance(found, ActionResult)

        try:
            await wait_until(is_done, within=self._patience, every=self._every, what=f"{self.place} is taken up")
        except StepFailed as failed:
            raise StepFailed(f"{failed}{f' ({says})' if says else ''}") from None


def is_ready(pod: Object) -> bool:
    """True if a pod can take traffic."""
    conditions = (pod.get("status") or {}).get("conditions") or ()
    is_up = any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
    return is_up and "deletionTimestamp" not in pod["metadata"]
