"""The Node client: every call that it makes is one that the daemon describes, and a gate comes to its verdict."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, get_args

import pytest
import pytest_asyncio
from jsonschema import Draft202012Validator

from healthd_gates.schema.gate import Outcome
from tests.servers.gating import gating
from tests.servers.programs import require

CLIENT = Path(__file__).parents[3] / "clients" / "node"
Described = tuple[dict[str, Any], dict[str, Any]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def told(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Described]:
    """What the daemon describes; and what the client sent and found."""
    node = require("node")
    async with gating(tmp_path_factory.mktemp("gating")) as api:
        described = (await api.call("GET", "/openapi.json", token=None)).body
        given = {"url": api.daemon.url, "token": api.tokens["admin"], "service": api.service(), "other": api.service()}
        script = str(Path(__file__).with_name("node_calls.mjs"))
        process = await asyncio.create_subprocess_exec(
            node,
            script,
            json.dumps({**given, "third": api.service()}),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await asyncio.wait_for(process.communicate(), 200)
        assert process.returncode == 0, err.decode()
        yield described, json.loads(out)


@pytest.mark.asyncio(loop_scope="module")
async def test_a_gate_comes_to_its_verdict(told: Described) -> None:
    found = told[1]["found"]
    assert (found["passed"]["verdict"], found["passed"]["may_stay"], found["joined"]) == ("pass", True, True)
    assert found["listed"] == [found["own"]]
    assert found["cancelled"]["verdict"] == "cancelled"


@pytest.mark.asyncio(loop_scope="module")
async def test_refusals_say_why(told: Described) -> None:
    found = told[1]["found"]
    assert {found[name]["error"] for name in ("late", "rejected", "rolledBack", "unknown", "stranger")} == {"Refused"}
    assert (found["unknown"]["status"], found["stranger"]["status"]) == (404, 401)
    assert found["nobody"]["error"] == "Unreachable"
    assert found["nowhere"]["message"] == "no address of a daemon was given: set HEALTHD_URL, or write http://host:port"
    assert "could not be asked for 0 s" in found["nobody"]["message"]


@pytest.mark.asyncio(loop_scope="module")
async def test_each_call_is_described(told: Described) -> None:
    """Its path, its query, its body and the status that it got."""
    described, sent = told[0], told[1]["sent"]
    for call in sent:
        path = next(path for path in described["paths"] if re.fullmatch(re.sub(r"{\w+}", "[^/]+", path), call["path"]))
        operation = described["paths"][path][call["method"].lower()]
        assert str(call["status"]) in operation["responses"], call
        assert call["query"].keys() <= {
            each["name"] for each in operation.get("parameters", ()) if each["in"] == "query"
        }
        if call["body"] is not None:
            schema = operation["requestBody"]["content"]["application/json"]["schema"]
            Draft202012Validator({**schema, "components": described["components"]}).validate(call["body"])
    assert len({(call["method"], re.sub("/gates/[^/]{8,}", "/gates/ID", call["path"])) for call in sent}) >= 9


def test_the_types_name_every_call_and_verdict() -> None:
    code, types = ((CLIENT / name).read_text(encoding="utf-8") for name in ("index.js", "index.d.ts"))
    public = set(re.findall(r"^  (?:async )?([a-z]\w*)\(.*\{$", code, re.MULTILINE))
    typed = re.findall(r"^  (?!constructor)(\w+)\((?s:.*?)\): Promise<", types, re.MULTILINE)
    assert public == {"constructor", *typed}
    (verdicts,) = re.findall(r"^export type Verdict = (.*);$", types, re.MULTILINE)
    assert set(re.findall(r'"(\w+)"', verdicts)) == set(get_args(Outcome))
