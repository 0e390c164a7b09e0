"""What is told of a configuration that is no mistake."""

from typing import Any

import pytest
from pydantic import SecretStr

from healthd.config.secret_notes import notes_on_secrets
from healthd.config.settings import Settings
from healthd_gates.config.settings import Config

PUSH: dict[str, Any] = {"source": {"kind": "push"}}


def test_words_that_are_set_aside_are_told_with_their_place() -> None:
    """And nothing of the address is."""
    checks = {
        "db": {"kind": "postgresql", "uri": "postgresql://u:hunter2@h/d?connection_limit=1", "critical": True},
        "cache": {"kind": "redis", "uri": "redis://:hunter2@h/0?family=4"},
        "off": {"kind": "redis", "uri": "redis://h/0?family=4", "enabled": False},
        "old": {"kind": "mongodb", "uri": "mongodb://h/shop?useNewUrlParser=true"},
        "schema": {"kind": "migrations", "postgresql": {"uri": "postgresql://h/d?pool_timeout=3"}},
    }
    journal = SecretStr("postgresql://u:hunter2@h/d?channel_binding=require")
    notes = Settings.model_validate({"checks": checks, "journal": journal}).notes
    assert [note.partition(" is set aside")[0] for note in notes] == [
        "checks.db: connection_limit",
        "checks.cache: family",
        "checks.old: useNewUrlParser",
        "checks.schema: pool_timeout",
        "journal: channel_binding",
    ]
    assert "hunter2" not in str(notes)


def test_a_proxy_of_an_environment_without_one_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """As under systemd or cron: names of the outside are then not resolved, and nobody looks at a proxy."""
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    given = {"outgoing": {"proxy": "environment"}}
    told = "outgoing.proxy: environment, and neither HTTPS_PROXY nor HTTP_PROXY is set here: all goes directly"
    assert told in Settings.model_validate(given).notes
    monkeypatch.setenv("https_proxy", "http://proxy.internal:3128")
    assert told not in Settings.model_validate(given).notes


def test_windows_that_cover_nothing_are_told() -> None:
    """A silence of a misspelt label sends what it should hold back; one of several environments is no error."""
    checks = {
        "db": {"kind": "process", "critical": True, "labels": {"team": "shop"}},
        "off": {"kind": "disk", "enabled": False},
    }
    often: dict[str, Any] = {"cron": "0 3 * * SUN", "for": "1h", "reason": "x"}
    covering: list[dict[str, Any]] = [
        {"checks": "d*"},
        {"checks": "off"},
        {"labels": {"team": "s*"}},
        {"groups": ["data"]},
    ]
    idle: list[dict[str, Any]] = [
        {"labels": {"tema": "shop"}},
        {"checks": ["pya-*"]},
        {"checks": "db", "labels": {"team": "web"}},
    ]
    windows = {"maintenance": covering, "silences": idle}
    given = {key: [{**often, **each} for each in value] for key, value in windows.items()}
    groups = {"data": {"checks": ["db"]}}
    assert Settings.model_validate({"checks": checks, "groups": groups, **given}).notes == [
        "silences.0: covers no check: none has the label tema=shop; did you mean team?",
        "silences.1: covers no check: none is called pya-*",
        "silences.2: covers no check: none has the label team=web",
    ]


def _token(name: str, **labels: str) -> dict[str, Any]:
    return {"name": name, "hash": f"sha256:{ord(name):064x}", "role": "deployer", "labels": labels}


def test_an_interval_that_is_not_faster_is_told() -> None:
    check = {"kind": "process", "critical": True, "interval": "5s"}
    checks = {"a": {**check, "fast_interval": "30s"}, "b": {**check, "fast_interval": "5s"}}
    assert Settings.model_validate({"checks": checks}).notes == [
        "checks.a.fast_interval: is longer than interval (5s), which holds"
    ]


def test_labels_that_nothing_has_are_told() -> None:
    """Of a token as of a route, with the nearest one that there is; and an environment that no route is for: on-call
    would hear nothing all night. A route of another environment alone is no error."""
    check = {"kind": "process", "critical": True, "labels": {"team": "shop"}}
    raw: dict[str, Any] = {
        "environment": "production",
        "checks": {"db": check},
        "services": {"cart": {**PUSH, "labels": {"team": "pays"}}},
        "notifiers": {"n": {"kind": "webhook", "url": "http://n.test/"}},
        "auth": {"tokens": [_token("a", team="pay"), _token("b", team="pays"), _token("c")]},
        "routes": [
            {"to": "n", "environment": "prod", "labels": {"team": "shopp"}},
            {"to": "n", "environment": "staging", "labels": {"tema": "shop"}},
            {"to": "n", "environment": "staging", "labels": {"team": "p*"}},
            {"to": "n", "environment": "staging", "checks": "db", "labels": {"team": "pays"}},
            {"to": "n", "environment": "staging", "checks": "db"},
        ],
    }
    told = [note for note in Config.model_validate(raw).notes if note.startswith(("routes", "auth: "))]
    assert told == [
        "routes: none is for the environment production, so nothing is sent: they name prod, staging",
        "auth: a covers no check or service: none has the label team=pay; did you mean pays?",
        "routes.0: covers no check or service: none has the label team=shopp; did you mean shop?",
        "routes.1: covers no check or service: none has the label tema=shop; did you mean team?",
        "routes.3: covers no check or service: none has the label team=pays",
    ]
    raw["routes"].append({"to": "n"})
    assert not [note for note in Config.model_validate(raw).notes if note.startswith("routes:")]


@pytest.mark.parametrize(
    ("runbook", "told"),
    [
        ("", False),
        (" ", False),
        (None, False),
        ("https://wiki.example.com/a b", True),
        ("HTTPS://wiki.example.com/a?b=c#d", False),
        ("http://wiki", False),
        ("docs/runbooks/memory.md", True),
        ("see wiki: memory", True),
        ("javascript:alert('http://a')", True),
    ],
)
def test_a_runbook_that_is_no_link_is_told(runbook: str | None, told: bool) -> None:
    """It is for people, and never a reason to refuse the file; an empty one is none."""
    config = Config.model_validate({"checks": {"self": {"kind": "process", "runbook_url": runbook}}})
    note = (
        "checks.self.runbook_url: is shown as a text: for a link write a whole address, such as "
        "https://wiki.example.com/page"
    )
    assert (note in config.notes) is told
    assert (config.checks["self"].runbook_url is None) is not bool(runbook and runbook.strip())


def test_what_a_token_is_bound_to_and_nothing_has_is_told() -> None:
    """A pattern too: a slip in one binds to nothing, and may be right for names that come later."""
    token = {"name": "ci", "hash": "sha256:" + "0" * 64, "role": "deployer", "services": ["pya-*", "pay-*", "shp"]}
    watch = {**token, "name": "watch", "hash": "sha256:" + "1" * 64, "services": [], "checks": ["db-?", "sel*"]}
    push: dict[str, object] = {"source": {"kind": "push"}}
    services = {"pay-api": push, "shop": push}
    config = Config.model_validate(
        {"checks": {"self": {"kind": "process"}}, "services": services, "auth": {"tokens": [token, watch]}}
    )
    told = [note for note in config.notes if note.startswith("auth:")]
    assert sorted(told) == [
        "auth: ci is bound to 'pya-*', which is not under services; there are: pay-api, shop",
        "auth: ci is bound to 'shp', which is not under services; did you mean shop?",
        "auth: watch is bound to 'db-?', which is not under checks; there are: self",
    ]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"checks": {}}, None),
        ({"checks": {"a": {"kind": "process", "critical": True}}}, None),
        ({"checks": {"a": {"kind": "process"}}, "groups": {"ready": {"checks": ["a"]}}}, None),
        ({"checks": {"a": {"kind": "process"}}}, "checks: none that runs is critical, so that /health/ready is 200"),
        ({"checks": {"a": {"kind": "process", "critical": True, "enabled": False}}}, "checks: none that runs is"),
        (
            {"checks": {"a": {"kind": "process", "critical": True}}, "groups": {"ready": {"checks": []}}},
            "groups.ready: no check of it runs, so that /health/ready is 200",
        ),
    ],
)
def test_a_file_whose_checks_decide_nothing_is_told(given: dict[str, Any], told: str | None) -> None:
    """Traffic would go to what is down, as long as the process answers."""
    notes = Settings.model_validate(given).notes
    assert [note.startswith(told) for note in notes] == [True] if told else notes == []


def test_a_notifier_that_tells_nobody_is_told() -> None:
    """A route of another environment is enough: files are shared; what is off is left out as it is."""
    hook = {"kind": "webhook", "url": "https://hooks.example.com/x"}
    given = {
        "checks": {"self": {"kind": "process", "critical": True}},
        "notifiers": {"team": hook, "lost": hook, "off": {**hook, "enabled": False}, "live": hook},
        "routes": [{"to": "team"}, {"to": "live", "environment": "elsewhere"}],
    }
    assert Settings.model_validate(given).notes == [
        "notifiers.lost: no route leads to it, so it sends nothing: write `routes: [{to: lost}]`"
    ]


@pytest.mark.parametrize(
    ("cron", "lasts", "always"),
    [
        ("0 3 * * *", "26h", True),
        ("0 3 * * *", "24h", True),
        ("*/5 * * * *", "5m", True),
        ("0 0 1 * *", "31d", True),
        ("0 0 1 * *", "30d", False),
        ("0 3 * * *", "23h", False),
        ("* * * * MON-FRI", "2h", False),
    ],
)
def test_a_window_that_is_always_in_force_is_told(cron: str, lasts: str, always: bool) -> None:
    """It is meant for an hour of the night, and holds back every notice."""
    window = {"cron": cron, "for": lasts, "reason": "x"}
    given = {"maintenance": [{**window, "checks": "*"}], "silences": [{**window, "checks": "*"}], "freeze": [window]}
    config = Config.model_validate({"checks": {"self": {"kind": "process"}}, "services": {"shop": PUSH}, **given})
    told = [note.partition(": always in force")[0] for note in config.notes if "always in force" in note]
    assert told == (["maintenance.0", "silences.0", "freeze.0"] if always else [])


def test_a_day_of_25_hours_is_a_gap() -> None:
    """Once a year, where clocks change."""
    window = {"cron": "0 3 * * *", "for": "24h", "reason": "x", "checks": "*"}
    checks = {"self": {"kind": "process", "critical": True}}
    for zone, told in (("UTC", 1), ("Europe/Berlin", 0)):
        given = {"checks": checks, "silences": [{**window, "timezone": zone}]}
        assert len(Settings.model_validate(given).notes) == told


def test_windows_that_are_over_are_told() -> None:
    """A file that was valid stays so; it says what can be taken out."""
    past = {"from": "2020-01-01T00:00:00Z", "to": "2020-01-02T00:00:00Z", "reason": "x"}
    given = {"maintenance": [{**past, "checks": "*"}], "freeze": [{**past, "services": ["shop"]}]}
    services = {"shop": {"source": {"kind": "push"}}}
    config = Config.model_validate({"checks": {"self": {"kind": "process"}}, "services": services, **given})
    told = "ended at 2020-01-02T00:00:00.000Z: take it out"
    assert [note for note in config.notes if "ended" in note] == [f"maintenance.0: {told}", f"freeze.0: {told}"]


def test_a_password_that_is_an_ordinary_word_is_told_and_the_word_is_not() -> None:
    """It is soon guessed, and its mask hides that word everywhere. Words of the daemon's own output are not masked."""
    checks = {
        "payments": {"kind": "postgresql", "uri": "postgresql://app:postgresql@h/d"},
        "postgresql": {"kind": "postgresql", "uri": "postgresql://app:hunter22@h/d"},
        "cache": {"kind": "redis", "uri": "redis://:redis@h/0"},
        "web": {"kind": "http", "url": "https://h/health", "headers": {"Authorization": "Bearer 3f9c2a1b7d"}},
    }
    notifiers = {
        "other": {"kind": "webhook", "url": "http://h/x", "token": "s3cretivelylong"},
        "words": {"kind": "webhook", "url": "http://h/x", "token": "monkey"},
    }
    settings = Settings.model_validate({"checks": checks, "notifiers": notifiers, "journal": "sqlite:///j.db"})
    told = list(notes_on_secrets(settings))
    assert [note.partition(": ")[0] for note in told] == ["checks.payments", "notifiers.words"]
    assert not {"monkey", "postgresql"} & set(" ".join(told).replace("checks.postgresql", "").split())


def test_tls_at_the_port_without_it_is_told() -> None:
    urls = {"a": "https://u:p@h:15672", "b": "https://u:p@h:15671", "c": "http://u:p@h:15672", "d": "https://u:p@h"}
    checks = {name: {"kind": "rabbitmq", "url": url, "critical": True} for name, url in urls.items()}
    told = "checks.a: url has https with 15672, where a management listens without TLS; with TLS it is 15671"
    assert Settings.model_validate({"checks": checks}).notes == [told]


def test_two_tokens_with_one_hash_are_told() -> None:
    """Whoever presents the token has the rights of one of them, and the audit shows that name alone."""
    one, other = (f"sha256:{digit * 64}" for digit in "01")
    tokens = [
        {"name": name, "hash": hashed, "role": "viewer"} for name, hashed in zip("abc", (one, other, one), strict=True)
    ]
    told = [note for note in Settings.model_validate({"auth": {"tokens": tokens}}).notes if "hash" in note]
    assert told == ["auth.tokens: a, c have one hash, and c alone is valid: make each its own token"]


@pytest.mark.parametrize("of", ["checks", "services"])
def test_a_password_in_what_is_shown_as_it_is_written_is_told(of: str) -> None:
    """And is not shown by that."""
    entry: dict[str, Any] = {"labels": {"team": "shop", "wiki": "https://ann:hunter2@wiki/x", "at": "ann@shop"}}
    told = "has a password, which pages, notices and metrics show as it is written: take it out"
    if of == "services":
        found = Config.model_validate({"services": {"api": {**PUSH, **entry}}}).notes
        assert f"services.api.labels.wiki: {told}" in found
    else:
        entry |= {"kind": "process", "critical": True, "runbook_url": "https://ann:hunter2@wiki/x"}
        found = Settings.model_validate({"checks": {"api": entry}}).notes
        assert found == [f"checks.api.runbook_url: {told}", f"checks.api.labels.wiki: {told}"]
    assert "hunter2" not in str(found)
