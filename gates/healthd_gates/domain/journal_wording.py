"""Words about a gate whose journal is away, the same on its page, at the command line and in a deploy tool."""

from datetime import datetime


def waits_for_journal(since: datetime) -> str:
    """Return what an outage since then means for a gate."""
    return f"The journal is away since {since:%H:%M:%S} UTC: nothing is decided or rolled back until it is back."
