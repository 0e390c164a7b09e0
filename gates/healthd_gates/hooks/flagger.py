"""Flagger's webhooks. Flagger calls at every interval of its analysis and reads only the status: at most 202 is yes.

It cannot send a custom header, so the token comes in the webhook's metadata; and the payload names the canary, but not
the type of webhook, so that is in the address.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum
from math import ceil, log
from typing import Any

import structlog
from aiohttp import web
from pydantic import ConfigDict, Field

from healthd.config.model import Model
from healthd.web.auth import Caller, Guard
from healthd.web.problems import Problem
from healthd_gates.actions.kubernetes.config import KubernetesConfig
from healthd_gates.api.bodies import body_of
from healthd_gates.api.operation import Answer, Call, Nothing, Operation
from healthd_gates.api.responses import answer
from healthd_gates.config.hooks.flagger import Canary, FlaggerConfig
from healthd_gates.config.settings import Config
from healthd_gates.domain.allowance import Allowance
from healthd_gates.domain.errors import InvalidRequest, Refusal
from healthd_gates.domain.gate import Gate, GateState
from healthd_gates.domain.request import VersionName
from healthd_gates.domain.standing import CriterionReport, Finding, Standing
from healthd_gates.hooks.contract import SCOPE, Run, Told, Word, decided_for, quarantine_sentence
from healthd_gates.hooks.runs import Begun, Runs

_log = structlog.get_logger(__name__)
_ENDED = ("Succeeded", "Failed")  # phases after which Flagger makes no more calls about a rollout
_SUSPICION = log(3.0)  # evidence of harm that one in three harmless releases ever shows
_ROUNDING = 0.2  # of a step, which chance may add to the share of a canary
_PREFLIGHT_KEEPS = 300.0  # seconds: long enough for Flagger to retry after an answer that was lost


class Webhook(StrEnum):
    """The types of Flagger's webhooks."""

    CONFIRM_ROLLOUT = "confirm-rollout"
    PRE_ROLLOUT = "pre-rollout"
    ROLLOUT = "rollout"
    CONFIRM_TRAFFIC_INCREASE = "confirm-traffic-increase"
    CONFIRM_PROMOTION = "confirm-promotion"
    POST_ROLLOUT = "post-rollout"
    ROLLBACK = "rollback"
    EVENT = "event"


class Payload(Model):
    """The payload that Flagger sends. New fields are accepted."""

    model_config = ConfigDict(extra="ignore")

    name: str = Field(max_length=253)
    namespace: str = Field(max_length=253)
    phase: str = Field(max_length=64)
    checksum: VersionName
    metadata: dict[str, str] = Field({}, max_length=100)

    @property
    def canary(self) -> str:
        return f"{self.namespace}/{self.name}"

    @property
    def version(self) -> str:
        """The version's name in the webhook's metadata; without one its checksum."""
        return self.metadata.get("version", self.checksum)


def status_of(webhook: Webhook, word: Word | None) -> int:
    """Return the status that tells Flagger how to go on from the gate's state; no word if there is no gate.

    A `rollback` that succeeds makes Flagger roll back, so only a failed gate may answer so. A `confirm` that fails
    makes it wait; any other webhook that fails counts against the canary.
    """
    match webhook:
        case Webhook.CONFIRM_ROLLOUT | Webhook.CONFIRM_TRAFFIC_INCREASE | Webhook.CONFIRM_PROMOTION:
            return 200 if word is Word.PASS else 409
        case Webhook.PRE_ROLLOUT | Webhook.ROLLOUT:
            return 200 if word in (Word.RUNNING, Word.PASS) else 412
        case Webhook.ROLLBACK:
            return 200 if word is Word.FAIL else 409
        case Webhook.POST_ROLLOUT | Webhook.EVENT:
            return 200


def speaks_for_more(gate: Gate, *, has_traffic: bool) -> bool:
    """True if more traffic may be sent to a version: it has passed, or nothing speaks against what it does with the
    traffic that it has. Without any weight there would never be numbers, so that the first step needs none."""
    word = Word.on(gate)
    if word is not Word.RUNNING:
        return word is Word.PASS
    if gate.state in (GateState.AWAITING, GateState.SETTLING) or gate.standing is None:
        return not has_traffic
    return allows_more(gate.standing, has_traffic=has_traffic)


def allows_more(standing: Standing, *, has_traffic: bool) -> bool:
    """True if there is no evidence of harm to speak of, the numbers so far are within the limits and, with traffic,
    there are some."""
    critical = [it for it in standing.criteria if it.critical]
    awaited = has_traffic and any(it.limit is not None and it.observed is None for it in critical)
    return standing.log_e_harm < _SUSPICION and not awaited and not any(map(_is_over_limit, critical))


def bears_step(allowance: Allowance, step: float | None) -> bool:
    """True if the harm budget bears the next step of Flagger's: one of `step` beyond those that the canary has, which
    are taken to be the whole ones above what was seen, as that may be older than the last step. Where the step is not
    known, true unless it has more than is allowed already."""
    if step is None:
        return not allowance.exceeded
    taken = ceil((allowance.share or 0.0) / step - _ROUNDING)
    return allowance.allowed_weight >= min(1.0, (taken + 1) * step)


def _is_over_limit(report: CriterionReport) -> bool:
    over = report.observed is not None and report.limit is not None and report.observed > report.limit
    return over or report.finding is Finding.HARM


def _on_primary(run: Run, canary: Canary) -> Run:
    return replace(run, subject=f"{run.subject} promoted", id="now", deploys=canary.promoted())


def undoes_workload(config: Config, canary: Canary) -> str | None:
    """Return the action, if any, that reads a version off the template of a Deployment or a Rollout."""
    service, policy = config.services[canary.service], config.policies.get(canary.policy or "")
    names = service.on_fail if policy is None or policy.on_fail is None else policy.on_fail
    for name in names:
        action = config.actions.get(name)
        if isinstance(action, KubernetesConfig) and (action.deployment or action.rollout):
            return name
    return None


def token_in(raw: bytes) -> str | None:
    """Return the token in a payload's metadata, whatever else is wrong with it."""
    try:
        token: Any = json.loads(raw)["metadata"]["token"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    return token if isinstance(token, str) else None


async def _admit(request: web.Request, guard: Guard, scope: str) -> Caller:
    token = token_in(body_of(request) or b"")
    await guard.prepare(request, token)
    return guard.require(request, scope, token, "put a token into the webhook's metadata, as `token: …`")


class Flagger:
    """The operation on `/hooks/flagger`."""

    config_model = FlaggerConfig

    def __init__(self, runs: Runs) -> None:
        self._runs = runs

    def operations(self) -> Sequence[Operation]:
        return [
            Operation(
                "flagger", "POST", "/hooks/flagger/{hook}/{webhook}", SCOPE,
                "A webhook of Flagger's. The token comes as `metadata.token`, or in the header.", self._answer,
                {
                    200: Answer("Yes: go on; for `rollback`: roll back.", Told),
                    409: Answer("No: wait; for `rollback`: there is no reason to.", Told),
                    412: Answer("No: it counts as a failed check.", Told),
                },
                {
                    404: "No such hook, or the canary is not configured.",
                    409: "A lock, a freeze, a quarantine or another gate is in the way: who and until when.",
                },
                body=Payload, parts={"webhook": f"({'|'.join(Webhook)})"}, admit=_admit, told_by_body=True,
            ),
        ]  # fmt: skip

    async def _answer(self, call: Call[Payload, Nothing]) -> web.Response:
        webhook, hook, payload = Webhook(call.request.match_info["webhook"]), call.hook, call.body
        canary = self._runs.hook(FlaggerConfig, hook).canaries.get(payload.canary)
        if canary is None:
            raise Problem(
                404, "Unknown canary", f"{payload.canary[:128]} is not under hooks.{hook}.canaries: name it there"
            )
        run = Run(
            hook, payload.canary, payload.checksum, canary, call.caller.name,
            kind=webhook.value, interval=canary.interval,
        )  # fmt: skip
        if webhook is Webhook.ROLLBACK:
            return await self._rollback(run, payload)
        gate = await self._gate(webhook, canary, payload, run)
        if webhook is Webhook.CONFIRM_TRAFFIC_INCREASE and canary.steps == "unless_harm" and gate is not None:
            begun = await self._runs.recall(run)
            has_traffic = begun is not None and begun.run.advanced
            goes_on = speaks_for_more(gate, has_traffic=has_traffic) and self._bears_step(gate, canary.step_weight)
            return answer(Told.of(gate), 200 if goes_on else 409)
        return answer(Told.of(gate), status_of(webhook, Word.on(gate) if gate else None))

    async def _gate(self, webhook: Webhook, canary: Canary, payload: Payload, run: Run) -> Gate | None:
        if webhook in (Webhook.PRE_ROLLOUT, Webhook.ROLLOUT):
            self._check_name(canary, payload)
        match webhook:
            case Webhook.CONFIRM_ROLLOUT:
                return await self._preflight(canary, payload, run)
            case Webhook.PRE_ROLLOUT:
                return await self._analysis(run, payload)
            case Webhook.ROLLOUT | Webhook.CONFIRM_TRAFFIC_INCREASE | Webhook.CONFIRM_PROMOTION:
                return await self._runs.begin(run, payload.version, advanced=webhook is Webhook.ROLLOUT)
            case _:
                return await self._heard(webhook, canary, payload, run)

    def _bears_step(self, gate: Gate, step: float | None) -> bool:
        """True if the next step of Flagger's is allowed: nothing is before the first evaluation of a gate whose policy
        has an allowance, and there is no budget to keep without one."""
        policy = self._runs.config.policies.get(gate.policy)
        if gate.standing is None:
            return policy is None or policy.allowance is None
        return gate.allowance is None or bears_step(gate.allowance, step)

    def _check_name(self, canary: Canary, payload: Payload) -> None:
        """Refuse a rollback that could never find the version to undo, before anything is shifted."""
        if canary.rollback == "off" or "version" in payload.metadata:
            return
        if action := undoes_workload(self._runs.config, canary):
            problem = (
                f"action {action} looks for the version in the workload's own template, where Flagger's checksum does "
                "not stand: give the webhooks the version in their metadata, or set rollback: off, since Flagger rolls "
                "back by itself"
            )
            raise InvalidRequest(field="metadata.version", problem=problem)

    async def _heard(self, webhook: Webhook, canary: Canary, payload: Payload, run: Run) -> Gate | None:
        """Process an event that needs no answer. After its promotion the version runs at the primary."""
        told = {key: payload.metadata.get(key) for key in ("eventType", "eventMessage")}
        _log.info("flagger event", webhook=webhook.value, canary=payload.canary, phase=payload.phase, **told)
        if payload.phase not in _ENDED:
            begun = await self._runs.recall(run)
            return begun.gate if begun else None
        gate = await self._runs.end(run, f"Flagger ended the rollout: {payload.phase}")
        if webhook is Webhook.POST_ROLLOUT and payload.phase == "Succeeded" and canary.after_promotion:
            await self._look_at_primary(_on_primary(run, canary), payload)
        return gate

    async def _look_at_primary(self, run: Run, payload: Payload) -> None:
        """Start a gate for the primary. Flagger does not ask for its result: that is for healthd's own actions, and for
        people."""
        begun = await self._runs.recall(run)
        if begun is not None and begun.word is Word.RUNNING and begun.gate.candidate.version == payload.version:
            return  # the event came twice
        try:
            gate = await self._runs.start(run, payload.version, after=begun)
        except Refusal as refused:
            _log.warning("promoted version not monitored", canary=payload.canary, problem=str(refused))
            return
        await self._runs.close(run)
        _log.info("promoted version monitored", canary=payload.canary, gate=gate.id)

    async def _analysis(self, run: Run, payload: Payload) -> Gate:
        """Return the gate of an analysis. Flagger calls `pre-rollout` as long as the canary has no traffic. If it had
        some, or the run is over, the same version is deployed again, and earlier results are not valid for it."""
        if isinstance(run.deploys, Canary) and run.deploys.after_promotion:
            await self._runs.end(_on_primary(run, run.deploys), "the next rollout began")
        begun = await self._runs.recall(run)
        if begun is None or begun.is_over or begun.run.advanced or begun.word is Word.CANCELLED:
            return await self._runs.start(run, payload.version, after=begun)
        if await self._runs.is_released(begun.gate):
            return await self._runs.start(run, payload.version, after=begun)
        return await self._runs.note(begun)

    async def _rollback(self, run: Run, payload: Payload) -> web.Response:
        """Answer the `rollback` webhook. Flagger calls it first at each interval, also for a version that is deployed
        again: then only a quarantine is a reason to roll back before anything is judged."""
        begun = await self._runs.recall(run)
        if begun is not None and not begun.is_over and not await self._runs.is_released(begun.gate):
            gate = await self._runs.note(begun)
            return answer(Told.of(gate), status_of(Webhook.ROLLBACK, begun.word))
        version = begun.gate.candidate.version if begun else payload.version
        if kept := await self._runs.quarantined(run.deploys.service, version):
            told = Told(verdict=Word.FAIL, sentence=quarantine_sentence(kept), gate=kept.gate_id)
            return answer(told, status_of(Webhook.ROLLBACK, Word.FAIL))
        return answer(Told.of(None), status_of(Webhook.ROLLBACK, None))

    async def _preflight(self, canary: Canary, payload: Payload, run: Run) -> Gate:
        """Return the preflight gate, a gate of its own: nothing is deployed yet, and the checksum is still that of the
        previous rollout.

        Flagger waits as long as the answer is no, so a failed preflight is started again.
        """
        if canary.preflight is None:
            problem = f"hooks.{run.hook}.canaries.{run.subject} has no preflight policy: name one, or drop this webhook"
            _log.warning("flagger preflight gate refused", canary=run.subject, problem=problem)
            raise Problem(409, "No preflight", problem)
        deploys = canary.model_copy(update={"policy": canary.preflight})
        before = replace(run, subject=f"{run.subject} preflight", id="next", deploys=deploys)
        return await self._runs.begin(before, "next", anew=self._is_spent)

    def _is_spent(self, begun: Begun) -> bool:
        """True if a preflight gate is too old to be valid for this rollout."""
        if begun.word is not Word.PASS:
            return begun.is_over or begun.word is not Word.RUNNING
        return decided_for(begun.gate, self._runs.clock.now()) > _PREFLIGHT_KEEPS
