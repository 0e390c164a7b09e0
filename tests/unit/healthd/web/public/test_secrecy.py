"""A public page says nothing of the inside: marks in all that it was not given to show are in no answer."""

import random
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from healthd.config.incident import Update
from healthd.config.public_page import ALL_LANGUAGES
from healthd.model import FailureKind, Result, Status
from healthd.web.auth import hash_token
from tests.unit.healthd.web.conftest import Client, Open, Site
from tests.unit.healthd.web.public.test_page import put, update, words
from tests.unit.healthd.web.test_history_api import opened, store

ADDRESS = "https://status.example.com"


class Marks:
    """Texts that occur nowhere else, one for each place."""

    def __init__(self, seed: int) -> None:
        self._source, self.all = random.Random(seed), dict[str, str]()

    def __call__(self, place: str) -> str:
        letters = "".join(self._source.choice("bcdfghjkmnpqrstvwxz") for _ in range(10))
        return self.all.setdefault(place, f"zq{letters}")


def _configuration(mark: Marks) -> dict[str, Any]:
    paced = {"interval": "10s", "timeout": "2s"}
    checks = {
        mark("check"): {
            "kind": "http", "url": f"https://{mark('host')}.internal:8443/{mark('path')}?key={mark('query')}",
            "headers": {"Authorization": f"Bearer {mark('header')}"}, "labels": {"team": mark("label")},
            "runbook_url": f"https://{mark('runbook')}.example", "critical": True, **paced,
        },
        mark("other-check"): {"kind": "tcp", "host": f"{mark('address')}.internal", "port": 5432, **paced},
        mark("hidden-check"): {"kind": "process", **paced},
    }  # fmt: skip
    window = {"checks": [mark("check")], "from": "2026-03-29T02:00:00Z", "to": "2026-03-29T03:00:00Z"}
    names = {"name": mark("token"), "hash": hash_token(mark("secret")), "scopes": ["admin"]}
    part = {"name": "Checkout", "checks": mark("check"), "groups": [mark("group")]}
    other = {"name": mark("other-component"), "checks": [mark("hidden-check")]}
    return {
        "environment": mark("environment"),
        "version": mark("version"),
        "checks": checks,
        "groups": {mark("group"): {"checks": [mark("other-check")]}},
        "maintenance": [{**window, "reason": mark("reason")}],
        "auth": {"tokens": [names]},
        "http": {"external_url": f"https://{mark('external')}.example"},
        "public_pages": {
            "shop": {"components": [part], "url": ADDRESS},
            mark("other-page"): {"title": mark("other-title"), "components": [other]},
        },
    }


async def _answers(client: Client) -> AsyncIterator[str]:
    """All that a stranger can have of the page: bodies and headers."""
    paths = ["/status/shop", "/status/shop/feed.atom", "/status/shop/feed.rss", "/status/other", "/status/shop/x"]
    for path in paths:
        for language in ALL_LANGUAGES:
            for method in ("GET", "HEAD", "POST"):
                sent = {"Accept-Language": language}
                async with client.request(method, path, headers=sent) as answer:
                    assert answer.status in (200, 404, 405, 503)
                    yield f"{answer.headers} {await answer.text()}"


async def _live(site: Site, mark: Marks, source: random.Random) -> None:
    """Something happens to every check, and to the clock."""
    for name in (mark("check"), mark("other-check"), mark("hidden-check")):
        told, observed = f"{mark('message')} refused at {mark('host')}", {mark("observed"): mark("value")}
        status, kind = source.choice([*Status]), source.choice([*FailureKind])
        if status is not Status.UNKNOWN:
            failed = None if status is Status.HEALTHY else kind
            site.put(name, Result(status, failed, message=told, observed=observed))
    site.clock.seconds += source.choice([7, 70, 3600])


@pytest.mark.parametrize("seed", range(8))
async def test_nothing_of_the_inside_is_said(open_site: Open, tmp_path: Path, seed: int) -> None:
    """Neither names, addresses, labels, messages, reasons and numbers, nor who wrote, other pages, or which software
    this is; with a journal that knows, and with one that went away."""
    mark, source = Marks(seed), random.Random(seed)
    site, client = await opened(open_site, tmp_path, **_configuration(mark))
    await site.incidents._load()
    said: Update = update(site, 1, author=mark("author"), pages=("shop",))
    await put(site.incidents, said)
    await put(site.incidents, update(site, 2, incident="1a", pages=(mark("other-page"),), title=mark("other-incident")))
    moments = [24 * 30, 24 * 9, 24 * 8.9]
    changes = [Status.UNKNOWN, Status.HEALTHY, Status.UNHEALTHY, Status.HEALTHY]
    for name in (mark("check"), mark("other-check")):
        for hours, old, new in zip(moments, changes, changes[1:], strict=False):
            await store(site, (name, hours, old, new, mark("stored")))
    seen = 0
    for turn in range(4):
        await _live(site, mark, source)
        if turn == 3:
            await site.database.close()
        async for answer in _answers(client):
            leaked = {place for place, text in mark.all.items() if text in answer}
            assert leaked == set()
            assert "healthd" not in answer
            assert "aiohttp" not in answer
            assert "internal" not in answer
            read = words(answer)
            assert [kind for kind in FailureKind if re.search(rf"\b{kind.value}\b", read)] == []
            seen += "Checkout" in answer
    assert seen > 40
