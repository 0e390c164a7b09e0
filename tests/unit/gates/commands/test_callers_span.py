"""`healthd gate verify` hands on the span of the pipeline's step."""

import pytest

from healthd_gates.commands.verify import _callers_span

SPAN = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.mark.parametrize(("variable", "sent"), [(SPAN, SPAN), ("not one", None), ("", None), (None, None)])
def test_what_is_handed_on(monkeypatch: pytest.MonkeyPatch, variable: str | None, sent: str | None) -> None:
    """One that is not valid would have the request refused; it is passed over."""
    monkeypatch.delenv("TRACEPARENT", raising=False)
    if variable is not None:
        monkeypatch.setenv("TRACEPARENT", variable)
    assert _callers_span() == sent
