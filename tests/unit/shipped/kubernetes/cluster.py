"""What a cluster would say of a manifest, offline: kustomize builds it, and strict schemas judge it."""

import subprocess
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from tests.servers.programs import require

FOLDER = Path(__file__).parents[4] / "deploy" / "kubernetes"
VERSIONS = ("1.30", kubernetes_validate.latest_version())
"""The oldest version of Kubernetes that knows every field in use, and the latest whose schemas there are."""

Object = dict[str, Any]


@cache
def built(place: str) -> tuple[Object, ...]:
    """The objects of a kustomization, as `kubectl apply -k` would send them."""
    command: list[str | Path] = [require("kubectl"), "kustomize", FOLDER / place]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not done.stderr, "kustomize warns"
    return tuple(YAML(typ="safe").load_all(done.stdout))


def one(objects: tuple[Object, ...], kind: str, name: str = "") -> Object:
    """The only object of a kind, or that of the name."""
    found = [each for each in objects if each["kind"] == kind and name in ("", each["metadata"]["name"])]
    assert len(found) == 1, f"{len(found)} objects {kind} {name}"
    return found[0]


def validate(each: Mapping[str, Any], version: str) -> None:
    """Raises when a cluster of that version would refuse or ignore some of it."""
    if (each["apiVersion"], each["kind"]) in _custom():
        _custom()[each["apiVersion"], each["kind"]].validate(each)
    else:
        kubernetes_validate.validate(dict(each), version, strict=True)


@cache
def _custom() -> Mapping[tuple[str, str], Draft202012Validator]:
    found = {}
    for file in Path(__file__).with_name("crds").glob("*.yaml"):
        spec = YAML(typ="safe").load(file)["spec"]
        for version in spec["versions"]:
            schema = version["schema"]["openAPIV3Schema"]
            schema["properties"]["metadata"] = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
            for part in _parts(schema):
                _make_strict(part)
            place = (f"{spec['group']}/{version['name']}", spec["names"]["kind"])
            found[place] = Draft202012Validator(schema)
    return found


def _parts(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The schema and all that are in it."""
    yield schema
    inside = [*schema.get("properties", {}).values()]
    inside += [schema[name] for name in ("items", "additionalProperties") if isinstance(schema.get(name), dict)]
    for part in inside:
        yield from _parts(part)


def _make_strict(schema: dict[str, Any]) -> None:
    """A cluster drops unknown fields in silence; here they are mistakes. Texts that may be numbers are Kubernetes' own
    idea: JSON Schema says it with two types."""
    if "properties" in schema and not schema.get("x-kubernetes-preserve-unknown-fields"):
        schema.setdefault("additionalProperties", False)
    if schema.pop("x-kubernetes-int-or-string", False):
        schema.pop("anyOf", None)
        schema["type"] = ["integer", "string"]
