"""`healthd-deploy haproxy blue-green --strategy ramp` under load, behind real HAProxies."""

from collections import Counter
from pathlib import Path

from tests.acceptance.deploy.haproxy_stage import staged
from tests.acceptance.deploy.test_nginx_ramp import BUDGET
from tests.servers.requests import Load
from tests.servers.waiting import until


async def test_good_gets_everything_and_bad_is_back_at_nothing(tmp_path: Path) -> None:
    """Counted by those who were harmed: no request of the good one fails, and of the bad one about the budget."""
    async with staged(tmp_path, {"2.0": 0.1}, balancers=2) as stage, Load(stage.url).running() as load:
        good = await stage.deploy("1.1", "--strategy", "ramp")
        assert good.code == 0, good.err
        assert "let healthd move the traffic from blue to green" in good.err
        assert [each for each in load.seen if each[1] != 200] == []
        load.seen.clear()
        bad = await stage.deploy("2.0", "--strategy", "ramp", "--json")
        settled = len(load.seen)
        await until(lambda: len(load.seen) > settled + 50, "more requests")
        assert stage.weights() == [("0", "100")] * 2
    assert bad.code == 1, bad.err
    assert set(load.seen[settled + 10 :]) == {("1.1", 200)}
    failed = Counter(load.seen)["2.0", 500]
    assert sum(status != 200 for _, status in load.seen) == failed
    assert 0 < failed <= 1.5 * BUDGET


async def test_the_tool_is_killed_in_the_middle_and_run_again(tmp_path: Path) -> None:
    """The gate goes on without it; run again with its key the tool follows to the end."""
    async with staged(tmp_path) as stage, Load(stage.url).running() as load:
        first = await stage.start("1.1", "--strategy", "ramp", "--key", "run-7")
        await until(lambda: ("1.1", 200) in load.seen, "the first share")
        first.kill()
        await first.communicate()
        second = await stage.deploy("1.1", "--strategy", "ramp", "--key", "run-7")
        assert second.code == 0, second.err
        assert stage.weights() == [("0", "100")]
        assert stage.fleet.released.count(("green", "1.1")) == 1
        assert [each for each in load.seen if each[1] != 200] == []
