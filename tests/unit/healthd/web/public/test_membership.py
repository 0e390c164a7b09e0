"""Which checks belong to a component: by name, by pattern, by group, of those that run."""

import asyncio
import threading

import pytest

from healthd.config.in_force import InForce
from healthd.config.settings import Settings
from healthd.web.public.membership import Membership, Memberships, membership
from tests.servers.waiting import HANGS

CHECK = {"kind": "process"}


def settings(component: dict[str, object]) -> Settings:
    return Settings.model_validate(
        {
            "checks": {
                **{f"db-{n}": {**CHECK, "critical": n == 1} for n in (1, 2)},
                "web": {**CHECK, "labels": {"team": "shop"}},
                "off": {**CHECK, "enabled": False},
            },
            "groups": {"own": {"checks": ["web", "db-2"]}},
            "public_pages": {"shop": {"components": [{"name": "A", **component}]}},
        }
    )


def names(component: dict[str, object]) -> list[str]:
    (part,) = membership(settings(component)).pages["shop"]
    return [it.name for it in part]


def test_names_patterns_and_groups() -> None:
    """Each check once; the daemon's own groups too; what does not run belongs nowhere."""
    assert names({"checks": "web"}) == ["web"]
    assert names({"checks": "*"}) == ["db-1", "db-2", "web"]
    assert names({"checks": ["db-*"], "groups": ["own"]}) == ["db-1", "db-2", "web"]
    assert names({"groups": ["ready"]}) == ["db-1"]
    assert names({"checks": "off"}) == []
    found = membership(settings({"checks": "w*"})).members
    assert (dict(found["web"].labels), set(found["web"].groups)) == ({"team": "shop"}, {"own"})


def test_a_component_of_which_nothing_runs_is_told() -> None:
    """It is no error: the check may run in another environment."""
    (note,) = [it for it in settings({"checks": ["off"]}).notes if it.startswith("public_pages")]
    assert note == "public_pages.shop.components.0: no check of it runs: it is shown as not known"


async def test_the_membership_is_that_of_now(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where a reload comes while it is found."""
    reloaded = threading.Event()

    def find(of: Settings, revision: int) -> Membership:
        reloaded.wait(HANGS)
        return membership(of, revision)

    monkeypatch.setattr("healthd.web.public.membership.membership", find)
    in_force = InForce(settings({"checks": "web"}))
    memberships = Memberships(in_force)
    finding = asyncio.create_task(memberships.now())
    await asyncio.sleep(0)
    in_force.replace(settings({"checks": "*"}))
    reloaded.set()
    found = await finding
    assert (found.revision, len(found.members)) == (in_force.revision, 3)
    assert await memberships.now() is found
