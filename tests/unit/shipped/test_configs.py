"""The files in `config/` are valid, `full.yaml` shows all there is, and one user's names stand in one folder."""

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel
from ruamel.yaml import YAML

from healthd.checks import KINDS, find_kind
from healthd.config.file import load
from healthd.notifiers import NOTIFIERS
from healthd.notifiers.contract import MisconfiguredNotifier
from healthd_gates.actions.aws_elbv2 import ElbConfig
from healthd_gates.config.settings import Config
from healthd_gates.criteria.checks import Checks
from healthd_gates.criteria.error_rate import ErrorRate
from healthd_gates.criteria.latency import Latency
from healthd_gates.criteria.smoke import Smoke
from healthd_gates.sources import KINDS as SOURCES
from healthd_gates.sources import find_kind as find_source
from healthd_gates.sources.contract import Arm, ArmError, Arms

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "config"
FILES = sorted(FOLDER.rglob("*.yaml"))
MANY = FOLDER / "examples/many-services"
PARTS = {MANY / "common.yaml", *(MANY / "teams").iterdir()}  # which other files include
VARIABLES = {
    "MONGODB_URI": "mongodb://app:s3cret-word@127.0.0.1/edu?authSource=admin&replicaSet=rs0",
    "POSTGRESQL_URI": "postgresql://app:s3cret-word@127.0.0.1/edu",
    "REDIS_URI": "redis://127.0.0.1:6379/0",
    "STRIPE_SECRET_KEY": "sk_live_51abcdefghijklmnopqrstuvwxyz",
    "SENDGRID_API_KEY": "SG.abcdefghijklmnopqrstuv.abcdefghijklmnopqrstuvwxyz",
    "AWS_REGION": "eu-west-1",
    "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI",
}
_HERE = "arn:aws:elasticloadbalancing:eu-west-1:123456789012"
BALANCER = {
    "ALB_LISTENER_ARN": f"{_HERE}:listener/app/shop-alb/50dc6c495c0c9188/f2f7dc8efc522ab2",
    "BLUE_TARGET_GROUP_ARN": f"{_HERE}:targetgroup/blue/73e2d6bc24d8a067",
    "GREEN_TARGET_GROUP_ARN": f"{_HERE}:targetgroup/green/6d0ecf831eec9f09",
}

_LIKE = {"headers": "http"} | dict.fromkeys(("ecs", "rds", "s3", "sqs"), "aws")
_TEXT = {".css", ".html", ".json", ".md", ".py", ".sh", ".yaml", ".yml"}


@cache
def full() -> dict[str, Any]:
    """full.yaml as it is written, read once: that takes a fifth of a second."""
    loaded: dict[str, Any] = YAML(typ="safe").load(FOLDER / "full.yaml")
    return loaded


@pytest.mark.parametrize(
    "file", [file for file in FILES if file not in PARTS], ids=lambda file: str(file.relative_to(FOLDER))
)
@pytest.mark.parametrize("environ", [VARIABLES | BALANCER, {}], ids=["configured", "bare"])
def test_shipped_file_is_valid(file: Path, environ: dict[str, str]) -> None:
    """Each file can be used, with its variables set and with none of them."""
    load(file, Config, environ)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(FOLDER)))
def test_shipped_file_fits_the_schema(file_schema: Draft202012Validator, file: Path) -> None:
    """An editor that has the schema sees nothing wrong."""
    tree = json.loads(json.dumps(YAML(typ="safe").load(file), default=str))
    file_schema.validate(tree)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(FOLDER)))
def test_shipped_file_names_its_schema(file: Path) -> None:
    """An editor finds the schema from where the file lies."""
    (schema,) = re.findall(r"^# yaml-language-server: \$schema=(.+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
    assert (file.parent / schema).resolve() == FOLDER / "schema.json"


def test_forty_services_in_three_environments() -> None:
    """Every service has a check and a gate of its own, in each environment, and its team in the labels; all files
    together have fewer than 150 lines."""
    environments = sorted(file for file in MANY.glob("*.yaml") if file not in PARTS)
    assert [file.stem for file in environments] == ["development", "production", "staging"]
    for file in environments:
        config = load(file, Config, {"SHOP_SLACK_URL": "https://hooks.slack.test/x"})
        domain = {"development": "dev.example.com", "staging": "staging.example.com"}.get(file.stem, "example.com")
        assert config.environment == file.stem
        assert len(config.services) == len(config.checks) == 40
        assert {service.labels["team"] for service in config.services.values()} == {
            *map(_stem, (MANY / "teams").iterdir())
        }
        cart, checkout, auth = config.services["cart"], config.services["checkout"], config.checks["auth"]
        assert cart.targets["blue"] == f"http://cart-blue.{domain}:8080"
        assert (cart.labels["tier"], checkout.labels["tier"]) == ("standard", "gold")
        assert auth.model_dump()["url"].get_secret_value() == f"https://auth.{domain}/healthz"
        assert (config.notes, list(config.active_notifiers)) == ([], ["shop-chat"])
    lines = [line for file in (*PARTS, *environments) for line in file.read_text(encoding="utf-8").splitlines()]
    assert len(lines) < 150


def _stem(file: Path) -> str:
    return file.stem


def test_one_users_names_stand_in_one_folder() -> None:
    """Everybody else's example is of example.com."""
    (own,) = (FOLDER / "examples").glob("7p-*")
    name = re.compile(r"7p[- _]?education", re.IGNORECASE)
    places = (ROOT / place for place in ("bench", "config", "deploy", "docs", "gates", "grafana", "healthd", "tests"))
    files = [file for place in places for file in place.rglob("*") if file.suffix in _TEXT and own not in file.parents]
    files.remove(ROOT / "healthd/commands/shipped.py")  # which says where that folder is
    found = [file for file in (*files, *ROOT.glob("*.md"), ROOT / "Dockerfile") if name.search(file.read_text("utf-8"))]
    assert found == []


def test_image_starts_without_a_variable() -> None:
    """What the image runs unless told otherwise looks at nothing that was not named, and calls nobody."""
    assert "COPY config/container.yaml /etc/healthd/config.yaml" in (ROOT / "Dockerfile").read_text(encoding="utf-8")
    config = load(FOLDER / "container.yaml", Config, {})
    assert {check.kind for check in config.active_checks.values()} == {"memory", "disk", "process"}
    assert (config.active_notifiers, config.notes) == ({}, [])
    named = load(FOLDER / "container.yaml", Config, VARIABLES | {"ALERTMANAGER_URL": "http://alertmanager.test:9093"})
    assert set(named.active_groups["ready"].checks) == {"mongodb", "postgresql", "redis", "process"}
    assert list(named.active_notifiers) == ["alertmanager"]


def _keys(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            yield key
            yield from _keys(value)
    elif isinstance(node, list):
        for item in node:
            yield from _keys(item)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_full_file_shows_every_option_of_a_check(kind: str) -> None:
    """Whoever looks for an option finds it in full.yaml: in a check of its kind, or of the kind that it is told to be
    like, or in the one that shows what every check can be told.
    """
    checks = full()["checks"]
    shown = {
        key
        for check in checks.values()
        if check.get("kind", kind) in (kind, _LIKE.get(kind), "postgresql")
        for key in _keys(check)
    }
    model: type[BaseModel] = find_kind(kind).config_model
    assert set(model.model_json_schema(by_alias=True)["properties"]) <= shown


@pytest.mark.parametrize("kind", sorted(SOURCES))
def test_full_file_shows_every_option_of_a_source(kind: str) -> None:
    """In a service with a source of that kind, or in those that show what every source over HTTP can be told."""
    services = full()["services"].values()
    sources = [each for it in services for each in (it["source"], *it.get("sources", {}).values())]
    shown = {key for source in sources if source["kind"] in (kind, "prometheus", "scrape") for key in _keys(source)}
    assert kind in {source["kind"] for source in sources}
    assert set(find_source(kind).config_model.model_fields) <= shown


def test_production_gates_as_its_guide_says() -> None:
    """After the switch 30 s, then at most 5 % errors and 5 s; the smoke tests and the checklist are gates too."""
    config = load(FOLDER / "production.yaml", Config, {})
    policy = config.policies[config.services["api"].policy]
    limits = {c.kind: c.limit for c in policy.criteria if isinstance(c, ErrorRate | Latency)}
    assert (policy.initial_delay, limits) == (30.0, {"error_rate": 0.05, "latency": 5.0})
    assert policy.watch > 0
    (smoke,), (preflight,) = config.policies["smoke"].criteria, config.policies["preflight"].criteria
    assert isinstance(smoke, Smoke)
    assert [request.status for request in smoke.requests] == [200, 200, 401, 401, 400]
    assert isinstance(preflight, Checks)
    assert preflight.group == "preflight"


def test_production_puts_the_traffic_back() -> None:
    """At its load balancer, once the environment names it; until then no gate starts that could not be rolled back."""
    action = load(FOLDER / "production.yaml", Config, VARIABLES | BALANCER).actions["traffic-back"]
    assert isinstance(action, ElbConfig)
    assert set(action.target_groups) == {"blue", "green"}
    unset = load(FOLDER / "production.yaml", Config, VARIABLES)
    assert unset.services["api"].on_fail == ("traffic-back",)
    with pytest.raises(ArmError, match="ALB_LISTENER_ARN, BLUE_TARGET_GROUP_ARN, GREEN_TARGET_GROUP_ARN"):
        unset.actions["traffic-back"].check(Arms("api", Arm("2"), Arm("1")))


@pytest.mark.parametrize("kind", NOTIFIERS.kinds())
def test_full_file_shows_every_option_of_a_notifier(kind: str) -> None:
    """In a notifier of its kind, or in the one that shows what every notifier can be told."""
    entries = full()["notifiers"].values()
    shown = {key for entry in entries if entry["kind"] in (kind, "alertmanager") for key in entry}
    assert set(NOTIFIERS.find(kind).config_model.model_json_schema(by_alias=True)["properties"]) <= shown


def test_a_team_is_told_once_its_variables_are_set() -> None:
    """Unset, development and staging leave their notifiers out, and production shows that its own is missing."""
    for name, missing in (("development", []), ("staging", []), ("production", ["on-call-team"])):
        settings = load(FOLDER / f"{name}.yaml", Config, {})
        assert list(settings.active_notifiers) == missing
        ways = {"SLACK_WEBHOOK_URL": "http://chat.test/hook", "ALERTMANAGER_URL": "http://alertmanager.test:9093"}
        told = load(FOLDER / f"{name}.yaml", Config, ways)
        assert [to for route in told.routes for to in route.to if to in told.active_notifiers] == list(
            told.active_notifiers
        )
        assert not any(isinstance(n, MisconfiguredNotifier) for n in told.active_notifiers.values())


def test_full_file_shows_every_section() -> None:
    """Every key of the whole configuration stands in full.yaml."""
    shown = set(full())
    assert set(Config.model_fields) <= shown
