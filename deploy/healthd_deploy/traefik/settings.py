"""Settings of a deploy behind Traefik."""

from __future__ import annotations

from healthd.config.model import Model
from healthd_deploy.weighted.settings import WeightedConfig
from healthd_gates.actions.traefik_service import WeightedService


class SwitchConfig(Model):
    """Part of the configuration that switches the traffic."""

    traffic: WeightedService
    """Weighted service that divides the traffic."""


class TraefikConfig(WeightedConfig):
    """Options of `healthd-deploy traefik`"""

    traffic: WeightedService
    """Weighted service that divides the traffic, with the words of healthd's action `traefik`."""
