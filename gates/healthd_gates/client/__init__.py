"""The client of the gate API."""
