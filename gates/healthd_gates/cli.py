"""`healthd gate`: the list of commands, and exit codes that never turn an error into a verdict."""

from __future__ import annotations

import click

from healthd.commands.verdict_group import VerdictGroup

_COMMANDS = {
    "approve": (
        "healthd_gates.commands.act:approve",
        "Pass a gate that is held because its evidence was inconclusive.",
    ),
    "cancel": ("healthd_gates.commands.act:cancel", "End an undecided gate, or the watch after a pass."),
    "give-up": (
        "healthd_gates.commands.act:give_up",
        "End a rollback that does not get done: its actions are tried no more, and the next deploy may come.",
    ),
    "list": ("healthd_gates.commands.look:list_gates", "List gates, newest first."),
    "lock": ("healthd_gates.commands.locks:lock", "Take the deploy lock of SERVICE, or prolong it."),
    "locks": ("healthd_gates.commands.locks:locks", "List the deploy locks that are held."),
    "pause": ("healthd_gates.commands.act:pause", "Stop a ramp where it is, until a person lets it go on."),
    "quarantine": (
        "healthd_gates.commands.locks:quarantine",
        "List the versions that are refused: what failed a gate, and what a person rolled back.",
    ),
    "reject": (
        "healthd_gates.commands.act:reject",
        "Fail a gate that is held because its evidence was inconclusive.",
    ),
    "replay": ("healthd_gates.commands.replay:replay_command", "Run a policy over the past."),
    "report": ("healthd_gates.commands.report:report", "Report what gates said, and would have done."),
    "resume": (
        "healthd_gates.commands.act:resume",
        "Let a ramp go on that was paused, or whose policy asks a person before a weight.",
    ),
    "rollback": (
        "healthd_gates.commands.act:rollback",
        "Roll the deploy back now, whatever the evidence says.",
    ),
    "show": ("healthd_gates.commands.look:show", "Show one gate as it stands."),
    "simulate": ("healthd_gates.commands.simulate:simulate", "Simulate what a policy would see, and how soon."),
    "unlock": ("healthd_gates.commands.locks:unlock", "Give the deploy lock of SERVICE back."),
    "unquarantine": ("healthd_gates.commands.locks:unquarantine", "Let VERSION of SERVICE out of quarantine."),
    "verify": ("healthd_gates.commands.verify:verify", "Start a gate for VERSION of SERVICE and wait for its verdict."),
    "watch": (
        "healthd_gates.commands.look:watch",
        "Watch a gate until its verdict, and end with that verdict's exit code.",
    ),
}


@click.group(cls=VerdictGroup, registry=_COMMANDS)
def gate() -> None:
    """Ask a daemon whether a deploy may stay, and look after its gates.

    \b
    HEALTHD_URL    where the daemon is (http://127.0.0.1:8080)
    HEALTHD_TOKEN  the bearer token to send

    \b
    Exit codes: 0 passed · 1 failed · 2 inconclusive · 3 could not ask ·
    130 interrupted. Only 0 promotes.
    The other commands end with 0 when done and 3 when not.
    """
