"""`healthd notify test [NAME]...`: sends a test message to the notifiers of a configuration."""

from __future__ import annotations

import asyncio
import socket
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from healthd.commands.options import REFUSED, config_option, settings_or_exit
from healthd.commands.values import Choice
from healthd.nearest import did_you_mean
from healthd.notifiers.notice import Notice, Severity

if TYPE_CHECKING:
    from datetime import datetime

    from healthd_gates.config.settings import Config

_SUBJECT = "healthd-test"


def _which_file(config_file: Path | None) -> str:
    """Return the cure where no file was named: the daemon beside this command has one."""
    if config_file is not None:
        return ""
    return " No file was read: name the daemon's with -c FILE or HEALTHD_CONFIG"


@click.group()
def notify() -> None:
    """Try out how people are told."""


@notify.command("test")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@config_option
@click.option(
    "--severity",
    type=Choice([each.value for each in Severity]),
    default=Severity.INFO.value,
    show_default=True,
    help="Severity of the message; critical may wake somebody.",
)
def try_out(names: tuple[str, ...], config_file: Path | None, severity: str) -> None:
    """Send a test message by every notifier, or by those named, from this host.

    Where the receiver keeps incidents, the end follows at once. Exit code 0 when every receiver took it, 1 when one did
    not.
    """
    settings = settings_or_exit(config_file)
    for name in names:
        if name not in settings.notifiers:
            hint = did_you_mean(name, settings.notifiers)
            known = ", ".join(settings.notifiers) or "none"
            click.echo(f"no notifier is called {name!r}; there are: {known}.{hint}{_which_file(config_file)}", err=True)
            sys.exit(REFUSED)
    wanted = names or tuple(settings.active_notifiers)
    if not wanted:
        click.echo(f"no notifier is configured.{_which_file(config_file)}", err=True)
        sys.exit(REFUSED)
    failed = asyncio.run(_send_all(settings, wanted, Severity(severity)))
    sys.exit(1 if failed else 0)


async def _send_all(settings: Config, names: tuple[str, ...], severity: Severity) -> bool:
    """Send the message by each notifier, and print what became of it. True if one did not deliver."""
    failed = False
    for name in names:
        problem = await _send(settings, name, severity)
        failed = failed or problem is not None
        click.echo(f"{name}: {problem or 'delivered'}", err=problem is not None)
        routes = [route for route in settings.routes if name in route.to and route.holds_in(settings.environment)]
        if not routes:
            click.echo(f"{name}: no route leads to it in the environment {settings.environment}", err=True)
    return failed


async def _send(settings: Config, name: str, severity: Severity) -> str | None:
    """Return why the message was not delivered; None if it was."""

    from healthd.checks.failures import describe
    from healthd.http.session import shared_session
    from healthd.notifiers import NOTIFIERS
    from healthd.notifiers.contract import DeliveryError, MisconfiguredNotifier, NotifierContext
    from healthd.runtime.clock import SystemClock
    from healthd.runtime.deadline import with_deadline
    from healthd.runtime.redaction import Redactor

    config, clock = settings.notifiers[name], SystemClock()
    if isinstance(config, MisconfiguredNotifier):
        return f"not set: {', '.join(config.missing)}"
    async with shared_session() as session:
        context = NotifierContext(session, clock, settings.environment, socket.gethostname())
        notifier = NOTIFIERS.find(config.kind)(config, context)
        begin = _message(severity, clock.now())
        end = replace(begin, firing=False, standing="healthy", summary=f"{_SUBJECT}: this test is over", before=begin)
        try:
            for notice in (begin, end) if notifier.keeps_incidents else (begin,):
                await with_deadline(config.timeout, notifier.send([notice]), name=f"notify:{name}")
        except (DeliveryError, TimeoutError) as error:
            problem = str(error)
        except Exception as error:  # as the daemon does it: any other error counts as a failed delivery
            problem = describe(error)
        else:
            return None
        return Redactor.of(settings)(problem)


def _message(severity: Severity, now: datetime) -> Notice:
    return Notice(
        key=f"check:{_SUBJECT}",
        about="check",
        name=_SUBJECT,
        standing="unhealthy",
        firing=True,
        severity=severity,
        summary=f"{_SUBJECT}: this is a test, nothing is wrong",
        detail="Somebody ran `healthd notify test` to see whether messages arrive.",
        since=now,
        facts={"from": socket.gethostname()},
    )
