"""How many requests a bad release harms behind another tool, beside the tool's own rule on the same traffic."""

import numpy as np
import pytest

from bench.behind import SETUPS, Traffic, roll_out

BEHIND = [
    ("Flagger, 30 s", "a gate, `canary`"),
    ("Flagger, 10 s", "a gate, `analysis`"),
    ("Argo Rollouts, 10 s", "a gate, `analysis`, asked every 2 s"),
]


@pytest.mark.parametrize(("tool", "gate"), BEHIND, ids=[tool for tool, _ in BEHIND])
@pytest.mark.parametrize(("share", "most"), [(0.3, 0.7), (0.08, 0.9)])
def test_a_gate_harms_fewer_requests_than_the_tools_own_rule(tool: str, gate: str, share: float, most: float) -> None:
    """With 100 requests/s, by the policy and the interval of the shipped examples; both end in a rollback."""
    own, gated = (
        roll_out(SETUPS[tool][rule], Traffic(np.random.default_rng(1), 100, lambda at: share, 0.001))
        for rule in ("its own rule", gate)
    )
    assert own.seconds is not None
    assert gated.seconds is not None
    assert gated.harmed <= most * own.harmed
