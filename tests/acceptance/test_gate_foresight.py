"""`healthd gate simulate` and `healthd gate replay`: what a policy would say, without a daemon."""

import json
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.servers import prometheus
from tests.servers.command import Outcome, healthd
from tests.servers.ports import free_port

SWITCHED = float(int(time.time()) // 10 * 10 - 3600)
AT = datetime.fromtimestamp(SWITCHED, UTC).isoformat()
CHOSEN = 'version="$version"'


def past() -> str:
    """Twenty minutes of three versions from the switch on: a good one, one with 20 % errors, a slow one; and of the
    one before, two hours before it and on."""
    counters: dict[str, list[str]] = {"requests_total": [], "seconds_bucket": []}
    versions = (("good", 0, 0, 0), ("bad", 40, 0, 0), ("slow", 0, 60, 0), ("old", 1, 1, -7200))
    for version, errors, slow, begin in versions:
        for n, seconds in enumerate(range(begin, 1200, 10)):
            at = SWITCHED + seconds
            for status, each in (("200", 200 - errors), ("500", errors)):
                counters["requests_total"].append(
                    f'requests_total{{job="shop",instance="a",version="{version}",status="{status}"}} {each * n} {at}'
                )
            for edge, each in (("0.1", 190 - slow), ("1", 200 - slow), ("+Inf", 200)):
                counters["seconds_bucket"].append(
                    f'seconds_bucket{{job="shop",instance="a",version="{version}",le="{edge}"}} {each * n} {at}'
                )
    return "\n".join([*(line for lines in counters.values() for line in lines), "# EOF\n"])


@pytest.fixture(scope="module")
def server() -> Iterator[prometheus.Prometheus]:
    with prometheus.running(history=past()) as running:
        yield running


@pytest.fixture
def config(server: prometheus.Prometheus, tmp_path: Path) -> Path:
    return written(tmp_path, server.url)


def written(folder: Path, url: str) -> Path:
    source = {
        "kind": "prometheus",
        "url": url,
        "requests": f"requests_total{{{CHOSEN}}}",
        "errors": f'requests_total{{{CHOSEN},status=~"5.."}}',
        "latency": f"seconds_bucket{{{CHOSEN}}}",
    }
    limits = [{"kind": "error_rate", "limit": "5%"}, {"kind": "latency", "quantile": 0.95, "limit": "1s"}]
    checks = {"kind": "checks", "checks": ["process"]}
    compared = {"kind": "error_rate", "limit": None, "compare": {"to": "concurrent"}}
    configuration: dict[str, Any] = {
        "actions": {"shift": {"kind": "webhook", "url": "https://example.com/", "secret": "0123456789abcdef"}},
        "services": {
            "api": {"source": source, "policy": "quick"},
            "pushed": {"source": {"kind": "push"}},
        },
        "policies": {
            "quick": {"observe": {"min": "60s", "max": "10m"}, "criteria": [*limits, checks]},
            "against-old": {"observe": {"min": "60s", "max": "10m"}, "criteria": [compared]},
            "only-checks": {"criteria": [checks]},
            "gradual": {
                "observe": {"min": "60s", "max": "5m"},
                "criteria": [{"kind": "error_rate", "limit": "5%", "compare": {"to": "concurrent"}}],
                "ramp": {"budget": 100},
                "on_ramp": ["shift"],
            },
        },
    }
    file = folder / "healthd.yaml"
    file.write_text(json.dumps(configuration))
    return file


def replay(config: Path, *words: str) -> Outcome:
    return healthd("gate", "replay", "--at", AT, "-c", config, *words)


@pytest.mark.parametrize(("version", "code", "verdict"), [("good", 0, "pass"), ("bad", 1, "fail"), ("slow", 1, "fail")])
def test_a_replay_says_what_the_gate_would_have_said(config: Path, version: str, code: int, verdict: str) -> None:
    """From what Prometheus has stored, with the exit codes of a gate."""
    replayed = replay(config, "api", version, "--json")
    assert replayed.code == code, replayed
    document = replayed.json()
    assert (document["verdict"], document["left_out"]) == (verdict, ["checks"])
    assert document["seconds"] <= 180
    assert document["standings"][-1]["criteria"][0]["requests"] > 0


def test_a_replay_shows_the_course_of_the_gate(config: Path) -> None:
    """From settling to the verdict, with the criteria as they stood."""
    replayed = replay(config, "api", "bad")
    assert "left out, for nothing is kept of them: checks" in replayed.out
    assert "Settling" in replayed.out
    assert replayed.out.splitlines()[-1].startswith("fail after ")


def test_a_version_without_numbers_is_inconclusive(config: Path) -> None:
    """Nobody knows how it would have done."""
    replayed = replay(config, "api", "nobody", "--json")
    assert (replayed.code, replayed.json()["verdict"]) == (2, "inconclusive")


def test_a_replay_may_compare_with_another_version(config: Path) -> None:
    """The one that ran beside it then."""
    compared = ["--policy", "against-old", "--baseline", "old", "--json"]
    assert replay(config, "api", "bad", *compared).json()["verdict"] == "fail"
    good = replay(config, "api", "good", *compared).json()["standings"][-1]["criteria"][0]
    assert good["baseline"] == pytest.approx(1 / 200)


def test_a_ramp_is_replayed_over_two_versions_that_ran_beside_each_other(config: Path) -> None:
    """Each had twenty requests a second: a fifth of what the ramp would have given to the bad one is bad."""
    beside = ("--policy", "gradual", "--baseline", "old")
    good = replay(config, "api", "good", *beside, "--json")
    assert (good.code, good.json()["weights"][-1][1], good.json()["harmed"]) == (0, 1.0, 0), good
    bad = replay(config, "api", "bad", *beside)
    assert bad.code == 1, bad
    found = re.search(r"It would have had [\d.]+ % at .*; (\d+) requests harmed", " ".join(bad.out.split()))
    assert found is not None, bad
    assert 0 < int(found[1]) <= 150


def test_what_cannot_be_replayed_is_3(config: Path, tmp_path: Path) -> None:
    """No such service or policy, a source without a memory, nothing but checks, no Prometheus."""
    for words, said in [
        (("nobody", "1"), "no service is called 'nobody'"),
        (("api", "1", "--policy", "nothing"), "no policy is called 'nothing'"),
        (("pushed", "1"), "a source of kind push keeps no past"),
        (("api", "1", "--policy", "gradual"), "name it by --baseline"),
        (("api", "1", "--policy", "only-checks"), "have no past"),
        (("api", '1"}'), "VERSION: version"),
    ]:
        refused = replay(config, *words)
        assert (refused.code, refused.out) == (3, ""), refused
        assert said in refused.err
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert replay(written(elsewhere, f"http://127.0.0.1:{free_port()}"), "api", "good").code == 3


def test_a_plan_says_how_soon_and_at_which_risk() -> None:
    """A line for each kind of release; a healthy one passes, an outage is seen within half a minute."""
    planned = healthd("gate", "simulate", "--rate", "50", "--runs", "20", "--json")
    assert planned.code == 0
    found = {row["change"]["name"]: row for row in planned.json()["forecasts"]}
    assert found["healthy"]["passed"] == 1.0
    assert found["outage"]["failed_90"] <= 30
    assert {"2× errors", "5× errors", "1.5× latency"} <= set(found)


def test_a_plan_is_a_table_for_people() -> None:
    """It ends with the promise, and with what so few runs can say about it."""
    planned = healthd("gate", "simulate", "batch", "--rate", "5", "--runs", "10")
    assert "roll back at most 1 %" in planned.out.replace("\n", " ")
    assert "outage" in planned.out
    refused = healthd("gate", "simulate", "nothing", "--rate", "5")
    assert (refused.code, refused.out) == (3, "")
    assert "no policy is called 'nothing'" in refused.err
