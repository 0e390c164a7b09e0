"""The options of an allowance: the harm budget of a release whose weight its caller sets."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from healthd.config.model import Model
from healthd.units import Duration
from healthd_gates.config.ramp import requests_not_share


class Allowance(Model):
    """Tells a caller that sets the candidate's share itself how wide the evidence allows it to be."""

    budget: Annotated[float, BeforeValidator(requests_not_share)] = Field(gt=0, le=1e12, allow_inf_nan=False)
    """The requests that may fail because of the release before the caller has taken it back."""
    way_back: Duration = 60.0
    """The longest time that the caller takes from a fail until the baseline has the traffic: its own interval, and that
    of its balancer."""
