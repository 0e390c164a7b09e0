"""Nobody who has written a wrong name is shown a regular expression."""

from collections.abc import Iterator

from pydantic import BaseModel

from docs.generator.config import DEPLOY_TOOLS
from healthd.app import Config
from healthd.checks import KINDS, find_kind
from healthd.wording import shape_in_words


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
    """Durations and percentages, which may also be a variable, have words of their own."""
    models: list[type[BaseModel]] = [Config, *(find_kind(kind).config_model for kind in KINDS), *DEPLOY_TOOLS.values()]
    found = {pattern for model in models for pattern in _patterns(model.model_json_schema()) if r"\$\{" not in pattern}
    assert {pattern for pattern in found if shape_in_words(pattern) is None} == set()
