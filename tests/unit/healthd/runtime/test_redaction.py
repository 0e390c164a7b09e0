"""Secrets in every form in which they could come back."""

import base64
import json
import math
import string
import time
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, SecretStr

from healthd.config.settings import Settings
from healthd.runtime.redaction import MASK, Redactor, secrets_of

# With everything that some layer quotes, escapes or splits at.
awkward = string.ascii_letters + string.digits + string.punctuation + " äß€"
passwords = st.text(alphabet=awkward, min_size=8).filter(lambda text: text.strip() == text)


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("postgresql://app:pw@db:5432/app", "postgresql://***@db:5432/app"),
        ("redis://:pw@cache/0 refused", "redis://***@cache/0 refused"),
        ("https://key@sentry.io/1", "https://***@sentry.io/1"),
        ("MONGODB+SRV://u:p%40ss@c.mongodb.net", "MONGODB+SRV://***@c.mongodb.net"),
        ("Authorization: Bearer abc.def", "Authorization: ***"),
        ("{'authorization': 'Basic dTpw'}", "{'authorization': '***'}"),
        ("password=pw&user=u", "password=***&user=u"),
        ("DB_PASSWORD=pw", "DB_PASSWORD=***"),
        ('"api_key": "abc"', '"api_key": "***"'),
        ("https://host/path?access_token=abc&page=2", "https://host/path?access_token=***&page=2"),
    ],
)
def test_what_looks_like_a_credential(text: str, clean: str) -> None:
    """Credentials that nobody told it of are known by their place."""
    assert Redactor()(text) == clean


@pytest.mark.parametrize(
    "key",
    [
        "hd" + "_" + "Ab1_-" * 8 + "xyz",
        "sk" + "_live_" + "a1" * 12,
        "rk" + "_test_" + "a1" * 12,
        "SG" + ".abcdefghijklmnopqrstuv.abcdefghijklmnopqrstuv-wxyz",
        "ghp" + "_" + "a1" * 18,
        "xoxb" + "-123456789012-abcdef",
    ],
)
def test_what_is_a_key_by_its_beginning(key: str) -> None:
    """Wherever it stands, such as in the title of an incident into which somebody pasted a command."""
    assert Redactor()(f"leak {key}, of Search") == f"leak {MASK}, of Search"
    assert Redactor()(f"curl -H 'x: {key}'") == f"curl -H 'x: {MASK}'"


@pytest.mark.parametrize(
    "text",
    [
        "hd_gate and sk_live_1 are names",
        "no answer within 2 s",
        "https://api.stripe.com/v1/balance answered 500",
        "mail admin@platform.io",
        "the token bucket is empty",
        "password authentication failed for user app",
        "2 of 3 passed: a, b",
    ],
)
def test_ordinary_words_stay(text: str) -> None:
    """A message that says nothing any more helps nobody at night."""
    assert Redactor(["hunter22"])(text) == text


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        ("tool -p hunter22 -v", "tool -p *** -v"),
        ("psql -p 5432 -d app", "psql -p 5432 -d app"),
        ("docker run -p 8080:80 web", "docker run -p 8080:80 web"),
        ("mkdir -p /var/lib/x", "mkdir -p /var/lib/x"),
        ("find . -path x -print", "find . -path x -print"),
        ("mysqladmin -phunter22 --port 3306 ping", "mysqladmin -p*** --port 3306 ping"),
        ("/usr/bin/mysqldump -p 12345 app", "/usr/bin/mysqldump -p *** app"),
        ("redis-cli -a 12345 ping", "redis-cli -a *** ping"),
        ("curl -s -u app:hunter22 https://host/", "curl -s -u *** https://host/"),
        ("curl --user=app:hunter22 --user-agent x --url y", "curl --user=*** --user-agent x --url y"),
        ("tool --password hunter22 --db-password=hunter22", "tool --password *** --db-password=***"),
        ("", ""),
    ],
)
def test_words_of_a_command(command: str, shown: str) -> None:
    """Passwords that nobody told it of are known by the option before them; ports and paths stay."""
    assert Redactor().words(command.split()) == shown.split()


def leaks(text: str, secret: str) -> bool:
    forms = {secret, quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1], repr(secret)[1:-1]}
    return any(form in text for form in forms)


@settings(max_examples=50)
@given(passwords)
def test_every_form_of_a_secret(secret: str) -> None:
    """As it is, quoted for a URL, escaped in a repr or in JSON, as bytes and in base64."""
    redact = Redactor([secret])
    for text in (
        secret,
        f"x{secret}y",
        quote(secret, safe=""),
        quote_plus(secret),
        repr({"k": secret}),
        json.dumps({"k": secret}),
        json.dumps({"k": secret}, ensure_ascii=False),
        str(KeyError(secret)),
    ):
        assert not leaks(redact(text), secret), text
    encoded = base64.b64encode(secret.encode()).decode()
    assert encoded.rstrip("=") not in redact(f"Basic {encoded}")


@settings(max_examples=50)
@given(passwords, st.sampled_from(["postgresql", "redis", "mongodb+srv", "https"]), st.booleans())
def test_the_password_of_a_uri_alone(secret: str, scheme: str, quoted: bool) -> None:
    """A driver that tells only the password, decoded or not, tells nothing."""
    written = quote(secret, safe="") if quoted else secret
    redact = Redactor([f"{scheme}://app:{written}@db.internal:5432/app?sslmode=require"])
    for text in (f"refused {written}", f"refused {secret}", f"refused {secret!r}"):
        assert not leaks(redact(text), secret), text


def test_sensitive_parameters_of_a_uri() -> None:
    """A password may stand in the query, where only its name tells."""
    redact = Redactor(["redis://cache/0?password=hunter22&db=1"])
    assert redact("login with hunter22 at db=1") == "login with *** at db=1"


@pytest.mark.parametrize(
    ("secret", "text"),
    [
        ("postgresql://shop@db:5432/postgres", "shop.app at db:5432, user shop"),
        ("mongodb+srv://postgresuser1@db/shop", "no role for postgresuser1"),
        ("https://shop@grafana.example/api", "shop.app"),
        ("postgresql://healthd:healthd@db/healthd", "healthd.app: healthd is ready"),
        ("True", '{"status": true}'),
        ("info", "level info"),
    ],
)
def test_names_and_the_daemons_own_words_stay(secret: str, text: str) -> None:
    """A user name is no secret, and a mask over a common word hides nothing and eats the log."""
    assert Redactor([secret])(text) == text


def test_a_token_in_the_place_of_a_user_is_secret() -> None:
    """Many services take a token as the user of a web address."""
    assert Redactor(["https://0a1b2c3d4e5f@sentry.example/1"])("key 0a1b2c3d4e5f is unknown") == "key *** is unknown"


def test_only_secret_variables_and_headers() -> None:
    """`MODE: production` is no secret; a password is one whatever it looks like, and a key whatever its name."""
    found = secrets_of(
        {"MODE": SecretStr("production"), "DB_PASSWORD": SecretStr("swordfish"), "X": SecretStr("0a1b2c3d")}
    )
    assert list(found) == ["swordfish", "0a1b2c3d"]


@pytest.mark.parametrize(
    ("name", "value", "is_secret"),
    [
        ("Accept", "application/json", False),
        ("accept", "application/vnd.github.v3+json;q=0.9, */*", False),
        ("Content-Type", "application/x-www-form-urlencoded", False),
        ("Accept-Language", "de-DE,en;q=0.8", False),
        ("Host", "shop.internal.example.com:8443", False),
        ("X-Requested-With", "XMLHttpRequest", False),
        ("Accept", "0a1b2c3d4e5f60718293a4b5c6d7e8f9", True),
        ("Host", "Xq81zPl.internal", True),
        ("User-Agent", "uptime-of-our-firewall", True),
        ("Authorization", "application/json", True),
        ("Cookie", "consent=application/json", True),
        ("X-Api-Key", "application/json", True),
        ("X-Team", "application/json/abcdef", True),
    ],
)
def test_a_header_that_says_how_to_answer_is_no_secret(name: str, value: str, is_secret: bool) -> None:
    """Its mask would stand wherever a message names a media type or a host. What looks like a key is one in it too."""
    assert bool(list(secrets_of({name: SecretStr(value)}))) is is_secret


def test_old_secrets_stay_secret() -> None:
    """After a reload an old value may still sit in an exception."""
    redact = Redactor(["first-secret"])
    redact.learn(["second-secret"])
    assert redact("first-secret second-secret") == "*** ***"


def test_longer_secrets_come_first() -> None:
    """One that contains another is not left half."""
    assert Redactor(["hunter22", "hunter22-and-more"])("hunter22-and-more") == MASK


def test_deeply() -> None:
    """Every text in a structure, keys too, as plain JSON."""
    value: Any = {"a hunter22": ["hunter22", ("hunter22", {"x": b"hunter22"})], "n": [1, 2.5, math.nan, True, None]}
    clean = Redactor(["hunter22"]).deeply(value)
    assert clean == {"a ***": ["***", ["***", {"x": "b'***'"}]], "n": [1, 2.5, None, True, None]}
    assert json.loads(json.dumps(clean)) == clean


def test_secrets_of() -> None:
    """All that a configuration holds, however deep."""

    class Inner(BaseModel):
        key: SecretStr
        public: str = "public"

    class Outer(BaseModel):
        one: Inner
        many: tuple[Inner, ...] = ()
        named: dict[str, list[SecretStr]] = {}

    outer = Outer(
        one=Inner(key=SecretStr("a")), many=(Inner(key=SecretStr("b")),), named={"x": [SecretStr("c"), SecretStr("d")]}
    )
    assert list(secrets_of(outer)) == ["a", "b", "c", "d"]


SLACK = "https://hooks.example/services/T000/B00/s3cretpath"


@pytest.mark.parametrize(
    ("secret", "answer", "clean"),
    [
        (SLACK, "The requested URL /services/T000/B00/s3cretpath was not found", "The requested URL *** was not found"),
        (SLACK, "Cannot POST /services/T000/B00/s3cretpath<br>", "Cannot POST ***<br>"),
        (SLACK, '{"path": "\\/services\\/T000\\/B00\\/s3cretpath"}', '{"path": "***"}'),
        (SLACK, "no route for /T000/B00/s3cretpath", "no route for ***"),
        (SLACK, "unknown hook s3cretpath", "unknown hook ***"),
        (SLACK, "unknown hook S3CRETPATH", "unknown hook ***"),
        ("https://h/api/run?hook=Zyxwvuts1", "GET /api/run?hook=Zyxwvuts1", "GET /api/run?***"),
        ("https://h/api/run?hook=Zyxwvuts1", '{"hook": "Zyxwvuts1"}', '{"hook": "***"}'),
        ("https://h/supersecretpath", "/supersecretpath is gone", "*** is gone"),
    ],
)
def test_the_parts_of_an_address(secret: str, answer: str, clean: str) -> None:
    """A server repeats the path, with or without the query, or what is left of it behind a proxy."""
    assert Redactor([secret])(answer) == clean


@pytest.mark.parametrize(
    ("address", "text"),
    [
        ("redis://u:0123456789abcdef@h/0?keyPrefix=shop-carts", "the namespace shop-carts"),
        ("postgresql://u:0123456789abcdef@h/shop?require_auth=scram-sha-256", "scram-sha-256 is not offered"),
        (
            "mongodb://u:0123456789abcdef@h/shop?authSource=admin&authMechanism=SCRAM-SHA-256",
            "the admin of SCRAM-SHA-256",
        ),
        (SLACK, "https://hooks.example answered 404"),
        (SLACK, "services and webhooks"),
        ("https://shop.example/health/ready", "GET /health/ready answered 503"),
        ("https://shop.example/v2/readiness?env=staging", "staging is not ready: /v2/readiness"),
        ("postgresql://app:hunter22@db/production_orders", 'database "production_orders" does not exist'),
    ],
)
def test_ordinary_words_of_an_address_stay(address: str, text: str) -> None:
    """Which host, which path and which database it was is what people need to know."""
    assert Redactor([address])(text) == text


def test_names_of_the_configuration_stay() -> None:
    """A check of /checkout must not make that word unreadable in audits and notices. What is behind it in the path is a
    key all the same, and so is a password that is a name."""
    checks: dict[str, Any] = {
        "checkout": {"kind": "http", "url": "https://shop.example/checkout/customers/tr0ub4dor3"},
        "billing": {"kind": "postgresql", "uri": "postgresql://app:payments@db/x"},
        "payments-eu": {"kind": "process"},
    }
    redact = Redactor.of(Settings.model_validate({"checks": checks}))
    assert redact("checkout of customers fails: tr0ub4dor3, payments") == "checkout of *** fails: ***, ***"


def test_a_name_stays_in_its_own_place_though_it_is_a_password() -> None:
    """Its mask would tell the password to whoever knows the names. In any other text it is a secret."""
    checks = {"postgresql": {"kind": "postgresql", "uri": "postgresql://app:postgresql@db/x"}}
    redact = Redactor.of(Settings.model_validate({"checks": checks}))
    assert redact.name("postgresql") == "postgresql"
    assert redact.name("app with postgresql") == "app with ***"
    assert redact("postgresql") == "***"
    assert Redactor(["postgresql"]).name("postgresql") == "***"


@pytest.mark.parametrize(
    "echo",
    [
        "k&lt;y&quot;1&amp;2&#39;3x",
        "k&lt;y&quot;1&amp;2&#x27;3x",
        "K&lt;Y&#34;1&amp;2&#39;3X",
        'k\\u003cy\\"1\\u00262\\u00273x',
        "K<Y\"1&2'3X",
    ],
)
def test_escaped_and_in_another_case(echo: str) -> None:
    """A page of errors shows a header's value as HTML; proxies write names, and what they take for one, anew."""
    assert Redactor(["k<y\"1&2'3x"])(f"bad value {echo}!") == "bad value ***!"


@pytest.mark.parametrize("mark", ["", "...", "…", '"', "\nmore"])
def test_a_secret_that_was_cut_off(mark: str) -> None:
    """Whoever repeats what it was sent may cut it anywhere."""
    redact = Redactor(["R0UTINGKEY123456"])
    assert redact(f"bad key R0UTINGKEY1{mark}") == f"bad key ***{mark}"
    assert redact(f"route{mark}") == f"route{mark}"


def test_a_peer_does_not_drive_a_terminal() -> None:
    """Escape sequences and changes of direction go; lines and tabs stay."""
    assert Redactor()("a\x1b[2J\x9b\x07b\u202ec\u2066\td\ne") == "a[2Jbc\td\ne"


@pytest.mark.parametrize("size", [1024, 8192, 65_536])
@pytest.mark.parametrize(
    "unit",
    [
        "a-",
        "password",
        "password  ",
        "password=",
        "token=bearer ",
        "a://",
        "https://",
        "https://h00ks.",
        "k3y",
        "\x1b[",
    ],
)
def test_cost_is_linear(unit: str, size: int) -> None:
    """The worst that a stranger can write; what is quadratic takes minutes for the longest."""
    redact = Redactor([f"https://h00ks.example/{number:08}/k3y{number:08}" for number in range(30)])
    text = (unit * size)[:size]
    costs = []
    for _ in range(3):
        began = time.thread_time()
        redact(text)
        costs.append(time.thread_time() - began)
    assert min(costs) < 0.02 + size * 5e-6


def test_the_scheme_of_an_address_is_no_secret() -> None:
    """A word of ours, in quotes, is not the beginning of an address that was cut off behind it."""
    redact = Redactor(["postgresql://app@127.0.0.1:1/secret-place"])
    told = "the driver of kind 'postgresql' is still not loaded"
    assert redact(told) == told
    misspelt = "no kind of check is called 'postgres'; there are: postgresql"
    assert redact(misspelt) == redact.own(misspelt) == misspelt
    assert redact('{"kind": "postgresql"}') == '{"kind": "postgresql"}'


@pytest.mark.parametrize(
    "text",
    [
        "c.yaml:9: checks.db.password: no such option; there are: host, uri",
        "checks.db.token: no such option",
        "write sqlite:////absolute/path/to/file or postgresql://user:password@host/database",
    ],
)
def test_words_of_our_own_name_no_secret_by_their_place(text: str) -> None:
    """A reason of a refusal says what to write: the rules for what strangers say would mask the option and the cure."""
    assert Redactor(["hunter22"]).own(text) == text


def test_what_our_own_texts_quote_is_masked() -> None:
    """A secret at the wrong key, a key by its look, and what drives a terminal."""
    key = "hd" + "_" + "Ab1_-" * 8 + "xyz"
    said = f"'hunter22' is not a duration, nor is redis://a:pw@c/0, nor {key}\x1b[2J"
    assert Redactor(["hunter22"]).own(said) == f"'{MASK}' is not a duration, nor is redis://{MASK}@c/0, nor {MASK}[2J"
