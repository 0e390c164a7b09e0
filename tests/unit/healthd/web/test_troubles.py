"""A rollback that failed is the headline: of the page, of its title, of `/health`, of `healthd status`."""

import json
import re

import pytest
from click.testing import CliRunner

from healthd.commands import status as command
from healthd.web.troubles import Trouble
from tests.fakes.monitoring import MIDNIGHT, UP
from tests.unit.healthd.web.conftest import Open, bearer
from tests.unit.healthd.web.pages.test_status import get as page
from tests.unit.healthd.web.test_health import get

FAILED = Trouble(
    service="app",
    version="8.0",
    state="rollback_failed",
    word="A rollback failed",
    sentence="app 8.0 may be serving users.",
    since=MIDNIGHT,
    gate="01a2",
    address="/gates/01a2/page",
)


async def test_the_page_says_it_first(open_site: Open) -> None:
    """Though every check is healthy; which service it is is for those who may read gates."""
    site, client = await open_site()
    for name in ("db", "mail", "backup"):
        site.put(name, UP)
    assert '<title id="title">Healthy' in await page(client)
    site.clock.seconds += 2
    site.page.deploys, site.page.troubles = None, lambda: [FAILED]
    outside = await page(client)
    assert '<title id="title">A rollback failed' in outside
    assert re.search(
        r'class="headline unhealthy">.*<h1>A rollback failed.*A person must look where the traffic is\.',
        outside,
        re.DOTALL,
    )
    assert "icon-unhealthy" in outside
    assert "8.0" not in outside

    class Deploys:
        async def latest(self) -> tuple[()]:
            return ()

    site.page.deploys = Deploys()
    site.clock.seconds += 2
    inside = await page(client, headers=bearer("root"))
    assert "app 8.0 may be serving users. All 3 checks are healthy." in inside
    assert '<a href="/gates/01a2/page">app 8.0</a>' in inside


async def test_health_tells_it_and_answers_as_before(open_site: Open) -> None:
    """A load balancer takes nothing out for it; a stranger hears of the service alone."""
    site, client = await open_site()
    for name in ("db", "mail", "backup"):
        site.put(name, UP)
    assert "rollbacks" not in (await get(client, "/health"))[1]
    site.health.troubles = lambda: [FAILED]
    site.clock.seconds += 2
    code, body = await get(client, "/health")
    told = {"service": "app", "state": "rollback_failed", "since": "2026-03-29T00:00:00.000Z"}
    assert (code, body["overall"], body["rollbacks"]) == (200, "healthy", [told])
    _, body = await get(client, "/health", **bearer("root"))
    more = {"version": "8.0", "gate": "01a2", "message": "app 8.0 may be serving users."}
    assert body["rollbacks"] == [told | more]
    assert "rollbacks" not in (await get(client, "/health/ready"))[1]


@pytest.mark.parametrize(
    ("rollback", "said"),
    [
        (
            {
                "service": "app",
                "state": "rollback_failed",
                "since": "s",
                "version": "8.0",
                "gate": "g1",
                "message": "M.",
            },
            "✗ ROLLBACK FAILED, app 8.0, since s: M. See: healthd gate show g1",
        ),
        (
            {"service": "app", "state": "rollback_unconfirmed", "since": "s"},
            "✗ ROLLBACK UNCONFIRMED, app, since s. See: healthd gate show --last app",
        ),
        (
            {"service": "app", "state": "due", "since": "s"},
            "✗ ROLLBACK STUCK, app, since s. See: healthd gate show --last app",
        ),
    ],
)
def test_status_says_it_first_and_fails(monkeypatch: pytest.MonkeyPatch, rollback: dict[str, str], said: str) -> None:
    """With the command that shows more."""
    document: dict[str, object] = {"overall": "healthy", "environment": "production", "version": "1", "checks": {}}

    async def answer(*_: object) -> tuple[int, bytes]:
        return 200, json.dumps(document).encode()

    monkeypatch.setattr(command, "_ask", answer)
    assert CliRunner().invoke(command.status, ["http://d.test"]).exit_code == 0
    document["rollbacks"] = [rollback]
    result = CliRunner().invoke(command.status, ["http://d.test"])
    assert (result.exit_code, result.output.splitlines()[0]) == (1, said)
