"""Action `command`: runs a command on this host with an argument list, no shell, a clean environment, and a kill of its
whole process group."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field, SecretStr

from healthd.nearest import did_you_mean
from healthd.runtime.child_process import LAST_WORDS, ChildProcess
from healthd.runtime.program import OWN, OWN_FOLDER, PATH, trouble_with
from healthd.runtime.redaction import Redactor
from healthd.units import Duration
from healthd_gates.actions.contract import ActionConfig, ActionContext, ActionRequest, ActionResult, Ending, Unable
from healthd_gates.sources.contract import ArmError, Arms

_SHOWN = 1500  # characters of output, its end
_KEPT = 12_288  # bytes of it in which secrets are looked for, so that none is cut where it is not seen
_SPACE = re.compile(r"\s+")
_PLACEHOLDER = re.compile(r"\$(?:\$|([A-Za-z_]\w*))")  # `$1` and `$?` are a shell's own, `$$` is one `$`
_SENSITIVE = re.compile(r"pass|secret|token|key|credential|auth", re.IGNORECASE)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_FIELDS = (
    "service", "gate", "action", "key", "occasion", "weight", "candidate", "candidate_target", "baseline",
    "baseline_target",
)  # fmt: skip


def _placeholders(words: Sequence[str]) -> list[str]:
    return [name for name in _PLACEHOLDER.findall(" ".join(words)) if name]


def _argv(words: tuple[str, ...]) -> tuple[str, ...]:
    if _placeholders(words[:1]):
        raise ValueError("which program runs is for the configuration alone to say: no placeholder in the first word")
    for word in words:
        if "\0" in word:
            raise ValueError("a word holds a zero byte")
        for name in _placeholders([word]):
            if name not in _FIELDS:
                raise ValueError(
                    f"${name} is not one of ${', $'.join(_FIELDS)}.{did_you_mean(name, _FIELDS)} "
                    f"To hand ${name} itself to the program, write $$$${name}"
                )
    return words


def _value_of(match: re.Match[str], values: Mapping[str, str]) -> str:
    return values[match[1]] if match[1] else "$"


_OURS = "names that begin with HEALTHD_ are what healthd itself tells a command"


def _check_variables(names: Iterable[str], ours: str) -> None:
    """Check the names of variables; `ours` is the message for one that healthd itself sets."""
    for name in names:
        if name.startswith("HEALTHD_"):
            raise ValueError(ours.format(name=name))
        if not _VARIABLE.fullmatch(name):
            raise ValueError(f"{name!r} is not the name of a variable: letters, digits and underscores")


def _handed_on(names: tuple[str, ...]) -> tuple[str, ...]:
    cure = "Have the daemon's environment carry it under another name too, and name that one"
    _check_variables(names, f"{{name}} cannot be handed on: {_OURS}. {cure}")
    return names


def _set_here(variables: dict[str, SecretStr]) -> dict[str, SecretStr]:
    _check_variables(variables, f"{{name}} cannot be set here: {_OURS}. Give it another name")
    return variables


class CommandConfig(ActionConfig):
    kind: Literal["command"] = "command"
    argv: Annotated[tuple[str, ...], Field(min_length=1), AfterValidator(_argv)]
    """The program and its arguments, which may hold $service, $candidate, $baseline_target and the like; $weight is the
    candidate's share of the traffic in percent."""
    cwd: Path = Path("/")
    """The directory in which it runs."""
    pass_env: Annotated[tuple[str, ...], AfterValidator(_handed_on)] = ()
    """Names of the daemon's own variables to pass on; without them the command has only PATH and HEALTHD_*."""
    env: Annotated[dict[str, SecretStr], AfterValidator(_set_here)] = Field(default_factory=dict)
    """More variables; their values are treated as secrets."""
    grace_period: Duration = 5.0
    """Time between SIGTERM and the kill."""
    no_baseline_exit: int | None = Field(None, ge=1, le=255)
    """The exit code that means that there is nothing to roll back to."""
    confirms: bool | None = None
    """True if exit code 0 means that the command has verified that the baseline has the traffic; true for
    healthd-deploy unless given."""
    dry_run: Annotated[tuple[str, ...], AfterValidator(_argv)] = ()
    """The program and arguments of a dry run, as in argv; it must only read and change nothing. For healthd-deploy it
    is argv with --dry-run, unless given."""

    def check(self, arms: Arms) -> None:
        used, values = _placeholders(self.argv), _values_of(arms)
        for name in used:
            if name in values and values[name] is None:
                field = name.replace("_", ".") if "_" in name else name
                raise ArmError(field, f"the command's ${name} needs it")
        if "baseline_target" in used and arms.baseline_target == arms.candidate.target:
            raise ArmError("baseline.target", "is the candidate's own: there is nowhere else to roll back to")

    def problem_here(self, environ: Mapping[str, str]) -> str | None:
        return trouble_with(self.argv[0], self.path(environ), self.cwd)

    def path(self, environ: Mapping[str, str]) -> str:
        """Return the PATH that the program has and is searched in."""
        own = self.env.get("PATH")
        handed_on = environ.get("PATH") if "PATH" in self.pass_env else None
        return own.get_secret_value() if own is not None else f"{OWN_FOLDER}:{handed_on}" if handed_on else PATH

    @property
    def sets_weight(self) -> bool:
        """True if the program is told the weight."""
        return "weight" in _placeholders(self.argv)

    @property
    def is_own(self) -> bool:
        """True if it is healthd's own deploy tool, whose output is known here."""
        return Path(self.argv[0]).name == OWN


class Command:
    """Runs a command, and is done once it exits with 0; any other code is retried. The command must be idempotent for
    the same $HEALTHD_IDEMPOTENCY_KEY: after a crash of the daemon the previous run may even still be running.
    """

    config_model: ClassVar[type[ActionConfig]] = CommandConfig

    def __init__(self, config: CommandConfig, context: ActionContext) -> None:
        self._config, self._environ = config, context.environ
        handed_on = (context.environ.get(name, "") for name in config.pass_env if _SENSITIVE.search(name))
        self._handed_on, self._known = Redactor(value for value in handed_on if value), context.redact

    async def execute(self, order: ActionRequest) -> ActionResult:
        run = ChildProcess(keep=_KEPT)
        try:
            code = await run.to_the_end(self._words(order), self._config.cwd, self._environment(order), *self._times())
        except OSError as error:
            return ActionResult(Ending.RETRY, f"{self._config.argv[0]} cannot be run: {error.strerror or error}")
        finally:
            run.kill()
        said = self._shown(run.output)
        if code is None:
            return ActionResult(
                Ending.RETRY, f"stopped after {self._times()[0]:g} s of its {self._config.timeout:g} s{said}"
            )
        if code == 0:
            looks = self._config.is_own if self._config.confirms is None else self._config.confirms
            return ActionResult(Ending.DONE, f"exit code 0{said}", seen=looks)
        ended = f"exit code {code}" if code > 0 else f"killed by {signal.Signals(-code).name}"
        ending = Ending.NO_BASELINE if code == self._config.no_baseline_exit else Ending.RETRY
        return ActionResult(ending, f"{ended}{said}")

    async def describe(self, order: ActionRequest) -> str:
        would = f"run {' '.join(self._words(order))} in {self._config.cwd}"
        if (problem := self._config.problem_here(self._environ)) is not None:
            raise Unable(f"{problem}; it is to {would}")
        argv = self._config.dry_run or ((*self._config.argv, "--dry-run") if self._config.is_own else ())
        return f"{would}: {await self._rehearsed(argv, order)}" if argv else would

    async def _rehearsed(self, argv: Sequence[str], order: ActionRequest) -> str:
        """Run the dry run, which changes nothing, and return its output. Raises Unable unless it exits with 0."""
        run, words = ChildProcess(keep=_KEPT), self._filled(argv, order)
        try:
            code = await run.to_the_end(words, self._config.cwd, self._environment(order), *self._times())
        except OSError as error:
            raise Unable(f"{words[0]} cannot be run: {error.strerror or error}") from None
        finally:
            run.kill()
        said = self._shown(run.output)
        if code != 0:
            ended = f"is not done within {self._config.timeout:g} s" if code is None else f"ends with {code}"
            raise Unable(f"the dry run {ended}{said}")
        return f"can be done{said}"

    async def close(self) -> None:
        """Do nothing: nothing outlives an attempt."""

    def _shown(self, output: str) -> str:
        """Return the end of the output, cut so that no half of a secret is left."""
        whole = self._redact(output)
        if len(output) <= _SHOWN:
            return f": {whole}" if whole else ""
        end = len(output) - _SHOWN
        for cut in (end, *(space.end() for space in _SPACE.finditer(output, end))):
            shown = self._redact(output[cut:])
            if self._redact(output[:cut]) + shown == whole:
                return f": …{shown}"
        return ""

    def _redact(self, text: str) -> str:
        return self._handed_on(self._known(text))

    def _words(self, order: ActionRequest) -> list[str]:
        return self._filled(self._config.argv, order)

    @staticmethod
    def _filled(argv: Sequence[str], order: ActionRequest) -> list[str]:
        values = _fields(order)
        return [_PLACEHOLDER.sub(lambda match: _value_of(match, values), word) for word in argv]

    def _times(self) -> tuple[float, float]:
        """Return the seconds until SIGTERM and until the kill: both before the timeout of the whole attempt, so that
        the result can still be reported."""
        whole = max(self._config.timeout * 0.7, self._config.timeout - 2 * LAST_WORDS)
        return max(whole - self._config.grace_period, whole / 2), whole

    def _environment(self, order: ActionRequest) -> dict[str, str]:
        given = {name: self._environ[name] for name in self._config.pass_env if name in self._environ}
        told = {f"HEALTHD_{name.upper()}": value for name, value in _fields(order).items() if name != "key"}
        own = {name: value.get_secret_value() for name, value in self._config.env.items()}
        path = self._config.path(self._environ)
        return {**given, **own, **told, "PATH": path, "HEALTHD_IDEMPOTENCY_KEY": order.key}


def _values_of(arms: Arms) -> dict[str, str | None]:
    baseline = arms.baseline
    return {
        "candidate": arms.candidate.version,
        "candidate_target": arms.candidate.target,
        "baseline": baseline.version if baseline else None,
        "baseline_target": arms.baseline_target,
    }


def _fields(order: ActionRequest) -> dict[str, str]:
    """Return the values of the placeholders: names and ids that were validated when they came in, and nothing else."""
    fixed = {
        "service": order.arms.service,
        "gate": order.gate.id,
        "action": order.action,
        "key": order.key,
        "occasion": order.occasion.value,
        "weight": f"{100 * order.share:.2f}".rstrip("0").rstrip("."),
    }
    return fixed | {name: value or "" for name, value in _values_of(order.arms).items()}
