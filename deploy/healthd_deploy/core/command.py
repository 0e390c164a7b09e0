"""Common parts of every deploy command: options, configuration, ending. The one place that builds the parts."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import uuid
from collections.abc import Awaitable, Callable, Collection
from contextlib import AsyncExitStack, suppress
from dataclasses import KW_ONLY, dataclass
from functools import partial, wraps
from pathlib import Path
from typing import Any, Generic, TypeVar

import click
from pydantic import BaseModel

from healthd.commands.options import Seconds
from healthd.commands.values import Choice
from healthd.config.file import ConfigError, load
from healthd.runtime.redaction import Redactor
from healthd_deploy.core import interrupts, other_rollbacks
from healthd_deploy.core.exit import COULD_NOT_ASK, CouldNotAsk
from healthd_deploy.core.misnamed import Misnamed
from healthd_deploy.core.outcome import carried_out
from healthd_deploy.core.session import GateSession
from healthd_deploy.core.settings import BlueGreenPlan, DeployConfig
from healthd_deploy.core.steps import Steps
from healthd_deploy.core.version import Version
from healthd_gates.client.client import GateClient

ConfigT = TypeVar("ConfigT", bound=DeployConfig)
ModelT = TypeVar("ModelT", bound=DeployConfig)
PartT = TypeVar("PartT", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Deploy(Generic[ConfigT]):
    """One run of a deploy tool. `key` names it: run again with the same key, it continues.

    Contexts entered into `kept_open` are closed once everything is undone, not when the tool ends.
    """

    version: str
    key: str
    config: ConfigT
    steps: Steps
    gate_session: GateSession
    kept_open: AsyncExitStack
    strategy: str | None = None
    """Way in which the traffic is moved, where the command line says so."""


Tool = Callable[[Deploy[ConfigT]], Awaitable[None]]
Standing = Callable[[Deploy[ConfigT]], Awaitable[tuple[str, int] | None]]
"""Asked where a deploy could not begin: what is to be said of its version where that has the traffic already, and the
exit code; None where it has not."""


def deploying(
    model: type[ModelT], standing: Standing[ModelT] | None = None
) -> Callable[[Tool[ModelT]], Callable[..., None]]:
    """A command that deploys VERSION as its `--config` says, and undoes what it did unless it was promoted."""

    def decorate(tool: Tool[ModelT]) -> Callable[..., None]:
        @click.argument("version", type=Version())
        @click.option(
            "-c", "--config", "file", required=True, type=click.Path(path_type=Path, dir_okay=False),
            help="The YAML file that says what is deployed where.",
        )  # fmt: skip
        @click.option("--key", help="Names this deploy, such as the pipeline's run: again with it goes on at the gate.")
        @click.option("--dry-run", is_flag=True, help="Look at everything and say what would be done; change nothing.")
        @click.option(
            "--wait",
            type=Seconds(needs_unit=True),
            help="Wait so long, such as 5m, for another gate's rollback that still runs, instead of being refused.",
        )
        @click.option(
            "--no-rollback",
            is_flag=True,
            help="Undo nothing from the switch on, whatever the verdict: for what cannot go back, such as a migration.",
        )
        @click.option("-q", "--quiet", is_flag=True, help="Print how it ended, and nothing on the way.")
        @click.option("--json", "as_json", is_flag=True, help="Print the report as JSON, for scripts.")
        @wraps(tool)
        def command(
            version: str,
            file: Path,
            key: str | None,
            dry_run: bool,
            wait: float | None,
            no_rollback: bool,
            quiet: bool,
            as_json: bool,
            **more: Any,
        ) -> None:
            interrupts.nothing_begun()
            config = config_or_exit(file, model)
            if problem := config.problem_with(version):
                click.echo(problem, err=True)
                sys.exit(COULD_NOT_ASK)
            redact = Redactor.of(config)
            steps = Steps(dry_run=dry_run, quiet=quiet, redact=redact, undo_within=config.undo_within)
            name = key or uuid.uuid4().hex[:12]
            asked = _Asked(name, wait or 0.0, more.get("strategy"), no_rollback=no_rollback, as_json=as_json)
            located = partial(_located, tool, file, model)
            sys.exit(asyncio.run(_run(located, version, config, steps, asked, standing)))

        return command

    return decorate


choosing_strategy = click.option(
    "--strategy",
    type=Choice(["switch", "ramp"]),
    help="All the traffic at once, or step by step by healthd, as far as the evidence allows; instead of the file's.",
)


def ramp_policy(plan: BlueGreenPlan, strategy: str) -> str | None:
    """Return the policy that widens the release, None for all of the traffic at once. Raises CouldNotAsk."""
    if strategy != "ramp":
        return None
    if plan.ramp is None:
        raise CouldNotAsk("gates.ramp is missing in the file: name the policy with the `ramp` that healthd is to go by")
    return plan.ramp


def config_or_exit(file: Path, model: type[PartT], *, only: Collection[str] | None = None) -> PartT:
    """The configuration of a file; when it is refused, every problem on stderr and exit code 3.

    `only` are the sections that are read: a variable that another one needs, such as a token, may be unset.
    """
    try:
        return load(file, model, os.environ, only=only)
    except ConfigError as error:
        for problem in error.problems:
            click.echo(str(problem), err=True)
        sys.exit(COULD_NOT_ASK)


async def _located(tool: Tool[ModelT], file: Path, model: type[ModelT], deploy: Deploy[ModelT]) -> None:
    """Deploy. What the file misnames is raised with its place there."""
    try:
        await tool(deploy)
    except Misnamed as wrong:
        raise wrong.in_file(file, model) from None


@dataclass(frozen=True, slots=True)
class _Asked:
    """The wishes of a command line for a deploy, beside its version and its file. `wait` in seconds."""

    key: str
    wait: float
    strategy: str | None
    _: KW_ONLY
    no_rollback: bool
    as_json: bool


async def _run(
    tool: Tool[ModelT],
    version: str,
    config: ModelT,
    steps: Steps,
    asked: _Asked,
    standing: Standing[ModelT] | None,
) -> int:
    daemon = config.healthd
    token = daemon.token.get_secret_value() if daemon.token else None
    async with (
        GateClient(daemon.url, token, retry_for=daemon.retry_for, waiting=steps.say) as client,
        AsyncExitStack() as kept_open,
    ):
        gate_session = GateSession(client, config, asked.key, steps, no_rollback=asked.no_rollback)
        gate_session.report.version = version
        steps.say(f"deploy {asked.key}: {config.service} {version}")
        deploy = Deploy(version, asked.key, config, steps, gate_session, kept_open, asked.strategy)

        has_begun = False

        async def work() -> None:
            nonlocal has_begun
            has_begun = True
            await other_rollbacks.await_end(gate_session.earlier, steps, asked.wait)
            await tool(deploy)

        code = await carried_out(work, gate_session, steps)
        is_left = not has_begun and not gate_session.lock.is_another_runs
        if code == COULD_NOT_ASK and is_left and standing is not None:
            with suppress(Exception):  # what is not known is not said
                if (found := await standing(deploy)) is not None:
                    gate_session.report.remark, code = found
    if asked.as_json:
        click.echo(json.dumps(steps.redact.deeply(gate_session.report.document(code)), indent=2))
    elif not steps.dry_run or code:
        click.echo(steps.redact(gate_session.report.sentence(code)))
    return code
