"""Environment variables: present, not empty, not a template's placeholder. Values are read and never shown."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from healthd.checks.contract import CheckConfig, CheckContext, Scope
from healthd.model import FailureKind, Observed, Result
from healthd.wording import shape

Variable = Annotated[
    str, Field(pattern=shape(r"^[A-Za-z_][A-Za-z0-9_]*$", "the name of a variable, such as POSTGRESQL_URI"))
]

# Placeholders that templates, and the people who fill them in, leave instead of a value.
_PLACEHOLDERS = (
    r"(?:^|[/:@=,\s])your[-_ .]",  # your-super-secure-jwt-secret-256-bit, postgresql://your-user:…
    r"^(?:insert|enter)[-_ ]",
    r"[-_ .](?:goes[-_ ])?here$",  # api-key-here
    r"(?<![a-z])change[-_ ]?(?:me|this|it)(?![a-z])",
    r"replace[-_ ]?(?:me|this|with)(?![a-z])",
    r"^(?:placeholder|dummy|todo|tbd|fixme|redacted|undefined|null|none|secret|password)$",
    r"x{5,}|^x{3,}$|\*{3,}|^[.?*-]+$",  # sk_live_xxxxxxxx
    r"^(\D)\1{3,}$|^(\d)\2{7,}$",  # aaaaaaaa
    r"^<.*>$|^\$\{\w+\}$|^\{\{.*\}\}$|^%\w+%$",  # ${KEY}: a template that was never filled in
    r"://(?:user|username):(?:pass|password)@",
    r"(?:^|[/@.])example\.(?:com|net|org)(?![a-z0-9-])",  # reserved for documentation by RFC 2606
    r"(?-i:EXAMPLE(?:KEY)?$)",  # the keys of AWS's documentation
)


def is_placeholder(value: str) -> bool:
    """True if a value is a template's placeholder rather than a real value."""
    return any(re.search(each, value, re.IGNORECASE) for each in _PLACEHOLDERS)


class EnvConfig(CheckConfig):
    kind: Literal["env"] = "env"
    scope: Scope = Scope.LOCAL
    required: tuple[Variable, ...] = Field(min_length=1)
    """Variables that must have a real value."""
    min_length: dict[Variable, Annotated[int, Field(ge=1)]] = Field(default_factory=dict)
    """Minimum number of characters of some of them, such as `{JWT_SECRET: 32}`."""


class Env:
    """Checks the environment that the daemon itself was started with."""

    config_model: ClassVar[type[EnvConfig]] = EnvConfig

    def __init__(self, config: EnvConfig, context: CheckContext) -> None:
        self._config, self._environ = config, context.environ

    async def probe(self) -> Result:
        wrong: dict[str, list[str]] = {}
        for name in dict.fromkeys((*self._config.required, *self._config.min_length)):
            if fault := _fault(self._environ, name, self._config.min_length.get(name, 0)):
                wrong.setdefault(fault, []).append(name)
        if not wrong:
            return Result.healthy(f"{len(self._config.required)} variables are set")
        observed: Observed = {_KEYS[fault]: names for fault, names in wrong.items()}
        text = "; ".join(f"{fault}: {', '.join(names)}" for fault, names in wrong.items())
        return Result.unhealthy(FailureKind.MISCONFIGURED, text, observed=observed)

    async def close(self) -> None:
        """Do nothing: no resource is open."""


_KEYS = {"not set": "missing", "empty": "empty", "still a placeholder": "placeholders", "too short": "tooShort"}


def _fault(environ: Mapping[str, str], name: str, least: int) -> str | None:
    value = environ.get(name)
    if value is None:
        return "not set"
    if not value.strip():
        return "empty"
    if is_placeholder(value.strip()):
        return "still a placeholder"
    return "too short" if len(value) < least else None
