"""The status page: who sees what, what is said, and how it is kept alive."""

import asyncio
import base64
import json
import random
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from healthd.commands.status import _print as print_status
from healthd.config.in_force import NotInForce, TakenAway
from healthd.model import FailureKind, Result, Status, Transition
from healthd.web.pages.deploys import Deploy, UnknownDeploysError
from tests.fakes.monitoring import DOWN, SLOW, UP
from tests.servers.waiting import HANGS
from tests.unit.healthd.web.conftest import Client, Open, Site, bearer

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\"' {{ 7*7 }} </td></table>"
OPEN_TO_ALL = {"http": {"details": "always"}}


class Reader(HTMLParser):
    """Tags with their attributes, and the text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


async def get(client: Client, **options: Any) -> str:
    async with client.get("/", **options) as response:
        assert response.status == 200
        return await response.text()


def basic(name: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"me:{name}-token".encode()).decode()}


async def test_outsiders_see_names_statuses_and_kinds(open_site: Open) -> None:
    """Without a token there is no message, number, host, or time of a change."""
    site, client = await open_site()
    site.put("db", Result.unhealthy(FailureKind.CONNECT, "10.1.2.3 refused"))
    site.put("mail", UP, duration=0.123)
    html = await get(client)
    assert "1.2.3" in html  # the version, as on /health
    assert all(word in html for word in ("db", "connect", "unhealthy", "mail", "Unhealthy"))
    assert all(word not in html for word in ("10.1.2.3", "refused", "123 ms", "critical", "<svg"))
    assert "<time" not in html[html.index("<table") : html.index("</table>")]
    assert "sign in for details" in html


@pytest.mark.parametrize("credentials", [bearer("reader"), basic("reader"), basic("root")], ids=str)
async def test_details_for_those_who_may_see_them(open_site: Open, credentials: dict[str, str]) -> None:
    """A token, also as the password that a browser sends, shows messages, latencies and history."""
    site, client = await open_site()
    for seconds in (0.123, 0.125):
        site.put("mail", SLOW, duration=seconds)
    html = await get(client, headers=credentials)
    assert all(word in html for word in ("slow", "125 ms", "<svg", "0.5 h: degraded in 1 half hour"))
    assert "sign in" not in html


REFUSED = Result.unhealthy(FailureKind.CONNECT, "127.0.0.1:3000 refused the connection")


@pytest.mark.parametrize(
    ("results", "status", "said", "streak"),
    [
        (
            [UP, REFUSED, REFUSED],
            "healthy",
            "2 of 3 failures: 127.0.0.1:3000 refused the connection",
            {"status": "unhealthy", "seen": 2, "needed": 3},
        ),
        ([REFUSED, UP], "unhealthy", "1 of 2 successes", {"status": "healthy", "seen": 1, "needed": 2}),
        ([UP, REFUSED, REFUSED, REFUSED], "unhealthy", "127.0.0.1:3000 refused the connection", None),
        ([UP, SLOW], "degraded", "slow", None),
    ],
    ids=["failing", "recovering", "down", "slow"],
)
async def test_results_that_the_status_does_not_follow_yet_are_counted(
    open_site: Open,
    capsys: pytest.CaptureFixture[str],
    results: list[Result],
    status: str,
    said: str,
    streak: dict[str, Any] | None,
) -> None:
    """On the page, in the JSON and by `healthd status`: a healthy check that was refused reads as a lie without it."""
    checks = {"db": {"kind": "process", "fall": 3, "rise": 2, "interval": "10s", "timeout": "2s"}}
    site, client = await open_site(**OPEN_TO_ALL, checks=checks, groups={})
    for result in results:
        site.put("db", result)
    document = await (await client.get("/health")).json()
    assert (document["checks"]["db"]["status"], document["checks"]["db"].get("streak")) == (status, streak)
    print_status(document)
    for text in (capsys.readouterr().out, Reader(await get(client)).text):
        assert re.search(rf"(?<!: ){re.escape(said)}", " ".join(text.split())), text


def test_what_is_held_back_is_said_on_the_terminal_too(capsys: pytest.CaptureFixture[str]) -> None:
    """A red line of which nobody was told wants its reason."""
    print_status({"status": "not ready", "checks": {"api": {"status": "unhealthy", "heldBy": "db"}}})
    assert "not notified: it depends on db" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("credentials", [bearer("nobody"), basic("nobody"), {"Authorization": "Basic ?"}], ids=str)
async def test_an_unknown_token_is_nobodys(open_site: Open, credentials: dict[str, str]) -> None:
    """It shows what everyone sees, as on /health."""
    _, client = await open_site()
    assert "sign in for details" in await get(client, headers=credentials)


async def test_signing_in(open_site: Open) -> None:
    """A browser is asked for a token until it has one, and then sent back to the page."""
    _, client = await open_site()
    async with client.get("/sign-in") as asked:
        assert asked.status == 401
        assert asked.headers["WWW-Authenticate"].startswith("Basic ")
    async with client.get("/sign-in", headers=basic("nobody")) as refused:
        assert refused.status == 401
    async with client.get("/sign-in", headers=basic("reader"), allow_redirects=False) as sent_back:
        assert (sent_back.status, sent_back.headers["Location"]) == (303, "/")


async def test_a_browsers_password_changes_nothing(open_site: Open) -> None:
    """What a browser sends by itself, on behalf of any page, must not be good for more than reading."""
    _, client = await open_site()
    async with client.post("/checks/db/run", headers=basic("runner")) as refused:
        assert refused.status == 401
        assert refused.headers["WWW-Authenticate"].startswith("Bearer ")


@pytest.mark.parametrize("never", ["never", "authorized"])
async def test_details_as_configured(open_site: Open, never: str) -> None:
    """The rule of /health holds here: `details: never` hides them from everyone."""
    site, client = await open_site(http={"details": never})
    site.put("db", DOWN)
    assert ("refused" in await get(client, headers=bearer("reader"))) == (never == "authorized")


async def test_the_worst_comes_first(open_site: Open) -> None:
    """Rows go from unhealthy to healthy, and the headline names what is wrong."""
    site, client = await open_site(**OPEN_TO_ALL)
    site.put("db", UP)
    site.put("mail", DOWN)
    html = await get(client)
    rows = re.findall(r'<tr id="check-(\w+)" class="(\w+)"', html)
    assert rows == [("mail", "unhealthy"), ("backup", "unknown"), ("db", "healthy")]
    assert "2 of 3 checks are not healthy: mail (connect), backup (not run yet)." in html


async def test_stale_is_not_green(open_site: Open) -> None:
    """A result that is too old to be believed is shown as unknown and overdue."""
    site, client = await open_site(**OPEN_TO_ALL)
    site.put("db", UP)
    assert 'id="check-db" class="healthy"' in await get(client)
    site.clock.seconds += 60
    html = await get(client)
    assert 'id="check-db" class="unknown"' in html
    assert "(overdue)" in html


async def test_what_is_hostile_is_text(open_site: Open) -> None:
    """Markup in messages, reasons, versions and deploys comes out as the characters that it is."""
    site, client = await open_site(version=HOSTILE, auth={"trust_loopback": True}, **OPEN_TO_ALL)
    site.page.deploys = Known(
        Deploy(HOSTILE, HOSTILE, "unhealthy", HOSTILE, HOSTILE, site.clock.now(), "/gates/1/page")
    )
    site.put("db", Result.unhealthy(FailureKind.INTERNAL, HOSTILE))
    html = await get(client)
    reader = Reader(html)
    assert reader.text.count(HOSTILE) == 6  # version, message, and four times in the deploy
    assert [attrs for tag, attrs in reader.tags if tag == "script"] == [{"src": attrs_of_script(html), "defer": None}]
    assert not [tag for tag, _ in reader.tags if tag in ("img", "style", "iframe", "object", "form")]
    assert not [name for _, attrs in reader.tags for name in attrs if name.startswith("on") or name == "style"]


def attrs_of_script(html: str) -> str:
    found = re.search(r'src="(/static/[0-9a-f]{12}/live\.js)"', html)
    assert found
    return found[1]


async def test_only_links_to_the_web(open_site: Open) -> None:
    """A runbook that is no web address is a text: any other scheme could run something in the page."""
    texts = ["javascript:alert(1)", " javascript:alert('http://a')", "data:text/html,http://a", "//a/b", "https:a"]
    texts += ["docs/runbooks/db.md", "<a href='javascript:1'>a</a>"]
    good = "https://runbooks.example.org/a"
    process = {"kind": "process", "timeout": "2s", "interval": "10s"}
    checks = {f"c{number}": {**process, "runbook_url": text} for number, text in enumerate([good, *texts])}
    site, client = await open_site(checks=checks, groups={}, **OPEN_TO_ALL)
    for name in checks:
        site.put(name, DOWN)
    html = await get(client)
    links = re.findall(r'<a\b[^>]*?\bhref="?([^" >]*)', html)
    assert good in links
    assert all(link.startswith(("/", "#", "https://")) and not link.startswith("//") for link in links), links
    assert "javascript:alert(1)" in html
    assert "docs/runbooks/db.md" in html


async def test_headers(open_site: Open) -> None:
    """Nothing inline, nothing from elsewhere, in no frame, kept by nobody; and all that it loads is there to stay."""
    _, client = await open_site()
    async with client.get("/") as page:
        policy = page.headers["Content-Security-Policy"]
        assert all(part in policy for part in ("default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"))
        assert "unsafe" not in policy
        assert page.headers["Cache-Control"] == "no-store"
        html = await page.text()
    assert not re.search(r"https?://", html)
    loaded = re.findall(r'"(/static/[^"]+)"', html)
    assert len(loaded) == 3
    for address in loaded:
        async with client.get(address) as asset:
            assert (asset.status, "immutable" in asset.headers["Cache-Control"]) == (200, True)
    async with client.get(re.sub("[0-9a-f]{12}", "0" * 12, loaded[0])) as of_another_release:
        assert (of_another_release.status, of_another_release.headers["Cache-Control"]) == (200, "no-store")
    for absent in ("/static/000000000000/absent.css", "/static/000000000000/../assets.py"):
        async with client.get(absent) as nothing:
            assert nothing.status == 404


class Known:
    """Deploys that are known."""

    def __init__(self, *deploys: Deploy) -> None:
        self.deploys = deploys

    async def latest(self) -> tuple[Deploy, ...]:
        return self.deploys


class Unknown:
    async def latest(self) -> tuple[Deploy, ...]:
        raise UnknownDeploysError("the journal is down")


async def test_deploys_for_those_who_may_read_gates(open_site: Open) -> None:
    """They are shown with their page, and a journal that is down is said to be."""
    site, client = await open_site()
    site.page.deploys = Known(
        Deploy("api", "2.0", "running", "observing", "So far so good.", site.clock.now(), "/g/1", "smoke")
    )
    assert "So far so good." not in await get(client, headers=bearer("reader"))
    html = await get(client, headers=bearer("root"))
    assert '<a href="/g/1">api 2.0 <small>smoke</small></a>' in html
    site.page.deploys = Unknown()
    site.clock.seconds += 10
    assert "They cannot be told now: the journal is down." in await get(client, headers=bearer("root"))


async def test_a_refused_configuration_is_told(open_site: Open) -> None:
    """Why, to those who see details; a page that says nothing of it looks as if the file were in force."""
    site, client = await open_site()
    site.put("db", UP)
    assert "configuration" not in await get(client, headers=bearer("reader"))
    problems = tuple(f"c.yaml:{line}: checks.db: wrong" for line in range(8))
    site.health.not_in_force = NotInForce("refused", site.clock.now(), problems)
    site.clock.seconds += 10
    told, since = "The configuration was refused, since", "29 Mar 00:16:40 UTC"
    assert f"{told} {since}. The one before is in force; a restart would fail." in await get(client)
    html = await get(client, headers=bearer("reader"))
    assert f"{told} {since}: c.yaml:0: checks.db: wrong; c.yaml:1" in html
    assert "and 2 more. The one before is in force" in html
    site.health.not_in_force = NotInForce("restart", site.clock.now(), ("http.listen changes only with a restart",))
    site.clock.seconds += 10
    html = await get(client, headers=bearer("reader"))
    assert "The configuration waits for a restart since 29 Mar 00:16:50 UTC: http.listen changes only with" in html


async def test_what_a_reload_took_away_is_told(open_site: Open) -> None:
    """What, to those who see details."""
    site, client = await open_site()
    site.put("db", UP)
    assert "took away" not in await get(client, headers=bearer("reader"))
    gone = TakenAway(site.clock.now(), ("notifiers chat, mail", "routes to chat"))
    site.health.taken_away = lambda: (gone,)
    site.clock.seconds += 10
    assert "The reload of 29 Mar 00:16:40 UTC took away some of the configuration." in await get(client)
    html = await get(client, headers=bearer("reader"))
    assert "The reload of 29 Mar 00:16:40 UTC took away: notifiers chat, mail; routes to chat." in html


async def message(response: Any) -> dict[str, Any]:
    """The next event's data."""
    while True:
        line = await asyncio.wait_for(response.content.readline(), HANGS)
        if line.startswith(b"data: "):
            data: dict[str, Any] = json.loads(line[6:])
            return data


async def test_events_carry_what_changed(open_site: Open) -> None:
    """From the mark of a page on: the parts that are different now, their order, and nothing else."""
    site, client = await open_site(**OPEN_TO_ALL)
    for name in ("db", "mail", "backup"):
        site.put(name, UP)
    mark = re.search(r'data-mark="([^"]+)"', await get(client))
    assert mark
    async with client.get("/events", params={"after": mark[1]}) as events:
        assert (await message(events)).keys() == {"now"}
        site.put("mail", SLOW)
        site.clock.seconds += 1.5
        news = await message(events)
        assert news["html"].keys() == {"check-mail", "headline", "groups", "title", "icon"}
        assert "slow" in news["html"]["check-mail"]
        assert news["order"] == ["check-mail", "check-db", "check-backup"]
        site.clock.seconds += 4.5
        assert (await message(events)).keys() == {"now"}  # the heartbeat
    async with client.get("/events", headers={"Last-Event-ID": "stranger-7"}) as events:
        assert len((await message(events))["html"]) == 8


async def test_events_have_an_end(open_site: Open) -> None:
    """Too many viewers are refused with what to do instead; a stopping daemon lets go of all."""
    site, client = await open_site(**OPEN_TO_ALL)
    async with client.get("/events") as one, client.get("/events") as two:
        await message(one)
        await message(two)
        async with client.get("/events") as three:
            assert three.status == 503
            assert "reload" in (await three.json())["detail"]
        site.streams.stop()
        await asyncio.wait_for(one.content.read(), HANGS)
        await asyncio.wait_for(two.content.read(), HANGS)
    assert site.streams.followers == 0


async def test_strangers_leave_places(open_site: Open) -> None:
    """Whoever has signed in sees the page live, however many others look at it."""
    site, client = await open_site()
    async with client.get("/events") as stranger, client.get("/events") as another:
        await message(stranger)
        await message(another)
        async with client.get("/events") as another:
            assert another.status == 503
        async with client.get("/events", headers=bearer("reader")) as known:
            assert (await message(known))["html"]
            site.streams.stop()


async def test_a_check_that_is_gone_leaves_the_page(open_site: Open) -> None:
    """After a reload the page shows the checks that there are."""
    site, client = await open_site(**OPEN_TO_ALL)
    assert "check-mail" in await get(client)
    fewer = site.read({"checks": {"db": {"kind": "process"}}, "groups": {}, **OPEN_TO_ALL})
    site.in_force.replace(fewer)
    await site.suite.arrange(fewer)
    site.page.arrange()
    html = await get(client)
    assert "check-db" in html
    assert "check-mail" not in html


def lived(site: Site, name: str, rng: random.Random) -> None:
    """Sixty probes and a few bad half hours."""
    site.put(name, UP if rng.random() < 0.95 else DOWN)
    for _ in range(60):
        site.put(name, UP if rng.random() < 0.97 else DOWN, duration=rng.lognormvariate(-4, 0.3))
    now = site.clock.now().timestamp()
    changes = [
        (now - rng.random() * 86400, rng.choice([Status.HEALTHY, Status.DEGRADED, Status.UNHEALTHY])) for _ in range(3)
    ]
    past = site.page.history.of(name)
    for at, status in sorted(changes):
        moment = site.clock.now().fromtimestamp(at, site.clock.now().tzinfo)
        past.changes.appendleft((moment, status))


async def test_a_page_of_200_checks_is_small(open_site: Open) -> None:
    """Under 100 kB with everything on it, before compression; the time it takes is printed."""
    checks = {f"check-number-{n}": {"kind": "process", "timeout": "2s", "interval": "10s"} for n in range(200)}
    site, client = await open_site(checks=checks, groups={}, **OPEN_TO_ALL)
    rng = random.Random(1)
    for name in checks:
        lived(site, name, rng)
    html = await get(client)
    assert html.count("<tr id=") == 200
    assert len(html.encode()) < 100_000


async def test_many_checks_fold_and_few_do_not(open_site: Open) -> None:
    """Above twenty there is a fold for the healthy ones and a field that sifts by name; every row is in the page."""
    for count, folds in ((20, False), (21, True)):
        checks = {f"check-number-{n}": {"kind": "process", "timeout": "2s", "interval": "10s"} for n in range(count)}
        _, client = await open_site(checks=checks, groups={}, **OPEN_TO_ALL)
        html = await get(client)
        assert html.count("<tr id=") == count
        assert ('id="fold" type="checkbox" checked' in html, 'id="sift" type="search"' in html) == (folds, folds)


async def test_history_of_overdue_checks(open_site: Open) -> None:
    """That nothing was known for a while is part of the day."""
    site, client = await open_site(**OPEN_TO_ALL)
    site.put("db", UP)
    site.page.history.changed(Transition("db", Status.HEALTHY, Status.UNKNOWN, site.clock.now(), None))
    assert "0.5 h: unknown in 1 half hour" in await get(client)
