"""PostgreSQL's addresses as libpq, Prisma, node-postgres, JDBC and hosted services write them."""

from pathlib import Path

import pytest

from healthd.addresses.postgresql import for_libpq, read_postgresql

HOST = "postgresql://app:s%40cret@db.internal:5432/shop"
ROOT = "sslrootcert=%2Fca.pem"


@pytest.mark.parametrize(
    ("query", "for_the_driver", "told"),
    [
        ("", "", []),
        ("?application_name=shop&connect_timeout=10", "?application_name=shop", []),
        (f"?sslmode=verify-full&{ROOT}", f"?sslmode=verify-full&{ROOT}", []),
        ("?schema=public&pgbouncer=true&connection_limit=1", "", ["connection_limit"]),
        ("?pool_timeout=30&socket_timeout=3&statement_cache_size=0", "",
         ["pool_timeout", "socket_timeout", "statement_cache_size"]),
        ("?sslmode=require&channel_binding=require", "?sslmode=require", ["channel_binding"]),
        ("?channel_binding=prefer&gssencmode=disable&client_encoding=UTF8", "", []),
        ("?ssl=true", "?sslmode=require", []),
        ("?ssl=false", "?sslmode=disable", []),
        ("?ssl=1&sslmode=verify-ca&" + ROOT, f"?sslmode=verify-ca&{ROOT}", []),
        ("?sslmode=no-verify", "?sslmode=require", []),
        ("?sslmode=VERIFY_CA&" + ROOT, f"?sslmode=verify-ca&{ROOT}", []),
        ("?keepalives=1&keepalives_idle=30&tcp_user_timeout=9", "",
         ["keepalives", "keepalives_idle", "tcp_user_timeout"]),
        ("?target_session_attrs=read-write", "?target_session_attrs=read-write", []),
        ("?options=-c%20search_path%3Dshop", "?options=-c%20search_path%3Dshop", []),
        ("?options=project%3Dx+y", "?options=project%3Dx%2By", []),
        ("?statement_timeout=5000&app.user=7", "?statement_timeout=5000&app.user=7", []),
        ("?currentSchema=shop&prepareThreshold=0", "", ["prepareThreshold"]),
        ("?sslmode=require&sslaccept=strict&sslidentity=c.p12", "?sslmode=require", ["sslaccept", "sslidentity"]),
        ("?sslcert=.%2Fserver-ca.pem&sslmode=require", "?sslmode=require", ["sslcert"]),
        ("?fallback_application_name=psql", "?application_name=psql", []),
        ("?nonsense=1&&flag", "", ["nonsense", "flag"]),
    ],
)  # fmt: skip
def test_the_driver_gets_the_words_that_it_knows(
    query: str, for_the_driver: str, told: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """And of those that are set aside a note is made."""
    monkeypatch.setenv("HOME", str(tmp_path))
    address = read_postgresql(HOST + query)
    assert address.uri == HOST + for_the_driver
    assert [note.partition(" ")[0] for note in address.notes] == told


def test_what_is_said_beside_the_words() -> None:
    """A schema, a limit for connecting, a pooler that shares connections, and files."""
    address = read_postgresql(f"{HOST}?schema=shop&connect_timeout=1&pgbouncer=true&{ROOT}&sslmode=verify-ca")
    assert (address.schema, address.connect_timeout, address.pooled) == ("shop", 2.0, True)
    assert address.missing_file() == "sslrootcert: the file /ca.pem does not exist"
    assert read_postgresql(f"{HOST}?connect_timeout=0").connect_timeout is None


@pytest.mark.parametrize(
    "query", ["?sslmode=verify-full", "?sslrootcert=system", "?sslmode=require&sslrootcert=system"]
)
def test_the_systems_authorities(query: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where no other is named, and the whole certificate is looked at."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("PGSSLROOTCERT", raising=False)
    address = read_postgresql(HOST + query)
    assert "sslmode=verify-full" in address.uri
    assert address.missing_file() is None
    assert dict(address.files)["sslrootcert"].startswith("/")


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("?sslmode=full", "disable, allow, prefer, require, verify-ca, verify-full"),
        ("?ssl_mode=require", "did you mean sslmode?"),
        ("?sslrotcert=/ca.pem", "did you mean sslrootcert?"),
    ],
)
def test_what_would_take_protection_away_is_refused(query: str, said: str) -> None:
    """With the nearest word."""
    with pytest.raises(ValueError, match=said.replace("?", r"\?")):
        read_postgresql(HOST + query)


def test_no_part_of_a_password_is_told() -> None:
    """Where it has a `?` that is not percent-encoded, the rest of it looks like words."""
    (note,) = read_postgresql("postgresql://u:1?hunter2@host/db").notes
    assert "hunter2" not in note


@pytest.mark.parametrize(
    ("uri", "meant"),
    [
        (f"{HOST}?host=%2Fcloudsql%2Fa%3Ab%3Ac", "postgresql://app:s%40cret@%2Fcloudsql%2Fa%3Ab%3Ac:5432/shop"),
        (f"{HOST}?host=::1&port=2", "postgresql://app:s%40cret@[::1]:2/shop"),
        (f"{HOST}?host=a,b&port=1,2", "postgresql://app:s%40cret@a:1,b:2/shop"),
        ("postgresql://u@a:1,b:2/shop?port=3", "postgresql://u@a:3,b:3/shop"),
        (f"{HOST}?host=", "postgresql://app:s%40cret@/shop?port=5432"),
        (f"{HOST}?user=x&password=a%40b&dbname=c%2Fd", "postgresql://x:a%40b@db.internal:5432/c%2Fd"),
        (f"{HOST}?database=other", "postgresql://app:s%40cret@db.internal:5432/other"),
        ("postgresql:///?service=shop", "postgresql://?service=shop"),
    ],
)
def test_what_stands_behind_the_question_mark_overrides(uri: str, meant: str) -> None:
    """As in libpq; for the driver and for programs of libpq."""
    assert read_postgresql(uri).uri == for_libpq(uri)[0] == meant


def test_an_address_of_a_host() -> None:
    """The driver connects to it and compares the certificate with it; libpq has both."""
    address = read_postgresql(f"{HOST}?hostaddr=10.0.0.1&sslmode=verify-full&{ROOT}")
    assert address.uri == f"postgresql://app:s%40cret@10.0.0.1:5432/shop?sslmode=verify-full&{ROOT}"
    assert [note.partition(" ")[0] for note in address.notes] == ["hostaddr"]
    assert for_libpq(f"{HOST}?hostaddr=10.0.0.1")[0] == f"{HOST}?hostaddr=10.0.0.1"


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("?target_session_attrs=writable", "target_session_attrs: write one of any, read-write, read-only, primary"),
        ("?connect_timeout=abc", "connect_timeout that is no number: write whole seconds"),
        ("?tcp_user_timeout=1s", "write whole milliseconds"),
        ("?sslnegotiation=tls", "write one of postgres, direct"),
        ("?ssl_min_protocol_version=1.2", "write one of TLSv1, TLSv1.1, TLSv1.2, TLSv1.3"),
        ("?channel_binding=yes", "write one of disable, prefer, require"),
    ],
)
def test_values_that_libpq_refuses(query: str, said: str) -> None:
    """With those that it takes, never with the value."""
    for read in (read_postgresql, for_libpq):
        with pytest.raises(ValueError, match=said) as raised:
            read(HOST + query)
        assert query.partition("=")[2] not in str(raised.value).replace(said, "")


def test_a_version_of_tls_in_any_case() -> None:
    """As libpq takes it; the driver knows one way alone to write it."""
    assert read_postgresql(f"{HOST}?ssl_min_protocol_version=tlsv1.3").uri.endswith("=TLSv1.3")


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("?host=a,b&port=1,2,3", "one port, or one for each host"),
        ("?host=a&hostaddr=10.0.0.1,10.0.0.2", "one for each host"),
        ("?host=a:5432", "write it as the word port"),
        ("?host=a,,b", "empty host"),
        ("?port=70000", "from 1 to 65535"),
    ],
)
def test_hosts_and_ports_that_do_not_fit(query: str, said: str) -> None:
    """As libpq refuses them, before anything is connected to."""
    with pytest.raises(ValueError, match=said):
        read_postgresql(HOST + query)


def test_for_programs_of_libpq() -> None:
    """They get every word of libpq's, and no other."""
    uri, notes = for_libpq(f"{HOST}?schema=public&connect_timeout=9&keepalives=1&ssl=true&connection_limit=1")
    assert uri == f"{HOST}?sslmode=require&connect_timeout=9&keepalives=1"
    assert [note.partition(" ")[0] for note in notes] == ["connection_limit"]
