"""What a call with a mistake is told: the field, the cure and the nearest valid word, and no parser's own text.

Mistakes in a configuration are in `tests/unit/config/bad` and `tests/unit/gates/test_messages.py`, those at the command
line in `tests/unit/gates/commands/test_mistakes.py`.
"""

import re
from typing import Any

import pytest

from tests.servers.gating import Gating

RAW = re.compile(
    r"Input should|String should|should match|Field required|Expecting |Traceback|codec|\^\[|str-enum|literal\["
)
_ASKED: dict[str, Any] = {"service": "api-0", "candidate": {"version": "1.0"}}


def _changed(**more: Any) -> dict[str, Any]:
    return {**_ASKED, **more}


@pytest.mark.parametrize(
    ("path", "body", "status", "said"),
    [
        ("/gates/verify", {"service": "api-0", "version": "1"}, 422, "candidate: is required; version: no such field"),
        ("/gates/verify", _changed(candidate="1.0"), 422, "candidate: must be an object, such as"),
        ("/gates/verify", _changed(polcy="canary"), 422, "polcy: no such field; did you mean policy?"),
        ("/gates/verify", _changed(candidate={"verion": "1"}), 422, "verion: no such field; did you mean version?"),
        ("/gates/verify", _changed(candidate={"version": "v1 beta"}), 422, "version: must be one word of letters"),
        ("/gates/verify", _changed(candidate={"version": 2}), 422, "candidate.version: must be text, in double quotes"),
        ("/gates/verify", _changed(candidate={"version": ""}), 422, "version: must be one word of letters"),
        ("/gates/verify", _changed(candidate={"version": "1" * 200}), 422, "must not have more than 128"),
        ("/gates/verify", _changed(rollback="of"), 422, "rollback: must be 'auto' or 'off'"),
        ("/gates/verify", _changed(baseline=_ASKED["candidate"]), 422, "baseline is the candidate itself: name the"),
        ("/gates/verify", _changed(idempotency_key="a b"), 422, "idempotency_key: must be 1 to 200 visible ASCII"),
        ("/gates/verify", _changed(service="api 0"), 422, "service: must be a name of at most 64 letters"),
        ("/gates/verify", _changed(service="shop"), 404, "No service is called 'shop'; there are: api-"),
        ("/gates/verify", _changed(policy="gren"), 404, "No policy is called 'gren'; there are: "),
        ("/gates/verify?wait=60", _ASKED, 400, "wait: '60' is not a duration: write a number"),
        ("/gates/verify?wiat=60s", _ASKED, 400, "wiat: no such field; did you mean wait?"),
        ("/gates/verify", b"{service: api-0}", 400, "line 1, column 2: a key in double quotes is expected"),
        ("/gates/verify", b'{"service": "api-0"', 400, "line 1, column 20: a comma is expected"),
        ("/gates/verify", b'{"service": }', 400, "line 1, column 13: a value is expected"),
        ("/gates/verify", b'{"service": "\xff"}', 400, "it must be UTF-8, and byte 14 is not"),
        ("/gates/verify", b"[1]", 422, "must be an object, such as"),
        ("/gates/verfy", _ASKED, 405, "POST is not answered here; allowed: GET, HEAD. Did you mean /gates/verify?"),
        ("/gate/verify", _ASKED, 404, "no such call; /openapi.json describes them all. Did you mean /gates/verify?"),
        ("/gates/g1/cancel", {}, 422, "reason: is required"),
        ("/locks/api-0", {"holder": "x", "for": "30", "reason": "y"}, 422, "'30' is not a duration: write a number"),
        ("/actions/bak/test", {"service": "api-0"}, 404, "No action is called 'bak'; there are: "),
    ],
)
async def test_a_call_with_a_mistake(api: Gating, path: str, body: Any, status: int, said: str) -> None:
    as_curl = {"Content_Type": "application/x-www-form-urlencoded"} if isinstance(body, bytes) else {}
    answer = await api.call("POST", path, body, **as_curl)
    assert (answer.status, answer.is_problem) == (status, True), answer.body
    assert said in answer.body["detail"]
    assert not RAW.search(str(answer.body))


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/gates/verify", 405, "GET is not answered here; allowed: POST."),
        ("/gates?state=faild", 400, "state: must be 'active', 'awaiting', 'settling', "),
        ("/gates?before=x", 400, "before: must be the `next` of the page before"),
        ("/gates?limit=many", 400, "limit: must be a whole number"),
        ("/gates/0123", 404, "There is no gate 0123."),
        ("/helth", 404, "Did you mean /health?"),
        ("/health/", 404, "Did you mean /health?"),
        ("/health/redy", 404, "groups are: live, "),
        ("/metric", 404, "Did you mean /metrics?"),
    ],
)
async def test_a_look_at_the_wrong_place(api: Gating, path: str, status: int, said: str) -> None:
    answer = await api.call("GET", path)
    assert (answer.status, answer.is_problem) == (status, True), answer.body
    assert said in str(answer.body)
    assert not RAW.search(str(answer.body))


@pytest.mark.parametrize(
    ("header", "status", "said"),
    [
        (None, 401, "send a token as `Authorization: Bearer …`"),
        ("Bearer wrong", 401, "this token is not known: no hash under auth.tokens is its own"),
        ('Bearer "wrong"', 401, "this token is not known: leave out the quotes around it, which are no part of it"),
        ("Bearer sha256:0", 401, "this is the hash of a token: send the token itself, which begins with hd_"),
        ("Bearer ", 401, "the Authorization header holds no token: is the variable that should hold it unset?"),
        ("TOKEN", 401, "the word Bearer is missing: send `Authorization: Bearer TOKEN`"),
        ("Bearer Bearer TOKEN", 401, "the word Bearer is there twice"),
        ("Basic Om5vbmU=", 401, "a password is taken for reading alone: send `Authorization: Bearer TOKEN`"),
        (
            "Bearer READER",
            403,
            "token 'read' lacks the scope gates:verify: give it the role deployer under auth.tokens",
        ),
    ],
)
async def test_a_caller_who_may_not(api: Gating, header: str | None, status: int, said: str) -> None:
    sent = {"Authorization": header.replace("READER", api.tokens["read"])} if header is not None else {}
    answer = await api.call("POST", "/gates/verify", _ASKED, token=None, **sent)
    assert (answer.status, answer.is_problem) == (status, True)
    assert said in answer.body["detail"]
