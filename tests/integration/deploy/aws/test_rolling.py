"""`healthd-deploy aws rolling` with real requests, real commands on instances, and a real daemon."""

import signal
from pathlib import Path

import pytest

from tests.integration.deploy.aws.stage import RELEASE, Stage, judged, staged
from tests.servers import moto
from tests.servers.waiting import until

THREE = {"blue": ["1.0"] * 3}
CHANGES = ("Modify", "Register", "Deregister", "Send", "Cancel", "Add", "Create", "Delete")


async def notes(stage: Stage, key: str) -> dict[str, str]:
    """That tag of every instance that has it."""
    answer = await stage.ec2.describe_tags(Filters=[{"Name": "key", "Values": [f"healthd:{key}"]}])
    return {tag["ResourceId"]: tag["Value"] for tag in answer["Tags"]}


def ids(stage: Stage) -> list[str]:
    return [instance.id for instance in stage.members["blue"]]


async def settled(stage: Stage, *versions: str) -> None:
    """All are in, with these versions, and the notes say so."""
    assert stage.versions() == list(versions)
    assert await stage.registered() == ids(stage)
    assert await notes(stage, "version") == dict(zip(ids(stage), versions, strict=True))
    assert (await notes(stage, "previous"), await notes(stage, "out-of")) == ({}, {})


async def test_a_good_version_goes_everywhere_and_a_bad_one_nowhere(aws: moto.Moto, tmp_path: Path) -> None:
    """Without a failed request but those of the bad version; the first batch of which is its last."""
    async with staged(aws, tmp_path, **THREE) as stage, judged(stage, loaded=True):
        dry = await stage.deploy("rolling", "1.1", "--dry-run")
        assert dry.code == 0, dry.err
        assert not [call for call in stage.front.calls if call.partition(":")[2].startswith(CHANGES)]
        good = await stage.deploy("rolling", "1.1", batch=2)
        assert good.code == 0, good.err
        await settled(stage, "1.1", "1.1", "1.1")
        assert {status for _, status in stage.load.seen} == {200}
        bad = await stage.deploy("rolling", "2.0")
        assert bad.code == 1, bad.err
        await settled(stage, "1.1", "1.1", "1.1")
        assert {text for text, status in stage.load.seen if status != 200} == {"2.0"}
        assert len([one for one in stage.front.commands.values() if "2.0" in one.runs[0].script]) == 1


async def test_killed_it_is_taken_on_by_the_next(aws: moto.Moto, tmp_path: Path) -> None:
    """An instance that is out is not forgotten: the same key goes on, and nothing settled is released again."""
    async with staged(aws, tmp_path, **THREE) as stage, judged(stage, loaded=True):
        slow = f"[ $INSTANCE != {ids(stage)[1]} ] || sleep 3; {RELEASE}"
        tool = await stage.start("rolling", "1.1", "--key", "run-7", release={"commands": [slow], "interval": "50ms"})
        await until(lambda: len(stage.front.commands) == 2, "the second batch is released")
        tool.send_signal(signal.SIGKILL)
        await tool.wait()
        assert len(await stage.registered()) == 2
        again = await stage.deploy("rolling", "1.1", "--key", "run-7", release={"commands": [slow], "interval": "50ms"})
        assert again.code == 0, again.err
        await settled(stage, "1.1", "1.1", "1.1")
        assert "1 of 3 instances have 1.1 already" in again.err
        assert {status for _, status in stage.load.seen} == {200}


async def test_what_is_not_to_go_back_stays_where_it_has_traffic(aws: moto.Moto, tmp_path: Path) -> None:
    """The batch that failed its gate keeps the version, and the next deploy does not go back behind it."""
    async with staged(aws, tmp_path, blue=["1.0"] * 2) as stage, judged(stage, loaded=True):
        ended = await stage.deploy("rolling", "2.0", "--no-rollback")
        assert ended.code == 4, ended.err
        assert "2.0 keeps the traffic (--no-rollback)" in ended.out
        await settled(stage, "2.0", "1.0")


@pytest.mark.parametrize(("on_fail", "left"), [("batch", ["1.1", "1.0"]), ("all", ["1.0", "1.0"])])
async def test_what_a_failed_batch_takes_back(aws: moto.Moto, tmp_path: Path, on_fail: str, left: list[str]) -> None:
    """Itself alone, or the batches before it too; here a command fails on the second instance."""
    async with staged(aws, tmp_path, blue=["1.0"] * 2) as stage, judged(stage, loaded=True):
        fails = f"[ $INSTANCE/$version != {ids(stage)[1]}/1.1 ] || exit 9; {RELEASE}"
        ended = await stage.deploy("rolling", "1.1", on_fail=on_fail, release={"commands": [fails], "interval": "50ms"})
        assert ended.code == 1, ended.err
        assert f"{ids(stage)[1]} Failed (exit code 9)" in ended.err
        await settled(stage, *left)


async def test_enough_stay_healthy(aws: moto.Moto, tmp_path: Path) -> None:
    """A batch that could leave too few is refused, and while others are ill nobody is taken out."""
    async with staged(aws, tmp_path, blue=["1.0", "1.0", "ill"]) as stage, judged(stage):
        ended = await stage.deploy("rolling", "1.1", batch=2, minimum_healthy=2)
        assert (ended.code, "make the batch smaller" in ended.out) == (1, True), ended.out
        ended = await stage.deploy("rolling", "1.1", minimum_healthy=2, healthy={"within": "1s", "interval": "100ms"})
        assert ended.code == 1
        assert f"2 others healthy: not within 1 s (there are 1): {ids(stage)[0]} must stay in" in ended.err
        assert "elasticloadbalancing:DeregisterTargets" not in stage.front.calls
        assert await stage.registered() == ids(stage)


async def test_what_a_killed_run_left_comes_back_also_where_nothing_may_be_deployed(
    aws: moto.Moto, tmp_path: Path
) -> None:
    """The next run, here with a gate that cannot be asked, puts the version before on it again, and brings it in."""
    async with staged(aws, tmp_path, blue=["1.0"] * 2) as stage, judged(stage):
        slow = {"commands": [f"{RELEASE}; [ $version = 1.0 ] || sleep 60"], "interval": "50ms"}
        tool = await stage.start("rolling", "1.1", "--key", "run-7", release=slow)
        await until(lambda: stage.versions() == ["1.1", "1.0"], "the first release is under way")
        tool.send_signal(signal.SIGKILL)
        await tool.wait()
        assert (await notes(stage, "version"))[ids(stage)[0]] == ""
        gates = {"before": ["unknown"], "after": "quick"}
        ended = await stage.deploy("rolling", "1.2", "--key", "run-7", release=slow, gates=gates)
        assert ended.code == 3, ended.err
        assert [run.status for one in stage.front.commands.values() for run in one.runs] == ["Cancelled", "Success"]
        await settled(stage, "1.0", "1.0")
