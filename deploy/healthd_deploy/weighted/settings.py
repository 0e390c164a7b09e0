"""Settings of a deploy behind a proxy that keeps weights."""

from __future__ import annotations

from healthd.units import Duration
from healthd_deploy.core.release_program import ReleasedByPrograms


class WeightedConfig(ReleasedByPrograms):
    """Options of every such deploy; the proxy's own have its folder."""

    up_within: Duration = 60.0
    """Time after a release for the proxy's own health check to find the target up: for HAProxy every server of it, for
    Traefik one. Without such a check it counts as up."""
