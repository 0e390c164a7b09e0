"""`POST /gates/{id}/page`: what a person does on a gate's page. The form brings the person's token, which a browser
sends to nobody by itself, or comes from a page of healthd's own after a sign-in: no other page can act in a person's
name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from functools import partial

from aiohttp import web

from healthd.web.auth import Caller, Guard
from healthd.web.forms import read_form, refuse_other_sites, refuse_strange_fields
from healthd.web.pages.renderer import Renderer
from healthd.web.problems import Problem
from healthd_gates.api.operation import GATE_ID
from healthd_gates.api.problems import problem_of
from healthd_gates.api.reach import ServicesInReach
from healthd_gates.domain.errors import Refusal
from healthd_gates.domain.gate import Gate
from healthd_gates.domain.standing import Verdict
from healthd_gates.engine.service import GateService

SCOPES_OF_BUTTONS = ("gates:verify", "gates:rollback")
_LONGEST_REASON = 500
_Act = Callable[[str, str, str], Awaitable[Gate]]


class GateActs:
    """Buttons of the page of a gate. What they do is what the API's calls do, under the same scopes and bounds."""

    def __init__(
        self,
        gate_service: GateService,
        reach: ServicesInReach,
        guard: Guard,
        renderer: Renderer,
        acted: Callable[[str], None] = lambda _gate_id: None,
    ) -> None:
        """`acted` is told the id of each gate that was changed, so that its page shows that at once."""
        self._gate_service, self._reach, self._guard, self._renderer = gate_service, reach, guard, renderer
        self._interventions, self._acted = gate_service.interventions, acted
        self._acts: dict[str, tuple[str, _Act]] = {
            "approve": ("gates:rollback", self._approve),
            "reject": ("gates:rollback", self._reject),
            "rollback": ("gates:rollback", self._rollback),
            "done": ("gates:rollback", self._done),
            "give-up": ("gates:rollback", self._give_up),
            "pause": ("gates:verify", self._pause),
            "resume": ("gates:rollback", partial(self._resume, pause=0)),
            "cancel": ("gates:verify", self._cancel),
        }

    def routes(self) -> list[web.RouteDef]:
        return [web.post(f"/gates/{{gate_id:{GATE_ID}}}/page", self._post)]

    async def _post(self, request: web.Request) -> web.Response:
        try:
            await self._act(request)
        except Refusal as refusal:
            problem = problem_of(refusal)
        except Problem as raised:
            problem = raised
        else:
            return web.Response(status=303, headers={"Location": "page", "Cache-Control": "no-store"})
        await self._renderer.ready()
        context = {"title": problem.title, "detail": problem.detail}
        return self._renderer.page("problem.html", context, problem.status, problem.headers)

    async def _act(self, request: web.Request) -> None:
        """Do what the form says. Raises Problem, Refusal."""
        refuse_other_sites(request)
        form = await read_form(request)
        refuse_strange_fields(form, ("act", "reason", "sure", "token"))
        act, _, number = form.get("act", "").partition(".")
        reason = form.get("reason", "").strip()
        if act not in self._acts:
            raise Problem(
                400, "Nothing was done", "the form names nothing that can be done; go back and reload the page"
            )
        scope, do = self._acts[act]
        if act == "resume":
            do = partial(self._resume, pause=int(number) if number.isdecimal() and len(number) < 10 else 0)
        caller = await self._caller(request, form.get("token", ""), scope)
        unsure = [] if form.get("sure") == "yes" else ["tick that you mean it, and press the button again"]
        if told := [*unsure, *_faults_of_reason(reason)]:
            raise Problem(400, "Nothing was done", "; ".join(told))
        gate = await self._gate_service.get(request.match_info["gate_id"])
        self._reach.admit_service(caller, gate.service)
        await do(gate.id, caller.name, reason)
        self._acted(gate.id)

    async def _caller(self, request: web.Request, token: str, scope: str) -> Caller:
        await self._guard.prepare(request, token)
        return self._guard.sender_of_form(request, token.strip(), scope)

    async def _approve(self, gate_id: str, caller: str, reason: str) -> Gate:
        return await self._interventions.decide(gate_id, Verdict.PASS, caller=caller, reason=reason)

    async def _reject(self, gate_id: str, caller: str, reason: str) -> Gate:
        return await self._interventions.decide(gate_id, Verdict.FAIL, caller=caller, reason=reason)

    async def _rollback(self, gate_id: str, caller: str, reason: str) -> Gate:
        return await self._interventions.rollback(gate_id, caller=caller, reason=reason)

    async def _done(self, gate_id: str, caller: str, reason: str) -> Gate:
        return await self._interventions.give_up(gate_id, caller=caller, reason=reason, done=True)

    async def _give_up(self, gate_id: str, caller: str, reason: str) -> Gate:
        return await self._interventions.give_up(gate_id, caller=caller, reason=reason)

    async def _pause(self, gate_id: str, caller: str, reason: str) -> Gate:
        return await self._interventions.pause(gate_id, caller=caller, reason=reason)

    async def _resume(self, gate_id: str, caller: str, reason: str, *, pause: int) -> Gate:
        """Let a ramp go on after the pause that the page showed: a later one has another number."""
        return await self._interventions.resume(gate_id, caller=caller, reason=reason, pause=pause)

    async def _cancel(self, gate_id: str, caller: str, reason: str) -> Gate:
        return await self._interventions.cancel(gate_id, caller=caller, reason=reason)


def _faults_of_reason(reason: str) -> Iterator[str]:
    """Yield what is wrong with a reason that the audit cannot show in one line."""
    if not reason:
        yield f"write a reason, of at most {_LONGEST_REASON} characters, for the audit"
    elif len(reason) > _LONGEST_REASON:
        yield f"the reason has {len(reason)} characters; {_LONGEST_REASON} are the most that the audit takes"
    if not reason.isprintable():
        yield "the reason must be one line: it has a line break or another character that cannot be printed"
