"""One type of error for all failures of the journal. Imports no driver: who checks a configuration needs none."""

from __future__ import annotations


class JournalError(Exception):
    """The journal cannot be read or written now. Nothing of the transaction was stored, unless the connection broke
    during its commit: then either all of it was stored or nothing.
    """


class JournalGoneError(JournalError):
    """The journal's file was removed or replaced. This was logged already."""
