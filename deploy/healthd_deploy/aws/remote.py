"""Run commands on instances through Systems Manager: sent once, followed to their end on every instance."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from healthd_deploy.aws.cloud import Call, Cloud, explained, is_refused
from healthd_deploy.aws.settings import Command
from healthd_deploy.core.exit import StepFailed

_UNDER_WAY = ("Pending", "InProgress", "Delayed", "Cancelling")
_MARK = "healthd-deploy "  # begins the comment of every command
_LINES = 5  # last lines of output that are shown when it fails
_MOST = 50  # instances that one command can name
_BACKOFF = 1.0  # seconds after the first failed attempt, doubled after each
_CANCELLED_WITHIN = 30.0
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Remote:
    """Runs commands for one deploy. `key` names the deploy; `redact` redacts the output of instances."""

    cloud: Cloud
    key: str
    say: Say
    redact: Callable[[str], str]

    async def run(self, what: str, command: Command, instances: Sequence[str], values: Mapping[str, str]) -> None:
        """Run a command on all instances and wait for the end. Raises StepFailed, with the output, unless all succeed.

        A command that a killed run of the same deploy has sent, and that still runs, is followed instead of sent again.
        When this is interrupted, or the time is up, it is cancelled before the exception is raised.
        """
        with explained():
            for start in range(0, len(instances), _MOST):
                await self._run(what, command, sorted(instances)[start : start + _MOST], values)

    async def _run(self, what: str, command: Command, instances: list[str], values: Mapping[str, str]) -> None:
        comment = f"{_MARK}{self.key}: {what}"[:100]
        sent = await self._sent(command, instances, command.filled(values), comment)
        self.say(f"{what}: SSM command {sent} on {', '.join(instances)}")
        limit = command.start_within + command.timeout
        try:
            async with asyncio.timeout(limit):
                ended = await self._followed(sent, len(instances), command.interval)
        except TimeoutError:
            await self._cancel(sent, len(instances), command.interval)
            raise StepFailed(f"SSM command {sent} was not done within {limit:g} s") from None
        except asyncio.CancelledError:
            await self._cancel(sent, len(instances), command.interval)
            raise
        self._judge(sent, ended)

    async def _sent(self, command: Command, instances: list[str], parameters: Call, comment: str) -> str:
        """Return the id of the command. Every attempt searches first: one whose answer was lost may have been
        accepted."""
        for attempt in range(self.cloud.attempts):
            if found := await self._under_way(command, instances, comment):
                return found
            try:
                answer = await self.cloud.ssm_once.send_command(
                    InstanceIds=instances,
                    DocumentName=command.document,
                    Parameters=parameters,
                    Comment=comment,
                    TimeoutSeconds=round(command.start_within),
                )
                return str(answer["Command"]["CommandId"])
            except Exception as error:
                if is_refused(error) or attempt == self.cloud.attempts - 1:
                    raise
            await asyncio.sleep(min(_BACKOFF * 2**attempt, 20))
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def _under_way(self, command: Command, instances: list[str], comment: str) -> str | None:
        """Return the same command, if it still runs. Any other that a killed deploy left on these instances is
        cancelled: it would end later, and undo the next steps.
        """
        left = [found for found in await self._executing() if set(found["InstanceIds"]) & set(instances)]
        for found in left:
            if found["Comment"] == comment and sorted(found["InstanceIds"]) == instances:
                return str(found["CommandId"])
        for found in left:
            await self._cancel(found["CommandId"], len(found["InstanceIds"]), command.interval)
        return None

    async def _executing(self) -> list[Call]:
        """Return the commands of deploys that still run on any instance."""
        found: list[Call] = []
        token: Call = {}
        while True:
            filters = [{"key": "ExecutionStage", "value": "Executing"}]
            answer = await self.cloud.ssm.list_commands(Filters=filters, MaxResults=50, **token)
            found += [one for one in answer["Commands"] if one.get("Comment", "").startswith(_MARK)]
            if not answer.get("NextToken"):
                return found
            token = {"NextToken": answer["NextToken"]}

    async def _followed(self, command: str, count: int, every: float) -> list[Call]:
        """Return the invocations once all have ended; each is reported when it does."""
        told: set[str] = set()
        while True:
            found = await self._invocations(command)
            for one in found:
                if one["Status"] not in _UNDER_WAY and one["InstanceId"] not in told:
                    told.add(one["InstanceId"])
                    self.say(f"{one['InstanceId']}: {_shown(one)}")
            if len(told) >= count:
                return found
            await asyncio.sleep(every)

    async def _invocations(self, command: str) -> list[Call]:
        found: list[Call] = []
        token: Call = {}
        while True:
            answer = await self.cloud.ssm.list_command_invocations(CommandId=command, Details=True, **token)
            found += answer["CommandInvocations"]
            if not answer.get("NextToken"):
                return found
            token = {"NextToken": answer["NextToken"]}

    def _judge(self, command: str, ended: list[Call]) -> None:
        failed = [one for one in ended if one["Status"] != "Success"]
        for one in ended:
            for line in self._output(one):
                self.say(f"{one['InstanceId']} | {line}")
        if failed:
            said = "; ".join(self._explained(one) for one in failed)
            raise StepFailed(f"SSM command {command} failed on {len(failed)} of {len(ended)} instances: {said}")

    def _explained(self, one: Call) -> str:
        lines = " / ".join(self._output(one)) or "it said nothing"
        return f"{one['InstanceId']} {_shown(one)}: {lines}"

    def _output(self, one: Call) -> list[str]:
        """Return the end of its output; all of it is in Systems Manager."""
        said = "\n".join(str(plugin.get("Output", "")) for plugin in one.get("CommandPlugins", []))
        lines = [line.strip() for line in self.redact(said).splitlines() if line.strip()]
        return [line for line in lines if not set(line) <= {"-"}][-_LINES:]

    async def _cancel(self, command: str, count: int, every: float) -> None:
        """Cancel a command, and wait a while for its end, so that it does not overlap the next undo step. Raises
        nothing."""
        self.say(f"cancel SSM command {command}")
        try:
            with explained():
                async with asyncio.timeout(_CANCELLED_WITHIN):
                    await self.cloud.ssm.cancel_command(CommandId=command)
                    while not await self._ended(command, count):  # noqa: ASYNC110 - it is outside of this process
                        await asyncio.sleep(every)
        except TimeoutError:
            self.say(f"SSM command {command} has not ended {_CANCELLED_WITHIN:g} s after it was cancelled")
        except StepFailed as failed:
            self.say(f"SSM command {command} may still run: {failed}")

    async def _ended(self, command: str, count: int) -> bool:
        found = await self._invocations(command)
        return len(found) >= count and all(one["Status"] not in _UNDER_WAY for one in found)


def _shown(one: Mapping[str, Any]) -> str:
    codes = [plugin["ResponseCode"] for plugin in one.get("CommandPlugins", []) if plugin.get("ResponseCode")]
    status = str(one.get("StatusDetails") or one["Status"])
    return f"{status} (exit code {codes[0]})" if codes and codes[0] > 0 else status
