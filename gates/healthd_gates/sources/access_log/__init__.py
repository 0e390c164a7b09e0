"""Counts from the access log of a proxy: a file that is followed through its rotation, or messages of syslog."""
