"""The span that a pipeline's step hands on to the programs that it starts."""

import pytest

from healthd_gates.client.pipeline import span_of

SPAN = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.mark.parametrize(("variable", "sent"), [(SPAN, SPAN), ("not one", None), ("", None), (None, None)])
def test_what_is_handed_on(variable: str | None, sent: str | None) -> None:
    """One that is not valid would have the request refused; it is passed over."""
    assert span_of({} if variable is None else {"TRACEPARENT": variable}) == sent
