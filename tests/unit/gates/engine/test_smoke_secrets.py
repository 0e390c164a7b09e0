"""The body of a smoke request is often a login."""

from healthd.runtime.redaction import Redactor, secrets_of
from healthd_gates.config.settings import Config
from healthd_gates.criteria.smoke import Smoke
from healthd_gates.engine.spec import load_spec, policy_body

LOGIN = {"user": "healthd", "password": "hunter22", "scopes": ["read"], "device": {"id": "a1b2c3d4e5f6"}}
CONFIG = Config.model_validate(
    {
        "services": {"api": {"targets": {"one": "http://127.0.0.1:1"}, "policy": "login"}},
        "policies": {
            "login": {"criteria": [{"kind": "smoke", "requests": [{"post": "/login", "json": LOGIN}]}]},
            "other": {"criteria": [{"kind": "smoke", "requests": [{"get": "/health"}]}]},
        },
    }
)


def test_it_is_sent_and_not_told() -> None:
    """Neither in what is shown of the configuration, nor in the journal, nor in anybody's answer."""
    policy = CONFIG.policies["login"]
    (criterion,) = policy.criteria
    assert isinstance(criterion, Smoke)
    assert criterion.requests[0].sent_json == LOGIN
    for text in (CONFIG.model_dump_json(by_alias=True), policy_body(policy), repr(policy)):
        assert "hunter22" not in text
        assert "a1b2c3d4e5f6" not in text
    redact = Redactor(secrets_of(CONFIG))
    assert redact("no login hunter22 of healthd on a1b2c3d4e5f6") == "no login *** of healthd on ***"


def test_the_journal_keeps_no_body() -> None:
    """A gate whose policy was changed since cannot send its own, and knows it."""
    body = policy_body(CONFIG.policies["login"])
    assert not load_spec(body, "login", "api", CONFIG).without_secrets
    assert load_spec(body, "other", "api", CONFIG).without_secrets
