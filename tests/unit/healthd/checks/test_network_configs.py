"""Every rule of the network checks' configuration has a bad example that is refused with its reason."""

from base64 import b64decode
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from healthd.checks import find_kind
from healthd.checks.contract import CheckConfig
from healthd.checks.dns_options import DNSConfig
from healthd.checks.http import HttpConfig
from healthd.checks.stripe import StripeConfig

KEY = "sk_test_1"


def build(kind: str, **options: Any) -> CheckConfig:
    return find_kind(kind).config_model.model_validate({"kind": kind, **options})


@pytest.mark.parametrize(
    ("kind", "options", "reason"),
    [
        ("tcp", {"host": "a", "port": 0}, "port"),
        ("tcp", {"host": "", "port": 1}, "host"),
        ("tcp", {"host": "127.0.0.1:80", "port": 80}, "the port goes into port"),
        ("tcp", {"host": "[::1]:80", "port": 80}, "the port goes into port"),
        ("tcp", {"host": "[::1]", "port": 80}, "without brackets: ::1"),
        ("tcp", {"host": "tcp://db", "port": 80}, "without a scheme, a user or a path"),
        ("tls", {"host": "shop.example:443"}, "the port goes into port"),
        ("tls", {"host": "https://shop.example"}, "without a scheme, a user or a path"),
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
        ("stripe", {"key": ""}, "is empty"),
        ("stripe", {"key": "sk_test 1"}, "not an API key"),
        ("stripe", {"key": KEY, "base_url": "https://u:p@api.stripe.com"}, "neither a user"),
        ("stripe", {"key": KEY, "base_url": "api.stripe.com"}, "https://host"),
        ("stripe", {"key": KEY, "path": "v1/balance"}, "path"),
        ("stripe", {"key": KEY, "mode": "production"}, "mode"),
        ("stripe", {"key": KEY, "context": "Shop Ltd"}, "context"),
        ("stripe", {"key": "sk_org_live_1"}, "needs context and api_version"),
        ("stripe", {"key": "sk_org_live_1", "context": "acct_1"}, "needs api_version"),
        ("stripe", {"key": KEY, "api_version": "2025 06"}, "api_version"),
        ("sendgrid", {"key": "SG.x", "scopes": "mail.send"}, "scopes"),
        ("dns", {"name": "a..b"}, "not a name"),
        ("dns", {"name": "a", "record": "SPF"}, "record"),
        ("dns", {"name": "a", "exactly": ["10.0.0.300"]}, "not the value of a record of type A"),
        ("dns", {"name": "a", "record": "MX", "contains": ["mx1.example"]}, "not the value of a record of type MX"),
        ("dns", {"name": "a", "exactly": ["10.0.0.1"], "contains": ["10.0.0.1"]}, "leave contains out"),
        ("dns", {"name": "a", "name_servers": ["ns1.example"]}, "not a name server"),
        ("dns", {"name": "a", "name_servers": ["10.0.0.1:99999"]}, "not a name server"),
        ("tls", {"host": ""}, "host"),
        ("tls", {"host": "a", "server_name": ""}, "server_name"),
        ("tls", {"host": "a", "degraded": "3d", "unhealthy": "5d"}, "the warning comes first"),
        ("tls", {"host": "a", "starttls": "ftp"}, "starttls"),
        ("aws", {"region": "Ireland"}, "region"),
        ("aws", {"region": "eu-west-1", "account": "12"}, "account"),
        ("aws", {"region": "eu-west-1", "access_key_id": "x"}, "give both or neither"),
        ("aws", {"region": "eu-west-1", "healthy_targets": 0}, "healthy_targets"),
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
    assert KEY not in repr(StripeConfig(key=SecretStr(KEY)))


def test_third_parties_are_asked_seldom() -> None:
    """Their rate limits are shared with production traffic."""
    config = build("stripe", key=KEY)
    assert (config.interval, config.timeout) == (60, 10)


def test_headers_wants_hsts_unless_told_otherwise() -> None:
    """Also where only the status is given."""
    config = build("headers", url="https://a/", expect={"status": 200})
    assert "Strict-Transport-Security" in str(config.model_dump())


def test_dns_takes_an_address_for_a_reverse_name() -> None:
    """PTR is asked for the name that an address has in in-addr.arpa."""
    config = DNSConfig(name="192.0.2.1", record="PTR")
    assert config.query_name.to_text() == "1.2.0.192.in-addr.arpa."


@pytest.mark.parametrize("server", ["10.0.0.2", "10.0.0.2:5353", "::1", "[::1]:53"])
def test_name_servers(server: str) -> None:
    """An address, with a port or without."""
    build("dns", name="a", name_servers=[server])


@pytest.mark.parametrize(
    ("url", "asked"),
    [
        ("http://h/h?sig=ab%2Fcd%2Bef%3D&t=10%3A30", "/h?sig=ab%2Fcd%2Bef%3D&t=10%3A30"),
        ("http://h/%41/d/../e", "/%41/d/../e"),
        ("http://h/ä b?q=ü", "/%C3%A4%20b?q=%C3%BC"),
        ("http://h", "/"),
    ],
)
def test_the_url_that_is_asked_is_the_one_that_was_written(url: str, asked: str) -> None:
    """A signature over it fits no other spelling; only what cannot be on the wire is escaped."""
    assert HttpConfig.model_validate({"url": url}).request.url.raw_path_qs == asked


def test_basic_authentication_is_in_utf8() -> None:
    """As RFC 7617 has it, and with whatever a password holds."""
    request = HttpConfig.model_validate({"url": "http://user:p%E2%82%ACss@h/"}).request
    assert request.url.user is None
    assert request.headers is not None
    assert b64decode(request.headers["Authorization"].removeprefix("Basic ")).decode() == "user:p€ss"
