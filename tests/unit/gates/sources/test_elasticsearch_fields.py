"""Fields in queries of Lucene's syntax."""

from __future__ import annotations

import pytest

from healthd_gates.sources.elasticsearch_fields import asked_of, clauses_of, missing_field, missing_in, types_of


@pytest.mark.parametrize(
    ("text", "clauses"),
    [
        ("*", []),
        ("service.name:shop AND version:$version", [("service.name", "shop"), ("version", "$version")]),
        ('-status:500 NOT(level:error) "a:b c" "d:$version"', [("status", "500"), ("level", "error")]),
        ("took:<=$le", [("took", "<=$le")]),
        (r"path:\/a\:b x\:y", [("path", r"\/a\:b")]),
        ("at:[2026-01-01T00:00:00 TO now] +b:{1 TO 2]", [("at", "[2026-01-01T00:00:00 TO now]"), ("b", "{1 TO 2]")]),
        (r"path:/x\/y:z/ version:($version OR 2)", [("path", r"/x\/y:z/"), ("version", "($version OR 2)")]),
        ("_exists_:error.type @timestamp:now _id:4", [("error.type", ""), ("@timestamp", "now")]),
        ('version:"$version"', [("version", '"$version"')]),
    ],
)
def test_fields_are_told_from_texts(text: str, clauses: list[tuple[str, str]]) -> None:
    assert clauses_of(text) == clauses


def test_what_a_field_is_in_and_what_is_below_it_is_asked_for() -> None:
    assert asked_of(["a.b.c:1", "a.b.c:2"]) == ("a", "a.b", "a.b.c", "a.b.c.*")


@pytest.mark.parametrize(
    ("name", "text", "is_wrong"),
    [("status", "status:>=500", True), ("exception", "_exists_:exception", False), ("eror", "_exists_:eror", True)],
)
def test_a_field_that_may_come_is_no_slip(name: str, text: str, is_wrong: bool) -> None:
    types = types_of({"fields": {each: {"long": {}} for each in ("status_code", "exception_count", "error")}})
    assert missing_field(name, text, types)[1] is is_wrong


def test_parts_of_a_flattened_field_are_in_no_mapping() -> None:
    document = {"fields": {"labels": {"flattened": {"type": "flattened"}}, "n": {"long": {}, "keyword": {}}}}
    types = types_of(document)
    assert types["n"] == {"long", "keyword"}
    assert missing_in("labels.version:1 AND n:2 AND m:3", types) == ["m"]
