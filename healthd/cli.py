"""Command line. Each family of commands is a file of `healthd.commands`; the gate brings its own."""

from __future__ import annotations

import click

from healthd import __version__
from healthd.commands.lazy import LazyGroup

_COMMANDS = {
    "action": (
        "healthd_gates.commands.action:action",
        "Look at what the daemon can do about a verdict, before one calls for it.",
    ),
    "audit": ("healthd.commands.history:audit", "Print who changed what, newest first."),
    "check": ("healthd.commands.suite:check", "Run every check once, or those named, and print what they found."),
    "completion": ("healthd.commands.completion:completion", "Print the script that completes commands in SHELL."),
    "config": ("healthd.commands.config:config", "Look at a configuration without running it."),
    "gate": ("healthd_gates.cli:gate", "Ask a daemon whether a deploy may stay, and look after its gates."),
    "history": (
        "healthd.commands.history:history",
        "Print the uptime of every check and group; with CHECK, its failures too.",
    ),
    "incident": ("healthd.commands.incident:incident", "Tell customers of incidents, on the public pages."),
    "init": (
        "healthd_gates.commands.init.command:init",
        "Write a first configuration from what this host shows.",
    ),
    "notify": ("healthd.commands.notify:notify", "Try out how people are told."),
    "preflight": ("healthd.commands.suite:preflight", "Run the pre-deployment checklist."),
    "run": ("healthd.commands.run:run", "Run the daemon until SIGTERM or Ctrl-C."),
    "source": (
        "healthd_gates.commands.source:source",
        "Look at where a gate's numbers come from, before one depends on them.",
    ),
    "status": ("healthd.commands.status:status", "Ask a running daemon how things stand."),
    "window": (
        "healthd.commands.window:window",
        "Silence, pause or acknowledge checks, put them in maintenance, or freeze services.",
    ),
    "token": ("healthd.commands.token:token", "Make tokens for those who may call the API."),
}
_GROUPS = {
    "action": ("test",),
    "config": ("check", "example", "schema", "show"),
    "gate": (
        "approve", "cancel", "give-up", "list", "lock", "locks", "pause", "quarantine", "reject", "replay", "report",
        "resume", "rollback", "show", "simulate", "unlock", "unquarantine", "verify", "watch",
    ),
    "incident": ("list", "open", "resolve", "update", "withdraw"),
    "notify": ("test",),
    "source": ("test",),
    "token": ("new",),
    "window": ("add", "end", "list"),
}  # fmt: skip


@click.group(
    cls=LazyGroup,
    registry=_COMMANDS,
    groups=_GROUPS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="healthd")
def main() -> None:
    """Health checks that never lie, and deployment gates that decide on evidence."""
