"""Addresses that people need to read and in which a secret may stand: in what is shown, and in what others repeat."""

import json
from typing import Any

import pytest

from healthd.config.file import ConfigError, parse
from healthd.runtime.redaction import Redactor, secrets_of
from healthd.runtime.web_address import WebAddress
from healthd_gates.config.settings import Config

KEY = "a1b2c3d4e5f60718"


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("http://prometheus:9090", "http://prometheus:9090"),
        ("https://mimir.example/prometheus", "https://mimir.example/prometheus"),
        ("https://app:hunter22@mimir.example:8443/prometheus", "https://***@mimir.example:8443/prometheus"),
        (f"https://mimir.example/t/{KEY}/prometheus", "https://mimir.example/t/***/prometheus"),
        (f"https://mimir.example/api?hook={KEY}&page=2", "https://mimir.example/api?hook=***&page=2"),
        ("https://[::1]:9090/", "https://[::1]:9090/"),
    ],
)
def test_what_is_shown(address: str, shown: str) -> None:
    """Whoever is up at night reads which host it is, and nobody reads the key."""
    assert WebAddress(address).masked == shown
    assert WebAddress(address) == address


def with_address(url: str) -> dict[str, Any]:
    source = {
        "kind": "prometheus",
        "url": url,
        "requests": "http_requests_total",
        "errors": 'http_requests_total{code="500"}',
        "params": {"k": KEY, "dedup": "true"},
    }
    return {
        "services": {"api": {"targets": {"one": "http://me:hunter22@shop:3000"}, "source": source}},
        "notifiers": {
            "alerts": {"kind": "alertmanager", "url": url},
            "boards": {"kind": "grafana", "url": url, "token": "glsa-token"},
            "pager": {"kind": "pagerduty", "url": url, "routing_key": "R0UTINGKEY123456"},
            "mail": {"kind": "sendgrid", "base_url": url, "key": "SG.key", "from": "a@b.example", "to": "c@d.example"},
        },
    }


def test_no_address_of_the_configuration_shows_its_secrets() -> None:
    """Nor do what a source is asked with, and what its server says back."""
    config = Config.model_validate(with_address(f"https://app:hunter22@mimir.example/t/{KEY}"))
    shown = config.model_dump_json(by_alias=True)
    assert KEY not in shown
    assert "hunter22" not in shown
    assert shown.count("https://***@mimir.example/t/***") == 5
    assert "http://***@shop:3000" in shown
    redact = Redactor(secrets_of(config))
    said = f"https://mimir.example/t/{KEY}/api/v1/query answered 404 with dedup true: no /t/{KEY}, nor k={KEY}"
    assert KEY not in redact(said)
    assert redact("mimir.example answered with dedup true") == "mimir.example answered with dedup true"


@pytest.mark.parametrize(
    "url", ["ftp://u:pw@h/x", "h/x", "http://", "http://:80/", "http://h:99999/", "http://[::1/", "http://h/a b"]
)
@pytest.mark.parametrize(
    ("section", "entry"),
    [
        ("notifiers", {"kind": "webhook"}),
        ("notifiers", {"kind": "slack"}),
        ("notifiers", {"kind": "alertmanager"}),
        ("notifiers", {"kind": "grafana", "token": "t"}),
        ("notifiers", {"kind": "pagerduty", "routing_key": "k" * 32}),
        ("actions", {"kind": "webhook"}),
    ],
    ids=lambda it: it["kind"] if isinstance(it, dict) else it,
)
def test_an_address_that_cannot_be_called_is_refused(section: str, entry: dict[str, str], url: str) -> None:
    """Before the night in which it is needed, with its key and without the password."""
    with pytest.raises(ConfigError) as caught:
        parse(json.dumps({section: {"it": {**entry, "url": url}}}), "healthd.yaml", Config, {})
    assert [problem.key for problem in caught.value.problems] == [f"{section}.it.url"]
    assert "pw" not in str(caught.value)
    assert "http://" in str(caught.value)
