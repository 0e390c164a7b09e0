"""Addresses of databases as applications have them. Each driver puts words of its own behind the `?`; those that the
driver here knows are handed to it, the others are set aside with a note: no database is ill because of a word."""
