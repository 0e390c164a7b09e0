"""Notes on options that are valid but deserve attention, each with its key. None contains a secret."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from healthd.addresses.notes import notes_of
from healthd.config.auth import Auth
from healthd.config.journal_address import note_on_folder
from healthd.config.references import OWN_GROUPS
from healthd.config.sign_in import NO_SESSION_SECRET
from healthd.config.window import has_labels, notes_on_times, nothing_covered
from healthd.nearest import not_under
from healthd.runtime.authority import authority_of
from healthd.units import is_web_address, show_duration, stamp

if TYPE_CHECKING:
    from healthd.config.settings import Settings

_NO_LINK = "is shown as a text: for a link write a whole address, such as https://wiki.example.com/page"
SHOWN_PASSWORD = "has a password, which pages, notices and metrics show as it is written: take it out"
_NONE_IS_SPREAD = (
    "no check is spread: each is critical, in a group that decides about readiness, of scope local, a heartbeat, or "
    "has an interval under 5s, and every replica runs such a check itself"
)


def notes_on(settings: Settings) -> Iterator[str]:
    """Yield the notes on the daemon's own options."""
    for name, check in settings.active_checks.items():
        yield from (f"checks.{name}: {note}" for note in check.notes)
        if check.runbook_url is not None and not is_web_address(check.runbook_url):
            yield f"checks.{name}.runbook_url: {_NO_LINK}"
        if check.runbook_url is not None and _has_password(check.runbook_url):
            yield f"checks.{name}.runbook_url: {SHOWN_PASSWORD}"
        yield from (f"checks.{name}.labels.{label}: {SHOWN_PASSWORD}" for label in labels_with_passwords(check.labels))
        if check.fast_interval is not None and check.fast_interval > check.interval:
            yield f"checks.{name}.fast_interval: is longer than interval ({show_duration(check.interval)}), which holds"
    yield from (f"journal: {note}" for note in notes_of(settings.journal_url))
    if (note := note_on_folder(settings.journal_url)) is not None:
        yield f"journal: {note}"
    wanted = [name for name, check in settings.active_checks.items() if check.spread is not None]
    if wanted and not settings.spread_checks:
        yield f"checks.{wanted[0]}.spread: {_NONE_IS_SPREAD}"
    if settings.outgoing.lacks_variables:
        yield "outgoing.proxy: environment, and neither HTTPS_PROXY nor HTTP_PROXY is set here: all goes directly"
    yield from _notes_on_readiness(settings)
    yield from _notes_on_notifiers(settings)
    yield from _notes_on_environments(settings)
    yield from _notes_on_auth(settings.auth)
    yield from notes_on_callers(settings.auth, "checks", settings.checks)
    yield from notes_on_callers(settings.auth, "groups", {*OWN_GROUPS, *settings.groups})
    yield from _notes_on_windows(settings)
    yield from _notes_on_pages(settings)


def labels_with_passwords(labels: Mapping[str, str]) -> list[str]:
    """Return the names of labels whose values are addresses with a password."""
    return [label for label, value in labels.items() if _has_password(value)]


def _has_password(text: str) -> bool:
    user, at, _ = authority_of(text).rpartition("@")
    return bool(at) and ":" in user


def _notes_on_readiness(settings: Settings) -> Iterator[str]:
    """Yield a note where there are checks, and none of them decides about readiness."""
    if not settings.checks or settings.active_groups["ready"].checks:
        return
    if "ready" in settings.groups:
        cure = "name some, or take the group out: the critical checks decide then"
        yield f"groups.ready: no check of it runs, so that /health/ready is 200 whatever is found: {cure}"
    else:
        cure = "mark one critical, or name some under groups.ready"
        yield f"checks: none that runs is critical, so that /health/ready is 200 whatever is found: {cure}"


def notes_on_callers(auth: Auth, section: str, known: Collection[str]) -> Iterator[str]:
    """Yield a note for each name that a token is bound to and that is not under a section. It is no error: tokens may
    stand in a file that several environments share, and a pattern may match later."""
    for caller, name in auth.strangers(section, known):
        yield f"auth: {caller} is bound to {not_under(section, name, known)}"


def _notes_on_notifiers(settings: Settings) -> Iterator[str]:
    """Yield a note for each notifier that tells nobody. One with a route in another environment is none of them: the
    file is that one's too."""
    routed = {name for route in settings.routes for name in route.to}
    for name in settings.active_notifiers:
        if name not in routed:
            yield f"notifiers.{name}: no route leads to it, so it sends nothing: write `routes: [{{to: {name}}}]`"


def notes_on_labels(settings: Settings, services: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    """Yield a note for each caller, and each route, whose labels no check has, nor any of the `services`, which are
    given with theirs. Neither is an error: several environments may share a file."""
    checks = {name: check.labels for name, check in settings.checks.items()}
    for caller in settings.auth.grants:
        if caller.labels and not any(
            has_labels(each, caller.labels) for each in (*checks.values(), *services.values())
        ):
            told = nothing_covered("check or service", (), caller.labels, {**checks, **services})
            yield f"auth: {caller.name} {told}"
    for number, route in enumerate(settings.routes):
        known = {name: labels for name, labels in checks.items() if route.concerns("check", name)}
        known |= {name: labels for name, labels in services.items() if route.concerns("gate", name)}
        if route.labels and not any(has_labels(labels, route.labels) for labels in known.values()):
            yield f"routes.{number}: {nothing_covered('check or service', (), route.labels, known)}"


def _notes_on_environments(settings: Settings) -> Iterator[str]:
    """Yield a note where no route is for this environment."""
    if settings.routes and not any(route.holds_in(settings.environment) for route in settings.routes):
        named = ", ".join(sorted({name for route in settings.routes for name in route.environment}))
        yield f"routes: none is for the environment {settings.environment}, so nothing is sent: they name {named}"


def _notes_on_auth(auth: Auth) -> Iterator[str]:
    now = datetime.now(UTC)
    for token in auth.tokens:
        if token.expires is not None and token.has_expired(now):
            yield f"auth.tokens: {token.name} is refused since {stamp(token.expires)}: make another, or take it out"
    names: dict[str, list[str]] = {}
    for token in auth.tokens:
        names.setdefault(token.hash.get_secret_value(), []).append(token.name)
    for same in (each for each in names.values() if len(each) > 1):
        yield f"auth.tokens: {', '.join(same)} have one hash, and {same[-1]} alone is valid: make each its own token"
    if auth.sign_in is not None and auth.sign_in.session_secret is None:
        yield f"auth.sign_in: {NO_SESSION_SECRET}"


def _notes_on_windows(settings: Settings) -> Iterator[str]:
    """Yield a note for each window that covers no check. It is no error: windows may stand in a file that several
    environments share."""
    labels = {name: check.labels for name, check in settings.checks.items()}
    inside = _groups_of(settings, labels)
    for section, windows in (("maintenance", settings.maintenance), ("silences", settings.silences)):
        yield from notes_on_times(section, windows)
        for number, window in enumerate(windows):
            if not any(window.takes(name, labels[name], inside[name]) for name in labels):
                yield f"{section}.{number}: {nothing_covered('check', window.checks, window.labels, labels)}"


def _notes_on_pages(settings: Settings) -> Iterator[str]:
    """Yield a note for each component of a public page that has no check that runs: it can never be shown as up."""
    inside = _groups_of(settings, settings.active_checks)
    for name, page in settings.public_pages.items():
        for number, component in enumerate(page.components):
            if not any(component.takes(check, inside[check]) for check in inside):
                yield f"public_pages.{name}.components.{number}: no check of it runs: it is shown as not known"


def _groups_of(settings: Settings, checks: Collection[str]) -> dict[str, list[str]]:
    groups = settings.active_groups
    return {check: [name for name, group in groups.items() if check in group.checks] for check in checks}
