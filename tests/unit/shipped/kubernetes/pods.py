"""What the API server says of a pod, where a schema is content: a Deployment's template is judged only when a pod is
made of it, by rules that hold between fields. Read in kubernetes/pkg/apis/core/validation and in the Pod Security
Standards; `exists in both matchLabelKeys and labelSelector` was met at kube-apiserver 1.36.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any

Pod = Mapping[str, Any]

_LABEL_VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")
_PORT_NAME = re.compile(r"(?=.*[a-z])[a-z0-9]+(-[a-z0-9]+)*")
_UNITS = {"m": 1e-3, "": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30}


def pods_of(objects: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """A pod of every template, as the controllers would send it."""
    for each in objects:
        if template := (each.get("spec") or {}).get("template"):
            pod = deepcopy(template)
            metadata = {
                **pod.get("metadata", {}),
                "name": f"{each['metadata']['name']}-x",
                "namespace": each["metadata"].get("namespace"),
            }
            metadata["labels"] = {**metadata.get("labels", {}), "pod-template-hash": "6b7c8d9f5"}
            yield {"apiVersion": "v1", "kind": "Pod", **pod, "metadata": metadata}


def problems(pod: Pod) -> Iterator[str]:
    """Each as the API server would begin it."""
    spec = pod["spec"]
    for value in pod["metadata"]["labels"].values():
        if len(value) > 63 or not _LABEL_VALUE.fullmatch(value):
            yield f"metadata.labels: Invalid value: {value!r}"
    yield from _spread(spec, pod["metadata"]["labels"])
    containers = [*spec.get("initContainers", ()), *spec["containers"]]
    yield from _duplicates([container["name"] for container in containers], "containers")
    yield from _duplicates([volume["name"] for volume in spec.get("volumes", ())], "volumes")
    volumes = {volume["name"] for volume in spec.get("volumes", ())}
    for volume in spec.get("volumes", ()):
        if len(volume) != 2:
            yield f"volumes[{volume['name']}]: one type of a volume is needed, and no more"
    for container in containers:
        for problem in (*_container(container, volumes), *_restricted(container, spec)):
            yield f"{container['name']}: {problem}"


def _spread(spec: Pod, labels: Mapping[str, str]) -> Iterator[str]:
    """matchLabelKeys are added to the selector when a pod is made."""
    for constraint in spec.get("topologySpreadConstraints", ()):
        selected = constraint.get("labelSelector", {}).get("matchLabels", {})
        for key in constraint.get("matchLabelKeys", ()):
            if key in selected:
                yield f"topologySpreadConstraints: {key!r} exists in both matchLabelKeys and labelSelector"
            if key not in labels:
                yield f"topologySpreadConstraints: no pod has the label {key}: it would count for nothing"
        if not selected.items() <= labels.items():
            yield "topologySpreadConstraints: the pod itself is not among those that it counts"
    pairs = [(each["topologyKey"], each["whenUnsatisfiable"]) for each in spec.get("topologySpreadConstraints", ())]
    yield from _duplicates(pairs, "topologySpreadConstraints")


def _container(container: Pod, volumes: set[str]) -> Iterator[str]:
    ports = container.get("ports", ())
    yield from _duplicates([port["name"] for port in ports], "ports")
    named = {port["name"]: port["containerPort"] for port in ports}
    for name in named:
        if len(name) > 15 or not _PORT_NAME.fullmatch(name):
            yield f"ports: Invalid value: {name!r}"
    for mount in container.get("volumeMounts", ()):
        if mount["name"] not in volumes:
            yield f"volumeMounts: Not found: {mount['name']!r}"
    yield from _duplicates([mount["mountPath"] for mount in container.get("volumeMounts", ())], "mountPath")
    for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
        probe = container.get(kind, {})
        port = probe.get("httpGet", {}).get("port")
        if isinstance(port, str) and port not in named:
            yield f"{kind}: no port is called {port!r}"
        if kind != "readinessProbe" and probe.get("successThreshold", 1) != 1:
            yield f"{kind}.successThreshold: must be 1"
        if min((probe.get(name, 1) for name in ("periodSeconds", "timeoutSeconds", "failureThreshold")), default=1) < 1:
            yield f"{kind}: must be greater than 0"
    resources = container.get("resources", {})
    for name, limit in resources.get("limits", {}).items():
        if quantity(resources.get("requests", {}).get(name, "0")) > quantity(limit):
            yield f"resources.requests: {name} must be less than or equal to {name} limit"


def _restricted(container: Pod, spec: Pod) -> Iterator[str]:
    """The Pod Security Standard `restricted`."""
    held, pod = container.get("securityContext", {}), spec.get("securityContext", {})
    if held.get("allowPrivilegeEscalation") is not False:
        yield "allowPrivilegeEscalation != false"
    if held.get("capabilities", {}).get("drop") != ["ALL"] or held.get("capabilities", {}).get("add"):
        yield "unrestricted capabilities"
    if not held.get("runAsNonRoot", pod.get("runAsNonRoot")) or held.get("runAsUser", pod.get("runAsUser")) == 0:
        yield "runAsNonRoot != true"
    if held.get("seccompProfile", pod.get("seccompProfile", {})).get("type") not in ("RuntimeDefault", "Localhost"):
        yield "seccompProfile"
    if held.get("privileged") or any(spec.get(name) for name in ("hostNetwork", "hostPID", "hostIPC")):
        yield "host namespaces or privileged"
    allowed = {
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "persistentVolumeClaim",
        "projected",
        "secret",
    }
    for volume in spec.get("volumes", ()):
        if not volume.keys() - {"name"} <= allowed:
            yield f"restricted volume types: {volume['name']}"


def quantity(text: str) -> float:
    """A quantity of Kubernetes as a number."""
    number, unit = re.fullmatch(r"([0-9.]+)([A-Za-z]*)", str(text)).groups()  # type: ignore[union-attr]
    return float(number) * _UNITS[unit]


def _duplicates(names: Sequence[Any], what: str) -> Iterator[str]:
    for name in {each for each in names if names.count(each) > 1}:
        yield f"{what}: Duplicate value: {name!r}"
