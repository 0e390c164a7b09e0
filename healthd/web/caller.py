"""Caller of a request, with its rights."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

from healthd.config.auth_grant import ROLES, Grant
from healthd.config.reach import Reach
from healthd.web.problems import Problem

_UNPRINTABLE = re.compile(r"[^ -~]")
_LONGEST_SUBJECT = 200


@dataclass(frozen=True, slots=True)
class Caller:
    """Caller of a request. `name` is written to the audit."""

    name: str
    scopes: frozenset[str]
    hooks: frozenset[str] | None = None  # all by default
    reach: Reach | None = None  # everything by default
    is_person: bool = False  # who has signed in, and holds no token

    @classmethod
    def of(cls, name: str, grant: Grant) -> Self:
        """Return the caller of this name who has these rights."""
        hooks = None if grant.hooks is None or "admin" in grant.granted else frozenset(grant.hooks)
        return cls(name, grant.granted, hooks, grant.reach)

    def opens(self, hook: str) -> bool:
        return self.hooks is None or hook in self.hooks

    def may(self, scope: str) -> bool:
        return scope in self.scopes or "admin" in self.scopes

    def beyond_reach(self, what: str) -> Problem:
        """Return the refusal of something that the caller may change elsewhere, but not here."""
        return Problem(403, "Forbidden", f"{self} may not change {what}: it is bound to {self.reach}")

    def lacks(self, scope: str, purpose: str = "") -> Problem:
        """Return the refusal of something for which the caller has no right."""
        role = next(name for name, scopes in ROLES.items() if scope in scopes or "admin" in scopes)
        cure = f"give it the role {role} under auth.tokens, or make one with `healthd token new --role {role}`"
        if self.is_person:
            cure = f"give the entry under auth.sign_in.people the role {role}"
        return Problem(403, "Forbidden", f"{self} lacks the scope {scope}{purpose}: {cure}, or that scope alone")

    def __str__(self) -> str:
        return f"{'person' if self.is_person else 'token'} {self.name!r}"


def vouched_for(grant: Grant, name: str) -> str:
    """Return the name of a caller whom somebody else vouches for: no token of the configuration has a slash in its
    own."""
    return f"{grant.name}/{_UNPRINTABLE.sub('?', name)[:_LONGEST_SUBJECT]}"
