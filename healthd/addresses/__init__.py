"""Addresses of databases, as applications write them. Each driver has its own parameters behind the `?`: those that the
driver here knows are passed to it; the others are dropped with a note, so that no unknown parameter fails a check."""
