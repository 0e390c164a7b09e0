"""Settings of a deploy behind HAProxy."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator

from healthd.config.model import Model
from healthd_deploy.weighted.settings import WeightedConfig
from healthd_gates.actions.haproxy_backend import DividedBackend


def _absolute(file: Path) -> Path:
    if not file.is_absolute():
        raise ValueError("must be an absolute path")
    return file


class DeployedBackend(DividedBackend):
    """Backend whose servers' weights are set, with the words of healthd's action `haproxy`, and the record of what is
    on them."""

    versions: Annotated[Path, AfterValidator(_absolute)]
    """The tool's own record of the version on each target, which HAProxy has no place for."""


class SwitchConfig(Model):
    """Part of the configuration that switches the traffic."""

    traffic: DeployedBackend
    """Backend that divides the traffic."""


class HAProxyConfig(WeightedConfig):
    """Options of `healthd-deploy haproxy`"""

    traffic: DeployedBackend
    """Backend that divides the traffic, with the words of healthd's action `haproxy`."""
