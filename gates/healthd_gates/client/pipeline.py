"""Trace of the pipeline whose step asks for a gate."""

from __future__ import annotations

from collections.abc import Mapping

from healthd.otlp.span import parse_traceparent


def span_of(environ: Mapping[str, str]) -> str | None:
    """Return the span of a pipeline's step, which programs hand on by the variable TRACEPARENT; None without a valid
    one."""
    context = parse_traceparent(environ.get("TRACEPARENT", ""))
    return None if context is None else str(context)
