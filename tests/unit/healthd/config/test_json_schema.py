"""The JSON Schema agrees with what reads the file."""

import os
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from docs.generate import DEPLOY_TOOLS
from healthd.app import Config
from healthd.checks import KINDS, find_kind, known_kinds
from healthd.config.file import ConfigError, parse
from healthd.config.json_schema import config_schema
from healthd.wording import shape_in_words

GOOD = """\
environment: ${ENVIRONMENT:-staging}
checks:
  self: {kind: process, interval: 5s, fall: 2, runbook_url: https://runbooks.test/self}
  db: {kind: postgresql, uri: 'postgresql://localhost/x', critical: "${CRITICAL:-true}", require: primary}
  cache: {kind: redis, uri: 'redis://localhost', timeout: 500ms}
groups: {ready: {checks: [db]}}
services: {api: {targets: {blue: "${BLUE:-http://blue.test}"}, source: {kind: push}}}
"""
BAD = [
    "chekcs: {}",
    "checks: {a: {kind: process, intervall: 5s}}",
    "checks: {a: {kind: proces}}",
    "checks: {a: {kind: postgresql}}",
    "checks: {a: {kind: process, interval: 5 parsecs}}",
    "checks: {'a b': {kind: process}}",
    "http: {listen: 8080}",
]


def told_by_both(text: str) -> tuple[bool, bool]:
    """Whether the schema takes it, and whether the reader does."""
    schema = Draft202012Validator(config_schema(Config)).is_valid(YAML(typ="safe").load(text))
    try:
        parse(text, "healthd.yaml", Config, os.environ)
    except ConfigError:
        return schema, False
    return schema, True


def test_takes_what_is_valid() -> None:
    """A file with checks of several kinds, durations and references is valid to both."""
    assert told_by_both(GOOD) == (True, True)


@pytest.mark.parametrize("text", BAD)
def test_refuses_what_is_not(text: str) -> None:
    """What is misspelt or lacking is invalid to both."""
    assert told_by_both(text) == (False, False)


@pytest.mark.parametrize("kind", known_kinds())
def test_knows_every_kind(kind: str) -> None:
    """The schema of a check has every option of its kind."""
    schema: dict[str, Any] = config_schema(Config)
    (by_name,) = schema["properties"]["checks"]["patternProperties"].values()
    (entry,) = [each for each in by_name["oneOf"] if each["properties"]["kind"]["const"] == kind]
    described = schema["$defs"][entry["$ref"].rpartition("/")[2]]["properties"]
    options = {field.alias or name for name, field in find_kind(kind).config_model.model_fields.items()}
    assert options == described.keys()


def _patterns(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("pattern"), str):
            yield node["pattern"]
        for inner in node.values():
            yield from _patterns(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from _patterns(inner)


def test_every_pattern_is_told_in_words() -> None:
    """Nobody who has written a wrong name is shown a regular expression."""
    models = [Config, *(find_kind(kind).config_model for kind in KINDS), *DEPLOY_TOOLS.values()]
    unworded = {
        pattern
        for model in models
        for pattern in _patterns(model.model_json_schema())
        if shape_in_words(pattern) is None
        and r"\$\{" not in pattern  # durations and percentages have words of their own
    }
    assert unworded == set()
