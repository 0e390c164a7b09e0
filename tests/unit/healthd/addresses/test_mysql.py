"""MySQL addresses as applications write them."""

from __future__ import annotations

import pytest

from healthd.addresses.mysql import MySQLAddress, read_mysql
from healthd.addresses.notes import notes_of


def test_every_part_is_read() -> None:
    """Escapes are taken out, and the words of TLS are MySQL's whatever their case and hyphens."""
    found = read_mysql(
        "mysql://app%40x:p%3Aw@[::1]:3307/my%20shop?SSL-MODE=verify-ca&sslCa=/ca.pem&ssl_cert=/c&ssl_key=/k"
    )
    assert found == MySQLAddress("::1", 3307, "app@x", "p:w", "my shop", "verify_ca", "/ca.pem", "/c", "/k")
    assert read_mysql("mariadb://db") == MySQLAddress("db", 3306, "", "", None)


@pytest.mark.parametrize(
    ("query", "mode", "demands", "encrypts"),
    [
        ("", "preferred", False, True),
        ("?ssl-mode=DISABLED", "disabled", False, False),
        ("?ssl=true", "required", True, True),
        ("?sslmode=verify-full", "verify_identity", True, True),
        ("?useSSL=false", "disabled", False, False),
    ],
)
def test_a_mode_says_how_a_connection_is_encrypted(query: str, mode: str, demands: bool, encrypts: bool) -> None:
    found = read_mysql(f"mysql://db/shop{query}")
    context = found.context()
    assert (found.mode, found.demands_tls, context is not None) == (mode, demands, encrypts)
    if context is not None:
        assert context.check_hostname is (mode == "verify_identity")


def test_what_is_the_application_s_is_set_aside_with_a_note() -> None:
    notes = notes_of("mysql://app:hush@db/shop?connection_limit=5&charset=utf8mb4&oops=1")
    assert [note.partition(" is set aside: ")[0] for note in notes] == ["connection_limit", "charset", "oops"]
    assert "hush" not in str(notes)
