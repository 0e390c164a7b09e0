"""Whoever is woken acknowledges a check, or silences it, by a button."""

from typing import Any

import pytest

from healthd.web.auth import hash_token
from tests.fakes.monitoring import DOWN, UP
from tests.unit.healthd.web.conftest import Client, Open

FORM = {"act": "silence-1h", "reason": "disk is being replaced", "token": "ada-token"}
PATH = "/checks/mail/silence"


def callers() -> dict[str, Any]:
    tokens = [
        ("reader", ["health:read"], {}),
        ("ada", ["windows:write"], {}),
        ("bound", ["windows:write"], {"checks": ["db"]}),
    ]
    return {"tokens": [{"name": n, "hash": hash_token(f"{n}-token"), "scopes": s, **more} for n, s, more in tokens]}


async def press(client: Client, path: str = PATH, headers: dict[str, str] | None = None, **changes: str) -> int:
    sent = {"Sec-Fetch-Site": "same-origin"} if headers is None else headers
    async with client.post(path, data={**FORM, **changes}, headers=sent, allow_redirects=False) as answer:
        assert answer.status != 303 or answer.headers["Location"] == "../mail"
        return answer.status


@pytest.mark.parametrize(
    ("act", "kind", "seconds"),
    [
        ("acknowledge", "acknowledgement", 30 * 86400),
        ("silence-1h", "silence", 3600),
        ("silence-8h", "silence", 28800),
    ],
)
async def test_a_button(open_site: Open, act: str, kind: str, seconds: int) -> None:
    """The page leads to it, and what it does is in force, with reason, author and end."""
    site, client = await open_site(http={"details": "always"}, auth=callers())
    read = {"Authorization": "Bearer reader-token"}
    site.put("mail", DOWN)
    page = await (await client.get("/checks/mail", headers=read)).text()
    assert f'href="{PATH}"' in page
    answer = await client.get(PATH, headers=read)
    assert (answer.status, f'value="{act}"' in await answer.text()) == (200, True)
    assert "form-action 'self'" in answer.headers["Content-Security-Policy"]
    assert await press(client, act=act) == 303
    (window,) = site.windows.all()
    assert (window.kind, window.checks, window.reason, window.author) == (kind, ("mail",), FORM["reason"], "ada")
    assert window.start is not None
    assert window.end is not None
    assert (window.end - window.start).total_seconds() == seconds


async def test_what_is_healthy_has_no_button_to_acknowledge_it(open_site: Open) -> None:
    """Nor is it done by a page that was opened before the recovery."""
    site, client = await open_site(auth=callers())
    site.put("mail", UP)
    page = await (await client.get(PATH, headers={"Authorization": "Bearer reader-token"})).text()
    assert ('value="acknowledge"' in page, "There is nothing to acknowledge." in page) == (False, True)
    assert (await press(client, act="acknowledge"), site.windows.all()) == (409, [])


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"token": "reader-token"}, 403),
        ({"token": "bound-token"}, 403),
        ({"token": "wrong"}, 401),
        ({"token": ""}, 401),
        ({"reason": " "}, 422),
        ({"reason": "x" * 201}, 422),
        ({"reason": "two\nlines"}, 422),
        ({"act": "delete"}, 400),
        ({"path": "/checks/unknown/silence"}, 404),
        ({"headers": {"Sec-Fetch-Site": "cross-site"}}, 403),
        ({"headers": {"Origin": "https://evil.example"}}, 403),
    ],
)
async def test_what_is_not_done(open_site: Open, changes: dict[str, Any], status: int) -> None:
    site, client = await open_site(auth=callers())
    assert await press(client, **changes) == status
    assert site.windows.all() == []


async def test_who_may_look(open_site: Open) -> None:
    _, client = await open_site(auth=callers())
    assert (await client.get(PATH)).status == 401
    assert (await client.get(PATH, headers={"Authorization": "Bearer reader-token"})).status == 200
