"""What the tool says of a daemon that cannot be told of the way back: what happened, and not that nothing did."""

import pytest

from healthd_deploy.core.session import GateSession
from healthd_deploy.core.settings import DeployConfig
from healthd_deploy.core.steps import Steps
from healthd_gates.client.client import GateClient
from healthd_gates.schema.gate import GateDocument
from tests.fakes.gate_states import RUNNING
from tests.servers.ports import HOST, free_port
from tests.servers.tcp import silent


async def abandoned(url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    monkeypatch.setattr("healthd_deploy.core.undoing.TOLD_WITHIN", 0.3)
    async with GateClient(url) as client:
        session = GateSession(client, DeployConfig(service="shop"), "run-1", Steps())
        session.followed.gate = GateDocument.of(RUNNING)
        assert not await session.undoing.abandon()
    return capsys.readouterr().err


async def test_a_port_that_refuses(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    port = free_port()
    said = await abandoned(f"http://{HOST}:{port}", monkeypatch, capsys)
    assert f"could not be cancelled: http://{HOST}:{port} could not be asked yet: nobody listens there" in said


async def test_a_daemon_that_says_nothing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with silent() as listener:
        said = await abandoned(f"http://{HOST}:{listener.port}", monkeypatch, capsys)
    assert "could not be cancelled: no answer within 300ms" in said
