"""An AnalysisRun of Argo Rollouts with one web metric: its arguments, its measurements, and what becomes of them. Which
facts of the original it keeps stands in README.md.
"""

import asyncio
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp

_ARGUMENT = re.compile(r"\{\{\s*args\.(?P<name>[a-z-]+)\s*\}\}")
_AT_LEAST = re.compile(r"\(result\.(?P<key>[a-z_]+) \?\? 0\) >= (?P<value>[0-9.]+)")
_EQUALS = re.compile(r'result\.(?P<key>[a-z]+) == "(?P<value>[a-z]+)"')
ERROR_RETRY = 10.0
"""Seconds; a test may shorten it."""


@dataclass
class AnalysisRun:
    """`phase` is Running, Successful, Failed, Inconclusive or Error."""

    template: Mapping[str, Any]
    arguments: Mapping[str, str]
    phase: str = "Running"
    count: int = 0
    failed: int = 0
    inconclusive: int = 0
    consecutive_errors: int = 0
    consecutive_successes: int = 0
    values: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    async def run(self, interval: float, after_error: float = ERROR_RETRY) -> None:
        while self.phase == "Running":
            await self.measure()
            if self.phase == "Running":
                await asyncio.sleep(after_error if self.consecutive_errors else interval)

    def terminate(self) -> None:
        """The rollout was aborted, retried, promoted in full or set back: the run is ended, and nobody is called."""
        if self.phase == "Running":
            self.phase = "Successful"

    async def measure(self) -> None:
        [metric] = self._resolved()["spec"]["metrics"]
        try:
            value = await _ask(metric["provider"]["web"])
        except (aiohttp.ClientError, TimeoutError, LookupError, ValueError) as error:
            self.errors.append(str(error))
            self.consecutive_errors += 1
            self.consecutive_successes = 0
        else:
            self._evaluate(metric, value)
        self.phase = self._assess(metric)

    def _evaluate(self, metric: Mapping[str, Any], value: Any) -> None:
        self.values.append(json.dumps(value, separators=(",", ":")))
        self.count += 1
        self.consecutive_errors = 0
        succeeded = holds(metric["successCondition"], value)
        if holds(metric["failureCondition"], value):
            self.failed += 1
        elif not succeeded:
            self.inconclusive += 1
        self.consecutive_successes = self.consecutive_successes + 1 if succeeded else 0

    def _assess(self, metric: Mapping[str, Any]) -> str:
        """In the order of the controller, where a later reason goes before an earlier one."""
        phase = ""
        if self.failed > metric.get("failureLimit", 0):
            phase = "Failed"
        if self.inconclusive > metric.get("inconclusiveLimit", 0):
            phase = "Inconclusive"
        if self.consecutive_errors > metric.get("consecutiveErrorLimit", 4):
            phase = "Error"
        if phase:
            return phase
        if 0 < metric.get("consecutiveSuccessLimit", 0) <= self.consecutive_successes:
            return "Successful"
        if self.count >= metric["count"]:
            return "Inconclusive" if metric.get("consecutiveSuccessLimit", 0) > 0 else "Successful"
        return "Running"

    def _resolved(self) -> Any:
        """The template with its arguments put in. An argument that neither has a value is an error, as it is there."""
        args = self.template["spec"]["args"]
        known = {arg["name"]: arg["value"] for arg in args if "value" in arg} | dict(self.arguments)
        text = json.dumps(self.template)
        return json.loads(_ARGUMENT.sub(lambda found: json.dumps(known[found["name"]])[1:-1], text))


def holds(condition: str, result: Mapping[str, Any]) -> bool:
    """A condition of the forms that the template and its documentation have: equalities and least numbers, one of which
    is enough."""
    return any(_is_met(text.strip(), result) for text in condition.split("||"))


def _is_met(condition: str, result: Mapping[str, Any]) -> bool:
    if part := _EQUALS.fullmatch(condition):
        return bool(result[part["key"]] == part["value"])
    if part := _AT_LEAST.fullmatch(condition):
        number = result.get(part["key"])
        return (0 if number is None else number) >= float(part["value"])
    raise ValueError(f"this model does not know {condition!r}")


async def _ask(web: Mapping[str, Any]) -> Any:
    headers = {header["key"]: header["value"] for header in web["headers"]} | {"Content-Type": "application/json"}
    timeout = aiohttp.ClientTimeout(total=web.get("timeoutSeconds", 10))
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        session.request(web["method"], web["url"], data=json.dumps(web["jsonBody"]), headers=headers) as response,
    ):
        body = await response.text()
        if not 200 <= response.status < 300:
            raise ValueError(f"received non 2xx response code: {response.status}")
    assert web["jsonPath"] == "{$}"
    return json.loads(body)
