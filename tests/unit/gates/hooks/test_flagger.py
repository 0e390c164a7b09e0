"""What Flagger sends, and what each of its webhooks is told."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from healthd_gates.hooks.contract import Word
from healthd_gates.hooks.flagger import Payload, Webhook, status_of, token_in

SENT: dict[str, Any] = {
    "name": "podinfo",
    "namespace": "test",
    "phase": "Progressing",
    "checksum": "85d557f47b",
    "metadata": {"test": "all", "token": "16688eb5e9f289f1991c"},
}
NOTHING = None
TRUTH = {
    #                                    running pass fail cancelled nothing
    Webhook.CONFIRM_ROLLOUT: (409, 200, 409, 409, 409),
    Webhook.CONFIRM_TRAFFIC_INCREASE: (409, 200, 409, 409, 409),
    Webhook.CONFIRM_PROMOTION: (409, 200, 409, 409, 409),
    Webhook.PRE_ROLLOUT: (200, 200, 412, 412, 412),
    Webhook.ROLLOUT: (200, 200, 412, 412, 412),
    Webhook.ROLLBACK: (409, 409, 200, 409, 409),
    Webhook.POST_ROLLOUT: (200, 200, 200, 200, 200),
    Webhook.EVENT: (200, 200, 200, 200, 200),
}


@pytest.mark.parametrize("webhook", Webhook)
def test_each_webhook_is_told_what_follows(webhook: Webhook) -> None:
    """Only a pass confirms, only a fail rolls back, and what is not known is neither."""
    words = (Word.RUNNING, Word.PASS, Word.FAIL, Word.CANCELLED, NOTHING)
    assert tuple(status_of(webhook, word) for word in words) == TRUTH[webhook]


def test_a_payload_is_read_as_flagger_sends_it() -> None:
    """With metadata or without, and with a field that a later Flagger may add."""
    payload = Payload.model_validate(SENT)
    assert (payload.canary, payload.version) == ("test/podinfo", "85d557f47b")
    bare = {key: value for key, value in SENT.items() if key != "metadata"}
    assert Payload.model_validate({**bare, "iteration": 3}).metadata == {}
    assert Payload.model_validate({**bare, "metadata": {"version": "6.7.1"}}).version == "6.7.1"


@pytest.mark.parametrize("checksum", ["", "a b", "../x", 'x"} or up{', 7])
def test_a_checksum_names_a_version_and_nothing_else(checksum: object) -> None:
    """It goes into queries and addresses as any version does."""
    with pytest.raises(ValidationError):
        Payload.model_validate({**SENT, "checksum": checksum})


@pytest.mark.parametrize(
    ("raw", "token"),
    [
        (json.dumps(SENT), "16688eb5e9f289f1991c"),
        ('{"metadata": {"token": 7}}', None),
        ('{"metadata": ["token"]}', None),
        ("{}", None),
        ("[]", None),
        ("{", None),
        ("\xff", None),
        ("[" * 60_000, None),
    ],
)
def test_the_token_is_found_whatever_else_is_sent(raw: str, token: str | None) -> None:
    """And nothing that is sent can make looking for it fail."""
    assert token_in(raw.encode("latin-1")) == token
