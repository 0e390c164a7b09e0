"""`healthd-deploy host` with a real PM2, a real application under load, a real database and a real daemon."""

from collections import Counter
from pathlib import Path

from tests.acceptance.deploy.host_stage import INSTANCES, staged
from tests.servers.requests import Load
from tests.servers.waiting import until

_FAILING = 0.25


async def test_good_is_promoted_and_bad_is_put_back(tmp_path: Path, postgresql_dsn: str) -> None:
    """Under load: no request is lost by a release, and what fails is what the bad version failed until it was gone."""
    async with staged(tmp_path, postgresql_dsn) as stage:
        stage.pack("1.0")
        stage.pack("1.1")
        stage.pack("2.0", failing=_FAILING)
        load = Load(f"{stage.url}/courses")
        stage.configure(gates={"before": ["preflight"], "after": "quick"})
        first = await stage.run("release", "1.0")
        assert first.code == 0, first.err
        stage.configure(gates={"before": ["preflight"]})
        async with load.running():
            good = await stage.run("release", "1.1")
            assert good.code == 0, good.err
            assert stage.running() == ["1.1"] * INSTANCES
            assert Counter(status for _, status in load.seen).keys() == {200}, Counter(load.seen)
            load.seen.clear()
            bad = await stage.run("release", "2.0", "--json")
            settled = len(load.seen)
            await until(lambda: len(load.seen) > settled + 100, "more requests")
    assert bad.code == 1, bad.err
    assert "healthd: " in bad.err
    assert (stage.current, (stage.home / "previous").readlink().name) == ("1.1", "1.0")
    assert set(load.seen[settled:]) == {("1.1", 200)}
    by_answer = Counter(load.seen)
    failed = sum(count for (_, status), count in by_answer.items() if status != 200)
    assert failed == by_answer["2.0", 500], by_answer
    report = bad.json()
    assert 0 < report["failed_requests"] <= failed
    assert 0 < report["exposed_seconds"] < 100
    print(f"{failed} of {by_answer['2.0', 200] + failed} requests failed in {report['exposed_seconds']:.0f} s")
