"""Settings of a deploy behind Traefik."""

from __future__ import annotations

from healthd.config.model import Model
from healthd.units import Duration
from healthd_deploy.core.release_program import ReleasedByPrograms
from healthd_gates.actions.traefik_service import WeightedService


class SwitchConfig(Model):
    """Part of the configuration that switches the traffic."""

    traffic: WeightedService
    """Weighted service that divides the traffic."""


class TraefikConfig(ReleasedByPrograms):
    """Options of `healthd-deploy traefik`"""

    traffic: WeightedService
    """Weighted service that divides the traffic, with the words of healthd's action `traefik`."""
    up_within: Duration = 60.0
    """Time after a release for Traefik's own health check to find a server of the target up; a service without one
    counts as up."""
