"""Paths at which the API has the kinds of objects that an action can change, and the rights that reading them needs."""

from __future__ import annotations

from typing import NamedTuple

from healthd.kubernetes.api import Right


class Place(NamedTuple):
    """Path of the objects of a kind, and what has to be listed besides."""

    version: str
    plural: str
    lists: Right

    @property
    def group(self) -> str:
        """The group of the API, empty for the core."""
        return self.version.rpartition("/")[0]

    @property
    def path(self) -> str:
        """The beginning of the paths below which its objects are."""
        return f"{'apis' if self.group else 'api'}/{self.version}"


_REPLICA_SETS = Right("list", "apps", "replicasets")
_CONTROLLER_REVISIONS = Right("list", "apps", "controllerrevisions")
_ENDPOINTS = Right("list", "discovery.k8s.io", "endpointslices")
PLACES = {
    "service": Place("v1", "services", Right("list", "", "pods")),
    "deployment": Place("apps/v1", "deployments", _REPLICA_SETS),
    "statefulset": Place("apps/v1", "statefulsets", _CONTROLLER_REVISIONS),
    "daemonset": Place("apps/v1", "daemonsets", _CONTROLLER_REVISIONS),
    "rollout": Place("argoproj.io/v1alpha1", "rollouts", _REPLICA_SETS),
    "route": Place("gateway.networking.k8s.io/v1", "httproutes", _ENDPOINTS),
    "ingress": Place("networking.k8s.io/v1", "ingresses", _ENDPOINTS),
}
