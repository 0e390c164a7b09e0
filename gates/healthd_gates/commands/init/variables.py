"""Finders in the environment and a `.env` file: addresses of databases, AWS, Kubernetes. No value ever leaves here."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_LINE = re.compile(r"\s*(?:export\s+)?(?P<name>[A-Za-z_]\w*)(?P<equals>\s*=\s*)(?P<value>.*?)\s*")
_QUOTED = re.compile(r"(?P<quote>['\"])(?P<text>.*?)(?P=quote)(?:\s*#.*)?")
_FOR_A_SHELL = re.compile(r"[\s&;|<>()$`\\'\"]|^~")  # it expands no * or ? in an assignment
_IN_DOUBLE_QUOTES = re.compile(r"[$`\\]")  # it expands these there too
_ADDRESS = re.compile(r"(?P<scheme>[a-z][a-z0-9+]*)://\S+", re.IGNORECASE)
_KINDS = {
    "mongodb": "mongodb",
    "mongodb+srv": "mongodb",
    "mysql": "mysql",
    "mariadb": "mysql",
    "postgres": "postgresql",
    "postgresql": "postgresql",
    "redis": "redis",
    "rediss": "redis",
}
_NO_KIND = ("amqp", "amqps", "mssql", "sqlserver", "kafka", "nats", "memcached")
_OF_A_LIBRARY = re.compile(r"(?P<scheme>mysql|mariadb|postgres|postgresql)(?:2|\+\w+)")
_HOSTS = {
    "PGHOST": "postgresql",
    "POSTGRES_HOST": "postgresql",
    "MYSQL_HOST": "mysql",
    "MONGO_HOST": "mongodb",
    "REDIS_HOST": "redis",
}
_KEYS = {"STRIPE_SECRET_KEY": "stripe", "STRIPE_API_KEY": "stripe", "SENDGRID_API_KEY": "sendgrid"}
_AWS = ("AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
_AWS_ALSO = ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_PROFILE")
_REGIONS = ("AWS_REGION", "AWS_DEFAULT_REGION")


@dataclass(frozen=True, slots=True)
class Dependency:
    """A database that a variable has the address of. `kind` is the check's, or `mysql`, which `sql` asks."""

    kind: str
    variable: str


@dataclass(frozen=True, slots=True)
class DotEnv:
    """A `.env` file. `unquoted` are variables whose values a shell would cut or change, and `spaced` those that it
    takes for a command, since blanks stand around their `=`."""

    values: Mapping[str, str]
    unquoted: tuple[str, ...] = ()
    spaced: tuple[str, ...] = ()


def dot_env(text: str) -> DotEnv:
    """Parse a `.env` file; lines that are no assignment are passed over."""
    values, unquoted, spaced = dict[str, str](), list[str](), list[str]()
    for line in text.removeprefix("\ufeff").splitlines():
        found = _LINE.fullmatch(line)
        if found is None:
            continue
        name, value = found["name"], found["value"]
        if value and found["equals"] != "=":
            spaced.append(name)
        if (quoted := _QUOTED.fullmatch(value)) is not None:
            values[name] = quoted["text"]
            if quoted["quote"] == '"' and _IN_DOUBLE_QUOTES.search(values[name]):
                unquoted.append(name)
            continue
        values[name] = re.split(r"\s#", value, maxsplit=1)[0].rstrip()
        if _FOR_A_SHELL.search(values[name]):
            unquoted.append(name)
    return DotEnv(values, tuple(unquoted), tuple(spaced))


def dependencies(environ: Mapping[str, str]) -> tuple[list[Dependency], list[str]]:
    """Return the databases whose addresses stand in variables, one for each address without its options, and what no
    check is proposed for."""
    found, without, addresses = list[Dependency](), list[str](), set[str]()
    for name, scheme, address in _addresses(environ):
        if scheme in _NO_KIND:
            without.append(f"{name}: there is no check for {scheme}; kind tcp looks whether its port answers")
        elif (own := _OF_A_LIBRARY.fullmatch(scheme)) is not None:
            plain = own["scheme"]
            without.append(
                f"{name}: {scheme}:// is a library's own; with {plain}:// in a variable of its own it is checked"
            )
        elif (kind := _KINDS.get(scheme)) is not None and (place := address.partition("?")[0]) not in addresses:
            addresses.add(place)
            found.append(Dependency(kind, name))
    kinds = {each.kind for each in found}
    for name, kind in _HOSTS.items():
        if environ.get(name) and kind not in kinds:
            check = "sql" if kind == "mysql" else kind
            without.append(
                f"{name}: for a check of kind {check} write the whole address, {kind}://…, into one variable"
            )
    for name, kind in _KEYS.items():
        if environ.get(name):
            without.append(
                f"{name}: a check of kind {kind} asks whether it answers this key, see docs/checks/{kind}.md"
            )
    return found, without


def _addresses(environ: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    for name in sorted(environ):
        address = _ADDRESS.fullmatch(environ[name].strip())
        if address is not None and not name.startswith(("HEALTHD_", "npm_")):
            yield name, address["scheme"].lower(), environ[name].strip()


def aws_region(environ: Mapping[str, str]) -> tuple[str | None, str | None]:
    """Return the variable that has the region of an identity of AWS, and what is missing for a check of it; None
    twice without an identity."""
    identity = next((name for name in (*_AWS, *_AWS_ALSO) if environ.get(name)), None)
    if identity is None:
        return None, None
    region = next((name for name in _REGIONS if environ.get(name)), None)
    return region, None if region else f"aws: {identity} is set, and neither AWS_REGION nor AWS_DEFAULT_REGION"


def kubernetes_namespace(account: Path = SERVICE_ACCOUNT) -> str | None:
    """Return the namespace of this pod's service account; None outside Kubernetes."""
    try:
        return (account / "namespace").read_text(encoding="utf-8").strip() or None
    except (OSError, UnicodeDecodeError):
        return None
