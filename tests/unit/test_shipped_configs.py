"""The files in `config/` are valid, and `full.yaml` shows all there is."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from pydantic import BaseModel
from ruamel.yaml import YAML

from healthd.app import Config
from healthd.checks import KINDS, find_kind
from healthd.configfile import load
from healthd.configschema import config_schema
from healthd.settings import Settings

FOLDER = Path(__file__).parents[2] / "config"
FILES = sorted(FOLDER.glob("*.yaml"))
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

_LIKE = {"headers": "http"}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
@pytest.mark.parametrize("environ", [VARIABLES, {}], ids=["configured", "bare"])
def test_shipped_file_is_valid(file: Path, environ: dict[str, str]) -> None:
    """Each file can be used, with its variables set and with none of them."""
    load(file, Config, environ)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_shipped_file_fits_the_schema(file: Path) -> None:
    """An editor that has the schema sees nothing wrong."""
    tree = json.loads(json.dumps(YAML(typ="safe").load(file), default=str))
    jsonschema.validate(tree, config_schema())


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
    checks = YAML(typ="safe").load(FOLDER / "full.yaml")["checks"]
    shown = {
        key
        for check in checks.values()
        if check["kind"] in (kind, _LIKE.get(kind), "postgresql")
        for key in _keys(check)
    }
    model: type[BaseModel] = find_kind(kind).config_model
    assert set(model.model_json_schema(by_alias=True)["properties"]) <= shown


def test_full_file_shows_every_section() -> None:
    """Every key of the daemon's own settings stands in full.yaml."""
    shown = set(YAML(typ="safe").load(FOLDER / "full.yaml"))
    assert set(Settings.model_fields) <= shown
