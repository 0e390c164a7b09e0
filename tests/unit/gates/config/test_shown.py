"""What the documentation and the annotated file show of the gate is true, and is all there is."""

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from healthd.config.file import parse
from healthd_gates import actions, criteria
from healthd_gates.config.freeze_window import Freeze
from healthd_gates.config.policy import Observe, Policy, Risk
from healthd_gates.config.service import Service
from healthd_gates.config.settings import Config, GateLimits
from healthd_gates.criteria.comparison import Compare
from healthd_gates.domain.smoke_request import SmokeRequest

TOP = Path(__file__).parents[4]
CRITERIA = tuple(criteria.CRITERIA.find(kind).config_model for kind in criteria.KINDS)
ACTIONS = tuple(actions.find_kind(kind).config_model for kind in actions.KINDS)
MODELS = (
    *ACTIONS,
    Service,
    Policy,
    Observe,
    Risk,
    Freeze,
    GateLimits,
    Compare,
    SmokeRequest,
    *CRITERIA,
)
_WRITTEN_AS = {"method": "get", "path": "get"}


def test_the_examples_of_the_policies_page_are_valid() -> None:
    """Whoever copies them has a configuration."""
    blocks = re.findall(r"```yaml\n(.*?)```", (TOP / "docs/policies.md").read_text(), re.DOTALL)
    assert len(blocks) == 2
    parse("\n".join(blocks), "policies.md", Config, {})


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_full_file_shows_every_option(model: type[BaseModel]) -> None:
    """By the name that it has in a file."""
    shown = set(re.findall(r"[\w-]+(?=: )|[\w-]+(?=:$)", (TOP / "config/full.yaml").read_text(), re.MULTILINE))
    names = {_WRITTEN_AS.get(name, field.alias or name) for name, field in model.model_fields.items()}
    assert names <= shown


def test_the_page_names_the_policies_that_ship() -> None:
    """With what they are for."""
    page = (TOP / "docs/policies.md").read_text()
    assert set(re.findall(r"^\| `([\w-]+)` \| (?!holds)", page.split("## The life")[0], re.MULTILINE)) == set(
        Config.model_validate({}).policies
    )
