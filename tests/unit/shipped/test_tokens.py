"""Whoever takes a shipped configuration can be woken: beside the pipeline's token there is a person's."""

from collections.abc import Iterator
from typing import Any

import pytest
from ruamel.yaml import YAML

from healthd.config.auth_grant import ROLES
from tests.unit.docs.blocks import ROOT, blocks

# Other pages show one holder at a time.
_GUIDES = ("gate.md", "haproxy.md", "install.md", "quickstart.md", "traefik.md")


def configurations() -> Iterator[Any]:
    for file in sorted([*ROOT.glob("config/**/*.yaml"), *ROOT.glob("deploy/*/**/config.yaml")]):
        yield pytest.param(YAML(typ="safe").load(file), id=str(file.relative_to(ROOT)))
    for block in blocks():
        if block.page.name in _GUIDES and block.language == "yaml" and "auth:" in block.text:
            tree = YAML(typ="safe").load(block.text)
            yield pytest.param(tree.get("config", tree), id=str(block))


WITH_TOKENS = [each for each in configurations() if (each.values[0].get("auth") or {}).get("tokens")]


@pytest.mark.parametrize("config", WITH_TOKENS)
def test_a_person_may_do_what_the_runbooks_say(config: dict[str, Any]) -> None:
    """One of its holders may roll back, silence and freeze, and see why a check is as it is."""
    auth = config["auth"]
    holders = [*auth["tokens"], *auth.get("identities", ()), *auth.get("sign_in", {}).get("people", ())]
    granted = [{*each.get("scopes", ()), *ROLES.get(each.get("role"), ())} for each in holders]
    assert any("admin" in scopes or scopes >= ROLES["operator"] for scopes in granted)


def test_there_are_some() -> None:
    """The places above are where they are."""
    assert len(WITH_TOKENS) >= 12
