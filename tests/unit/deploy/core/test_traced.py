"""Every gate of a deploy is a part of the pipeline's trace, where its step hands one on."""

import pytest

from healthd_gates.domain.standing import Verdict
from tests.unit.deploy.core.test_again import run
from tests.unit.deploy.core.test_live_again import Daemon
from tests.unit.deploy.core.test_put_back import Targets

SPAN = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.mark.parametrize(
    ("variable", "told"),
    [(SPAN, {"traceparent": SPAN}), ("of nobody", {}), ("", {})],
    ids=["a span", "none", "empty"],
)
async def test_the_span_of_the_pipeline_is_handed_on(
    monkeypatch: pytest.MonkeyPatch, variable: str, told: dict[str, str]
) -> None:
    monkeypatch.setenv("TRACEPARENT", variable)
    daemon = Daemon(Verdict.PASS)
    await run(daemon, Targets("0.9"))
    assert [request["policy"] for request in daemon.asked] == ["post-switch"]
    assert [request["deployment"] for request in daemon.asked] == [{"id": "run-1", **told}]
