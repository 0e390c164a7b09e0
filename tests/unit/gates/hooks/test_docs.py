"""The examples of docs/hooks.md and the heads of the shipped files are valid, and fit the sources that they name."""

import re
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from ruamel.yaml import YAML

from healthd_gates.config.hooks.argo_rollouts import ArgoRolloutsConfig
from healthd_gates.config.hooks.contract import Deploys
from healthd_gates.config.hooks.flagger import FlaggerConfig
from healthd_gates.config.observed import arms_of
from healthd_gates.config.settings import Config
from tests.unit.gates.hooks.test_github import _pem

ROOT = Path(__file__).parents[4]
TEXT = (ROOT / "docs" / "hooks.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
TARGETS = {name: [f"http://{name}.internal:3000"] for name in ("blue", "green")}
SERVICES = {name: {"source": {"kind": "push"}, "targets": TARGETS} for name in ("api", "api-staging")}


def loaded(example: str) -> Config:
    """The example as a configuration; what it does not say of services, and its secrets, are put beside it."""
    config = {"services": SERVICES, **YAML(typ="safe").load(example)}
    if "github" in config["hooks"]:
        config["hooks"]["github"]["app"]["private_key"] = _pem(rsa.generate_private_key(65537, 2048))
    return Config.model_validate(config)


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_an_example_is_a_valid_configuration(example: str) -> None:
    """What a reader copies works."""
    assert loaded(example).hooks


def _asked(config: Config) -> list[Deploys]:
    kinds = (FlaggerConfig, ArgoRolloutsConfig)
    return [deploys for hook in config.hooks.values() if isinstance(hook, kinds) for deploys in hook.deploys()]


def test_the_arms_of_an_example_are_told_apart_by_its_source() -> None:
    """A checksum and a role stand in no series: each arm has labels, and the selectors have them."""
    config = loaded(EXAMPLES[0])
    [deploys] = _asked(config)
    asked = deploys.request("85d557f47b", "shop/api 85d557f47b", "flagger")
    service = config.services[deploys.service]
    assert service.source is not None
    arms = arms_of(deploys.service, service, asked.candidate, asked.baseline)
    service.source.check(arms)
    assert arms.baseline is not None
    assert arms.candidate.labels.keys() == arms.baseline.labels.keys()
    selectors: dict[str, Any] = service.source.model_dump()
    for label in arms.candidate.labels:
        assert f'"${label}"' in selectors["requests"]
        assert f'"${label}"' in selectors["errors"]


@pytest.mark.parametrize("file", ["flagger-canary.yaml", "argo-analysis-template.yaml"])
def test_the_head_of_a_shipped_file_is_what_a_hook_takes(file: str) -> None:
    """As a comment, and with labels for both arms."""
    head = re.search(
        r"(?m)^#   (canaries|rollouts):\n((?:#     .*\n)+)", (ROOT / "deploy" / "hooks" / file).read_text()
    )
    assert head is not None
    kind = {"canaries": "flagger", "rollouts": "argo_rollouts"}[head[1]]
    lines = re.sub(r"(?m)^#   ", "", head[2])
    hook = {"kind": kind, head[1]: YAML(typ="safe").load(lines)}
    config = Config.model_validate({"services": SERVICES, "hooks": {"tool": hook}})
    asked = _asked(config)[0]
    assert asked.baseline is not None
    assert asked.labels.keys() == asked.baseline.labels.keys() != set()
