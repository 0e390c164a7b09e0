"""What an idempotency key joins: the run that asked before, and never the verdict of another deploy."""

import asyncio
import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from healthd_gates.domain.errors import IdempotencyMismatch, StaleVerdict
from healthd_gates.domain.gate import Gate
from healthd_gates.domain.request import Deployment
from healthd_gates.domain.standing import Verdict
from healthd_gates.store import tables
from tests.fakes.gates import Replica, Script, config, failing, replica, request
from tests.fakes.monitoring import DOWN, UP
from tests.unit.gates.engine.test_before_the_switch import shop
from tests.unit.gates.engine.test_observer import put

QUICK = {"initial_delay": "0s", "observe": {"min": "5s", "max": "1m"}}


async def verify(running: Replica, key: str = "run-77", service: str = "api", **more: Any) -> Gate:
    asked = request(service, **more)
    gate = await running.keeper.start(asked, caller="ci", idempotency_key=key, joins_for=900)
    return await running.keeper.wait(gate.id, 600)


async def test_a_retry_by_a_colleague_joins(file: Path) -> None:
    """Who asks and from where is shown to people, and changes nothing of what is asked."""
    async with replica(file, config(policy=QUICK)) as running:
        first = await verify(running, deployment=Deployment(id="77", url="https://ci/77/attempts/1", actor="ann"))
        again = await verify(running, deployment=Deployment(id="77", url="https://ci/77/attempts/2", actor="bob"))
        assert (again.id, again.deployment.actor) == (first.id, "ann")
        with pytest.raises(IdempotencyMismatch):
            await verify(running, version="2.1")


async def test_one_pipeline_of_two_services(file: Path) -> None:
    """Its number is the key of each of them."""
    async with replica(file, config(policy=QUICK)) as running:
        assert (await verify(running)).id != (await verify(running, service="web")).id


async def test_an_old_verdict_is_named_and_not_given(file: Path) -> None:
    """A run that is started again weeks later deploys again, and that deploy was judged by nobody."""
    async with replica(file, config(policy=QUICK, gates={"lease_duration": "60s"})) as running:
        first = await verify(running)
        await asyncio.sleep(600)
        assert (await verify(running)).id == first.id
        await asyncio.sleep(400)
        Script.act = failing
        with pytest.raises(StaleVerdict, match=r"'run-77' belongs to gate .* \(pass\) is of .*a new key"):
            await verify(running)
        assert (await verify(running, "run-77.2")).id != first.id


async def test_a_verdict_of_before_another_deploy_is_not_given(file: Path) -> None:
    """What passed a minute ago has been replaced since."""
    async with replica(file, config(policy=QUICK)) as running:
        await verify(running)
        other = await verify(running, "run-78", version="2.1")
        with pytest.raises(StaleVerdict, match=f"before gate {other.id} of the same service"):
            await verify(running)


async def test_a_fail_that_is_only_observed_is_given_to_a_retry(file: Path) -> None:
    """Its version never went into quarantine, so nobody has released it."""
    async with replica(file, config(policy={**QUICK, "mode": "observe"})) as running:
        Script.act = failing
        first = await verify(running)
        assert first.decision is not None
        assert (first.decision.verdict, first.may_stay) == (Verdict.FAIL, True)
        assert (await verify(running)).id == first.id


async def test_a_preflight_is_asked_anew(file: Path) -> None:
    """With the same key: a red one was looked into, and the job was run again. A cut line joins it all the same."""
    async with replica(file, shop()) as running:
        put(running, DOWN)
        red = await verify(running, policy="first")
        assert (await verify(running, policy="first")).id == red.id
        put(running, UP)
        await asyncio.sleep(60)
        green = await verify(running, policy="first")
        assert green.may_stay
        assert (await verify(running, policy="first")).id == green.id


async def test_a_gate_that_an_earlier_version_stored_is_joined(file: Path) -> None:
    """An upgrade in the middle of a deploy starts no second gate: its key and hash were made of other parts."""
    asked = request(deployment=Deployment(id="77"))
    async with replica(file, config(policy=QUICK)) as running:
        gate = await running.keeper.start(asked, caller="ci", idempotency_key="run-77", joins_for=900)
        body = json.dumps(asked.model_dump(mode="json"), sort_keys=True)
        old = {"idempotency": "ci run-77", "request_hash": sha256(body.encode()).hexdigest()}
        async with running.database.write() as connection:
            await connection.execute(sa.update(tables.gates).where(tables.gates.c.id == gate.id).values(**old))
        again = await running.keeper.start(asked, caller="ci", idempotency_key="run-77", joins_for=900)
        assert again.id == gate.id


async def test_what_is_not_asked_for_is_not_stored(file: Path) -> None:
    """During an upgrade both releases run: the earlier one refuses to run a gate whose request it does not know all
    of, and the later one joins by the hash of the earlier one's fields."""
    known = ("service", "candidate", "policy", "baseline", "rollback_window", "rollback", "lock", "override")
    asked = request(deployment=Deployment(id="77"))
    async with replica(file, config(policy=QUICK)) as running:
        gate = await running.keeper.start(asked, caller="ci", idempotency_key="run-77", joins_for=900)
        query = sa.select(tables.gates.c.request, tables.gates.c.request_hash).where(tables.gates.c.id == gate.id)
        async with running.database.read() as connection:
            stored = (await connection.execute(query)).one()
    body = json.loads(stored.request)
    assert set(body) == {*known, "deployment"}
    del body["deployment"]
    assert stored.request_hash == sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


async def test_what_is_asked_for_is_stored(file: Path) -> None:
    """A replica that does not know the wait for a switch must not judge such a gate."""
    async with replica(file, config(policy=QUICK)) as running:
        asked = request().model_copy(update={"awaits_switch": True})
        gate = await running.keeper.start(asked, caller="ci")
        query = sa.select(tables.gates.c.request).where(tables.gates.c.id == gate.id)
        async with running.database.read() as connection:
            assert json.loads((await connection.execute(query)).scalar_one())["awaits_switch"] is True
