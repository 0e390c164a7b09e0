"""The configuration in force: every option applies at a reload, or is named as waiting for a restart."""

import asyncio
import gc
from collections.abc import Iterator
from pathlib import Path
from types import CoroutineType, FrameType, ModuleType

import pytest
from pydantic import BaseModel

from healthd.app.daemon import Daemon
from healthd.app.health import UNTIL_RESTART
from healthd.config.in_force import InForce
from healthd.config.settings import Settings
from healthd_gates.config.settings import Config

_NOT_FOLLOWED = (type, ModuleType, FrameType, CoroutineType, asyncio.AbstractEventLoop, asyncio.Task)


def configuration(n: int, folder: Path) -> Config:
    """One of two configurations of which every option differs."""
    window = {"from": f"20{n}1-01-01T00:00:00Z", "to": "2099-01-01T00:00:00Z", "reason": "x"}
    url = f"http://127.0.0.1:1/{n}"
    return Config.model_validate(
        {
            "include": [f"{n}.yaml"],
            "environment": ["staging", "production"][n],
            "version": f"version-{n}",
            "level": ["comprehensive", "enhanced"][n],
            "http": {
                "listen": f"127.0.0.1:{n + 1}",
                "details": ["always", "never"][n],
                "agent_check": f"127.0.0.1:{n + 3}",
                "drain": f"{n + 11}s",
                "external_url": f"https://healthd-{n}.test",
            },
            "auth": {
                "tokens": [{"name": f"token-{n}", "hash": f"sha256:{n}" + 63 * "0", "scopes": ["admin"]}],
                "identities": [
                    {
                        "name": f"{n}",
                        "issuer": f"https://{n}.test",
                        "audience": "x",
                        "claims": {"sub": f"{n}"},
                        "role": "viewer",
                    }
                ],
                "sign_in": {
                    "issuer": f"https://accounts-{n}.test",
                    "client_id": f"client-{n}",
                    "client_secret": f"secret-{n}",
                    "session_secret": f"{n}" * 32,
                    "scopes": ["openid", f"groups-{n}"],
                    "name_claim": f"name-{n}",
                    "session": f"{n + 1}h",
                    "ca_file": f"/ca-{n}.pem",
                    "people": [{"name": f"people-{n}", "claims": {"groups": f"{n}"}, "role": "viewer"}],
                },
                "trust_loopback": [True, False][n],
            },
            "log": {"level": ["info", "warning"][n], "format": ["json", "console"][n]},
            "sentry": {"dsn": f"http://key-{n}@127.0.0.1:1/1"},
            "outgoing": {"proxy": f"http://proxy-{n}:3128", "no_proxy": [f".zone-{n}"]},
            "journal": f"sqlite:///{folder}/{n}.db",
            "retention": f"{n + 40}d",
            "defaults": {
                "interval": f"{n + 21}s",
                "timeout": f"{n + 3}s",
                "fall": n + 4,
                "rise": n + 3,
                "fast_interval": f"{n + 5}s",
                "spread": n + 1,
                "labels": {"team": f"{n}"},
                "values": {"port": n},
                **{key: {"x": {"y": n}} for key in ("checks", "services", "sources", "policies")},
            },
            "templates": {key: {"x": {"y": n}} for key in ("checks", "services", "policies")},
            "checks": {"web": {"kind": "http", "url": url}, f"only-{n}": {"kind": "process"}},
            "groups": {"mine": {"checks": [f"only-{n}"]}},
            "maintenance": [{"checks": ["web"], **window}],
            "silences": [{"checks": ["web"], **window}],
            "public_pages": {
                f"page-{n}": {
                    "title": f"{n}",
                    "components": [{"name": f"{n}", "description": f"{n}", "checks": ["web"], "groups": ["mine"]}],
                    "languages": [["de"], ["fr"]][n],
                    "announcement": f"{n}",
                    "timezone": ["UTC", "Europe/Berlin"][n],
                    "uptime_days": n + 30,
                    "maintenance": bool(n),
                    "url": f"https://status-{n}.test",
                }
            },
            "notifiers": {"team": {"kind": "webhook", "url": url}},
            "routes": [{"to": ["team"], "severity": ["critical", "warning"][n]}],
            "policies": {"post-switch": {"observe": {"max": f"{n + 7}m"}}},
            "actions": {"back": {"kind": "webhook", "url": url}},
            "services": {"api": {"targets": {"blue": url}, "source": {"kind": "push"}}},
            "freeze": [window],
            "hooks": {"canary": {"kind": "flagger", "canaries": {f"shop/{n}": {"service": "api"}}}},
            "otlp": {
                "endpoint": f"http://collector-{n}:4318",
                "headers": {"X-Key": f"key-{n}"},
                "interval": f"{n + 50}s",
                "timeout": f"{n + 5}s",
                "signals": [("metrics", "traces")[n]],
                "compression": ("gzip", "none")[n],
                "ca_file": f"/etc/ca-{n}.pem",
                "resource": {"team": f"team-{n}"},
                "proxy": f"http://proxy-{n}:8888",
            },
            "gates": {
                "enabled": not n,
                "lease_duration": f"{n + 11}s",
                "keep_evaluations": f"{n + 9}d",
                "max_running": 700 + n,
            },
        }
    )


def options(model: BaseModel, path: str = "") -> Iterator[tuple[str, object]]:
    """Every option by its path; what stands under names of the user's choice counts as one."""
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            yield from options(value, f"{path}{name}.")
        else:
            yield path + name, value


def parts(value: object) -> Iterator[object]:
    """The objects of a configuration that are not another's by chance: its models, and numbers that were read."""
    if isinstance(value, BaseModel | float):
        yield value
    if isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from parts(getattr(value, name))
    elif isinstance(value, dict):
        for item in value.values():
            yield from parts(item)
    elif isinstance(value, tuple):
        for item in value:
            yield from parts(item)


def reachable(root: object) -> set[int]:
    """The identities of all objects that something holds on to. Modules, classes and whatever runs are left out."""
    seen: dict[int, object] = {}
    front = [root]
    while front:
        thing = front.pop()
        if id(thing) not in seen and not isinstance(thing, _NOT_FOLLOWED):
            seen[id(thing)] = thing
            front += gc.get_referents(thing)
    return set(seen)


@pytest.fixture
def warnings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The warnings of the composition root; logging itself stays as it is."""
    told: list[str] = []

    class Log:
        def warning(self, text: str, **_: object) -> None:
            told.append(text)

        def info(self, *_: object, **__: object) -> None: ...

    monkeypatch.setattr("healthd.app.reloading._log", Log())
    monkeypatch.setattr("healthd.logs.configure", lambda *_: None)
    return told


async def test_a_reload_leaves_nothing_of_the_old_configuration_behind(tmp_path: Path, warnings: list[str]) -> None:
    """Every option is changed at once. Nobody holds a part of the configuration before, but for what is named."""
    before, after = configuration(0, tmp_path), configuration(1, tmp_path)
    same = [path for (path, old), (_, new) in zip(options(before), options(after), strict=True) if old == new]
    assert not same, "this test is to change every option there is"
    daemon = Daemon(before, None)
    await daemon.health.suite.arrange(daemon.settings)
    daemon.parts.assemble()
    await daemon.reloading.take(after)
    await asyncio.sleep(0)

    assert warnings[: len(UNTIL_RESTART)] == [f"{option} changes only with a restart" for option in UNTIL_RESTART]
    in_force = dict(options(daemon.settings))
    for path, new in options(after):
        if path in UNTIL_RESTART:
            assert in_force[path] == dict(options(before))[path]
        else:
            assert in_force[path] == new
    kept = {id(part) for part in parts(daemon.settings)}
    holders = reachable(daemon)
    stale = [part for part in parts(before) if id(part) in holders and id(part) not in kept]
    assert not stale
    assert daemon.parts.rest is not None
    assert daemon.parts.gates is not None
    await daemon.parts.rest.notifications.close()
    await daemon.parts.gates.gates._session.close()
    await daemon.health.suite.close()


def test_what_waits_for_a_restart_keeps_its_value() -> None:
    """For everybody, and it is named at each reload until it is put back."""
    one = Settings.model_validate({"http": {"listen": "127.0.0.1:1"}, "version": "1"})
    two = Settings.model_validate({"http": {"listen": "127.0.0.1:2", "drain": "9s"}, "version": "2"})
    in_force = InForce(one, until_restart=["http.listen"])
    for _ in range(2):
        assert in_force.replace(two) == ["http.listen"]
        assert (in_force.now.version, in_force.now.http.drain, in_force.now.http.listen) == ("2", 9.0, "127.0.0.1:1")
    assert in_force.replace(one) == []
