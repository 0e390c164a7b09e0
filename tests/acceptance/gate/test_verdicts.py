"""Every verdict that a gate can come to, on real traffic, through every source that a test can have.

All gates run at once on one desk, so that the whole takes as long as the slowest of them.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest
import pytest_asyncio

from tests.acceptance.gate.desk import NEW, OLD, Case, Desk, Ended, desk
from tests.acceptance.gate.load import Served
from tests.acceptance.gate.shipper import ship
from tests.acceptance.gate.shop import Flaw
from tests.servers.lateness import Lateness
from tests.servers.ports import HOST, free_port

SETTLED = 2.0
SLACK = 3.5  # seconds by which the ends of the evidence and of the log may differ: a scrape and a look
OLD_FLAWS = {"worse": Flaw(failing=0.01)}
FLAWS = {
    "good": Flaw(failing=0.003),
    "errors": Flaw(failing=0.1),
    "slow": Flaw(slow=0.2, seconds=1.5),
    "worse": Flaw(failing=0.06),
    "probed-errors": Flaw(failing=0.1),
}
RATES = {"good": 200, "errors": 200, "slow": 100, "worse": 250}
CASES = {
    "good": Case("good"),
    "errors": Case("errors"),
    "slow": Case("slow"),
    "worse": Case("worse", policy="canary"),
    "idle": Case("idle", policy="brief"),
    "good-by-scrape": Case("good", "scrape"),
    "errors-by-scrape": Case("errors", "scrape"),
    # What is pushed are the load generator's own durations, which on a busy machine say little of the version.
    "good-by-push": Case("good", "push", policy="counts"),
    "errors-by-push": Case("errors", "push", policy="counts"),
    "good-by-probe": Case("probed-good", "probe"),
    "errors-by-probe": Case("probed-errors", "probe"),
    "good-by-command": Case("good"),
    "errors-by-command": Case("errors"),
    "idle-by-command": Case("idle", policy="brief"),
}


@dataclass(frozen=True)
class Told:
    """What everybody was told, once every gate has its verdict."""

    desk: Desk
    calls: dict[str, Ended]
    gates: dict[str, dict[str, Any]]
    shipped: dict[str, list[Served]]
    followed: Ended
    refused: Ended
    slack: float
    """SLACK, and by how much a scrape and a look can have been late on this machine."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def told(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Told]:
    folder = tmp_path_factory.mktemp("desk")
    with Lateness() as late:
        async with desk(folder, CASES, flaws=FLAWS, old_flaws=OLD_FLAWS, rates=RATES) as everything:
            await everything.switch({"good": 100, "errors": 100, "slow": 100, "worse": 50})
            async with asyncio.TaskGroup() as group:
                calls = {name: group.create_task(_call(everything, name)) for name in CASES}
                shipped = {
                    name: group.create_task(ship(everything, name, case.shop))
                    for name, case in CASES.items()
                    if case.source == "push"
                }
                followed = group.create_task(_follow(everything, "errors"))
                refused = group.create_task(_come_second(everything, "errors"))
            yield Told(
                everything,
                {name: call.result() for name, call in calls.items()},
                {name: await everything.gate_of(name) for name in CASES},
                {name: pushes.result() for name, pushes in shipped.items()},
                followed.result(),
                refused.result(),
                SLACK + late.during(SLACK),
            )


async def _call(on: Desk, name: str) -> Ended:
    if name.endswith("command"):
        return await on.command("gate", "verify", name, NEW, "--target", "green", "--quiet")
    return await on.verify(name, canary=CASES[name].policy == "canary")


async def _follow(on: Desk, name: str) -> Ended:
    return await on.curl(f"/gates/{(await on.gate_of(name))['id']}/events", "-f", "-N")


async def _come_second(on: Desk, name: str) -> Ended:
    await on.gate_of(name)
    return await on.verify(name, fail="--fail-with-body")


@pytest.mark.parametrize("name", ["good", "good-by-scrape", "good-by-probe", "good-by-push"])
def test_a_good_version_may_stay(told: Told, name: str) -> None:
    """curl exits with 0, and the gate is proven safe."""
    call = told.calls[name]
    assert call.code == 0, _said(told.gates[name])
    assert (call.body["verdict"], call.body["may_stay"], call.body["decision"]["reason"]) == (
        "pass",
        True,
        "proven_safe",
    )


def _said(gate: dict[str, Any]) -> str:
    """How a gate ended, where the whole of it would be cut."""
    standing = gate["standing"] or {"elapsed_seconds": 0, "gaps": 0, "criteria": []}
    sentences = [criterion["sentence"] for criterion in standing["criteria"]]
    about = f"{gate['decision']} after {standing['elapsed_seconds']} s, {standing['gaps']} gaps"
    return f"{about}: {sentences} {gate['notes']}"


@pytest.mark.parametrize("name", ["errors", "errors-by-scrape", "errors-by-probe", "errors-by-push"])
def test_one_in_ten_requests_failing_may_not(told: Told, name: str) -> None:
    """curl exits with 22, as for every answer of 400 and more; the error rate is what is wrong."""
    assert told.calls[name].code == 22, told.gates[name]
    errors, _ = _found_harm(told.gates[name], "error_rate")
    assert 0.05 < errors["observed"] < 0.15
    assert errors["interval"][0] > errors["limit"]


def test_a_slow_version_may_not(told: Told) -> None:
    """One whose p95 is beyond the limit, with every answer right."""
    assert told.calls["slow"].code == 22, told.gates["slow"]
    latency, others = _found_harm(told.gates["slow"], "latency")
    assert latency["observed"] > latency["limit"] == 1.0
    assert others[0]["finding"] == "safe"


def test_one_that_is_only_worse_than_its_baseline_may_not(told: Told) -> None:
    """Well within the limit, and several times the errors of the version beside it."""
    assert told.calls["worse"].code == 22, told.gates["worse"]
    errors, _ = _found_harm(told.gates["worse"], "error_rate")
    assert errors["interval"][1] < errors["limit"]
    assert errors["observed"] > 2 * errors["baseline"]


@pytest.mark.parametrize("name", ["idle", "idle-by-command"])
def test_no_traffic_is_inconclusive(told: Told, name: str) -> None:
    """Neither a pass nor a fault of the version: it does not stay, and is not quarantined."""
    assert told.calls[name].code == (22 if name == "idle" else 2)
    decision = told.gates[name]["decision"]
    assert (decision["verdict"], decision["counts_as"], decision["reason"]) == ("inconclusive", "fail", "no_traffic")
    assert name not in _rows(told.desk, "SELECT service FROM healthd_quarantine")


@pytest.mark.parametrize("name", ["good", "errors", "slow", "good-by-scrape", "errors-by-scrape"])
def test_counts_are_those_of_the_load_generator(told: Told, name: str) -> None:
    """What a gate counted of the new version lies between what was logged in a shorter and in a longer time."""
    gate, shop = told.gates[name], CASES[name].shop
    seen = gate["standing"]["criteria"][0]
    since, until = _moment(gate["created_at"]) + SETTLED, _moment(gate["decision"]["at"])
    fewest = told.desk.log.count(shop, NEW, since + told.slack, until - told.slack)
    most = told.desk.log.count(shop, NEW, since - told.slack, until)
    assert fewest[0] <= seen["requests"] <= most[0]
    assert fewest[1] <= seen["bad"] <= most[1]
    assert gate["standing"]["resets"] == 0


def test_both_arms_are_counted(told: Told) -> None:
    """The baseline beside the candidate, each from its own process."""
    gate = told.gates["worse"]
    (seen,) = gate["standing"]["criteria"]
    since, until = _moment(gate["created_at"]) + SETTLED, _moment(gate["decision"]["at"])
    for arm, version in (("", NEW), ("baseline_", OLD)):
        fewest = told.desk.log.count("worse", version, since + told.slack, until - told.slack)
        most = told.desk.log.count("worse", version, since - told.slack, until)
        assert fewest[0] <= seen[f"{arm}requests"] <= most[0]
        assert fewest[1] <= seen[f"{arm}bad"] <= most[1]


@pytest.mark.parametrize("name", ["good-by-push", "errors-by-push"])
def test_what_is_pushed_counts_once(told: Told, name: str) -> None:
    """All that a gate counted was shipped to it, and no error is lost on the way but with the settling."""
    seen, shipped = told.gates[name]["standing"]["criteria"][0], told.shipped[name]
    since = _moment(told.gates[name]["created_at"]) + SETTLED + told.slack
    settled = [one for one in shipped if one.done > since]
    assert len(settled) - len(_last(settled, told.slack)) <= seen["requests"] <= len(shipped)
    assert seen["bad"] <= sum(one.status >= 500 for one in shipped)


def test_the_commands_exit_code_is_the_verdict(told: Told) -> None:
    """0 for a pass, 1 for a fail, 2 for neither."""
    codes = {name: told.calls[f"{name}-by-command"].code for name in ("good", "errors", "idle")}
    assert codes == {"good": 0, "errors": 1, "idle": 2}


@pytest.mark.asyncio(loop_scope="module")
async def test_who_cannot_be_asked_gives_no_verdict(told: Told) -> None:
    """3: a version in quarantine, and a daemon that is not there."""
    again = await told.desk.command("gate", "verify", "errors-by-command", NEW, "--target", "green", "--quiet")
    assert (again.code, again.out) == (3, "")
    assert told.gates["errors-by-command"]["id"] in again.err
    nobody = ("--url", f"http://{HOST}:{free_port()}", "--retry-for", "0")
    assert (await told.desk.command("gate", "verify", "good", NEW, "--target", "green", *nobody)).code == 3


def test_a_second_gate_is_told_who_is_first(told: Told) -> None:
    """409 with the gate, its caller and until when it may last."""
    problem, first = told.refused.body, told.gates["errors"]
    assert told.refused.code == 22
    assert (problem["status"], problem["gate_id"], problem["caller"]) == (409, first["id"], "pipeline")
    assert "pipeline holds errors until" in problem["detail"]
    assert _moment(problem["until"]) > _moment(first["decision"]["at"])


def test_the_log_can_be_followed_to_the_verdict(told: Told) -> None:
    """Server-sent events: every look with growing counts, then the decision, and the stream ends."""
    assert told.followed.code == 0, told.followed
    kinds = [line.removeprefix("event: ") for line in told.followed.out.splitlines() if line.startswith("event: ")]
    ids = [int(line.removeprefix("id: ")) for line in told.followed.out.splitlines() if line.startswith("id: ")]
    assert kinds[0] == "started"
    assert kinds[-1] == "decision"
    assert kinds.count("look") >= 2  # how many more there is time for is the machine's matter
    assert ids == list(range(1, len(ids) + 1))


def test_who_did_what_is_in_the_audit(told: Told) -> None:
    """A row for each gate that was started, with the caller's name; none for those that were refused."""
    started = _rows(told.desk, "SELECT subject FROM healthd_audit WHERE action = 'gate.start' AND caller = 'pipeline'")
    assert sorted(started) == sorted(CASES)


def _found_harm(gate: dict[str, Any], name: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The criterion that found harm in a gate that failed for it, and the others."""
    assert (gate["verdict"], gate["may_stay"], gate["decision"]["reason"]) == ("fail", False, "harm")
    standing = gate["standing"]
    assert standing["e_harm"] >= standing["e_needed"]
    (guilty,) = [criterion for criterion in standing["criteria"] if criterion["name"] == name]
    return guilty, [criterion for criterion in standing["criteria"] if criterion is not guilty]


def _last(served: list[Served], slack: float) -> list[Served]:
    """Those that came too late for the last look."""
    return [one for one in served if one.done > served[-1].done - slack]


def _moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _rows(on: Desk, query: str) -> list[str]:
    with sqlite3.connect(f"file:{on.journal}?mode=ro", uri=True) as journal:
        return [row[0] for row in journal.execute(query)]
