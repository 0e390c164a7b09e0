"""What an HTTP answer is held to."""

from typing import Any

import pytest
from multidict import CIMultiDict, CIMultiDictProxy
from pydantic import ValidationError

from healthd.checks.expectations import AnswerExpectation
from healthd.checks.http_client import Answer
from healthd.model import FailureKind
from healthd.runtime import patterns


def failures(expect: dict[str, Any], *, status: int = 200, body: str = "", **headers: str) -> list[str]:
    """What is wrong with an answer, in words; header names are given with underscores."""
    named = CIMultiDictProxy(CIMultiDict({name.replace("_", "-"): value for name, value in headers.items()}))
    answer = Answer(status, named, body.encode(), True, 0.01, None)
    return [message for _, message in AnswerExpectation.model_validate(expect).failures(answer)]


@pytest.mark.parametrize(
    ("expected", "status", "fits"),
    [
        (200, 200, True),
        (200, 204, False),
        ("2xx", 299, True),
        ("2xx", 300, False),
        ("400-404", 404, True),
        (["2xx", 401], 401, True),
        (["2xx", 401], 403, False),
    ],
)
def test_status(expected: Any, status: int, fits: bool) -> None:
    """One status, a hundred, a range, or a list of them."""
    assert (failures({"status": expected}, status=status) == []) is fits


@pytest.mark.parametrize("bad", ["ok", "6xx", 99, "2xx,3xx", [], "200-", True])
def test_bad_status(bad: Any) -> None:
    """What is not a status is refused, not ignored."""
    with pytest.raises(ValidationError, match="status"):
        AnswerExpectation.model_validate({"status": bad})


BODY = '{"status": "ok", "n": 1, "on": true, "none": null, "items": [{"id": 7}], "a.b": 2}'


@pytest.mark.parametrize(
    "value",
    [
        {"path": "status", "equals": "ok"},
        {"path": "status", "matches": "^o"},
        {"path": "n", "equals": 1.0},
        {"path": "on", "equals": True},
        {"path": "none", "equals": None},
        {"path": "items.0.id", "equals": 7},
        {"path": "/a.b", "equals": 2},
        {"path": "absent", "exists": False},
        {"path": "items"},
        {"path": "n", "matches": "^(1|2)$"},
        {"path": "on", "matches": "^true$"},
        {"path": "n", "one_of": [1, 2]},
        {"path": "status", "one_of": ["ok", "fine"]},
        {"path": "n", "less_than": 5, "greater_than": 0, "at_least": 1, "at_most": 1},
        {"path": "items.0.id", "same_as": "/items/0/id"},
        {"path": "items", "length": 1},
        {"path": "status", "length": {"at_least": 2, "at_most": 5}},
    ],
)
def test_json_fits(value: dict[str, Any]) -> None:
    """Values by dotted path or JSON pointer."""
    assert failures({"json": [value]}, body=BODY) == []


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"path": "on", "equals": 1}, "JSON value 'on' is true, not 1"),
        ({"path": "n", "equals": True}, "JSON value 'n' is 1, not true"),
        ({"path": "status", "equals": "down"}, "JSON value 'status' is another text, not \"down\""),
        ({"path": "items", "equals": None}, "JSON value 'items' is a list, not null"),
        ({"path": "items.1.id"}, "JSON value 'items.1.id' is missing"),
        ({"path": "items.first"}, "JSON value 'items.first' is missing"),
        ({"path": "n", "exists": False}, "JSON value 'n' should not be there"),
        ({"path": "n", "matches": "2"}, "JSON value 'n' is 1, which does not match"),
        ({"path": "items", "matches": "1"}, "JSON value 'items' is a list, which no pattern matches"),
        ({"path": "status", "matches": "^down$"}, "JSON value 'status' does not match"),
        ({"path": "n", "one_of": [2, 3]}, "JSON value 'n' is 1, not one of 2, 3"),
        ({"path": "on", "one_of": [1]}, "JSON value 'on' is true, not one of 1"),
        ({"path": "n", "less_than": 1}, "JSON value 'n' is 1, not less than 1"),
        ({"path": "n", "greater_than": 1}, "JSON value 'n' is 1, not greater than 1"),
        ({"path": "n", "at_least": 1.5}, "JSON value 'n' is 1, not at least 1.5"),
        ({"path": "n", "at_most": 0}, "JSON value 'n' is 1, not at most 0"),
        ({"path": "status", "less_than": 5}, "JSON value 'status' is another text, not a number"),
        ({"path": "on", "less_than": 5}, "JSON value 'on' is true, not a number"),
        ({"path": "n", "same_as": "on"}, "JSON value 'n' is not the same as 'on'"),
        ({"path": "n", "same_as": "m"}, "JSON value 'n' is not the same as 'm', which is missing"),
        ({"path": "items", "length": 99}, "JSON value 'items' has the length 1, not 99"),
        (
            {"path": "items", "length": {"at_least": 3, "at_most": 4}},
            "JSON value 'items' has the length 1, not at least 3 and at most 4",
        ),
        ({"path": "n", "length": 1}, "JSON value 'n' is 1, which has no length"),
    ],
)
def test_json_fails(value: dict[str, Any], message: str) -> None:
    """True is not 1, and a text of the answer, which may echo a secret, is not repeated."""
    assert failures({"json": [value]}, body=BODY) == [message]


@pytest.mark.parametrize(
    ("value", "fits"),
    [
        ("max-age=31536000", True),
        ('includeSubDomains; Max-Age="63072000"; preload', True),
        ("max-age=31535999", False),
        ("max-age=0", False),
        ("s-max-age=99999999", False),
        ("max-age=", False),
    ],
)
def test_max_age(value: str, fits: bool) -> None:
    """The directive in any place and case, quoted or not (RFC 6797, 6.1)."""
    expect = {"headers": [{"name": "strict-transport-security", "max_age": "365d"}]}
    assert (failures(expect, Strict_Transport_Security=value) == []) is fits


def test_too_short_a_max_age_says_both() -> None:
    """What there is and what is needed, as a threshold."""
    expect = AnswerExpectation.model_validate({"headers": [{"name": "Cache-Control", "max_age": "1h"}]})
    headers = CIMultiDictProxy(CIMultiDict({"Cache-Control": "public, max-age=60"}))
    (failure,) = expect.failures(Answer(200, headers, b"", True, 0.01, None))
    assert failure == (FailureKind.THRESHOLD, "max-age of header Cache-Control is 1m, less than 1h")


def test_headers() -> None:
    """Presence, absence and value, in any case of the name."""
    assert failures({"headers": [{"name": "x-a", "equals": "1"}]}, X_A="1") == []
    assert failures({"headers": [{"name": "X-A", "matches": "^2"}]}, X_A="1") == ["header X-A is not as expected"]
    assert failures({"headers": [{"name": "Server", "exists": False}]}, Server="nginx") == [
        "header Server is there and should not be"
    ]


@pytest.mark.parametrize(
    "bad",
    [
        {"matches": "("},
        {"headers": [{"name": "two words"}]},
        {"headers": [{"name": "Server", "exists": False, "equals": "x"}]},
        {"latency": 5},
        {"unknown": 1},
    ],
)
def test_bad_expectations(bad: dict[str, Any]) -> None:
    """A wrong expectation is found when the file is read."""
    with pytest.raises(ValidationError):
        AnswerExpectation.model_validate(bad)


def test_a_pattern_that_takes_too_long_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is named with the cure, and hides nothing that was found before it."""
    monkeypatch.setattr(patterns.is_found, "__defaults__", (0.1,))
    page = "x y z all bad " * 18_000
    slow = failures({"status": 204, "matches": "(.*)(.*)(.*)(.*)[!?]$"}, body=page)
    assert slow[0] == "answered 200, not 204"
    assert slow[1].startswith("the pattern '(.*)(.*)(.*)(.*)[!?]$' takes too long: leave out .* at its ends")


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        ("Größe".encode(), "text/plain"),
        ("Größe".encode("iso-8859-1"), "text/html; charset=ISO-8859-1"),
        ("Größe".encode("cp1252"), 'text/html; charset="latin-1"'),
        ("Größe".encode("utf-16"), "text/plain"),
        (b"\xef\xbb\xbf" + "Größe".encode(), "text/plain; charset=iso-8859-1"),
        (b'<html><meta charset="iso-8859-1">' + "Größe".encode("iso-8859-1"), "text/html"),
        ("Größe".encode(), "text/plain; charset=nonsense"),
        ("Größe".encode(), "text/plain; charset=base64"),
    ],
)
def test_a_body_is_read_in_its_own_character_set(body: bytes, content_type: str) -> None:
    """That of its mark, of the header, or of the page; one that nobody knows is UTF-8."""
    headers = CIMultiDictProxy(CIMultiDict({"Content-Type": content_type}))
    answer = Answer(200, headers, body, True, 0.01, None)
    assert list(AnswerExpectation.model_validate({"contains": "Größe"}).failures(answer)) == []


@pytest.mark.parametrize("expected", [{"contains": "Origin"}, {"equals": "Accept"}, {"equals": "Accept, Origin"}])
def test_a_header_that_comes_twice(expected: dict[str, str]) -> None:
    """Each of its values counts, and the list that they mean."""
    headers = CIMultiDictProxy(CIMultiDict([("Vary", "Accept"), ("Vary", "Origin")]))
    answer = Answer(200, headers, b"", True, 0.01, None)
    held = AnswerExpectation.model_validate({"headers": [{"name": "Vary", **expected}]})
    assert list(held.failures(answer)) == []
    held = AnswerExpectation.model_validate({"headers": [{"name": "Vary", "equals": "Cookie"}]})
    assert len(list(held.failures(answer))) == 1
