"""A journal that is away, as `/health`, the status page and `healthd status` tell it: health is as before."""

import json

import pytest
from click.testing import CliRunner

from healthd.commands import status as command
from healthd.journal.outage import AWAY, Outage
from tests.fakes.monitoring import MIDNIGHT, UP
from tests.unit.healthd.web.conftest import Open, bearer
from tests.unit.healthd.web.pages.test_status import get as page
from tests.unit.healthd.web.test_health import get

AWAY_NOW = Outage(MIDNIGHT, "[Errno 111] Connect call failed")


async def test_health_tells_since_when_and_answers_as_before(open_site: Open) -> None:
    """The reason names hosts: it is for those who see details."""
    site, client = await open_site()
    for name in ("db", "mail", "backup"):
        site.put(name, UP)
    assert "journal" not in (await get(client, "/health"))[1]
    site.health.outage = lambda: AWAY_NOW
    site.clock.seconds += 2
    told = {"status": "away", "since": "2026-03-29T00:00:00.000Z"}
    code, body = await get(client, "/health")
    assert (code, body["overall"], body["journal"]) == (200, "healthy", told)
    _, body = await get(client, "/health", **bearer("root"))
    assert body["journal"] == told | {"message": "[Errno 111] Connect call failed"}
    assert "journal" not in (await get(client, "/health/ready"))[1]


async def test_the_page_tells_it_below_its_headline(open_site: Open) -> None:
    site, client = await open_site()
    site.put("db", UP)
    assert "The journal is away" not in await page(client)
    site.page.outage = lambda: AWAY_NOW
    site.clock.seconds += 2
    outside, inside = await page(client), await page(client, headers=bearer("root"))
    assert f"The journal is away since 00:00:00 UTC. {AWAY}" in outside
    assert f"The journal is away since 00:00:00 UTC ([Errno 111] Connect call failed). {AWAY}" in inside


@pytest.mark.parametrize(
    ("journal", "said"),
    [
        ({"since": "s", "message": "disk is full"}, f"▲ JOURNAL AWAY since s: disk is full. {AWAY}"),
        ({"since": "s"}, f"▲ JOURNAL AWAY since s. {AWAY}"),
        ({"since": "s", "lastWrite": "t"}, f"▲ JOURNAL AWAY since s, but for a write at t. {AWAY}"),
    ],
)
def test_status_says_it_first_and_is_up(monkeypatch: pytest.MonkeyPatch, journal: dict[str, str], said: str) -> None:
    """Exit code 0: what is up stays up."""
    document = {"overall": "healthy", "environment": "production", "version": "1", "checks": {}, "journal": journal}

    async def answer(*_: object) -> tuple[int, bytes]:
        return 200, json.dumps(document).encode()

    monkeypatch.setattr(command, "_ask", answer)
    result = CliRunner().invoke(command.status, ["http://d.test"])
    assert (result.exit_code, result.output.splitlines()[0]) == (0, said)
