"""`healthd source test` as people type it, against pages, addresses and an API that answer."""

import asyncio
import json
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
SCRAPE = {"kind": "scrape", "requests": "requests_total", "errors": 'requests_total{code=~"5.."}'}


async def asked(folder: Path, target: str, source: dict[str, Any], *words: str) -> Result:
    file = folder / "healthd.yaml"
    policy = {"criteria": [{"kind": "error_rate"}]}
    slow = {"criteria": [{"kind": "error_rate"}, {"kind": "latency", "limit": "2s"}]}
    service = {"targets": {"green": target}, "source": source, "policy": "plain"}
    routes, misnamed = ({"criteria": [{"kind": "error_rate", "by": label}]} for label in ("route", "rout"))
    policies = {"plain": policy, "slow": slow, "routes": routes, "misnamed": misnamed}
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
    assert says in " ".join(result.output.split())


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
