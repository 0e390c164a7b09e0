"""The comments of `config/full.yaml` are true: what one says can be written is what can be, all of it and no more."""

import re
from collections.abc import Iterator
from enum import Enum
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from healthd.checks import CHECKS
from healthd.config.file import load
from healthd.registry import registries
from healthd_gates.config.settings import Config
from healthd_gates.domain.smoke_request import SmokeRequest

FULL = Path(__file__).parents[3] / "config" / "full.yaml"
LINES = FULL.read_text(encoding="utf-8").splitlines()
_WORD = r"[\w:/.-]*\w"
_VARIABLES = {
    "MONGODB_URI": "mongodb://127.0.0.1/shop?replicaSet=rs0",
    "POSTGRESQL_URI": "postgresql://127.0.0.1/shop",
    "REDIS_URI": "redis://127.0.0.1:6379/0",
    "STRIPE_SECRET_KEY": "sk_live_51abcdefghijklmnopqrstuvwxyz",
    "SENDGRID_API_KEY": "SG.abcdefghijklmnopqrstuv.abcdefghijklmnopqrstuvwxyz",
    "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI",
    "PAGERDUTY_ROUTING_KEY": "0" * 32,
    "SLACK_WEBHOOK_URL": "https://hooks.slack.com/services/x",
    "NOTIFY_SENTRY_DSN": "https://key@sentry.example.com/1",
    "GRAFANA_TOKEN": "token",
    "EVENT_BUS_TOKEN": "token",
}


def alternatives(line: str) -> set[str]:
    """The words of `# a | b | c: what for`; none where the comment lists nothing."""
    listed = re.search(rf"# ({_WORD}(?: \| {_WORD})+)", line)
    return set(listed[1].split(" | ")) if listed else set()


def values_of(annotation: Any) -> set[str]:
    """All that can be written where the type is a closed set of words; none where it is open."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated or origin in (tuple, frozenset, list):
        return values_of(arguments[0])
    if origin is Literal:
        return {str(value) for value in arguments}
    if origin in (Union, UnionType):
        parts = [values_of(part) for part in arguments if part is not type(None)]
        return set().union(*parts) if all(parts) else set()
    if annotation is bool:
        return {"true", "false"}
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return {str(member.value) for member in annotation}
    return set()


def closed_options(model: Any, node: Any) -> Iterator[tuple[int, str, set[str]]]:
    """Each option of the file whose values are a closed set, other than true and false: its line, its name and they."""
    if isinstance(model, BaseModel) and isinstance(node, CommentedMap):
        for name, field in type(model).model_fields.items():
            key = field.alias or name
            if key not in node:
                continue
            values = values_of(field.annotation)
            is_choice = len(values) > 1 and values != {"true", "false"}  # one word alone leaves none
            if key != "kind" and is_choice:
                owner = next(each for each in reversed(type(model).mro()) if name in getattr(each, "model_fields", ()))
                yield node.lc.key(key)[0], f"{owner.__name__}.{key}", values
            yield from closed_options(getattr(model, name), node[key])
    elif isinstance(model, dict) and isinstance(node, CommentedMap):
        for key in (key for key in node if key in model):  # what a template says stands in the entries that use it
            yield from closed_options(model[key], node[key])
    elif isinstance(model, tuple) and isinstance(node, CommentedSeq):
        for inner, item in zip(model, node, strict=True):
            yield from closed_options(inner, item)


@cache
def options() -> dict[str, list[tuple[int, set[str]]]]:
    """The options of the file with a closed set of values, and the lines in which each stands."""
    found: dict[str, list[tuple[int, set[str]]]] = {}
    for line, name, values in closed_options(load(FULL, Config, _VARIABLES), YAML().load(FULL)):
        found.setdefault(name, []).append((line, values))
    return found


def test_options_are_found() -> None:
    """Those that a person would think of."""
    assert {"Http.details", "PostgreSQLConfig.require", "Policy.inconclusive", "Grant.scopes"} <= set(options())


def test_every_closed_set_is_listed_once() -> None:
    """Where an option takes some words alone, a comment beside it lists them all. It is one test for all options: to
    find them takes seconds, which each of the workers would spend to name a test for each."""
    unlisted = {
        f"{name}: write beside one of them: # {' | '.join(sorted(places[0][1]))}"
        for name, places in options().items()
        if places[0][1] not in [alternatives(LINES[line]) for line, _ in places]
    }
    assert unlisted == set()


def test_nothing_is_listed_that_is_refused() -> None:
    """Each list in a comment is that of an option in its line, of a plug-in's kinds, or of what a request may do."""
    kinds = [set(registry.kinds()) - set(registry.foreign()) for registry in registries() if registry is not CHECKS]
    verbs = {verb.lower() for verb in values_of(SmokeRequest.model_fields["method"].annotation)}
    by_line: dict[int, list[set[str]]] = {}
    for lines in options().values():
        for line, values in lines:
            by_line.setdefault(line, []).append(values)
    for number, text in enumerate(LINES):
        if listed := alternatives(text):
            assert listed in [*by_line.get(number, []), *kinds, verbs], f"{FULL.name}:{number + 1}: {text.strip()}"
