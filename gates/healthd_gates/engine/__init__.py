"""Runs gates: from the request to the confirmed rollback."""
