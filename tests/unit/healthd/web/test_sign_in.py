"""People who sign in to the pages by a provider of OpenID Connect."""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
from aiohttp import ClientResponse, ClientSession, CookieJar
from cryptography.hazmat.primitives.asymmetric import rsa

from healthd.config.auth import Auth
from healthd.config.settings import Settings
from healthd.web.auth import hash_token
from healthd.web.refusals import Refusals
from healthd.web.sessions import Session
from tests.fakes.monitoring import UP
from tests.servers.openid import ADA, BOB, SECRET, Provider
from tests.unit.healthd.web.conftest import Open, Site

SESSION_SECRET = "0123456789abcdef0123456789abcdef"
PEOPLE: list[dict[str, Any]] = [
    {"name": "sre", "claims": {"groups": "sre"}, "role": "operator"},
    {"name": "staff", "claims": {"email": "*@example.com"}, "role": "viewer"},
]


class Browser:
    """A browser of somebody: it follows redirects and keeps cookies."""

    def __init__(self, home: str) -> None:
        self.home = home
        self._session = ClientSession(cookie_jar=CookieJar(unsafe=True), headers={"Accept": "text/html"})

    async def get(self, address: str, *, follow: bool = True, **headers: str) -> tuple[ClientResponse, str]:
        url = address if "://" in address else self.home + address
        async with self._session.get(url, allow_redirects=follow, headers=headers) as answer:
            return answer, await answer.text()

    async def post(self, path: str, form: dict[str, str] | None = None, **headers: str) -> tuple[int, str]:
        url = self.home + path
        async with self._session.post(url, data=form, allow_redirects=False, headers=headers) as answer:
            return answer.status, await answer.text()

    @property
    def cookies(self) -> dict[str, str]:
        return {it.key: it.value for it in self._session.cookie_jar}

    async def close(self) -> None:
        await self._session.close()


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    async with Provider() as running:
        yield running


@pytest.fixture
async def browsers() -> AsyncIterator[Callable[[str], Browser]]:
    opened: list[Browser] = []

    def start(home: str) -> Browser:
        opened.append(Browser(home))
        return opened[-1]

    yield start
    for browser in opened:
        await browser.close()


def sign_in_by(provider: Provider, **changes: Any) -> dict[str, Any]:
    made = {
        "issuer": provider.url,
        "client_id": provider.client_id,
        "client_secret": SECRET,
        "session_secret": SESSION_SECRET,
        "people": PEOPLE,
    }
    return {name: value for name, value in (made | changes).items() if value is not None}


class Stand:
    """A site where people sign in, its provider, and a browser."""

    def __init__(self, site: Site, provider: Provider, browser: Browser) -> None:
        self.site, self.provider, self.browser = site, provider, browser
        self.counted: list[str] = []
        site.guard.refused = Refusals(self.counted.append)

    def reload(self, sign_in: dict[str, Any] | None, external_url: str | None = None, **changes: Any) -> None:
        tokens = [{"name": "reader", "hash": hash_token("reader-token"), "role": "viewer"}]
        auth = {"tokens": tokens} | ({"sign_in": sign_in} if sign_in is not None else {})
        http = {"external_url": external_url or self.browser.home}
        settings = self.site.read({"auth": auth, "http": http, **changes})
        self.site.in_force.replace(settings)

    async def sign_in(self, to: str = "/") -> tuple[int, str]:
        answer, text = await self.browser.get(f"/sign-in?to={to}")
        return answer.status, text

    async def name(self) -> str:
        """The name that the status page shows."""
        _, text = await self.browser.get("/")
        return text.partition("Signed in as <b>")[2].partition("</b>")[0]

    async def callback(self) -> tuple[str, dict[str, str]]:
        """The address to which the provider sends the browser back, before it goes there, and what is in it."""
        begun, _ = await self.browser.get("/sign-in", follow=False)
        sent, _ = await self.browser.get(begun.headers["Location"], follow=False)
        address = sent.headers["Location"]
        return address, {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}


@pytest.fixture
async def stand(open_site: Open, provider: Provider, browsers: Callable[[str], Browser]) -> Callable[..., Any]:
    async def start(environment: str = "test", **changes: Any) -> Stand:
        site, client = await open_site()
        home = str(client.make_url("")).rstrip("/")
        provider.redirect_uris.add(f"{home}/sign-in/callback")
        made = Stand(site, provider, browsers(home))
        made.reload(sign_in_by(provider, **changes), environment=environment)
        site.put("db", UP)
        return made

    return start


async def test_a_person_signs_in(stand: Any) -> None:
    """And is led to where the link went, with a name, the details, and the rights of the first entry that fits."""
    it = await stand()
    answer, text = await it.browser.get("/checks/db")
    assert (answer.status, answer.url.path) == (200, "/checks/db")
    assert "Signed in as <b>sre/ada@example.com</b>" in text
    assert "form-action 'self'" in answer.headers["Content-Security-Policy"]
    assert it.provider.asked == ["/.well-known/openid-configuration", "/keys", "/authorize", "/token", "/userinfo"]
    assert it.provider.refused == []
    assert list(it.browser.cookies) == ["healthd-session"]
    assert await it.name() == "sre/ada@example.com"
    _, health = await it.browser.get("/health")
    assert "duration" in json.loads(health)["checks"]["db"]
    assert (await it.browser.get("/windows"))[0].status == 200
    assert (await it.browser.get("/audit"))[0].status == 503  # of the journal, which is away
    it.provider.person = BOB
    assert "staff/bob@example.com" in (await it.sign_in())[1]
    assert (await it.browser.get("/audit"))[1].count("person 'staff/bob@example.com' lacks the scope audit:read") == 1
    assert it.counted == []


async def test_without_a_session_nobody_sees_more(stand: Any) -> None:
    """A page leads to the provider; a stream of a page, and a program, are refused without a word of a password."""
    it = await stand()
    answer, _ = await it.browser.get("/checks/db", follow=False)
    assert (answer.status, answer.headers["Location"]) == (303, f"{it.browser.home}/sign-in?to=%2Fchecks%2Fdb")
    answer, _ = await it.browser.get("/checks/db", follow=False, Accept="text/event-stream")
    assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, 'Bearer realm="healthd"')
    answer, text = await it.browser.get("/")
    assert (answer.status, ">sign in for details<" in text, "Signed in" in text) == (200, True, False)
    assert "form-action 'none'" in answer.headers["Content-Security-Policy"]


async def test_cookies_are_kept_from_scripts_and_from_clear_text(stand: Any) -> None:
    it = await stand()
    begun, _ = await it.browser.get("/sign-in", follow=False)
    (attempt,) = begun.headers.getall("Set-Cookie")
    assert attempt.startswith("healthd-sign-in-")
    assert attempt.partition("; ")[2] == "HttpOnly; Max-Age=600; Path=/; SameSite=Lax"
    address, _ = await it.callback()
    came, _ = await it.browser.get(address, follow=False)
    session, gone = came.headers.getall("Set-Cookie")
    assert session.partition("; ")[2] == "HttpOnly; Max-Age=28800; Path=/; SameSite=Lax"
    assert "Max-Age=0" in gone
    assert '"ada"' not in base64.urlsafe_b64decode(session.partition("=")[2].partition(";")[0] + "==").decode("latin-1")
    it.reload(sign_in_by(it.provider), "https://healthd.example.com")
    begun, _ = await it.browser.get("/sign-in", follow=False)
    (attempt,) = begun.headers.getall("Set-Cookie")
    assert attempt.startswith("__Host-healthd-sign-in-")
    assert attempt.endswith("; HttpOnly; Max-Age=600; Path=/; SameSite=Lax; Secure")
    asked = parse_qs(urlsplit(begun.headers["Location"]).query)
    assert asked["redirect_uri"] == ["https://healthd.example.com/sign-in/callback"]


async def test_another_replica_knows_the_session(stand: Any, open_site: Open) -> None:
    """Also when it is the one to which the provider sends a person back."""
    it = await stand()
    home = it.browser.home
    begun, _ = await it.browser.get("/sign-in", follow=False)
    sent, _ = await it.browser.get(begun.headers["Location"], follow=False)
    _, client = await open_site(auth={"sign_in": sign_in_by(it.provider)}, http={"external_url": home})
    elsewhere = str(client.make_url("")).rstrip("/")
    came, _ = await it.browser.get(sent.headers["Location"].replace(home, elsewhere), follow=False)
    assert (came.status, came.headers["Location"]) == (303, f"{home}/")
    assert await it.name() == "sre/ada@example.com"
    _, text = await it.browser.get(f"{elsewhere}/")
    assert "Signed in as <b>sre/ada@example.com</b>" in text


def _unsigned(claims: dict[str, Any]) -> str:
    parts = ({"alg": "none", "typ": "JWT"}, claims)
    return ".".join(base64.urlsafe_b64encode(json.dumps(it).encode()).decode().rstrip("=") for it in parts) + "."


def _confused(provider: Provider) -> Callable[[dict[str, Any]], str]:
    """Signed with the public key as if it were a shared secret (CVE-2015-9235)."""
    n = str(provider.keys["one"].public_key().public_numbers().n)
    return lambda claims: jwt.encode(claims, n, "HS256", headers={"kid": "one"})


def _shared(provider: Provider) -> Callable[[dict[str, Any]], str]:
    return lambda claims: jwt.encode(claims, provider.secret, "HS256", headers={"kid": "shared"})


def _by_another(_: Provider) -> Callable[[dict[str, Any]], str]:
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return lambda claims: jwt.encode(claims, other, "RS256", headers={"kid": "one"})


def _tampered(provider: Provider) -> Callable[[dict[str, Any]], str]:
    def forge(claims: dict[str, Any]) -> str:
        head, _, signature = provider.signed(claims).split(".")
        body = base64.urlsafe_b64encode(json.dumps({**claims, "groups": ["sre"]}).encode()).decode().rstrip("=")
        return f"{head}.{body}.{signature}"

    return forge


@pytest.mark.parametrize(
    ("lies", "said"),
    [
        ({"nonce": "another"}, "nonce is not the one that was sent"),
        ({"nonce": None}, "nonce is not the one that was sent"),
        ({"aud": "another-client"}, "it is for another audience"),
        ({"aud": ["healthd pages", "another-client"]}, "azp is not auth.sign_in.client_id"),
        ({"azp": "another-client"}, "azp is not auth.sign_in.client_id"),
        ({"iss": "https://evil.example"}, "it does not hold: Invalid issuer"),
        ({"exp": int(time.time()) - 60}, "it has expired"),
        ({"exp": None}, "Token is missing the &#34;exp&#34; claim"),
        ({"iat": int(time.time()) + 86400}, "not yet valid"),
        ({"sub": None}, "Token is missing the &#34;sub&#34; claim"),
        (lambda _: _unsigned, "it does not hold"),
        (_confused, "it does not hold"),
        (_shared, "its issuer has no key of that name"),
        (_by_another, "it does not hold: Signature verification failed"),
        (_tampered, "it does not hold: Signature verification failed"),
        (lambda _: lambda _claims: "no token", "its ID token is not accepted"),
        (lambda _: lambda _claims: 7, "gave no ID token"),
    ],
)
async def test_a_false_id_token_signs_nobody_in(stand: Any, lies: Any, said: str) -> None:
    it = await stand()
    if callable(lies):
        it.provider.forge = lies(it.provider)
    else:
        it.provider.lies = lies
    status, text = await it.sign_in()
    assert (status, said in text, "Sign in again" in text) == (403, True, True), text
    assert it.browser.cookies == {}
    assert it.counted == ["sign_in"]
    it.provider.forge, it.provider.lies = None, {}
    assert (await it.sign_in())[0] == 200
    assert await it.name() == "sre/ada@example.com"


async def test_several_audiences_are_right_where_this_client_is_the_party(stand: Any) -> None:
    it = await stand()
    it.provider.lies = {"aud": ["another-client", it.provider.client_id], "azp": it.provider.client_id}
    assert (await it.sign_in())[0] == 200


async def test_userinfo_of_somebody_else(stand: Any) -> None:
    it = await stand()
    it.provider.userinfo_sub = BOB["sub"]
    status, text = await it.sign_in()
    assert (status, "sub is not that of the ID token" in text) == (403, True)


async def test_claims_may_be_at_the_userinfo_endpoint(stand: Any) -> None:
    """Okta and others leave them out of an ID token; what was signed takes precedence."""
    it = await stand()
    it.provider.at_userinfo = ("email", "email_verified", "groups")
    assert (await it.sign_in())[0] == 200
    assert await it.name() == "sre/ada@example.com"


async def test_who_began_it_ends_it(stand: Any, browsers: Callable[[str], Browser]) -> None:
    """An answer of the provider is worth nothing in another browser, a second time, late, or with another state."""
    it = await stand()
    address, sent = await it.callback()
    stranger = browsers(it.browser.home)
    answer, text = await stranger.get(address)
    assert (answer.status, "this browser did not begin it" in text) == (400, True)
    assert (await it.browser.get(address.replace(sent["state"], sent["state"][:8] + "x" * 35)))[0].status == 400
    assert (await it.browser.get(address.partition("?")[0]))[0].status == 400
    assert (await it.browser.get(address, follow=False))[0].status == 303
    assert (await it.browser.get(address))[0].status == 400
    address, _ = await it.callback()
    it.site.clock.seconds += 601
    assert (await it.browser.get(address))[0].status == 400
    _, first = await it.callback()
    address, second = await it.callback()
    mixed = address.replace(second["code"], first["code"])
    answer, text = await it.browser.get(mixed)
    assert (answer.status, "code_verifier is not that of code_challenge" in text) == (403, True)
    address, sent = await it.callback()
    answer, text = await it.browser.get(address.replace(f"{urlsplit(it.provider.url).port}", "1"))
    assert (answer.status, "another issuer" in text) == (403, True)
    address, _ = await it.callback()
    answer, text = await it.browser.get(address.partition("&iss=")[0])
    assert (answer.status, "another issuer" in text) == (403, True)


async def test_tabs_that_sign_in_at_once(stand: Any) -> None:
    """A browser that opens five pages at its start ends in all of them; those that never come back do not pile up."""
    it = await stand()
    came = [await it.callback() for _ in range(5)]
    answers = await asyncio.gather(*(it.browser.get(address, follow=False) for address, _ in came))
    assert [answer.status for answer, _ in answers] == [303] * 5
    for _ in range(20):
        await it.browser.get("/sign-in", follow=False)
    assert len(it.browser.cookies) <= 9


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post", "none"])
async def test_how_the_client_proves_itself(stand: Any, provider: Provider, method: str) -> None:
    """By what the provider offers; a public client by PKCE alone."""
    provider.method = method
    it = await stand(client_secret=None if method == "none" else SECRET)
    assert ((await it.sign_in())[0], provider.refused) == (200, [])


async def test_what_the_provider_refuses_is_shown_as_text(stand: Any) -> None:
    it = await stand(client_secret="wrong")
    status, text = await it.sign_in()
    assert (status, "invalid_client: the client does not prove itself as registered" in text) == (403, True)
    it.provider.error = "access_denied"
    status, text = await it.sign_in()
    assert (status, "the provider says access_denied: said &lt;b&gt;the&lt;/b&gt; provider" in text) == (403, True)


async def test_the_provider_is_away(stand: Any, provider: Provider) -> None:
    """Who is signed in stays so, tokens and health are as ever, and whoever signs in is told, with a way by a token."""
    it = await stand()
    provider.status = 503
    status, text = await it.sign_in()
    assert (status, "answers 503" in text, "/sign-in?with=token" in text) == (503, True, True)
    assert len(provider.asked) == 1
    await it.sign_in()
    assert len(provider.asked) == 1  # it is not asked again at once
    provider.status = 200
    it.site.clock.seconds += 20
    assert (await it.sign_in())[0] == 200
    address, _ = await it.callback()
    provider.status = 503
    answer, text = await it.browser.get(address)
    assert (answer.status, "Nobody can sign in now" in text) == (503, True)
    assert await it.name() == "sre/ada@example.com"
    assert (await it.browser.get("/health/live"))[0].status == 200
    basic = "Basic " + base64.b64encode(b"x:reader-token").decode()
    answer, _ = await it.browser.get("/sign-in?with=token", follow=False)
    assert answer.headers["WWW-Authenticate"].startswith("Basic ")
    answer, text = await it.browser.get("/sign-in?with=token", Authorization=basic)
    assert (answer.status, answer.url.path, "Signed in" in text) == (200, "/", False)


async def test_keys_are_changed(stand: Any, provider: Provider) -> None:
    it = await stand()
    assert (await it.sign_in())[0] == 200
    provider.rotate()
    it.site.clock.seconds += 20
    assert (await it.sign_in())[0] == 200


async def test_an_entry_decides_and_a_reload_counts_at_once(stand: Any, provider: Provider) -> None:
    """With other rights under the same claims a session goes on; with other claims, or none, it is over."""
    it = await stand()
    await it.sign_in()
    viewer = {**PEOPLE[0], "role": "viewer"}
    it.reload(sign_in_by(provider, people=[viewer, PEOPLE[1]]))
    assert await it.name() == "sre/ada@example.com"
    assert (await it.browser.get("/audit"))[0].status == 403
    other = {**PEOPLE[0], "claims": {"groups": ["sre", "new"]}}
    for people in ([other], [PEOPLE[1]], [{**PEOPLE[0], "environments": ["production"]}]):
        it.reload(sign_in_by(provider, people=people))
        assert await it.name() == ""
    it.reload(sign_in_by(provider))
    assert await it.name() == "sre/ada@example.com"
    for changes in ({"session_secret": SESSION_SECRET[::-1]}, {"client_id": "another"}, {"session": "10m"}):
        it.site.clock.seconds += 300.5
        it.reload(sign_in_by(provider, **changes))
        assert await it.name() == ""
    it.reload(None)
    assert await it.name() == ""


@pytest.mark.parametrize(
    ("person", "changes", "said"),
    [
        ({"groups": ["other"], "email": "eve@elsewhere.example"}, {}, "groups is &#39;other&#39;"),
        ({"groups": []}, {"people": [PEOPLE[0]]}, "groups is missing"),
        ({}, {"people": [{**PEOPLE[0], "environments": ["production"]}]}, "none of those under auth.sign_in.people"),
        ({"email_verified": False}, {}, "the provider names no email of yours that it has verified"),
        ({"email_verified": None}, {}, "the provider names no email of yours that it has verified"),
        ({"groups": []}, {"name_claim": "upn"}, "the provider names no upn of yours"),
        (
            {"email_verified": False, "groups": []},
            {"name_claim": "preferred_username"},
            "&#39;ada&#39; is none of those under auth.sign_in.people: groups is missing",
        ),
    ],
)
async def test_who_fits_no_entry_is_refused(
    stand: Any, person: dict[str, Any], changes: dict[str, Any], said: str
) -> None:
    it = await stand(**changes)
    it.provider.person = {name: value for name, value in {**ADA, **person}.items() if value is not None}
    status, text = await it.sign_in()
    assert (status, said in text) == (403, True), text
    assert (it.browser.cookies, it.counted) == ({}, ["sign_in"])


async def test_a_session_ends(stand: Any) -> None:
    """By itself, and by its person."""
    it = await stand(session="1h")
    await it.sign_in()
    it.site.clock.seconds += 3599
    assert await it.name() == "sre/ada@example.com"
    it.site.clock.seconds += 2
    assert await it.name() == ""
    await it.sign_in()
    for foreign in (
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {},
    ):
        assert (await it.browser.post("/sign-out", **foreign))[0] == 403
    assert await it.name() == "sre/ada@example.com"
    copy = it.browser.cookies["healthd-session"]
    assert (await it.browser.post("/sign-out", Origin=it.browser.home))[0] == 303
    assert (await it.name(), it.browser.cookies) == ("", {})
    _, text = await it.browser.get("/", Cookie=f"healthd-session={copy}")
    assert "Signed in" not in text
    await it.sign_in()
    assert await it.name() == "sre/ada@example.com"


async def test_a_person_silences_a_check_by_a_button(stand: Any) -> None:
    """Under a name of one's own, and within the bounds of the entry."""
    it = await stand(people=[{**PEOPLE[0], "checks": ["mail"]}])
    answer, text = await it.browser.get("/checks/mail/silence")
    assert (answer.url.path, 'name="token"' in text, "sre/ada@example.com" in text) == (
        "/checks/mail/silence", False, True
    )  # fmt: skip
    form = {"act": "silence-1h", "reason": "disk is being replaced"}
    assert (await it.browser.post("/checks/mail/silence", form, Origin="https://evil.example"))[0] == 403
    assert (await it.browser.post("/checks/db/silence", form, Origin=it.browser.home))[0] == 403
    assert it.site.windows.all() == []
    assert (await it.browser.post("/checks/mail/silence", form, Origin=it.browser.home))[0] == 303
    assert [(it.checks, it.author) for it in it.site.windows.all()] == [(("mail",), "sre/ada@example.com")]


@pytest.mark.parametrize(
    ("rights", "silences", "writes"),
    [
        ({"role": "viewer"}, [], False),
        ({"role": "operator", "checks": ["mail"]}, ["mail"], True),
        ({"scopes": ["health:read", "windows:write"]}, ["db", "mail"], False),
    ],
)
async def test_nobody_is_shown_a_form_that_would_be_refused(
    stand: Any, rights: dict[str, Any], silences: list[str], writes: bool
) -> None:
    """But told what is missing: a person who was woken shall not fill one in first."""
    it = await stand()
    sign_in = sign_in_by(it.provider, people=[{"name": "sre", "claims": {"groups": "sre"}, **rights}])
    it.reload(sign_in, public_pages={"shop": {"components": [{"name": "Shop", "checks": ["mail"]}]}})
    for check in ("db", "mail"):
        _, text = await it.browser.get(f"/checks/{check}/silence")
        assert ("<form" in text.partition("</main>")[0], "takes the scope <code>windows:write" in text) == (
            check in silences, check not in silences
        )  # fmt: skip
    _, text = await it.browser.get("/incidents/page")
    assert ("Publish" in text, "takes the scope <code>incidents:write" in text) == (writes, not writes)


async def test_a_session_changes_nothing_by_itself(stand: Any) -> None:
    """The API takes no cookie for more than reading: no page of another site calls it in a person's name."""
    it = await stand(people=[{**PEOPLE[0], "role": "admin"}])
    await it.sign_in()
    for path in ("/windows", "/checks/db/run", "/heartbeats/backup"):
        assert (await it.browser.post(path, **{"Sec-Fetch-Site": "same-origin"}))[0] == 401


@pytest.mark.parametrize(
    ("to", "led"),
    [
        ("/checks/db?x=1", "/checks/db?x=1"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example", "/"),
        ("/a\r\nX: y", "/"),
        ("/" + "a" * 600, "/"),
        ("", "/"),
    ],
)
async def test_nobody_is_led_to_another_site(stand: Any, to: str, led: str) -> None:
    it = await stand()
    begun = await it.browser._session.get(f"{it.browser.home}/sign-in", params={"to": to}, allow_redirects=False)
    sent, _ = await it.browser.get(begun.headers["Location"], follow=False)
    came, _ = await it.browser.get(sent.headers["Location"], follow=False)
    assert came.headers["Location"] == f"{it.browser.home}{led}"


async def test_without_a_session_secret(stand: Any, provider: Provider) -> None:
    """Sessions hold in this process alone; whoever reads the log, or comes back at another replica, is told."""
    it = await stand(session_secret=None)
    assert any("session_secret is missing" in note for note in it.site.in_force.now.notes)
    await it.sign_in()
    assert await it.name() == "sre/ada@example.com"
    _, text = await it.browser.get("/sign-in/callback?state=x")
    assert "at another replica, which needs the same session_secret" in text
    it.reload(sign_in_by(provider))
    assert (await it.name(), it.site.in_force.now.notes) == ("", [])


async def test_forged_cookies_are_nobody(stand: Any) -> None:
    it = await stand()
    for text in ("", "x", "gAAAA" + "A" * 4000, "é", "gAAAAABn" + "=" * 50, "A" * 5000):
        answer, _ = await it.browser.get("/health", Cookie=f"healthd-session={text}")
        assert (answer.status, "duration" in (await answer.json(content_type=None))["checks"]["db"]) == (200, False)
    key, now = it.site.guard.cookies._key(Session), int(it.site.clock.now().timestamp())
    old = key.encrypt_at_time(b'{"user": "ada"}', now).decode()
    answer, _ = await it.browser.get("/health", Cookie=f"healthd-session={old}")
    assert answer.status == 200  # of another release
    begun, _ = await it.browser.get("/sign-in", follow=False)
    attempt = begun.headers["Set-Cookie"].partition("=")[2].partition(";")[0]
    answer, text = await it.browser.get("/", Cookie=f"healthd-session={attempt}")
    assert "Signed in" not in text


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"people": []}, "at least 1 item"),
        ({"people": [{**PEOPLE[0], "claims": {"groups": "*"}}]}, "lets in every token of this issuer"),
        ({"people": [{"name": "x", "claims": {"a": "b"}}]}, "grants nothing"),
        ({"people": [PEOPLE[0], PEOPLE[0]]}, "two tokens, identities or people have the same name"),
        ({"session_secret": "short"}, "must have at least 32 characters"),
        ({"client_secret": SESSION_SECRET}, "session_secret is the client_secret"),
        ({"scopes": ["email"]}, "must contain openid"),
        ({"scopes": "openid email"}, "must contain openid"),
        ({"scopes": ["openid", "a b"]}, "'a b' is no scope"),
        ({"issuer": "http://accounts.example.com"}, "must begin with https://"),
        ({"session": "1s"}, "greater than or equal to 60"),
    ],
)
def test_what_cannot_be_meant_is_refused(changes: dict[str, Any], said: str) -> None:
    made = {"issuer": "https://a.example", "client_id": "b", "session_secret": SESSION_SECRET, "people": PEOPLE}
    with pytest.raises(ValueError, match=said):
        Auth.model_validate({"sign_in": made | changes})


@pytest.mark.parametrize(
    ("external_url", "said"), [(None, "needs http.external_url"), ("http://healthd.corp", "with https://")]
)
def test_without_an_address_to_come_back_to(external_url: str | None, said: str) -> None:
    made = {"issuer": "https://a.example", "client_id": "b", "session_secret": SESSION_SECRET, "people": PEOPLE}
    with pytest.raises(ValueError, match=said):
        Settings.model_validate({"http": {"external_url": external_url}, "auth": {"sign_in": made}})
