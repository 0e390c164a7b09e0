"""Errors of the way to a cluster and of its API."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from healthd.http.retry_after import seconds_to_wait

_LONGEST = 600
_TEST_FAILED = "the server rejected our request due to an error in our request"
# The messages of an admission webhook and of Pod Security: the same object would be refused again.
_DENIALS = ("denied the request", "violates PodSecurity")


class CredentialsError(Exception):
    """The way to the cluster is not known, or credentials are missing. Its message says what is missing."""


class ApiRefusal(Exception):  # noqa: N818 - an answer, not an error of ours
    """The API refused a request. `status` is that of HTTP, `kind` that of the object that the answer is about; `after`
    is the number of seconds that it asks to wait.
    """

    def __init__(self, status: int, said: str, kind: str = "", after: float = 0.0) -> None:
        self.status, self.said, self.kind, self.after = status, said, kind, after
        super().__init__(f"the Kubernetes API answered {status}{f': {said}' if said else ''}")

    @classmethod
    def read(cls, status: int, body: bytes, headers: Mapping[str, str]) -> ApiRefusal:
        """Read the refusal from an answer: a Status, or plain text where no such API is served at all."""
        try:
            told = json.loads(body)
        except ValueError:
            told = {"message": body.decode(errors="replace")}
        told = told if isinstance(told, Mapping) else {}
        details: Any = told.get("details") or {}
        kind, wanted = str(details.get("kind", "")), seconds_to_wait(headers)
        return cls(status, _clean(str(told.get("message", ""))), kind, wanted or 0.0)

    @property
    def is_conflict(self) -> bool:
        """True if the object changed after it was read."""
        return self.status == 409 or (self.status == 422 and not self.kind and self.said.startswith(_TEST_FAILED))

    @property
    def is_denied(self) -> bool:
        """True if a webhook or Pod Security refused the object: it would refuse the same one again."""
        return any(denial in self.said for denial in _DENIALS)

    @property
    def is_unknown_kind(self) -> bool:
        """True if the cluster does not serve objects of that kind at all."""
        return self.status == 404 and "page not found" in self.said


def _clean(text: str) -> str:
    line = "".join(each if each.isprintable() else " " for each in text)
    return " ".join(line.split())[:_LONGEST]
