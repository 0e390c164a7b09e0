"""A gate that is named by too little of its id."""

from healthd_gates.domain.errors import UnknownGate


def test_an_id_that_is_too_short_is_called_so() -> None:
    """A longer one is merely unknown."""
    assert str(UnknownGate(gate_id="01")) == "There is no gate 01: write at least 4 characters of its id."
    assert str(UnknownGate(gate_id="0123")) == "There is no gate 0123."
    assert UnknownGate(gate_id="01").fields == {"gate_id": "01"}
