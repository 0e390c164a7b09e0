"""The served OpenAPI document is valid, and docs/http.md says the same."""

import re
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import validate

from tests.servers.gating import Gating

PAGE = Path(__file__).parents[4] / "docs" / "http.md"


@pytest.fixture
async def described(api: Gating) -> dict[str, Any]:
    """The document, as anyone may read it."""
    return (await api.call("GET", "/openapi.json", token=None)).body  # type: ignore[no-any-return]


async def test_the_description_is_valid_openapi(described: dict[str, Any]) -> None:
    """By the specification's own schema, with every reference resolved."""
    assert described["openapi"].startswith("3.1")
    validate(described)


async def test_the_page_lists_every_call(described: dict[str, Any]) -> None:
    """Each with its scope, and with successes that the description has."""
    rows = re.findall(r"^\| `([A-Z]+) (/\S*)` \| `?([^|`]+)`? \|[^|]*\| ([^|]*) \|$", PAGE.read_text(), re.MULTILINE)
    on_page = {(method, path): (scope, set(re.findall(r"\b\d{3}\b", success))) for method, path, scope, success in rows}
    served = {
        (method.upper(), path): (
            told[1] if (told := re.search(r"`(\S+)`", operation["description"])) else "none",
            {code for code, answer in operation["responses"].items() if is_success(answer)},
        )
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
    }
    assert on_page == served


async def test_the_page_explains_every_refusal(described: dict[str, Any]) -> None:
    """A status that some call may answer with is in the page's last table, and no other but 405 and 417, which answer a
    method and a header that no call has."""
    last_table = PAGE.read_text().rpartition("## When a call is refused")[2]
    explained = {code for row in re.findall(r"^\| ([\d, ]+) \|", last_table, re.MULTILINE) for code in row.split(", ")}
    served = {
        code
        for methods in described["paths"].values()
        for operation in methods.values()
        for code, answer in operation["responses"].items()
        if is_problem(answer)
    }
    assert explained == served | {"405", "417"}


def is_success(answer: dict[str, Any]) -> bool:
    said = answer.get("content", {}).get("application/json", {}).get("schema", {})
    is_status = str(said.get("$ref", "")).endswith("/StatusDocument")  # the error of OpenTelemetry's calls
    return not is_status and (not is_problem(answer) or "application/json" in answer["content"])


def is_problem(answer: dict[str, Any]) -> bool:
    return "application/problem+json" in answer.get("content", {})
