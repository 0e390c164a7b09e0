"""The order of the start: health is served before anything else is loaded, and whatever becomes of the rest."""

import asyncio
import json
import signal
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.servers import daemon, streams
from tests.servers.daemon import AUTHORIZED, Daemon
from tests.servers.waiting import until

PLANTED = """
import json, os, sys, time

faults = json.loads(os.environ["FAULTS"])


class Planted:
    def find_spec(self, name, path=None, target=None):
        fault = faults.get(name) or faults.get(name.partition(".")[0])
        if fault == "raise":
            raise RuntimeError("planted")
        if fault == "missing":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        while fault is not None and not os.path.exists(fault):
            time.sleep(0.01)


sys.meta_path.insert(0, Planted())
"""
CHECK = {"kind": "process", "critical": True, "interval": "1s", "timeout": "1s"}
Config = dict[str, Any]


@pytest.fixture
def base(tmp_path: Path) -> Config:
    return {"checks": {"here": CHECK}, "journal": f"sqlite:///{tmp_path}/journal.db", "http": {"drain": "100ms"}}


def planted(folder: Path, **faults: str) -> dict[str, str]:
    """The environment of a program in which the import of a part of the daemon, or of a package, raises or waits until
    a file is there."""
    (folder / "sitecustomize.py").write_text(PLANTED)
    names = {f"healthd.app.{name}" if name in ("rest", "gates") else name: fault for name, fault in faults.items()}
    return {"PYTHONPATH": str(folder), "FAULTS": json.dumps(names)}


async def asked(session: aiohttp.ClientSession, server: Daemon, path: str) -> tuple[int, str]:
    async with session.get(server.url + path, headers=AUTHORIZED) as answer:
        return answer.status, await answer.text()


async def test_a_call_during_the_start_waits_for_what_answers_it(base: Config, tmp_path: Path) -> None:
    """Health is answered meanwhile; the caller sees no error, on a connection that was opened before."""
    loaded = tmp_path / "loaded"
    async with (
        daemon.running(base, env=planted(tmp_path, gates=str(loaded))) as server,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as one,
        aiohttp.ClientSession() as session,
    ):
        assert (await asked(session, server, "/health/live"))[0] == 200
        status, text = await asked(session, server, "/health/ready")
        assert (status, json.loads(text)["status"]) == (503, "not ready")
        assert "healthd_check_status" in (await asked(session, server, "/metrics"))[1]
        early = asyncio.create_task(asked(one, server, "/gates"))
        done, _ = await asyncio.wait({early}, timeout=0.3)
        assert not done
        loaded.touch()
        status, text = await early
        assert (status, json.loads(text)["gates"]) == (200, [])
        await until(lambda: is_ready(session, server), "ready")
        assert (await asked(session, server, "/health/none"))[0] == 404
        assert (await asked(one, server, "/nothing"))[0] == 404


async def is_ready(session: aiohttp.ClientSession, server: Daemon) -> bool:
    return (await asked(session, server, "/health/ready"))[0] == 200


@pytest.mark.parametrize("part", ["rest", "gates"])
async def test_health_outlives_what_cannot_be_loaded(part: str, base: Config, tmp_path: Path) -> None:
    """Checks run, a reload applies, calls that nobody answers say so, and the log and a metric name the fault."""
    async with (
        daemon.running(base, env=planted(tmp_path, **{part: "raise"})) as server,
        aiohttp.ClientSession() as session,
    ):
        await until(lambda: is_ready(session, server), "ready without it")
        status, text = await asked(session, server, "/gates")
        assert (status, json.loads(text)["title"]) == (503, "Not loaded")
        assert (await asked(session, server, "/windows"))[0] == (200 if part == "gates" else 503)
        assert 'healthd_task_failures_total{task="start"} 1.0' in (await asked(session, server, "/metrics"))[1]
        told = [json.loads(line) for line in server.log().splitlines() if "planted" in line]
        assert [line["level"] for line in told] == ["error"]
        server.configure({**base, "checks": {"here": CHECK, "there": CHECK}})
        await until(lambda: '"check": "there"' in server.log(), "the reload")
        assert (await asked(session, server, "/health/ready"))[0] == 200
        assert await server.stop() == 0


async def test_signals_are_heeded_while_the_rest_hangs(base: Config, tmp_path: Path) -> None:
    """SIGHUP waits, a call that waits is released, and SIGTERM ends the daemon in good order."""
    async with (
        daemon.running(base, env=planted(tmp_path, rest=str(tmp_path / "never"))) as server,
        aiohttp.ClientSession() as session,
    ):
        waiting = asyncio.create_task(asked(session, server, "/gates"))
        server.process.send(signal.SIGHUP)
        assert (await asked(session, server, "/health/live"))[0] == 200
        assert await server.stop() == 0
        status, text = await waiting
        assert (status, json.loads(text)["title"]) == (503, "Starting")


async def test_checks_run_although_the_rest_hangs(base: Config, tmp_path: Path) -> None:
    """After a while they do without it, a reload applies, and the log and a metric tell."""
    env = planted(tmp_path, rest=str(tmp_path / "never"))
    with (tmp_path / "sitecustomize.py").open("a") as file:
        file.write("import healthd.app.late_parts\nhealthd.app.late_parts._PATIENCE = 0.5\n")
    async with daemon.running(base, env=env) as server, aiohttp.ClientSession() as session:
        await until(lambda: is_ready(session, server), "ready without it")
        assert "still not loaded" in server.log()
        assert 'healthd_task_failures_total{task="start"} 1.0' in (await asked(session, server, "/metrics"))[1]
        server.configure({**base, "checks": {"here": CHECK, "there": CHECK}})
        await until(lambda: '"check": "there"' in server.log(), "the reload")
        assert (await asked(session, server, "/health/live"))[0] == 200
        assert await server.stop() == 0


async def test_a_journal_that_hangs_delays_no_answer(base: Config) -> None:
    """Health is served and checks run while the database says nothing."""
    asked_of_journal = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        asked_of_journal.set()
        await reader.read()
        await asyncio.Event().wait()

    async with streams.listening(silent) as port, aiohttp.ClientSession() as session:
        journal = f"postgresql://healthd@127.0.0.1:{port}/healthd"
        async with daemon.running({**base, "journal": journal}) as server:
            assert (await asked(session, server, "/health/live"))[0] == 200
            await asked_of_journal.wait()
            await until(lambda: is_ready(session, server), "ready")
            assert (await asked(session, server, "/gates"))[0] == 503


DRIVEN: dict[str, Config] = {
    "aiobotocore": {
        "kind": "s3",
        "region": "eu-central-1",
        "bucket": "backups",
        "endpoint_url": "http://127.0.0.1:1",
        "access_key_id": "AKIDEXAMPLE",
        "secret_access_key": "it-is-secret",
    },
    "asyncpg": {"kind": "postgresql", "uri": "postgresql://app@127.0.0.1:1/x"},
    "pymongo": {"kind": "mongodb", "uri": "mongodb://127.0.0.1:1/x?useNewUrlParser=true"},
    "redis": {"kind": "redis", "uri": "redis://127.0.0.1:1"},
}


def driven() -> Config:
    return {package: {**check, "interval": "1s", "timeout": "900ms"} for package, check in DRIVEN.items()}


async def reported(session: aiohttp.ClientSession, server: Daemon, check: str) -> dict[str, Any]:
    """What /health says of a check."""
    found: dict[str, Any] = json.loads((await asked(session, server, "/health"))[1])["checks"][check]
    return found


async def test_health_is_served_before_a_driver_is_loaded(base: Config, tmp_path: Path) -> None:
    """Readiness and the state of the checks are not known meanwhile, and a probe that is asked for waits."""
    loaded = tmp_path / "loaded"
    env = planted(tmp_path, **dict.fromkeys(("aiobotocore.config", "asyncpg", "pymongo", "redis"), str(loaded)))
    settings = {**base, "checks": {"here": CHECK, **driven()}}
    async with daemon.running(settings, env=env) as server, aiohttp.ClientSession(headers=AUTHORIZED) as session:
        assert (await asked(session, server, "/health/live"))[0] == 200
        status, text = await asked(session, server, "/health/ready")
        assert (status, json.loads(text)["status"]) == (503, "not ready")
        assert (await reported(session, server, "redis"))["status"] == "unknown"
        early = asyncio.create_task(session.post(f"{server.url}/checks/redis/run"))
        done, _ = await asyncio.wait({early}, timeout=0.3)
        assert not done
        loaded.touch()
        async with await early as answer:
            assert "nobody listens" in await answer.text()
        await until(lambda: is_ready(session, server), "ready")
        for check in DRIVEN:

            async def is_probed(check: str = check) -> bool:
                return bool((await reported(session, server, check))["status"] == "unhealthy")

            await until(is_probed, check)
            assert (await reported(session, server, check))["kind"] in ("connect", "timeout")
        assert "checks.pymongo: " in server.log(), "what only the driver knows of an address is told as well"


async def test_a_driver_that_cannot_be_loaded_fails_its_check_alone(base: Config, tmp_path: Path) -> None:
    """The log and the result say why; everything else is there."""
    settings = {**base, "checks": {"here": CHECK, **driven()}}
    async with (
        daemon.running(settings, env=planted(tmp_path, redis="missing", pymongo="raise")) as server,
        aiohttp.ClientSession() as session,
    ):
        await until(lambda: is_ready(session, server), "ready")

        async def has_gates() -> bool:
            return (await asked(session, server, "/gates"))[0] == 200

        await until(has_gates, "gates")
        for check, why in (("redis", "kind 'redis' cannot be loaded: No module named"), ("pymongo", "planted")):
            found = await reported(session, server, check)
            assert (found["status"], found["kind"]) == ("unhealthy", "misconfigured")
            assert why in found["message"]
            told = [json.loads(line) for line in server.log().splitlines() if "check cannot be built" in line]
            assert any(line["check"] == check and why in line["reason"] for line in told)
        assert (await reported(session, server, "asyncpg"))["kind"] in ("connect", "timeout")


async def test_an_address_that_only_the_driver_can_judge(base: Config, tmp_path: Path) -> None:
    """The check says what is wrong with it. A reload takes what the start takes, and tells of a check that worked."""
    uri = "rediss://:secret@127.0.0.1:1/0"
    bad = {"kind": "redis", "uri": f"{uri}?ssl_cert_reqs=sometimes", "interval": "1s", "timeout": "900ms"}
    checks = {"here": CHECK, "bad": bad, "good": {**bad, "uri": uri}}

    def told(check: str) -> bool:
        lines = [json.loads(line) for line in server.log().splitlines() if "check cannot be built" in line]
        return any((line["check"], line["level"]) == (check, "error") for line in lines)

    async with daemon.running({**base, "checks": checks}) as server, aiohttp.ClientSession() as session:
        await until(lambda: is_ready(session, server), "ready")
        found = await reported(session, server, "bad")
        assert found["kind"] == "misconfigured"
        assert "has a value that the Redis driver does not take" in found["message"]
        assert told("bad")
        assert not told("good")
        server.configure({**base, "checks": {**checks, "there": CHECK, "good": bad}})

        async def is_added() -> bool:
            return (await asked(session, server, "/checks/there"))[0] == 200

        await until(is_added, "the reload")

        async def is_misconfigured() -> bool:
            return bool((await reported(session, server, "good"))["kind"] == "misconfigured")

        await until(is_misconfigured, "the check that worked")
        assert told("good")
        assert "configuration refused" not in server.log()
        assert "secret" not in server.log()


async def test_checks_run_although_a_driver_hangs(base: Config, tmp_path: Path) -> None:
    """Only the check that needs it fails, and says so, until it is there."""
    loaded = tmp_path / "loaded"
    env = planted(tmp_path, redis=str(loaded))
    with (tmp_path / "sitecustomize.py").open("a") as file:
        for module in ("healthd.app.late_parts", "healthd.monitoring.suite"):
            file.write(f"import {module}\n{module}._PATIENCE = 0.5\n")
    settings = {**base, "checks": {"here": CHECK, "redis": driven()["redis"]}}
    async with daemon.running(settings, env=env) as server, aiohttp.ClientSession() as session:
        await until(lambda: is_ready(session, server), "ready without it")

        async def says(text: str) -> bool:
            return text in ((await reported(session, server, "redis")).get("message") or "")

        await until(lambda: says("the driver of kind 'redis' is still not loaded"), "what is missing")
        loaded.touch()
        await until(lambda: says("nobody listens"), "the first probe of the server")
