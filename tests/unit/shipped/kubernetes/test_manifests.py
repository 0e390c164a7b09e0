"""The manifests: that a cluster takes them, and what they promise."""

import re
import shutil
from copy import deepcopy
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
from jsonschema import ValidationError
from ruamel.yaml import YAML

from deploy.kubernetes import rules
from healthd.config.file import load
from healthd_gates.config.settings import Config
from tests.unit.shipped.kubernetes.cluster import FOLDER, VERSIONS, built, one, validate
from tests.unit.shipped.kubernetes.pods import pods_of, problems

ENVIRONMENTS = {"development": 1, "staging": 2, "production": 3}
OVERLAYS = [f"overlays/{name}" for name in ENVIRONMENTS]
KINDS = ("service", "deployment", "statefulset", "daemonset", "rollout", "route", "ingress")
ROLES = [f"rollback/{kind}" for kind in KINDS]
PLACES = [*OVERLAYS, "example", *ROLES, "deployer"]
HASH = "sha256:" + "0" * 64
SECRET = {"JOURNAL_URI": "postgresql://healthd@db/healthd", "CI_TOKEN_HASH": HASH, "PEOPLE_TOKEN_HASH": HASH}


def config_of(place: str, folder: Path) -> Config:
    """The configuration of an overlay as healthd reads it in its pod."""
    config = one(built(place), "ConfigMap")
    file = folder / "config.yaml"
    file.write_text(config["data"]["config.yaml"])
    return load(file, Config, SECRET)


def shipped(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = YAML(typ="safe").load(FOLDER.parents[1] / "config" / f"{name}.yaml")
    return loaded


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("place", PLACES)
def test_a_cluster_takes_every_object(place: str, version: str) -> None:
    """kustomize builds them without a warning, and no field is unknown or of the wrong type."""
    for each in built(place):
        validate(each, version)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("place", PLACES)
def test_a_pod_can_be_made_of_every_template(place: str, version: str) -> None:
    """The API server takes a Deployment whose pods it then refuses, without a word but in the Deployment's status."""
    for pod in pods_of(built(place)):
        validate(pod, version)
        assert list(problems(pod)) == [], pod["metadata"]["name"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule",
          "labelSelector": {"matchLabels": {"color": "blue"}}, "matchLabelKeys": ["color"]}]},
         "'color' exists in both matchLabelKeys and labelSelector"),
        ({"volumes": [{"name": "a", "emptyDir": {}}, {"name": "a", "emptyDir": {}}]}, "volumes: Duplicate value: 'a'"),
        ({"volumes": [{"name": "a", "hostPath": {"path": "/"}}]}, "api: restricted volume types: a"),
        ({"securityContext": {}}, "api: runAsNonRoot != true"),
        ({"hostNetwork": True}, "api: host namespaces or privileged"),
    ],
)  # fmt: skip
def test_a_pod_that_could_not_be_made_would_be_found(change: dict[str, Any], says: str) -> None:
    """By the rules that hold between fields, which a schema does not know."""
    pod = deepcopy(next(pods_of(built("example"))))
    pod["spec"] |= change
    assert says in " | ".join(problems(pod))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"readinessProbe": {"httpGet": {"path": "/", "port": "htttp"}}}, "no port is called 'htttp'"),
        ({"livenessProbe": {"successThreshold": 2}}, "livenessProbe.successThreshold: must be 1"),
        ({"volumeMounts": [{"name": "gone", "mountPath": "/a"}]}, "volumeMounts: Not found: 'gone'"),
        ({"resources": {"requests": {"memory": "1Gi"}, "limits": {"memory": "512Mi"}}}, "memory must be less than"),
        ({"securityContext": {"capabilities": {"drop": ["ALL"]}}}, "allowPrivilegeEscalation != false"),
    ],
)
def test_a_container_that_could_not_run_would_be_found(change: dict[str, Any], says: str) -> None:
    """The same for what is in a container."""
    pod = deepcopy(next(pods_of(built("example"))))
    pod["spec"]["containers"][0] |= change
    assert says in " | ".join(problems(pod))


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        ("Deployment", {"spec": {"replicaz": 3}}),
        ("NetworkPolicy", {"spec": {"egress": [{"ports": [{"port": 53, "protokol": "UDP"}]}]}}),
        ("ServiceMonitor", {"spec": {"endpoints": [{"port": "http", "intervall": "15s"}]}}),
        ("PrometheusRule", {"spec": {"groups": [{"name": "a", "rules": [{"alert": "A", "expr": "1", "four": "1m"}]}]}}),
    ],
)
def test_a_typing_error_would_be_found(kind: str, wrong: dict[str, Any]) -> None:
    """The validator refuses what no version of Kubernetes, nor the Prometheus operator, knows."""
    each = deepcopy(one(built("overlays/production"), kind))
    each["spec"].update(wrong["spec"])
    with pytest.raises((ValidationError, kubernetes_validate.ValidationError)):
        validate(each, VERSIONS[-1])


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_each_environment_has_its_scale_and_its_configuration(name: str, tmp_path: Path) -> None:
    """As many replicas as it should; more than one only with a journal that they share; a configuration that is valid,
    with the checks of config/ but for the disk, of which a pod has only its volume, and the application's variables,
    which healthd's pod has not."""
    place = f"overlays/{name}"
    config = config_of(place, tmp_path)
    assert config.environment == name
    replicas = one(built(place), "Deployment")["spec"]["replicas"]
    assert replicas == ENVIRONMENTS[name]
    assert replicas == 1 or (config.journal and config.journal.get_secret_value().startswith("postgresql://"))
    written = YAML(typ="safe").load(one(built(place), "ConfigMap")["data"]["config.yaml"])
    expected = shipped(name)
    del expected["checks"]["disk"]
    expected["checks"].pop("deploy-variables", None)
    assert {name: check for name, check in written["checks"].items() if name != "disk"} == expected["checks"]
    assert written["notifiers"] == expected["notifiers"]
    assert written["routes"] == expected["routes"]


@pytest.mark.parametrize("place", OVERLAYS)
def test_a_database_that_is_down_takes_no_replica_away(place: str, tmp_path: Path) -> None:
    """Nor the page and the gates with it; the policies that want the databases name them."""
    config = config_of(place, tmp_path)
    assert config.groups["ready"].shared_failure == "degrade"
    written = YAML(typ="safe").load(one(built(place), "ConfigMap")["data"]["config.yaml"])
    criteria = [each for policy in written.get("policies", {}).values() for each in policy["criteria"]]
    assert "ready" not in [each.get("group") for each in criteria]


@pytest.mark.parametrize("place", OVERLAYS)
def test_the_probes_ask_what_each_is_for(place: str) -> None:
    """Started, alive, ready: each has its endpoint, and none waits for another."""
    container = one(built(place), "Deployment")["spec"]["template"]["spec"]["containers"][0]
    asked = {name: container[name]["httpGet"]["path"] for name in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert asked == {
        "startupProbe": "/health/startup",
        "livenessProbe": "/health/live",
        "readinessProbe": "/health/ready",
    }
    assert container["ports"][0] == {"name": "http", "containerPort": 8080}


@pytest.mark.parametrize("place", OVERLAYS)
def test_there_is_time_to_drain(place: str, tmp_path: Path) -> None:
    """The cluster waits for longer than the daemon drains, and the endpoints learn of it before it is gone."""
    pod = one(built(place), "Deployment")["spec"]["template"]["spec"]
    drain = config_of(place, tmp_path).http.drain
    probe = pod["containers"][0]["readinessProbe"]
    assert drain + 30 <= pod["terminationGracePeriodSeconds"]
    assert drain >= probe["periodSeconds"] * probe["failureThreshold"]


@pytest.mark.parametrize("place", [*OVERLAYS, "example"])
def test_pods_meet_the_restricted_standard(place: str) -> None:
    """Every Deployment: no root, nothing to gain, nothing to write to but its volumes; in a namespace that insists."""
    for deployment in (each for each in built(place) if each["kind"] == "Deployment"):
        pod = deployment["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod["containers"]:
            held = container["securityContext"]
            assert held["capabilities"] == {"drop": ["ALL"]}
            assert held["readOnlyRootFilesystem"] is True
            assert held["allowPrivilegeEscalation"] is False
            assert container["resources"]["limits"]["memory"]
            assert container["resources"]["requests"].keys() == {"cpu", "memory"}
            assert ":" in container["image"]
            assert not container["image"].endswith(":latest")
        assert {volume.keys() - {"name"} == {"hostPath"} for volume in pod.get("volumes", ())} <= {False}
        namespace = one(built(place), "Namespace", deployment["metadata"]["namespace"])
        assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


@pytest.mark.parametrize("place", OVERLAYS)
def test_no_secret_is_in_a_manifest(place: str) -> None:
    """The Deployment names the Secret; nobody ships one, and the configuration has variables where secrets go."""
    assert not [each for each in built(place) if each["kind"] == "Secret"]
    container = one(built(place), "Deployment")["spec"]["template"]["spec"]["containers"][0]
    assert [each["secretRef"]["name"] for each in container["envFrom"]] == ["healthd"]
    assert "env" not in container


@pytest.mark.parametrize("place", [*OVERLAYS, "example"])
def test_what_selects_pods_finds_them(place: str) -> None:
    """Service, budget, policy and monitor have the labels that the pods and Services really carry."""
    objects = built(place)
    pods = [each["spec"]["template"] for each in objects if each["kind"] == "Deployment"]
    services = [each for each in objects if each["kind"] == "Service"]
    selectors = [each["spec"]["selector"] for each in services]
    selectors += [each["spec"]["selector"]["matchLabels"] for each in objects if each["kind"] == "PodDisruptionBudget"]
    selectors += [each["spec"]["podSelector"]["matchLabels"] for each in objects if each["kind"] == "NetworkPolicy"]
    for selector in selectors:
        assert any(selector.items() <= pod["metadata"]["labels"].items() for pod in pods), selector
    monitor = one(objects, "ServiceMonitor")
    wanted = monitor["spec"]["selector"]["matchLabels"].items()
    found = [each for each in services if wanted <= each["metadata"]["labels"].items()]
    assert found
    ports = {port["name"] for each in found for port in each["spec"]["ports"]}
    assert {endpoint["port"] for endpoint in monitor["spec"]["endpoints"]} <= ports


def test_the_colours_are_told_apart() -> None:
    """The Service selects one of two Deployments, whose pods differ by the label that the action names; the idle one
    does not run."""
    objects = built("example")
    assert one(objects, "Service", "api")["spec"]["selector"] == {"app": "api", "color": "blue"}
    blue, green = (one(objects, "Deployment", f"api-{color}") for color in ("blue", "green"))
    assert (blue["spec"]["replicas"], green["spec"]["replicas"]) == (3, 0)
    for color, deployment in (("blue", blue), ("green", green)):
        assert deployment["spec"]["selector"]["matchLabels"] == {"app": "api", "color": color}
        assert deployment["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/version"] == "1.0"
        assert one(objects, "Service", f"api-{color}")["spec"]["selector"] == {"app": "api", "color": color}


@pytest.mark.parametrize("place", OVERLAYS)
def test_a_changed_configuration_is_a_new_rollout(place: str) -> None:
    """The ConfigMap's name holds a hash of it."""
    config = one(built(place), "ConfigMap")["metadata"]["name"]
    assert config.startswith("healthd-")
    volumes = one(built(place), "Deployment")["spec"]["template"]["spec"]["volumes"]
    assert [each["configMap"]["name"] for each in volumes if "configMap" in each] == [config]


def test_the_rules_are_those_of_prometheus() -> None:
    """`make docs` was run since they were changed, and nothing was lost on the way."""
    assert rules.MANIFEST.read_text() == rules.manifest(), "run `make docs`"
    assert one(built("overlays/production"), "PrometheusRule")["spec"] == YAML(typ="safe").load(rules.RULES)


def test_the_job_is_the_one_that_the_alerts_know() -> None:
    """`HealthdAbsent` asks for job="healthd"."""
    label = one(built("overlays/production"), "ServiceMonitor")["spec"]["jobLabel"]
    assert one(built("overlays/production"), "Service")["metadata"]["labels"][label] == "healthd"


@pytest.mark.parametrize("place", [*OVERLAYS, "example"])
def test_a_cluster_without_the_prometheus_operator_needs_one_line_less(place: str, tmp_path: Path) -> None:
    """It does not know the two kinds, and would refuse the rest of the overlay with them."""
    custom = {each["kind"] for each in built(place) if not _is_built_in(each)}
    assert custom
    copy = tmp_path / "kubernetes"
    shutil.copytree(FOLDER, copy)
    file = copy / place / "kustomization.yaml"
    kept = [line for line in file.read_text().splitlines() if "without the Prometheus operator" not in line]
    file.write_text("\n".join(kept))
    left = built(str(copy / place))
    assert [each["kind"] for each in left if not _is_built_in(each)] == []
    assert len(left) == len(built(place)) - len([each for each in built(place) if not _is_built_in(each)])


@pytest.mark.parametrize("place", PLACES)
def test_every_namespace_is_there_before_it_is_needed(place: str) -> None:
    """On an empty cluster: made by the page's own commands ahead of `kubectl apply`, or by the manifests."""
    page = (FOLDER.parents[1] / "docs" / "deploy" / "kubernetes.md").read_text()
    commands = page[: page.index("kubectl apply -k")]
    made = set(re.findall(r"kubectl create namespace (\S+)", commands))
    made |= {each["metadata"]["name"] for each in built(place) if each["kind"] == "Namespace"}
    assert {each["metadata"]["namespace"] for each in built(place) if "namespace" in each["metadata"]} <= made


def _is_built_in(each: dict[str, Any]) -> bool:
    """As its group tells: those of Kubernetes have no dot, or end in k8s.io."""
    group = each["apiVersion"].rpartition("/")[0]
    return "." not in group or group.endswith(".k8s.io")
