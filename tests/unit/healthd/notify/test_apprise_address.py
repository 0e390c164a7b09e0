"""Of an address of Apprise what is secret is shown nowhere, and what people need is."""

import functools
import re
from typing import Any
from urllib.parse import quote

import pytest
from apprise.manager_plugins import NotificationManager
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from healthd.notifiers.apprise import AppriseConfig
from healthd.notifiers.apprise_services import service_of
from healthd.runtime.redaction import Redactor

ACCESS, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
SID, TOKEN = "AC735c3a6f2e9b4c1d8a7e6f5d4c3b2a1f", "0a1b2c3d4e5f60718293a4b5c6d7e8f9"


@functools.cache
def plugins() -> dict[str, Any]:
    """All of them by name. To load them takes a third of a second, which no worker that tests others is to spend."""
    return {each.__name__: each for each in NotificationManager().plugins()}  # type: ignore[no-untyped-call]


def redactor(address: str) -> Redactor:
    return Redactor.of(AppriseConfig.model_validate({"kind": "apprise", "url": address}))


@pytest.mark.parametrize(
    ("address", "secret", "shown"),
    [
        (f"sns://{ACCESS}/{quote(SECRET, safe='')}/eu-central-1/+12025550147", [ACCESS, SECRET],
         ["eu-central-1", "+12025550147", "12025550147"]),
        (f"ses://ops@example.com/{ACCESS}/{SECRET}/us-gov-west-1/team@example.com", [ACCESS, SECRET],
         ["us-gov-west-1", "ops@example.com", "team@example.com"]),
        ("tgram://123456789:abcdefg_hijklmnopqrstuvw-xyzabcdefg/-1009876543210/",
         ["123456789:abcdefg_hijklmnopqrstuvw-xyzabcdefg"], ["-1009876543210"]),
        (f"twilio://{SID}:{TOKEN}@12025550100/12025550147,12025550148", [SID, TOKEN],
         ["12025550100", "12025550147", "12025550148"]),
        (f"pover://uQiRzpo4DXghDmr9QzzfQu27cmVRsG@azGDORePK8gMaC0QOYAMyEEuzJnyUi/{'a' * 8}1",
         ["uQiRzpo4DXghDmr9QzzfQu27cmVRsG", "azGDORePK8gMaC0QOYAMyEEuzJnyUi"], []),
        # Which by its template is no secret.
        (f"plivo://maaaaaaaaaaaaaaaaaaa1@{TOKEN}/12025550147/12025550148", [TOKEN], ["12025550147", "12025550148"]),
        ("json://hook.example.com/1234567890123", ["1234567890123"], ["hook.example.com"]),
        ("ntfys://ntfy.example.com/Kq8vX2Lw9pTz4nRb", ["Kq8vX2Lw9pTz4nRb"], ["ntfy.example.com"]),
    ],
)  # fmt: skip
def test_what_is_shown_of_an_address(address: str, secret: list[str], shown: list[str]) -> None:
    """Ids, numbers, regions and mail addresses are; keys are not, nor what may be one."""
    redact = redactor(address)
    for text in secret:
        assert redact(f"it said {text} there") == "it said *** there"
    for text in shown:
        assert redact(f"it said {text} there") == f"it said {text} there"
    assert redact(address) == "***"


def test_a_key_of_ordinary_words_is_none_the_less_secret() -> None:
    """By its place, whatever it looks like; also where it is the same as an id."""
    assert redactor("pbul://bluebird")("it said bluebird") == "it said ***"
    redact = redactor("twilio://ACabcdef:12025550147@12025550100/12025550147")
    assert redact("12025550147 of 12025550100") == "*** of 12025550100"


def _value(name: str, token: dict[str, Any]) -> st.SearchStrategy[str]:
    if name == "host":
        return st.from_regex(r"[a-z]{3,12}\.example\.com", fullmatch=True)
    if "path" in name:
        return st.just("/a/")
    if name == "port" or token.get("type") == "int":
        return st.integers(1, 9999).map(str)
    if token.get("values"):
        return st.sampled_from(sorted(map(str, token["values"])))
    if "email" in name:
        return st.from_regex(r"[a-z]{3,9}@example\.com", fullmatch=True)
    if "phone" in name or name == "targets":
        return st.from_regex(r"1[0-9]{10}", fullmatch=True)
    if token.get("regex"):
        pattern, flags = (*token["regex"], "")[:2]
        return st.from_regex(re.compile(pattern, re.IGNORECASE * ("i" in (flags or ""))), fullmatch=True)
    return st.from_regex(r"[A-Za-z0-9]{8,40}", fullmatch=True)


def _understood(name: str, data: st.DataObject) -> tuple[str, dict[str, str]]:
    """Return an address of a service that it accepts, and the values in it."""
    plugin = plugins()[name]
    template = data.draw(st.sampled_from(plugin.templates))
    values = {"schema": str(plugin.secure_protocol or plugin.protocol).strip("()'").partition("'")[0]}
    for token in re.findall(r"{(\w+)}", template):
        if token != "schema":
            values[token] = data.draw(_value(token, plugin.template_tokens.get(token, {})))
    quoted = {token: quote(value, safe="@+=/") for token, value in values.items()}
    return template.format(**quoted), values


@pytest.mark.proof
@given(data=st.data())
@settings(
    max_examples=200,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
)
def test_what_a_service_calls_private_is_never_shown(data: st.DataObject) -> None:
    """Of every service that Apprise has, at addresses that it accepts."""
    name = data.draw(st.sampled_from(sorted(plugins())))
    address, values = _understood(name, data)
    try:
        service_of(address)
    except ValueError:
        assume(False)
    redact = redactor(address)
    for token, value in values.items():
        if plugins()[name].template_tokens.get(token, {}).get("private") and len(value) >= 8:
            assert value not in redact(f"it said {value} there")
            assert quote(value, safe="") not in redact(f"it said {quote(value, safe='')} there")
