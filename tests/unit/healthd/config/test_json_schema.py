"""The JSON Schema agrees with what reads the file."""

import os
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from healthd.checks import find_kind, known_kinds
from healthd.config.file import ConfigError, parse
from healthd_gates.config.settings import Config

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
    "checks: {a: {kind: process, labels: {team: [a]}}}",
]


def told_by_both(schema: Draft202012Validator, text: str) -> tuple[bool, bool]:
    """Whether the schema takes it, and whether the reader does."""
    by_schema = schema.is_valid(YAML(typ="safe").load(text))
    try:
        parse(text, "healthd.yaml", Config, os.environ)
    except ConfigError:
        return by_schema, False
    return by_schema, True


def test_takes_what_is_valid(file_schema: Draft202012Validator) -> None:
    """A file with checks of several kinds, durations, references and templates is valid to both."""
    assert told_by_both(file_schema, GOOD) == (True, True)
    template = "templates: {checks: {t: {kind: process}}}\nchecks: {a: {template: t, interval: 5s, labels: {team: x}}}"
    assert told_by_both(file_schema, template) == (True, True)


@pytest.mark.parametrize("text", BAD)
def test_refuses_what_is_not(file_schema: Draft202012Validator, text: str) -> None:
    """What is misspelt or lacking is invalid to both."""
    assert told_by_both(file_schema, text) == (False, False)


@pytest.mark.parametrize("kind", known_kinds())
def test_knows_every_kind(file_schema: Draft202012Validator, kind: str) -> None:
    """The schema of a check has every option of its kind."""
    schema: Any = file_schema.schema
    (by_name,) = schema["properties"]["checks"]["patternProperties"].values()
    (entry,) = [
        each
        for each in by_name["oneOf"]
        if "template" not in each["required"] and each["properties"]["kind"]["const"] == kind
    ]
    described = schema["$defs"][entry["$ref"].rpartition("/")[2]]["properties"]
    options = {field.alias or name for name, field in find_kind(kind).config_model.model_fields.items()}
    assert options == described.keys()
