"""The alert rules as Prometheus and Alertmanager read them, and what their labels promise."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.servers.programs import require

REPOSITORY = Path(__file__).parents[3]
FOLDER = REPOSITORY / "deploy" / "prometheus"
RULES = FOLDER / "healthd.rules.yml"
TESTS = sorted((FOLDER / "tests").glob("*.yml"))


def alerts() -> list[dict[str, Any]]:
    groups = YAML(typ="safe").load(RULES)["groups"]
    return [rule for group in groups for rule in group["rules"] if "alert" in rule]


def _passes(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, cwd=FOLDER)
    assert done.returncode == 0, done.stdout + done.stderr


def test_rules_are_sound() -> None:
    """promtool finds nothing wrong with them."""
    _passes(require("promtool"), "check", "rules", RULES)


@pytest.mark.parametrize("file", TESTS, ids=lambda file: file.stem)
def test_rules_fire_when_they_should(file: Path) -> None:
    """Each fires in the state that it is for, ends with it, and is quiet in the state next to it."""
    _passes(require("promtool"), "test", "rules", file)


def test_examples_are_valid() -> None:
    """Prometheus and Alertmanager would start with the example files."""
    _passes(require("promtool"), "check", "config", "--syntax-only", FOLDER / "prometheus.yml")
    _passes(require("amtool"), "check-config", FOLDER / "alertmanager.yml")


def test_every_alert_is_tested_to_fire() -> None:
    """There is none that has only ever been seen quiet."""
    seen = {
        case["alertname"]
        for file in TESTS
        for test in YAML(typ="safe").load(file)["tests"]
        for case in test["alert_rule_test"]
        if case["exp_alerts"]
    }
    assert {alert["alert"] for alert in alerts()} == seen


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert["alert"])
def test_alert_says_how_bad_it_is_and_what_to_do(alert: dict[str, Any]) -> None:
    """Its severity is one of two, its runbook exists, names it, and has the four parts that help at night."""
    assert set(re.findall(r"critical|warning", alert["labels"]["severity"].replace(".critical", "")))
    page = (REPOSITORY / alert["annotations"]["runbook_url"]).read_text()
    assert f"`{alert['alert']}`" in page
    for part in ("**What it means.**", "## Look here first", "## Do\n", "## Do not"):
        assert part in page
    assert {"summary", "description"} <= set(alert["annotations"])


def test_runbooks_are_listed() -> None:
    """The list of runbooks leaves none out."""
    listed = (REPOSITORY / "docs" / "runbooks" / "README.md").read_text()
    pages = {page.name for page in (REPOSITORY / "docs" / "runbooks").glob("*.md")} - {"README.md"}
    assert pages == set(re.findall(r"\(([\w-]+\.md)\)", listed))
    assert all(alert["alert"] in listed for alert in alerts())
