"""Handles Ctrl-C of a person who watches a gate: the gate is the daemon's, and goes on unless it is cancelled."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from typing import Literal, TypeVar

import click

from healthd.commands.values import Choice

ResultT = TypeVar("ResultT")
WhatNow = Literal["cancel", "leave", "watch"]


class Interrupts:
    """Ctrl-C, and the SIGTERM of a pipeline that is stopped, as something to wait for."""

    def __init__(self) -> None:
        self._came = asyncio.Event()

    @contextmanager
    def caught(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._came.set)
        try:
            yield
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)

    async def unless(self, work: Awaitable[ResultT]) -> ResultT | None:
        """Return the result of the work, or None when someone interrupts it."""
        self._came.clear()
        working = asyncio.ensure_future(work)
        interrupted = asyncio.create_task(self._came.wait(), name="interrupt")
        try:
            await asyncio.wait({working, interrupted}, return_when=asyncio.FIRST_COMPLETED)
            return working.result() if working.done() else None
        finally:
            for task in (working, interrupted):
                task.cancel()
            await asyncio.wait({working, interrupted})


def ask_what_now(gate_id: str) -> WhatNow:
    """Return what a person at the terminal wants. Ctrl-C once more, or no terminal, leaves the gate alone."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return "leave"
    click.echo(f"\nGate {gate_id} is the daemon's: left alone it goes on to its verdict, rollback included.", err=True)
    try:
        answer = click.prompt(
            "Cancel it (it then decides nothing and rolls nothing back), leave it, or watch on?",
            type=Choice(["cancel", "leave", "watch"]),
            default="leave",
            err=True,
        )
    except click.Abort:
        return "leave"
    return "cancel" if answer == "cancel" else "watch" if answer == "watch" else "leave"
