"""GitHub's webhook: who sent it, whom it may have called back, and which gate it asks for."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pydantic import SecretStr, ValidationError

from healthd_gates.config.hooks.github import App, GitHubConfig
from healthd_gates.hooks.github.callback import app_token
from healthd_gates.hooks.github.event import UnusableEventError, is_signed, owed_for

SECRET = "it is a long secret"
SHA = "f95f852bd8fca8fcc58a9a2d6c842781e32a215e"
RULES = [
    {"repository": "octo/api", "environment": "production", "service": "api", "policy": "preflight"},
    {"repository": "octo/*", "environment": "staging*", "service": "web", "version": "ref", "target": "green"},
]


def github(**changes: Any) -> GitHubConfig:
    return GitHubConfig.model_validate({"kind": "github", "secret": SECRET, "token": "t", "rules": RULES, **changes})


def event(**changes: Any) -> dict[str, Any]:
    """As GitHub sends it, without what is of no concern here."""
    return {
        "action": "requested",
        "environment": "production",
        "event": "push",
        "deployment_callback_url": "https://api.github.com/repos/octo/api/actions/runs/1234/deployment_protection_rule",
        "deployment": {"id": 77, "sha": SHA, "ref": "refs/tags/v2.0", "task": "deploy", "creator": {"login": "kim"}},
        "pull_requests": [],
        "repository": {"id": 5, "full_name": "octo/api", "html_url": "https://github.com/octo/api", "private": True},
        "sender": {"login": "kim", "id": 9},
        "installation": {"id": 42, "node_id": "abc"},
        **changes,
    }


def owed(config: GitHubConfig | None = None, **changes: Any) -> Any:
    return owed_for(json.dumps(event(**changes)).encode(), "github", config or github())


def test_a_signature_is_of_these_bytes_by_this_secret() -> None:
    """GitHub's own example, and what is no signature."""
    body, example = b"Hello, World!", "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    secret = "It's a Secret to Everybody"
    assert is_signed(secret, f"sha256={example}", body)
    assert not is_signed(secret, f"sha256={example}", body + b" ")
    assert not is_signed("another secret", f"sha256={example}", body)
    for wrong in (None, "", example, f"sha1={example}", f"sha256={example.upper()}", "sha256=é", "sha256=\udcff"):
        assert not is_signed(secret, wrong, body)
    assert hmac.new(secret.encode(), body, hashlib.sha256).hexdigest() == example


def test_the_first_rule_that_fits_says_which_gate() -> None:
    """By repository and environment, whatever their case."""
    asked = owed().request
    assert (asked.service, asked.policy, asked.candidate.version, asked.rollback) == ("api", "preflight", SHA, "off")
    assert (asked.deployment.id, asked.deployment.actor) == ("octo/api run 1234", "kim")
    assert asked.deployment.url == "https://github.com/octo/api/actions/runs/1234"
    asked = owed(environment="Staging-EU").request
    assert (asked.service, asked.candidate.version, asked.candidate.target) == ("web", "v2.0", "green")
    short = github(rules=[{"service": "api", "version": "short_sha"}])
    assert owed(short).request.candidate.version == SHA[:7]


def test_a_deployment_that_no_rule_is_for_is_rejected() -> None:
    """Rather than left waiting for thirty days."""
    answer = owed(environment="qa")
    assert answer.request is None
    assert answer.why == "No rule is for the environment qa of octo/api."
    assert answer.address["environment"] == "qa"


@pytest.mark.parametrize("deployment", [{"id": 77, "sha": "../etc", "ref": "main"}, {"id": 77}])
def test_a_deployment_of_nothing_that_has_a_name_is_rejected(deployment: dict[str, Any]) -> None:
    """And GitHub's people see why."""
    answer = owed(deployment=deployment)
    assert answer.request is None
    assert "version" in str(answer.why)


def test_every_delivery_of_one_request_has_the_same_key_and_no_other_has() -> None:
    """What is redelivered is the same; another run, environment, deployment or repository is not."""
    assert owed().key == owed(sender={"login": "someone-else"}).key
    other_run = event()["deployment_callback_url"].replace("1234", "1235")
    keys = {
        owed().key,
        owed(deployment_callback_url=other_run).key,
        owed(environment="staging").key,
        owed(deployment={"id": 78, "sha": SHA}).key,
        owed(repository={"id": 6, "full_name": "octo/api"}).key,
    }
    assert len(keys) == 5
    assert all(key.isascii() and len(key) < 100 for key in keys)


_PLACE = "/repos/octo/api/actions/runs/1234/deployment_protection_rule"


@pytest.mark.parametrize(
    ("url", "config", "why"),
    [
        (f"http://api.github.com{_PLACE}", {}, "is not https"),
        (f"https://evil.example{_PLACE}", {}, "is not under hosts"),
        (f"https://api.github.com:8443{_PLACE}", {}, "is not under hosts"),
        (f"https://api.github.com@evil.example{_PLACE}", {}, "could be called back"),
        (f"https://api.github.com.evil.example{_PLACE}", {}, "is not under hosts"),
        (f"file://api.github.com{_PLACE}", {}, "could be called back"),
        (f"https://api.github.com{_PLACE.replace('api', 'other')}", {}, "of a run of octo/api"),
        ("https://api.github.com/repos/octo/api/../x", {}, "of a run of octo/api"),
        (f"https://api.github.com{_PLACE}/more", {}, "of a run of octo/api"),
        ("https://[", {}, "is not an address"),
        (f"http://127.0.0.1:80{_PLACE}", {"plain_http": True}, "is not under hosts"),
        (f"https://ghe.example{_PLACE}", {"hosts": ["ghe.example:8443"]}, "is not under hosts"),
    ],
)  # fmt: skip
def test_nobody_is_called_back_whom_the_configuration_does_not_name(url: str, config: Any, why: str) -> None:
    """Whatever a signed event says."""
    with pytest.raises(UnusableEventError, match=why):
        owed(github(**config), deployment_callback_url=url)


@pytest.mark.parametrize(
    ("url", "config"),
    [
        (f"https://API.github.com{_PLACE}", {}),
        (f"https://api.github.com:443{_PLACE}", {}),
        (f"https://ghe.example/api/v3{_PLACE}", {"hosts": ["ghe.example"]}),
        (f"http://127.0.0.1:8081{_PLACE}", {"hosts": ["127.0.0.1:8081"], "plain_http": True}),
    ],
)
def test_a_host_that_is_named_may_be_called(url: str, config: Any) -> None:
    """GitHub's own, and that of a GitHub Enterprise Server."""
    assert owed(github(**config), deployment_callback_url=url).request is not None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"action": "completed"}, "action: must be 'requested'"),
        ({"environment": ""}, "environment: must not be empty"),
        ({"repository": {"full_name": "octo/api"}}, "repository.id: is required"),
        ({"deployment": {"id": "seventy-seven"}}, "deployment.id: must be a whole number"),
        ({"installation": []}, "installation: must be a mapping of keys to values, such as `key: value`, one a line"),
    ],
)
def test_an_event_of_another_form_is_refused_with_its_field(changes: Any, said: str) -> None:
    """As 422, which GitHub shows with the delivery."""
    with pytest.raises(UnusableEventError) as refused:
        owed(**changes)
    assert str(refused.value) == said


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"action": requested}', "it is not JSON: line 1, column 12: a value is expected"),
        (b'{"action": "\xff"}', "it is not JSON: it must be UTF-8, and byte 13 is not"),
        (b"[" * 100_000, "it is not JSON: it is nested too deeply"),
        (b'["\\ud800"]', "it is not JSON: a text holds an escape that is half a character"),
    ],
)
def test_an_event_that_is_no_json_is_told_where(body: bytes, said: str) -> None:
    with pytest.raises(UnusableEventError) as refused:
        owed_for(body, "prod", github())
    assert str(refused.value) == said


def _pem(key: rsa.RSAPrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()


def test_an_app_says_who_it_is_with_a_token_of_its_own_making() -> None:
    """RS256, by its key, for less than ten minutes, and from a minute ago for a clock that is behind."""
    key = rsa.generate_private_key(65537, 2048)
    now = datetime(2026, 1, 1, tzinfo=UTC)
    signed, _, signature = app_token(App(id="12", private_key=SecretStr(_pem(key))), now).rpartition(".")
    key.public_key().verify(base64.urlsafe_b64decode(signature + "=="), signed.encode(), PKCS1v15(), SHA256())
    header, claims = (json.loads(base64.urlsafe_b64decode(part + "==")) for part in signed.split("."))
    seconds = int(now.timestamp())
    assert header == {"alg": "RS256", "typ": "JWT"}
    assert claims == {"iat": seconds - 60, "exp": seconds + 540, "iss": "12"}


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"token": None}, "either app, with id and private_key, or token"),
        ({"secret": "short"}, "at least 16"),
        ({"token": None, "app": {"id": 12, "private_key": "no key"}}, "is not an RSA key in PEM"),
        ({"hosts": ["https://api.github.com"]}, "write a host"),
        ({"rules": []}, "rules"),
    ],
)
def test_a_hook_that_could_not_work_is_refused(changes: Any, problem: str) -> None:
    """When the configuration is read, not when the first deployment waits."""
    with pytest.raises(ValidationError, match=problem) as refused:
        github(**changes)
    assert SECRET not in str(refused.value)
