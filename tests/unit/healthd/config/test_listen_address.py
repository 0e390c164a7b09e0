"""What can be listened on is taken, and what cannot is refused before the daemon starts."""

import pytest

from healthd.config.listen_address import split_address


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:8080", "127.0.0.1", 8080),
        ("0.0.0.0:65535", "0.0.0.0", 65535),
        ("127.1:80", "127.1", 80),  # as the system reads it
        ("0:80", "0", 80),
        (":8080", "", 8080),
        ("localhost:0", "localhost", 0),
        ("10.box.internal:80", "10.box.internal", 80),
        ("[::]:8080", "::", 8080),
        ("::1:8080", "::1", 8080),
        ("[fe80::1%eth0]:80", "fe80::1%eth0", 80),
        ("[::ffff:127.0.0.1]:80", "::ffff:127.0.0.1", 80),
    ],
)
def test_taken(text: str, host: str, port: int) -> None:
    assert split_address(text) == (host, port)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("localhost", "is not an address: write host:port"),
        ("", "is not an address"),
        ("http://127.0.0.1:80", "is not an address"),
        ("127.0.0.1:80/health", "is not an address"),
        ("127.0.0.1 :80", "is not an address"),
        ("127.0.0.1:-1", "is not an address"),
        ("127.0.0.1:99999", "has a port that cannot be: write a number from 1 to 65535"),
        ("127.0.0.1:٨٠", "has a port that cannot be"),
        ("127.0.0.1:" + "9" * 5000, "has a port that cannot be"),
        ("256.1.1.1:80", "has no IPv4 address before its port: write four numbers from 0 to 255"),
        ("1.2.3.4.5:80", "has no IPv4 address"),
        ("[::1:8080", "is not an address"),
        ("[127.0.0.1]:80", "has no IPv6 address before its port"),
        ("[]:80", "has no IPv6 address"),
        ("127.0.0.1:80:80", "has no IPv6 address"),
    ],
)
def test_refused(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        split_address(text)
