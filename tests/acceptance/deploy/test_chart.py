"""The Helm chart by its page: what the page's values render, run as the pod would run it, to a first gate.

The chart is rendered where `helm` is on the path; the cluster that the action asks is the tests' double.
"""

import asyncio
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from healthd.web.auth import hash_token
from tests.acceptance.guide import blocks_of
from tests.servers import forked, kubernetes
from tests.servers.command import healthd
from tests.servers.daemon import TOKEN
from tests.servers.peers import Answer, Peer
from tests.servers.ports import HOST, free_port
from tests.servers.waiting import until

ROOT = Path(__file__).parents[3]
HELM = shutil.which("helm")
pytestmark = pytest.mark.skipif(HELM is None, reason="helm is not on the path: the chart was not rendered")


def section() -> dict[str, str]:
    """The blocks of the page's section, each by what it begins with."""
    page = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    (text,) = re.findall(r"(?ms)^## In Kubernetes$(.*?)^## ", page)
    return {block.split(maxsplit=1)[0]: block for _, block in blocks_of(text)}


def rendered(folder: Path, values: str) -> list[dict[str, Any]]:
    (folder / "values.yaml").write_text(values, encoding="utf-8")
    chart = str(ROOT / "deploy" / "helm" / "healthd")
    words = ["template", "healthd", chart, "--namespace", "healthd", "--kube-version", "1.30"]
    done = subprocess.run(
        [str(HELM), *words, "--values", str(folder / "values.yaml")], capture_output=True, text=True, check=True
    )
    return [each for each in YAML(typ="safe").load_all(done.stdout) if each]


async def test_the_values_of_the_page_lead_to_a_first_gate(peer: Peer, tmp_path: Path) -> None:
    """But for the addresses; and by the policy that needs no minute and a half of traffic."""
    peer.answer("GET", "/health", Answer())
    blocks = section()
    objects = rendered(tmp_path, blocks["#"])
    (config,) = [each["data"]["config.yaml"] for each in objects if each["kind"] == "ConfigMap"]
    port = free_port()
    for place, other in {
        "0.0.0.0:8080": f"{HOST}:{port}",
        "drain: 15s": "drain: 100ms",
        "postgresql://healthd:${JOURNAL_PASSWORD}@db.internal/healthd": f"sqlite:///{tmp_path}/healthd.db",
        "http://api-blue.shop:3000": f"http://{HOST}:{free_port()}",
        "http://api-green.shop:3000": peer.url,
    }.items():
        assert place in config
        config = config.replace(place, other)
    (tmp_path / "config.yaml").write_text(config, encoding="utf-8")
    async with kubernetes.running() as api:
        env = {
            "PATH": f"{forked.program('healthd').parent}:{os.environ['PATH']}",
            "HOME": str(tmp_path),
            "HEALTHD_CONFIG": str(tmp_path / "config.yaml"),
            "KUBECONFIG": str(api.kubeconfig(tmp_path)),
            "CI_TOKEN_HASH": hash_token(TOKEN),
            "PEOPLE_TOKEN_HASH": hash_token("hd_another-token-of-people"),
        }
        process = await asyncio.create_subprocess_exec("healthd", "run", env=env)
        try:

            async def ready() -> bool:
                assert process.returncode is None
                return (await asyncio.to_thread(healthd, "status", env=asking)).code in (0, 1)

            asking = {"HEALTHD_URL": f"http://{HOST}:{port}", "HEALTHD_TOKEN": TOKEN}
            await until(ready, "the daemon answers")
            (verify,) = [line for line in blocks["kubectl"].splitlines() if "gate verify" in line]
            assignment, program, *words = verify.split()
            assert (assignment, program) == ("HEALTHD_URL=http://127.0.0.1:8080", "healthd")
            done = await asyncio.to_thread(healthd, *words, "--policy", "smoke", env=asking)
            assert done.code == 0, done
        finally:
            process.terminate()
            code = await asyncio.wait_for(process.wait(), 60)
    assert code == 0
