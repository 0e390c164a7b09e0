"""Hosts, ports and users of addresses: what could never be reached is refused where it is written."""

from typing import Any

import pytest
from pydantic import SecretStr, TypeAdapter, ValidationError

from healthd.checks.http_address import HttpURL
from healthd.checks.mongodb_options import MongoDBURI
from healthd.checks.postgresql_options import PostgreSQLURI
from healthd.checks.redis_options import RedisURI
from healthd.runtime.web_address import SecretHttpUrl
from healthd.units import HttpAddress

_NO_URL = "is not a URL: write http://host/path or https://host/path; it "
KINDS: dict[str, list[Any]] = {
    "postgresql": [PostgreSQLURI],
    "redis": [RedisURI],
    "mongodb": [MongoDBURI],
    "http": [HttpURL, HttpAddress, SecretHttpUrl],
}


def problems(address: str) -> list[str]:
    """What each type of such an address says."""
    told = []
    for kind in KINDS[address.partition(":")[0].partition("+")[0]]:
        try:
            TypeAdapter(kind).validate_python(address)
            told.append("")
        except ValidationError as error:
            told.append(error.errors()[0]["msg"].removeprefix("Value error, ").removeprefix(_NO_URL))
    return told


@pytest.mark.parametrize("scheme", KINDS)
@pytest.mark.parametrize(
    ("authority", "told"),
    [
        ("u@127.0.0.1:99999", "has a port that cannot be: write a number from 1 to 65535"),
        ("127.0.0.1:0", "has a port that cannot be: write a number from 1 to 65535"),
        ("127.0.0.1:http", "has a port that is not a number"),
        ("u:hunter@@127.0.0.1:1", "has more than one @ before its path: in user and password write @ as %40"),
        ("u:hunter%zz@127.0.0.1:1", "has a % that begins no escape: in user and password write @ as %40"),
        ("u:hunter@[bad", "has a [ without its ], or the other way round: write an IPv6 address as [::1]"),
        ("[bad]", "has no IPv6 address between [ and ]: write it as [::1]"),
        ("::1:5432", "has more than one : in a host: write an IPv6 address in brackets, as [::1]"),
        ("a b", "has a space before its path: take it out"),
        ("a\tb", "has a space before its path: take it out"),
    ],
)
def test_what_cannot_be(scheme: str, authority: str, told: str) -> None:
    """Every kind of address says the same, and nothing of the address."""
    for problem in problems(f"{scheme}://{authority}/0"):
        assert problem.startswith(told)
        assert "hunter" not in problem


@pytest.mark.parametrize("scheme", ["postgresql", "redis", "mongodb"])
@pytest.mark.parametrize("rest", ["app:p@ss/hunter#rd@127.0.0.1:1/app", "app:p@ss/hunter@h/0", "app:p@ss#hunter@h/0"])
def test_a_password_that_ends_the_authority(scheme: str, rest: str) -> None:
    """An @ and a slash in it: the host would be another, and nobody would be told its name."""
    (problem,) = problems(f"{scheme}://{rest}")
    assert problem.startswith("has a port that is not a number, or an @ behind the host: in user and password write @")
    assert "hunter" not in problem


@pytest.mark.parametrize("scheme", KINDS)
@pytest.mark.parametrize("address", ["{}://h/0\n", "{}://h\n", "{}://h/0\t"])
def test_a_line_break_of_a_variable(scheme: str, address: str) -> None:
    """It is nothing that one sees: whoever looks at the value finds it right."""
    for problem in problems(address.format(scheme)):
        assert problem == "begins or ends with a space or a line break, as the value of a variable may: take it out"


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://u:p%40%25@h:5432,g:5433/d",
        "postgresql://u:p@h/d?user=a@b",
        "postgresql://%2Fvar%2Frun%2Fpostgresql/d",
        "postgresql:///d?host=/tmp&port=5433",
        "postgresql://u@[::1]:5432/d",
        "redis://h",
        "redis://:p@h:6379/0",
        "redis://[::1]:6379/15?db=15",
        "rediss://h/0/",
        "unix:///run/redis.sock?db=1",
        "mongodb://u:p@h:27017,g/?replicaSet=rs0",
        "mongodb+srv://u:p@h.example/shop",
        "https://[::1]:8443/x",
        "http://user:p%40@h/a@b?c=@d:99999",
    ],
)
def test_what_can_be(address: str) -> None:
    """Several hosts, sockets, IPv6 and escapes stay as they are."""
    KINDS.setdefault("unix", [RedisURI]), KINDS.setdefault("rediss", [RedisURI]), KINDS.setdefault("https", [HttpURL])
    assert not any(problems(address))


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("redis://h/abc", "names a database that is no number"),
        ("redis://h/-1", "names a database that is no number"),
        ("redis://h/0?db=-1", "names a database that is no number"),
        ("redis://h?database=x", "names a database that is no number"),
        ("postgresql://h/d?port=99999", "has a port that cannot be"),
        ("mongodb://", "names no host: write mongodb://host"),
        ("mongodb://u:p@/shop", "names no host: write mongodb://host"),
        ("mongodb+srv://a,b/", "mongodb+srv:// takes one host without a port"),
        ("mongodb+srv://a:27017/", "mongodb+srv:// takes one host without a port"),
    ],
)
def test_what_only_one_kind_has(address: str, told: str) -> None:
    assert [problem.startswith(told) for problem in problems(address)] == [True]


def test_a_secret_address_keeps_its_type() -> None:
    assert isinstance(TypeAdapter(RedisURI).validate_python("redis://h/1"), SecretStr)
