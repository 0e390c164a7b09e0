"""`healthd source test` as people type it, against pages, addresses and an API that answer."""

import asyncio
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from healthd.cli import main
from tests.servers.peers import Answer, Peer

PAGE = """# TYPE requests_total counter
requests_total{{code="200"}} {n}
requests_total{{code="500"}} 3
# TYPE seconds histogram
seconds_bucket{{le="0.5"}} {n}
seconds_bucket{{le="+Inf"}} {n}
seconds_count {n}
seconds_sum {n}
"""
BLUE = ("--baseline", "1.0", "--baseline-target", "blue")
SCRAPE = {"kind": "scrape", "requests": "requests_total", "errors": 'requests_total{code=~"5.."}'}


async def asked(folder: Path, target: str, source: dict[str, Any], *words: str) -> Result:
    file = folder / "healthd.yaml"
    policy = {"criteria": [{"kind": "error_rate"}]}
    slow = {"criteria": [{"kind": "error_rate"}, {"kind": "latency", "limit": "2s"}]}
    service = {"targets": {"green": target}, "source": source, "policy": "plain"}
    routes, misnamed = ({"criteria": [{"kind": "error_rate", "by": label}]} for label in ("route", "rout"))
    tardy = {"criteria": [{"kind": "error_rate"}, {"kind": "latency", "limit": "2s", "by": "route"}]}
    quick = {"criteria": [{"kind": "error_rate"}, {"kind": "latency", "limit": "100ms"}]}
    policies = {"plain": policy, "slow": slow, "quick": quick, "routes": routes, "misnamed": misnamed, "tardy": tardy}
    document = {"policies": policies, "services": {"api": service}}
    file.write_text(json.dumps(document))
    command = ["source", "test", "api", "--for", "2", "-c", str(file), *words]
    return await asyncio.to_thread(CliRunner().invoke, main, command)


@pytest.mark.parametrize(
    ("changes", "words", "code", "says"),
    [
        ({}, (), 0, "A gate under plain could be judged by this."),
        ({}, ("--policy", "slow"), 1, "no latencies are seen"),
        ({"latency": "seconds_bucket"}, ("--policy", "slow"), 0, "end at 500ms, below the limit of 2s"),
        ({"latency": "seconds_bucket"}, ("--policy", "quick"), 1, "put an edge at the limit where the histogram is"),
        ({"errors": 'requests_total{status=~"5.."}'}, (), 1, "no series of requests_total has the label status"),
        ({"requests": "request_total"}, (), 1, "Did you mean requests_total?"),
        ({"requests": 'requests_total{version="$version"}'}, (), 3, "say which one with --version"),
        ({"requests": 'requests_total{code="2000"}'}, (), 1, 'has code="2000"; its values are: '),
        ({"requests": 'requests_total{status="$vers"}'}, ("--version", "2"), 3, "did you mean $version?"),
        ({}, ("--target", "red"), 3, "has no target 'red'; there are: green"),
    ],
)
async def test_a_page_is_looked_at(
    peer: Peer, tmp_path: Path, changes: dict[str, str], words: tuple[str, ...], code: int, says: str
) -> None:
    """The exit code says whether a gate could be judged."""
    for n in range(40):
        peer.answer("GET", "/metrics", Answer(body=PAGE.format(n=100 * n), headers={"Content-Type": "text/plain"}))
    answering = asyncio.create_task(_grows(peer))
    result = await asked(tmp_path, peer.url, {**SCRAPE, **changes}, *words)
    answering.cancel()
    assert result.exit_code == code, result.output
    said = " ".join(result.output.split())
    assert says in said
    assert said.count("put an edge at the limit") <= 1


async def test_the_routes_that_are_seen_are_shown(peer: Peer, tmp_path: Path) -> None:
    """Those with the most requests, what failed of each, and in JSON all of them; a label that is not there is
    refused with those that are."""
    page = "# TYPE requests_total counter\n" + "".join(
        f'requests_total{{{{code="{code}",route="/r{n}"}}}} {{{kind}}}\n'
        for n in range(15)
        for code, kind in (("200", "n"), ("500", "few"))
    )

    async def grows() -> None:
        for n in range(1000):
            body = page.format(n=100 * n, few=n)
            peer.answer("GET", "/metrics", Answer(body=body, headers={"Content-Type": "text/plain"}))
            await asyncio.sleep(0.2)

    answering = asyncio.create_task(grows())
    shown = await asked(tmp_path, peer.url, SCRAPE, "--policy", "routes")
    assert shown.exit_code == 0, shown.output
    assert "by route, a minute" in shown.output
    assert "failed)" in shown.output
    assert "and 3 more" in shown.output
    document = json.loads((await asked(tmp_path, peer.url, SCRAPE, "--policy", "routes", "--json")).output)
    strata = document["arms"]["candidate"]["strata_per_minute"]
    assert len(strata) == 15
    assert strata["/r3"]["errors"] == pytest.approx(strata["/r3"]["requests"] / 101, rel=0.1)
    refused = await asked(tmp_path, peer.url, SCRAPE, "--policy", "misnamed")
    answering.cancel()
    assert refused.exit_code == 1
    said = " ".join(refused.output.split())
    assert "by, of requests: no series of requests_total has the label rout; there are: code, route." in said
    assert "Did you mean route?" in said


async def test_the_latencies_of_routes_are_shown(peer: Peer, tmp_path: Path) -> None:
    """Where a criterion of the policy asks for them: in the table its p95, in JSON all, and what is a bound alone."""
    edges = (0.1, 0.5, 2.0, "+Inf")
    slow = {"/pages": (100, 100, 100, 100), "/export": (0, 0, 10, 10), "/hung": (0, 0, 0, 5)}
    lines = [
        f'{name}{{route="{route}"{label}}} {count}*'
        for route, counts in slow.items()
        for name, label, count in [
            ("requests_total", ',code="200"', counts[-1]),
            *(("seconds_bucket", f',le="{edge}"', count) for edge, count in zip(edges, counts, strict=True)),
        ]
    ]
    page = "# TYPE requests_total counter\n# TYPE seconds histogram\n" + "\n".join(lines) + "\n"
    read = 0

    def grown(_: object) -> Answer:
        nonlocal read
        read += 1
        body = re.sub(r"(\d+)\*", lambda found: str(int(found[1]) * read), page)
        return Answer(body=body, headers={"Content-Type": "text/plain"})

    peer.answer("GET", "/metrics", grown)
    source = {**SCRAPE, "latency": "seconds_bucket"}
    shown = await asked(tmp_path, peer.url, source, "--policy", "tardy")
    document = json.loads((await asked(tmp_path, peer.url, source, "--policy", "tardy", "--json")).output)
    plain = json.loads((await asked(tmp_path, peer.url, source, "--json")).output)
    said = " ".join(shown.output.split())
    for route, p95 in (("/pages", "≤ 100 ms"), ("/export", "1.87 s"), ("/hung", "> 2 s")):
        assert re.search(rf"{route} [\d,.]+, p95 {p95} ", said), said
    arm = document["arms"]["candidate"]
    assert arm["strata_quantiles"]["/export"]["p50"] == pytest.approx(1.0)
    assert arm["strata_quantiles_are"]["/hung"] == dict.fromkeys(("p50", "p95", "p99"), "above")
    assert plain["arms"]["candidate"]["strata_quantiles"] == {}


async def _grows(peer: Peer) -> None:
    for n in range(1000):
        peer.answer("GET", "/metrics", Answer(body=PAGE.format(n=100 * n), headers={"Content-Type": "text/plain"}))
        await asyncio.sleep(0.2)


async def test_probes_are_sent_and_pushes_cannot_be_asked_for(peer: Peer, tmp_path: Path) -> None:
    """As JSON, for scripts."""
    peer.answer("GET", "/", Answer(status=200))
    result = await asked(tmp_path, peer.url, {"kind": "probe", "rate": 10}, "--json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.output)
    assert document["able"]
    assert document["arms"]["candidate"]["requests_per_minute"] == pytest.approx(600, rel=0.5)
    push = await asked(tmp_path, peer.url, {"kind": "push"})
    assert push.exit_code == 3
    assert "counts are posted to a gate" in push.output


async def test_a_source_that_answers_nothing_says_why(peer: Peer, tmp_path: Path) -> None:
    """The kind of refusal that used to be found after the switch."""
    peer.answer("GET", "/api/v1/query", Answer(status=401))
    prometheus = {"kind": "prometheus", "url": peer.url, "requests": "x_total", "errors": "x_total"}
    result = await asked(tmp_path, peer.url, prometheus)
    assert result.exit_code == 1
    assert "answered 401" in " ".join(result.output.split())


async def test_a_source_whose_numbers_no_criterion_names_is_asked_for_none(peer: Peer, tmp_path: Path) -> None:
    """The policy is told of, and no fault of the source is looked for; one that names a number has it shown."""
    peer.answer("GET", "/stats", Answer(body='{"depth": 7}', headers={"Content-Type": "application/json"}))
    depth = {"kind": "value", "name": "queue", "source": "stats", "value": "depth", "max": 1000}
    errors = {"kind": "error_rate", "limit": "5%"}
    stats = {"kind": "http", "url": f"{peer.url}/stats"}
    file = tmp_path / "healthd.yaml"
    service = {"source": {"kind": "push"}, "sources": {"stats": stats}, "policy": "plain"}
    policies = {"plain": {"criteria": [errors]}, "depth": {"criteria": [errors, depth]}}
    file.write_text(json.dumps({"policies": policies, "services": {"api": service}}))
    command = ["source", "test", "api", "--source", "stats", "--for", "2", "-c", str(file)]
    unnamed = await asyncio.to_thread(CliRunner().invoke, main, command)
    assert unnamed.exit_code == 3, unnamed.output
    assert "no criterion of policy plain reads source stats" in unnamed.output
    named = await asyncio.to_thread(CliRunner().invoke, main, [*command, "--policy", "depth"])
    assert (named.exit_code, "queue.value 7" in named.output) == (0, True), named.output


def _logged(folder: Path, *, ago: float, a_second: int = 20, at: str = "10.0.0.1:3000") -> Path:
    """An access log of so many requests a second that began some seconds ago."""
    now, log = datetime.now(UTC), folder / "access.log"
    lines = (
        f"127.0.0.1 [{now - timedelta(seconds=ago - n / a_second):%d/%b/%Y:%H:%M:%S %z}] "
        f'"GET / HTTP/1.1" 200 0.010 "curl" {at} 200 0.009'
        for n in range(int(ago * a_second))
    )
    log.write_text("".join(f"{line}\n" for line in lines))
    return log


async def _asked_of_a_log(folder: Path, log: Path, *words: str) -> Result:
    """With blue as the baseline and green as the candidate, of a policy with a ramp and one without."""
    form = (
        '$remote_addr [$time_local] "$request" $status $request_time "$http_user_agent" '
        "$upstream_addr $upstream_status $upstream_response_time"
    )
    criteria = [{"kind": "error_rate", "limit": "5%", "compare": {"to": "concurrent"}}]
    document = {
        "services": {
            "api": {
                "targets": {"blue": "http://10.0.0.1:3000", "green": "http://10.0.0.2:3000"},
                "source": {"kind": "access_log", "file": str(log), "format": form},
                "policy": "gradual",
                "on_ramp": ["shift"],
            }
        },
        "policies": {"gradual": {"criteria": criteria, "ramp": {"budget": 60}}, "plain": {"criteria": criteria}},
        "actions": {"shift": {"kind": "command", "argv": ["true", "$weight"]}},
    }
    (folder / "healthd.yaml").write_text(json.dumps(document))
    command = ["source", "test", "api", "-c", str(folder / "healthd.yaml"), "--version", "1.1", "--target", "green"]
    return await asyncio.to_thread(CliRunner().invoke, main, [*command, *words])


@pytest.mark.parametrize(
    ("serves", "words", "code", "says"),
    [
        ("10.0.0.1:3000", (*BLUE, "--policy", "gradual"), 0, "no traffic, as is right before a ramp."),
        ("10.0.0.1:3000", BLUE, 0, "A gate under gradual could be judged by this: the candidate has no traffic"),
        ("10.0.0.1:3000", (), 1, "name who has it by --baseline"),
        ("10.0.0.3:3000", BLUE, 1, "nothing to compare with: no requests of the baseline were seen"),
        ("10.0.0.2:3000", BLUE, 0, "A gate under gradual could be judged by this."),
        ("10.0.0.1:3000", (*BLUE, "--policy", "plain"), 1, "would have nothing to judge: no requests were seen"),
    ],
)
async def test_a_candidate_without_traffic_is_as_it_must_be_before_a_ramp(
    tmp_path: Path, serves: str, words: tuple[str, ...], code: int, says: str
) -> None:
    result = await _asked_of_a_log(tmp_path, _logged(tmp_path, ago=20, at=serves), *words)
    assert says in " ".join(result.output.split()), result.output
    assert result.exit_code == code


@pytest.mark.parametrize("ago", [12.0, 400.0])
async def test_a_rate_is_of_the_time_since_the_log_began(tmp_path: Path, ago: float) -> None:
    """The last five minutes are asked for, of which most were before it."""
    result = await _asked_of_a_log(tmp_path, _logged(tmp_path, ago=ago), *BLUE, "--json")
    rates = {name: arm["requests_per_minute"] for name, arm in json.loads(result.output)["arms"].items()}
    assert rates == {"candidate": 0.0, "baseline": pytest.approx(1200, rel=0.2)}
