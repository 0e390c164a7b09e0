"""The address under which callers reach the daemon."""

import pytest
from aiohttp.test_utils import make_mocked_request
from pydantic import ValidationError

from healthd.config.sections import Http
from healthd.web.external import base_of


@pytest.mark.parametrize(
    ("headers", "base"),
    [
        ({"Host": "healthd.monitoring:8080"}, "http://healthd.monitoring:8080"),
        ({"Host": "[::1]:8080"}, "http://[::1]:8080"),
        ({"Host": "a", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "healthd.example"}, "https://healthd.example"),
        ({"Host": "a", "X-Forwarded-Host": "one.example, two.example"}, "http://one.example"),
        ({"Host": "a", "Forwarded": 'for=1.2.3.4;proto=https;host="healthd.example"'}, "https://healthd.example"),
        ({"Host": "a", "X-Forwarded-Prefix": "/health/"}, "http://a/health"),
        ({}, ""),
        ({"Host": "a/b"}, ""),
        ({"Host": "a b"}, ""),
        ({"Host": "a", "X-Forwarded-Proto": "javascript"}, ""),
        ({"Host": "a", "X-Forwarded-Host": "user@evil.example"}, ""),
        ({"Host": "a", "X-Forwarded-Prefix": "//evil.example"}, "http://a"),
    ],
)
def test_links_lead_where_the_caller_called(headers: dict[str, str], base: str) -> None:
    """As its proxy says; what is no host's name is not repeated."""
    assert base_of(make_mocked_request("GET", "/", headers=headers), None) == base


def test_what_is_configured_goes_first() -> None:
    """Whatever the caller says."""
    request = make_mocked_request("GET", "/", headers={"Host": "a", "X-Forwarded-Host": "b"})
    configured = Http.model_validate({"external_url": "https://healthd.example.com/ops/"}).external_url
    assert base_of(request, configured) == "https://healthd.example.com/ops"


@pytest.mark.parametrize(
    "url", ["healthd.example.com", "https://u:p@h.example", "https://h.example/?a=b", "ftp://h", "https://", "h#x"]
)
def test_an_address_that_is_none_is_refused(url: str) -> None:
    """With the form that it must have."""
    with pytest.raises(ValidationError, match="write a whole address"):
        Http.model_validate({"external_url": url})
