"""From bytes to a request, over a real connection."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from healthd.web.parsing import read_body, read_query, require_type
from healthd.web.problems import Problem, answering_problems
from healthd_gates.api.bodies import Bodies, taken
from healthd_gates.api.requests import ReasonBody, WaitQuery


@pytest.fixture
async def url() -> AsyncIterator[str]:
    """A server that answers with what it read."""

    bodies = Bodies(at_once=2**20, seconds=10)

    async def echo(request: web.Request) -> web.Response:
        query = read_query(request, WaitQuery)
        require_type(request)
        await bodies.read(request, largest=1000)
        body = read_body(taken(request), ReasonBody)
        return web.json_response({"wait": query.wait, "reason": body.reason})

    app = web.Application()
    app.add_routes([web.post("/", answering_problems(echo))])
    async with TestServer(app) as server:
        yield str(server.make_url("/"))


async def post(url: str, body: bytes, content_type: str | None = "application/json", query: str = "") -> Any:
    headers = {"Content-Type": content_type} if content_type else {}
    skip = () if content_type else ("Content-Type",)
    async with (
        aiohttp.ClientSession(skip_auto_headers=skip) as session,
        session.post(url + query, data=body, headers=headers) as response,
    ):
        document = await response.json(content_type=None)
        if response.status != 200:
            assert response.content_type == "application/problem+json"
            assert document["status"] == response.status
        return response.status, document


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "application/json; charset=utf-8", "application/x-www-form-urlencoded", "a/b+json", None],
)
async def test_json_is_json_whatever_curl_calls_it(url: str, content_type: str | None) -> None:
    """`curl -d` says that it sends a form."""
    assert await post(url, b'{"reason": "x"}', content_type, "?wait=1s") == (200, {"wait": 1.0, "reason": "x"})


@pytest.mark.parametrize("content_type", ["text/plain", "text/xml", "multipart/form-data; boundary=x"])
async def test_what_is_not_said_to_be_json_is_not_read(url: str, content_type: str) -> None:
    """415, with the type that was sent."""
    status, problem = await post(url, b'{"reason": "x"}', content_type)
    assert status == 415
    assert content_type.split(";")[0] in problem["detail"]


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"\xff\xfe",
        b'{"reason": "x"} {}',
        b'{"reason": NaN}',
        b'{"reason": "x", "reason": "y"}',
        b'{"reason": "\\ud800"}',
    ],
)
async def test_what_is_not_json_is_400(url: str, body: bytes) -> None:
    """Broken text, two values, what JSON does not have, and a key given twice, of which either could count."""
    status, problem = await post(url, body)
    assert (status, problem["title"]) == (400, "Not JSON")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"", "reason"),
        (b"{}", "reason"),
        (b'{"reason": 7}', "reason"),
        (b'{"reason": "x", "resaon": "y"}', "resaon"),
    ],
)
async def test_a_wrong_field_is_named(url: str, body: bytes, field: str) -> None:
    """422 with the field, and never the value, which could be a secret in the wrong place."""
    status, problem = await post(url, body)
    assert status == 422
    assert [error["field"] for error in problem["errors"]] == [field]
    assert field in problem["detail"]


async def test_a_reader_is_not_worn_out(url: str) -> None:
    """Deep nesting and endless numbers are wrong values like any other."""
    for value in (b"[" * 450 + b"]" * 450, b"9" * 900):
        status, _ = await post(url, b'{"reason": ' + value + b"}")
        assert status in {400, 422}


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b'\xef\xbb\xbf{"reason": "x"}', "it begins with a byte order mark: send UTF-8 without one"),
        ('{"reason": "x"}'.encode("utf-16"), "it is UTF-16 or UTF-32: send UTF-8"),
        ('{"reason": "x"}'.encode("utf-16-le"), "it is UTF-16 or UTF-32: send UTF-8"),
        ('{"reason": "x"}'.encode("utf-32"), "it is UTF-16 or UTF-32: send UTF-8"),
        ('{"reason": "ä"}'.encode("latin-1"), "it must be UTF-8, and byte 13 is not"),
        (b'{"reason": "\\ud83d"}', "a text holds an escape that is half a character"),
    ],
)
def test_encodings(body: bytes, told: str) -> None:
    """PowerShell writes a mark or UTF-16 unless it is told otherwise; the message says which it is."""
    with pytest.raises(Problem) as refused:
        read_body(body, ReasonBody)
    assert (refused.value.status, refused.value.detail) == (400, told)


def test_a_number_without_end() -> None:
    """The reader of JSON gives advice for programmers of Python, which is none for a caller."""
    with pytest.raises(Problem) as refused:
        read_body(b'{"reason": ' + b"9" * 5000 + b"}", ReasonBody)
    assert refused.value.detail == "a number has thousands of digits"


async def test_a_body_has_a_size(url: str) -> None:
    """413 without reading the rest."""
    status, _ = await post(url, b'{"reason": "' + b"x" * 2000 + b'"}')
    assert status == 413


@pytest.mark.parametrize("query", ["?wait=soon", "?wiat=1s", "?wait=1s&wait=2s", "?wait=%00"])
async def test_a_wrong_parameter_is_named(url: str, query: str) -> None:
    """400: unknown, not a duration, or given twice."""
    status, problem = await post(url, b'{"reason": "x"}', query=query)
    assert status == 400
    assert problem["errors"][0]["field"] == query[1:5]
