"""Which way an address is reached, by the section `outgoing` of a configuration."""

import pytest
from pydantic import ValidationError
from yarl import URL

from healthd.config.outgoing import Outgoing

STRIPE = URL("https://api.stripe.com/v1/balance")
_VARIABLES = ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy")


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in _VARIABLES:
        monkeypatch.delenv(name, raising=False)


def test_the_environment_is_heeded_only_where_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://a:p%40ss@proxy.test:3128")
    monkeypatch.setenv("NO_PROXY", ".internal")
    assert Outgoing().way.to(STRIPE) is None
    way = Outgoing.model_validate({"proxy": "environment"}).way
    proxy = way.to(STRIPE)
    assert proxy is not None
    assert (str(proxy), proxy.user, proxy.password) == ("proxy.test:3128", "a", "p@ss")
    assert way.to(URL("wss://api.stripe.com/")) == proxy
    assert way.to(URL("http://api.stripe.com/")) is None
    assert way.to(URL("https://shop.internal/")) is None
    assert "p@ss" not in repr(way)
    assert "p%40ss" not in repr(way)


def test_a_proxy_of_the_environment_of_another_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "socks5://a:s3cr3t@proxy.test:1080")
    with pytest.raises(
        ValidationError, match="from the environment, where https_proxy is a proxy of another kind"
    ) as told:
        Outgoing.model_validate({"proxy": "environment"})
    assert "s3cr3t" not in str(told.value.errors()[0]["msg"])


def test_no_proxy() -> None:
    way = Outgoing.model_validate({"proxy": "http://proxy.test:3128", "no_proxy": ".internal, 10.0.0.0/8"}).way
    direct = ("https://shop.internal", "http://10.1.2.3", "https://localhost:8443", "http://127.0.0.2")
    assert [url for url in direct if way.to(URL(url)) is not None] == []
    assert way.to(STRIPE) is not None
