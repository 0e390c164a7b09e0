"""The configuration files that are shipped with the deploy tools are valid."""

from pathlib import Path

import pytest

from docs.generator.config import DEPLOY_TOOLS, EXAMPLES
from healthd.config.file import load
from healthd_deploy.core.settings import DeployConfig

_FOLDER = Path(__file__).parents[3] / "deploy"
_ENVIRONMENT = {"HEALTHD_TOKEN": "a-token", "MONGODB_URI": "mongodb://db/app", "POSTGRESQL_URI": "postgresql://db/app"}


@pytest.mark.parametrize("tool", DEPLOY_TOOLS)
def test_the_example_is_valid(tool: str) -> None:
    """Each tool has one, and those that deploy do so for the same service."""
    config = load(_FOLDER / EXAMPLES[tool], DEPLOY_TOOLS[tool], _ENVIRONMENT)
    assert not isinstance(config, DeployConfig) or config.service == "api"
