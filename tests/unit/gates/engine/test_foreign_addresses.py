"""A deploy file of staging that names production's service, by its copy: seen by the addresses that it switches to."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import sqlalchemy as sa

from healthd_gates.domain.errors import InvalidRequest
from healthd_gates.store import tables
from tests.fakes.gates import config, replica, request

pytestmark = pytest.mark.usefixtures("_scripted")
GREEN = ["http://10.0.1.11:3000"]


async def notes(folder: Path, own: Sequence[str], **addresses: Sequence[str]) -> tuple[str, ...]:
    """Notes of a gate about a service that has these addresses for blue."""
    configuration = config(service={"targets": {"blue": list(own), "green": GREEN}})
    asked = {target: tuple(its) for target, its in addresses.items()}
    async with replica(folder / "journal.db", configuration) as running:
        gate = await running.keeper.could_start(request(addresses=asked), caller="ci")
    return gate.notes


@pytest.mark.parametrize(
    ("own", "switched"),
    [
        (["http://10.0.1.10:3000"], ["10.0.1.10:3000"]),
        (["http://10.0.1.10:3000/base", "http://10.0.1.12:3000"], ["10.0.1.12:3000", "10.0.1.13:3000"]),
        (["http://localhost:3001"], ["127.0.0.1:3001"]),
        (["http://[::1]:3001"], ["localhost:3001"]),
        (["http://api-blue"], ["api-blue"]),
        (["http://10.0.1.10:3000"], ["unix:/run/api.sock"]),
        (["http://10.0.1.10:3000"], []),
    ],
)
async def test_the_same_place_is_not_told(tmp_path: Path, own: list[str], switched: list[str]) -> None:
    assert await notes(tmp_path, own, blue=switched, green=["10.0.1.11:3000"]) == ()
    assert await notes(tmp_path, own) == ()


@pytest.mark.parametrize(
    ("own", "switched"),
    [
        ("http://api-blue.shop:3000", "10.0.1.10:3000"),
        ("http://10.0.1.10:9100", "10.0.1.10:3000"),
        ("http://127.0.0.1:3001", "localhost:4001"),
        ("http://prod-blue:3000", "staging-blue:3000"),
    ],
)
async def test_what_may_be_the_same_place_is_told(tmp_path: Path, own: str, switched: str) -> None:
    """By another name, or with metrics at another port; or staging on production's host."""
    (told,) = await notes(tmp_path, [own], blue=[switched])
    assert told == (
        f"the deploy has blue at {switched}, and healthd's configuration has that of api at {own}: unless both are the "
        "same place, the gate judges, and moves, the traffic of another one"
    )


async def test_a_login_in_an_address_is_in_no_note(tmp_path: Path) -> None:
    """Nor in a refusal: either goes to whoever asks, and a note to the page."""
    own = ["http://scraper:s3cret-word@10.0.1.10:3000"]
    (told,) = await notes(tmp_path, own, blue=["api-blue:3000"])
    assert "that of api at http://10.0.1.10:3000" in told
    with pytest.raises(InvalidRequest) as refused:
        await notes(tmp_path, own, blue=["10.9.1.10:3000"])
    assert "s3cret-word" not in told + str(refused.value)


@pytest.mark.parametrize("switched", ["10.9.1.10:3000", "10.0.1.11:3000"], ids=["staging", "green's"])
async def test_other_machines_are_refused(tmp_path: Path, switched: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await notes(tmp_path, ["http://10.0.1.10:3000"], blue=[switched])
    assert f"has blue at {switched}" in str(refused.value)
    assert "is it the deploy file of another environment" in str(refused.value)


@pytest.mark.parametrize("switched", ["10.0.1.10:http", "10.0.1.10:99999", "[::1", "api:3000 weight=5"])
async def test_what_is_no_address_is_refused(tmp_path: Path, switched: str) -> None:
    """By the caller's fault: it ended as an error of the daemon's own."""
    with pytest.raises(InvalidRequest, match="is no host with its port"):
        await notes(tmp_path, ["http://10.0.1.10:3000"], blue=[switched])


async def test_addresses_are_compared_and_not_stored(tmp_path: Path) -> None:
    """An earlier release refuses to run a gate with a key that it does not know: its rollback would be lost."""
    async with replica(tmp_path / "journal.db", config()) as running:
        asked = request(addresses={"blue": ("api-blue:3000",)})
        gate = await running.keeper.start(asked, caller="ci", idempotency_key="one")
        async with running.database.read() as connection:
            stored = (await connection.execute(sa.select(tables.gates.c.request))).scalar_one()
        again = await running.keeper.start(request(), caller="ci", idempotency_key="one")
    assert "addresses" not in stored
    assert again.id == gate.id
