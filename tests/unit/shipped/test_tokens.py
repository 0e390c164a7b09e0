"""Whoever takes a shipped configuration can be woken: beside the pipeline's token there is a person's."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from ruamel.yaml import YAML

from healthd.config.auth_grant import ROLES
from tests.unit.docs.blocks import ROOT, blocks

# Other pages show one holder at a time.
_GUIDES = ("gate.md", "haproxy.md", "install.md", "quickstart.md", "traefik.md")


def configurations() -> Iterator[Any]:
    """The texts, unparsed: every worker collects them, and one tests them."""
    for file in sorted([*ROOT.glob("config/**/*.yaml"), *ROOT.glob("deploy/*/**/config.yaml")]):
        yield pytest.param(file.read_text(encoding="utf-8"), id=str(file.relative_to(ROOT)))
    for block in blocks():
        if block.page.name in _GUIDES and block.language == "yaml" and "auth:" in block.text:
            yield pytest.param(block.text, id=str(block))


_TOKENS = re.compile(r"^[^#\n]*\btokens:(?! \[\])", re.MULTILINE)
WITH_TOKENS = [each for each in configurations() if _TOKENS.search(str(each.values[0]))]


@pytest.mark.parametrize("text", WITH_TOKENS)
def test_a_person_may_do_what_the_runbooks_say(text: str) -> None:
    """One of its holders may roll back, silence and freeze, and see why a check is as it is."""
    tree = YAML(typ="safe").load(text)
    auth = tree.get("config", tree)["auth"]
    holders = [*auth["tokens"], *auth.get("identities", ()), *auth.get("sign_in", {}).get("people", ())]
    granted = [{*each.get("scopes", ()), *ROLES.get(each.get("role"), ())} for each in holders]
    assert any("admin" in scopes or scopes >= ROLES["operator"] for scopes in granted)


def test_there_are_some() -> None:
    """The places above are where they are."""
    assert len(WITH_TOKENS) >= 12
