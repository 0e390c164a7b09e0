"""The examples of docs/sources.md are true."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import TypeAdapter
from ruamel.yaml import YAML

from healthd_gates.sources import KINDS, AnySource
from healthd_gates.sources.contract import SourceConfig

TEXT = Path(__file__).parents[4].joinpath("docs/sources.md").read_text()
EXAMPLES = [part.partition("```")[0] for part in TEXT.split("```yaml\n")[1:] if part.startswith("source:")]
config: TypeAdapter[SourceConfig] = TypeAdapter(AnySource)


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_is_a_valid_source(example: str) -> None:
    """What a reader copies works."""
    config.validate_python(YAML(typ="safe").load(example)["source"])


def test_every_kind_has_a_section_and_an_example() -> None:
    """In the order of the overview; a preset is shown beside its kind, and so is a log in S3."""
    sources = [YAML(typ="safe").load(example)["source"] for example in EXAMPLES]
    shown = [source["kind"] for source in sources if not {"preset", "s3"} & set(source)]
    assert sorted(shown) == sorted(KINDS)
    assert shown == [line[3:] for line in TEXT.splitlines() if line.startswith("## ") and line[3:] in KINDS]
