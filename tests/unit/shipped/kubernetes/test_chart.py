"""The Helm chart: its values fit their schema, and what it renders is what the manifests of `base` are.

Helm is in no package that the tests install: what it renders is looked at only where it is on the path, which
`go install helm.sh/helm/v3/cmd/helm@latest` brings about, and is skipped, with this reason, elsewhere.
"""

import json
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator
from ruamel.yaml import YAML

from tests.unit.shipped.kubernetes.cluster import FOLDER, VERSIONS, built, one, validate
from tests.unit.shipped.kubernetes.pods import pods_of, problems

CHART = FOLDER.parent / "helm" / "healthd"
HELM = shutil.which("helm")
needs_helm = pytest.mark.skipif(
    HELM is None, reason="helm is not on the path: what the chart renders was not looked at"
)
IMAGE: tuple[str, ...] = ("--set", "image.repository=registry.example.com/healthd")
EVERYTHING: tuple[str, ...] = (
    *IMAGE,
    "--set-json", 'config={"services":{"api":{"on_fail":["back"]}}}',
    "--set-json", 'rollback=[{"namespace":"shop","kind":"service","name":"api"},'
    '{"namespace":"shop","kind":"deployment","name":"api"},{"namespace":"shop","kind":"rollout","name":"api"},'
    '{"namespace":"shop","kind":"statefulset","name":"api"},{"namespace":"shop","kind":"daemonset","name":"api"},'
    '{"namespace":"shop","kind":"route","name":"api"},{"namespace":"shop","kind":"ingress","name":"api-canary"}]',
    "--set", "secret.name=healthd,persistence.enabled=true,networkPolicy.enabled=true",
    "--set", "operator.serviceMonitor=true,operator.rules=true,operator.labels.release=prometheus",
)  # fmt: skip


def loaded(file: Path) -> Any:
    return YAML(typ="safe").load(file)


def schema() -> Any:
    return json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))


def helm(*words: str) -> subprocess.CompletedProcess[str]:
    command = [str(HELM), "template", "healthd", str(CHART), "--namespace", "healthd", "--kube-version", "1.30", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@cache
def rendered(*words: str) -> tuple[dict[str, Any], ...]:
    done = helm(*words)
    assert done.returncode == 0, done.stderr
    return tuple(each for each in YAML(typ="safe").load_all(done.stdout) if each)


def test_the_values_fit_their_schema() -> None:
    """And every value is in it, so that a misspelt one is refused."""
    values = loaded(CHART / "values.yaml")
    Draft7Validator.check_schema(schema())
    Draft7Validator(schema()).validate(values)
    assert values.keys() == schema()["properties"].keys() - {"global"}
    for name, value in values.items():
        if inner := schema()["properties"][name].get("properties"):
            assert value.keys() == inner.keys(), name


@pytest.mark.parametrize(
    "values", [{"imag": {}}, {"image": {"tagg": "1"}}, {"replicas": 0}, {"rollback": [{"kind": "x"}]}]
)
def test_the_schema_refuses_what_is_misspelt(values: dict[str, Any]) -> None:
    assert list(Draft7Validator(schema()).iter_errors(values))


@needs_helm
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("words", [IMAGE, EVERYTHING], ids=["defaults", "everything"])
def test_a_cluster_takes_what_it_renders(words: tuple[str, ...], version: str) -> None:
    for each in rendered(*words):
        validate(each, version)
    for pod in pods_of(rendered(*words)):
        validate(pod, version)
        assert list(problems(pod)) == []


@needs_helm
def test_it_renders_what_base_has() -> None:
    """The same kinds, and in the Deployment the same probes, limits and rights."""
    kinds = {each["kind"] for each in built("overlays/development")} - {"Namespace"}
    assert {each["kind"] for each in rendered(*EVERYTHING)} == kinds | {"NetworkPolicy", "PodDisruptionBudget"}
    base, chart = one(built("overlays/production"), "Deployment"), one(rendered(*IMAGE), "Deployment")
    ours, theirs = (each["spec"]["template"]["spec"] for each in (chart, base))
    for name in ("securityContext", "terminationGracePeriodSeconds", "enableServiceLinks"):
        assert ours[name] == theirs[name]
    for name in ("startupProbe", "livenessProbe", "readinessProbe", "resources", "securityContext", "ports"):
        assert ours["containers"][0][name] == theirs["containers"][0][name]
    assert chart["spec"]["strategy"] == base["spec"]["strategy"]


@needs_helm
def test_rights_are_those_of_the_manifests() -> None:
    """And without a rollback there is no token to have them with."""
    roles = {each["metadata"]["name"]: each["rules"] for each in rendered(*EVERYTHING) if each["kind"] == "Role"}
    names = dict.fromkeys(("service", "deployment", "statefulset", "daemonset", "rollout", "route"), "api")
    for kind, name in (names | {"ingress": "api-canary"}).items():
        assert roles[f"healthd-rollback-{kind}-{name}"] == one(built(f"rollback/{kind}"), "Role")["rules"]
    pods = [one(rendered(*words), "Deployment")["spec"]["template"]["spec"] for words in (IMAGE, EVERYTHING)]
    assert [pod["automountServiceAccountToken"] for pod in pods] == [False, True]


@needs_helm
@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "image.repository"),
        ((*IMAGE, "--set", "replica=2"), "replica"),
        ((*IMAGE, "--set", "persistence.enabled=true,replicas=2"), "a file has one writer"),
        ((*IMAGE, "--set", "replicas=2"), "several share a journal"),
        ((*IMAGE, "--set", "replicas=2,secret.name=a,config.environment=production"), "several share a journal"),
        ((*IMAGE, "--set", "replicas=2,config.journal=sqlite:///var/lib/healthd/j.db"), "several share a journal"),
        ((*IMAGE, "--set", "config.http.listen=127.0.0.1:8080"), "come to port 8080 of the pod"),
        ((*IMAGE, "--set", "config.http.listen=0.0.0.0:9000"), "and not to 0.0.0.0:9000"),
        ((*IMAGE, "--set", "config.http.listen=[::1]:8080"), "and not to [::1]:8080"),
        ((*IMAGE, "--set", "config.http.listen=${POD_IP}:9000"), "and not to ${POD_IP}:9000"),
        ((*IMAGE, "--set-json", "networkPolicy=null"), "networkPolicy"),
    ],
)
def test_what_cannot_work_is_refused(words: tuple[str, ...], says: str) -> None:
    done = helm(*words)
    assert done.returncode != 0
    assert says in done.stderr


@needs_helm
@pytest.mark.parametrize("words", [
    ("--set-json", "rollback=null"), ("--set-json", "config=null"), ("--set-json", "env=null"),
    ("--set", "replicas=2,secret.name=a"),
    ("--set", "replicas=2", "--set-json", 'env=[{"name":"JOURNAL_URI","value":"x"}]'),
    ("--set", "replicas=2,config.journal=${JOURNAL_URI}"), ("--set", "config.http.listen=[::]:8080"),
    ("--set", "config.http.listen=:8080"), ("--set", "config.http.listen=${POD_IP}:8080"),
    ("--set", "config.http.listen=${LISTEN}"),
])  # fmt: skip
def test_a_value_whose_lines_are_all_comments_is_as_good_as_none(words: tuple[str, ...]) -> None:
    """As is a journal that replicas can share, and an address that only the pod knows."""
    assert helm(*IMAGE, *words).returncode == 0


@needs_helm
def test_the_daemon_listens_where_the_probes_come() -> None:
    """A configuration says nothing of it: by itself the daemon listens on the loopback of the pod."""
    words = (*IMAGE, "--set", "config.http.external_url=https://healthd.example.com")
    http = YAML(typ="safe").load(one(rendered(*words), "ConfigMap")["data"]["config.yaml"])["http"]
    assert http == {"external_url": "https://healthd.example.com", "listen": "0.0.0.0:8080"}


@needs_helm
def test_an_object_named_twice_has_its_role_once() -> None:
    """A second one of the same name would have the installation fail half done."""
    entry = '{"namespace":"shop","kind":"service","name":"api"}'
    objects = rendered(*IMAGE, "--set-json", f"rollback=[{entry},{entry}]")
    assert [each["kind"] for each in objects].count("Role") == 1
