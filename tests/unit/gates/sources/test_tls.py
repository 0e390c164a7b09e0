"""One TLS context for all who trust alike, and one session for all who ask at the same time."""

import asyncio
import os
from pathlib import Path

import pytest
from pydantic import SecretStr

from healthd.runtime.clock import SystemClock
from healthd_gates.actions.contract import ActionContext
from healthd_gates.actions.webhook import Webhook, WebhookConfig
from healthd_gates.config.hooks.github import GitHubConfig
from healthd_gates.hooks.github.callback import GitHub
from healthd_gates.sources.endpoint import Endpoint
from healthd_gates.sources.http_options import HttpConfig, Tls
from tests.servers.tls import Authority


def test_gates_that_trust_alike_share_a_context() -> None:
    """Making one reads all the system's authorities."""
    assert Tls().context() is Tls(server_name="other.example").context()
    assert Tls().context() is not Tls(verify=False).context()


def test_a_file_that_changed_is_read_again(tmp_path: Path) -> None:
    """A certificate that was renewed is shown without a restart."""
    path = Authority(tmp_path).trust
    tls = Tls(ca=path)
    first = tls.context()
    assert tls.context() is first
    os.utime(path, ns=(1, 1))
    assert tls.context() is not first
    path.unlink()
    with pytest.raises(FileNotFoundError):
        tls.context()


async def test_two_at_once_open_one_session() -> None:
    """What the second had opened would never be closed."""
    hook = GitHubConfig.model_validate(
        {"kind": "github", "secret": "s" * 16, "token": "t" * 16, "rules": [{"service": "api"}]}
    )
    webhook = WebhookConfig(url=SecretStr("https://receiver.example/undo"))
    for opens in (
        Webhook(webhook, ActionContext("undo", SystemClock(), str, {})),
        GitHub(hook, SystemClock()),
        Endpoint(HttpConfig.model_construct(kind="http", headers={}, bearer=None, basic=None, tls=Tls()), str),
    ):
        first, second = await asyncio.gather(opens._open(), opens._open())
        assert first is second
        await opens.close()
        assert first.closed
