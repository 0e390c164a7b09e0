"""What variables and a `.env` file tell `healthd init`."""

import subprocess
from pathlib import Path

import pytest

from healthd_gates.commands.init.variables import Dependency, aws_region, dependencies, dot_env, kubernetes_namespace


@pytest.mark.parametrize(
    ("line", "values", "unquoted"),
    [
        ("MONGODB_URI=mongodb://db/shop", {"MONGODB_URI": "mongodb://db/shop"}, ()),
        ("export REDIS_URL = redis://db", {"REDIS_URL": "redis://db"}, ()),
        ("A='x # y' # a comment", {"A": "x # y"}, ()),
        ('A="x"', {"A": "x"}, ()),
        ("A=x # a comment", {"A": "x"}, ()),
        ("A=mongodb://db/?a=1&b=2", {"A": "mongodb://db/?a=1&b=2"}, ("A",)),
        ("A=mongodb://db/shop?w=1#x*!~", {"A": "mongodb://db/shop?w=1#x*!~"}, ()),
        ("A=~/x", {"A": "~/x"}, ("A",)),
        ("A=two words", {"A": "two words"}, ("A",)),
        ("\ufeffA=1\r\n# B=2\n\nnot a line\n=3", {"A": "1"}, ()),
        ("A=", {"A": ""}, ()),
        ('A="pa$word"', {"A": "pa$word"}, ("A",)),
        ("A='pa$word'", {"A": "pa$word"}, ()),
    ],
)
def test_dot_env(line: str, values: dict[str, str], unquoted: tuple[str, ...]) -> None:
    """It is read as Node does, and says what a shell would read otherwise."""
    found = dot_env(line)
    assert (found.values, found.unquoted) == (values, unquoted)


@pytest.mark.parametrize(
    ("line", "is_spaced"),
    [("A=x", False), ("A = x", True), ("A =x", True), ("export A= x", True), ("  A=x ", False), ("A= ", False)],
)
def test_blanks_around_the_sign_of_equality(line: str, *, is_spaced: bool) -> None:
    """Node takes them for nothing, and a shell what stands before or behind them for a command."""
    taken = subprocess.run(["sh", "-c", f'{line}\n[ "$A" = x ]'], capture_output=True, check=False)
    found = dot_env(line)
    assert found.spaced == (("A",) if is_spaced else ())
    if found.values["A"]:
        assert (taken.returncode == 0) is not is_spaced


@pytest.mark.parametrize(
    ("environ", "found"),
    [
        ({"DATABASE_URL": "postgres://u:p@db/shop"}, [Dependency("postgresql", "DATABASE_URL")]),
        ({"DATABASE_URL": "mongodb+srv://u:p@db/shop"}, [Dependency("mongodb", "DATABASE_URL")]),
        ({"DB": "mysql://u:p@db/shop"}, [Dependency("mysql", "DB")]),
        ({"DB": "mariadb://u:p@db/shop"}, [Dependency("mysql", "DB")]),
        ({"CACHE": "rediss://db:6380"}, [Dependency("redis", "CACHE")]),
        ({"A_URI": "redis://db", "B_URI": "redis://db"}, [Dependency("redis", "A_URI")]),
        ({"A_URI": "redis://a", "B_URI": "redis://b"}, [Dependency("redis", "A_URI"), Dependency("redis", "B_URI")]),
        ({"HEALTHD_JOURNAL": "postgresql://db/x", "HOME": "/root", "URL": "https://shop"}, []),
    ],
)
def test_dependencies(environ: dict[str, str], found: list[Dependency]) -> None:
    """A database is known by its address's scheme, whatever the variable is called, and each is checked once."""
    assert dependencies(environ) == (found, [])


@pytest.mark.parametrize(
    ("scheme", "says"),
    [
        ("amqp", "there is no check for amqp; kind tcp looks whether its port answers"),
        ("mysql2", "mysql2:// is a library's own; with mysql:// in a variable of its own it is checked"),
        ("mysql+pymysql", "mysql+pymysql:// is a library's own; with mysql:// in a variable of its own it is checked"),
        ("postgresql+asyncpg", "postgresql+asyncpg:// is a library's own; with postgresql:// in a variable of its"),
    ],
)
def test_a_database_without_a_check_is_told_without_its_address(scheme: str, says: str) -> None:
    """What cannot be checked is said, by the variable's name."""
    found, (told,) = dependencies({"DB": f"{scheme}://u:s3cret@db/x"})
    assert (found, told.startswith(f"DB: {says}"), "s3cret" in told) == ([], True, False)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("PGHOST", "for a check of kind postgresql write the whole address, postgresql://…, into one variable"),
        ("REDIS_HOST", "for a check of kind redis write the whole address, redis://…, into one variable"),
        ("STRIPE_SECRET_KEY", "a check of kind stripe asks whether it answers this key, see docs/checks/stripe.md"),
        ("SENDGRID_API_KEY", "a check of kind sendgrid asks whether it answers this key, see docs/checks/sendgrid.md"),
    ],
)
def test_what_is_no_address_is_told_without_its_value(name: str, says: str) -> None:
    """It was passed over without a word."""
    assert dependencies({name: "s3cret"}) == ([], [f"{name}: {says}"])
    assert dependencies({name: ""}) == ([], [])


def test_two_names_of_one_database_are_one_check() -> None:
    """Such as that of the application and that of its migrations, with other options; a host of parts beside it is that
    one's."""
    environ = {
        "DATABASE_URL": "postgres://a:b@db:5432/shop?pgbouncer=true",
        "DIRECT_URL": "postgres://a:b@db:5432/shop",
        "PGHOST": "db",
    }
    assert dependencies(environ) == ([Dependency("postgresql", "DATABASE_URL")], [])


@pytest.mark.parametrize(
    ("environ", "region", "told"),
    [
        ({}, None, False),
        ({"AWS_REGION": "eu-west-1"}, None, False),
        ({"AWS_ACCESS_KEY_ID": "AKIA", "AWS_DEFAULT_REGION": "eu-west-1"}, "AWS_DEFAULT_REGION", False),
        ({"AWS_WEB_IDENTITY_TOKEN_FILE": "/t"}, None, True),
    ],
)
def test_aws(environ: dict[str, str], region: str | None, told: bool) -> None:
    """An identity and a region make a check; an identity alone is told."""
    found, problem = aws_region(environ)
    assert (found, problem is not None) == (region, told)


def test_kubernetes(tmp_path: Path) -> None:
    """A pod's namespace stands beside its service account's token."""
    assert kubernetes_namespace(tmp_path) is None
    (tmp_path / "namespace").write_text("shop\n")
    assert kubernetes_namespace(tmp_path) == "shop"
