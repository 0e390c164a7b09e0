"""A smoke request: one request to the candidate and its expected status."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, Secret, StringConstraints, model_validator

from healthd.checks.http_address import HeaderName, HeaderValue
from healthd.config.model import Model
from healthd.wording import shape

_VERBS = ("get", "head", "post", "put", "patch", "delete", "options")
_PATH, _A_PATH = r"^/[!-~]*$", "a path that begins with a slash, of visible ASCII characters"


def _path(text: str) -> str:
    if text.startswith("//") or "\\" in text:
        raise ValueError("a path starts with one slash; the host is the service's target")
    return text


def _verbs_as_keys(schema: dict[str, Any]) -> None:
    """Allow `get: /health` in a file instead of `method: get` and `path: /health`."""
    path = schema["properties"]["path"]
    schema["properties"] |= {verb: {**path, "title": verb} for verb in _VERBS}
    schema["oneOf"] = [{"required": required} for required in (*([verb] for verb in _VERBS), ["method", "path"])]
    del schema["required"]


class SmokeRequest(Model):
    """One request to the candidate's target and the status that it must have: `{get: /health, status: 200}`."""

    model_config = ConfigDict(json_schema_extra=_verbs_as_keys)

    method: Literal[_VERBS]  # type: ignore[valid-type]
    """The request's method; `get: /health` is short for it and the path."""
    path: Annotated[
        str,
        StringConstraints(pattern=shape(_PATH, _A_PATH)),
        AfterValidator(_path),
    ]
    """The path, on the target of the candidate."""
    status: int = Field(200, ge=100, le=599)
    """The status that the answer must have."""
    headers: dict[HeaderName, HeaderValue] = Field(default_factory=dict)
    """Headers to send; they are treated as secrets."""
    json_body: Secret[Any] | None = Field(None, alias="json")
    """A body to send as JSON; it is treated as a secret, since a login carries one."""

    @property
    def has_secrets(self) -> bool:
        """True if the journal's copy cannot be sent, since the journal keeps no secrets."""
        return bool(self.headers) or self.json_body is not None

    @property
    def sent_json(self) -> Any:
        """The body in plain text, or None."""
        return self.json_body.get_secret_value() if self.json_body is not None else None

    @model_validator(mode="before")
    @classmethod
    def _verb_is_a_key(cls, raw: Any) -> Any:
        """Accept `get: /path` for `method: get` and `path: /path`."""
        if not isinstance(raw, dict) or "method" in raw:
            return raw
        verbs = [verb for verb in _VERBS if verb in raw]
        if len(verbs) != 1:
            raise ValueError(f"a smoke request needs one of {', '.join(_VERBS)}, as in {{get: /health, status: 200}}")
        verb, path = verbs[0], raw[verbs[0]]
        if not isinstance(path, str) or not re.fullmatch(_PATH, path):  # by the key that is there: `path` is not
            raise ValueError(f"{verb} needs {_A_PATH}, as in {{{verb}: /health}}")
        _path(path)
        rest = {key: value for key, value in raw.items() if key != verb}
        return {"method": verb, "path": path, **rest}
