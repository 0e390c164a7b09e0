"""Receivers by Apprise: what needs no receiver."""

import io
import logging
import sys

import pytest

from healthd.notifiers import NOTIFIERS
from healthd.notifiers.apprise import _reason


def test_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rather than the module that Python misses."""
    monkeypatch.delitem(sys.modules, "healthd.notifiers.apprise")
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(ValueError, match="kind 'apprise' needs apprise: pip install"):
        NOTIFIERS.model_of({"kind": "apprise"})


def test_the_library_logs_nothing_by_itself() -> None:
    """Below warnings it logs whole requests, and with them its address, which is a secret."""
    said, root = io.StringIO(), logging.getLogger()
    root.addHandler(handler := logging.StreamHandler(said))
    logging.getLogger("apprise").error("POST URL: https://api.telegram.org/bot123:abc/sendMessage")
    logging.getLogger("apprise.plugins").error("payload")
    root.removeHandler(handler)
    assert said.getvalue() == ""


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ([("WARNING", "Failed to send.\n Twice."), ("WARNING", "Failed to send.\n Twice.")], "Failed to send. Twice"),
        (
            [
                ("DEBUG", "JSON Payload: {'a': 'timed out'}"),
                ("WARNING", "A Connection error occurred."),
                ("DEBUG", "Socket Exception: ('Connection aborted.', OSError(\"[Errno 104] reset by peer\"))"),
            ],
            "A Connection error occurred: reset by peer",
        ),
        (
            [
                ("WARNING", "No."),
                (
                    "DEBUG",
                    "Socket Exception: SSLError(1, 'certificate verify failed: self-signed certificate (_ssl.c:1)')",
                ),
            ],
            "No: certificate verify failed: self-signed certificate",
        ),
        ([], "Apprise does not say why it was not accepted"),
    ],
)
def test_reasons(entries: list[tuple[str, str]], said: str) -> None:
    """Each sentence once, with what the system said of the connection, and nothing of the request."""
    assert _reason(entries) == said
