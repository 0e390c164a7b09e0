"""Every rule of the network checks' configuration has a bad example that is refused with its reason."""

from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from healthd.checks import find_kind
from healthd.checks.contract import CheckConfig

KEY = "sk_test_1"


def build(kind: str, **options: Any) -> CheckConfig:
    return find_kind(kind).config_model.model_validate({"kind": kind, **options})


@pytest.mark.parametrize(
    ("kind", "options", "reason"),
    [
        ("tcp", {"host": "a", "port": 0}, "port"),
        ("tcp", {"host": "", "port": 1}, "host"),
        ("tcp", {"host": "a", "port": 1, "send": "x"}, "send without expect"),
        ("http", {"url": "example.com/health"}, "http://host/path"),
        ("http", {"url": "ftp://example.com"}, "http://host/path"),
        ("http", {"url": "http://[::1/"}, "URL"),
        ("http", {"url": "http://a/", "method": "get"}, "method"),
        ("http", {"url": "http://a/", "headers": {"A B": "x"}}, "headers"),
        ("http", {"url": "http://a/", "headers": {"A": "x\r\nB: y"}}, "line breaks"),
        ("http", {"url": "http://u:p@a/", "headers": {"authorization": "x"}}, "leave one of them out"),
        ("http", {"url": "http://a/", "server_name": " "}, "server_name"),
        ("http", {"url": "http://a/", "status": 200}, "status"),
        ("stripe", {"key": ""}, "not an API key"),
        ("stripe", {"key": "sk_test 1"}, "not an API key"),
        ("stripe", {"key": KEY, "base_url": "https://u:p@api.stripe.com"}, "neither a user"),
        ("stripe", {"key": KEY, "base_url": "api.stripe.com"}, "https://host"),
        ("stripe", {"key": KEY, "path": "v1/balance"}, "path"),
        ("stripe", {"key": KEY, "mode": "production"}, "mode"),
        ("stripe", {"key": KEY, "api_version": "2025 06"}, "api_version"),
        ("sendgrid", {"key": "SG.x", "scopes": "mail.send"}, "scopes"),
    ],
)
def test_refused(kind: str, options: dict[str, Any], reason: str) -> None:
    """The message names the field or says what to write."""
    with pytest.raises(ValidationError, match=reason):
        build(kind, **options)


def test_secrets_are_typed_as_such() -> None:
    """So that redaction knows them and no dump of the configuration shows them."""
    config = build("http", url="http://u:MARK1@a/?MARK2", headers={"A": "MARK3"}, body="MARK4")
    assert "MARK" not in repr(config)
    assert "MARK" not in str(config.model_dump(mode="json"))
    assert isinstance(getattr(build("stripe", key=KEY), "key"), SecretStr)  # noqa: B009


def test_third_parties_are_asked_seldom() -> None:
    """Their rate limits are shared with production traffic."""
    config = build("stripe", key=KEY)
    assert (config.interval, config.timeout) == (60, 10)


def test_headers_wants_hsts_unless_told_otherwise() -> None:
    """Also where only the status is given."""
    config = build("headers", url="https://a/", expect={"status": 200})
    assert "Strict-Transport-Security" in str(config.model_dump())
