"""Contents of a public page as plain values in one language. It gets nothing of the inside but what `standing`, `past`,
`planned` and the incidents hold, and so can show no more."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from healthd.config.incident import Effect, Incident, Update
from healthd.config.public_page import Language, PublicPage
from healthd.monitoring.uptime_days import Day
from healthd.web.public import bars
from healthd.web.public.catalogue import WORDS
from healthd.web.public.planned import Planned
from healthd.web.public.standing import Overall, State, overall, worst
from healthd.web.public.words import Words

_OF_IMPACT: dict[Effect, State] = {
    "maintenance": State.MAINTENANCE,
    "none": State.OPERATIONAL,
    "degraded": State.DEGRADED,
    "outage": State.OUTAGE,
}
_MOST_PAST = 20  # incidents
_LEGEND = (State.OPERATIONAL, State.DEGRADED, State.OUTAGE, State.UNKNOWN)
_ICONS = {
    State.OPERATIONAL: "0a6e50",
    State.MAINTENANCE: "1558b0",
    State.DEGRADED: "b86e00",
    State.OUTAGE: "b3261e",
    State.UNKNOWN: "4d5662",
}
"""Colours of the page's icon."""


@dataclass(frozen=True, slots=True)
class Scene:
    """All that a page shows, whatever the language. `address` is its external one, where it is known. `states` and
    `days` are of its components in their order; `days` is None where they are not known, `known_at` the time of what is
    known of the past where that is old. The incidents are None where they are not known."""

    name: str
    page: PublicPage
    address: str | None
    now: datetime
    states: tuple[State, ...]
    days: tuple[tuple[Day, ...], ...] | None
    known_at: datetime | None
    planned: tuple[Planned, ...]
    incidents: tuple[Incident, ...] | None

    @property
    def title(self) -> str:
        return self.page.title or self.name

    @property
    def zone(self) -> tzinfo:
        return ZoneInfo(self.page.timezone)


def with_incidents(page: PublicPage, states: Sequence[State], incidents: Collection[Incident]) -> tuple[State, ...]:
    """Return the states of a page's components, at least as bad as people say that they are."""
    now = [it.last for it in incidents if _holds(it)]
    return tuple(
        worst([state, *(_OF_IMPACT[it.impact] for it in now if it.affects(part.name))])
        for part, state in zip(page.components, states, strict=True)
    )


def _said_of_the_whole(incidents: Collection[Incident]) -> list[State]:
    """Return what incidents without components say: they change none, but nor is the headline green beside them."""
    return [_OF_IMPACT[it.last.impact] for it in incidents if _holds(it) and not it.last.components]


def _holds(incident: Incident) -> bool:
    return incident.is_open and not incident.is_to_come


def context(scene: Scene, language: Language, feeds: Mapping[str, str]) -> dict[str, Any]:
    """Return the context of the template; `feeds` are addresses by format."""
    words, known = WORDS[language], scene.incidents or ()
    whole = overall(scene.states, _said_of_the_whole(known))
    over = [it for it in known if not it.is_open and it.last.impact != "none"]
    told = [(it.is_open, shown_incident(it, scene, words)) for it in (*filter(_is_open, known), *over[:_MOST_PAST])]
    return {
        "words": words,
        "language": language,
        "title": scene.title,
        "name": scene.name,
        "page": scene.page,
        "sign_of_all": (sign := _sign(whole)),
        "icon": _ICONS[sign],
        "headline": words.of(whole.value),
        "as_of": words.as_of.format(moment=words.show_moment(scene.now, scene.zone)),
        "components": [_component(number, scene, words) for number in range(len(scene.states))],
        "announcements": [it for is_open, it in told if is_open and it["announces"]],
        "current": [it for is_open, it in told if is_open and not it["announces"] and not it["is_to_come"]],
        "to_come": sorted((it for _, it in told if it["is_to_come"]), key=lambda it: it["starts"]),
        "past": [it for is_open, it in told if not is_open],
        "incidents_known": scene.incidents is not None,
        "planned": [_planned(it, scene.zone, words) for it in scene.planned],
        "history_as_of": _history_as_of(scene, words),
        "bars": scene.page.uptime_days > 0,
        "has_days": scene.days is not None,
        "legend": [(it, words.of(f"day_{it.value}")) for it in _LEGEND],
        "feeds": feeds,
        "languages": [(it, WORDS[it].name) for it in scene.page.languages],
    }


def _is_open(incident: Incident) -> bool:
    return incident.is_open


def _sign(whole: Overall) -> State:
    return {
        Overall.OPERATIONAL: State.OPERATIONAL,
        Overall.MAINTENANCE: State.MAINTENANCE,
        Overall.DEGRADED: State.DEGRADED,
        Overall.UNKNOWN: State.UNKNOWN,
    }.get(whole, State.OUTAGE)


def _component(number: int, scene: Scene, words: Words) -> dict[str, Any]:
    part, state = scene.page.components[number], scene.states[number]
    shown: dict[str, Any] = {
        "name": part.name,
        "description": part.description,
        "state": state,
        "word": words.of(state.value),
        "uptime": None,
        "bars": {},
        "bad": [],
    }
    if scene.days is None or not scene.page.uptime_days:
        return shown
    days = scene.days[number]
    known = [day for day in days if day.known > 0]
    shown["bars"] = bars.drawn(days)
    shown["width"], shown["height"] = len(days) * bars.STEP - 1, bars.HEIGHT
    if known:
        percent = words.show_percent(sum(day.up for day in known) / sum(day.known for day in known))
        form = words.uptime if len(known) > 1 else words.one_day
        shown["uptime"] = form.format(percent=percent, days=len(known))
        shown["bad"] = [_bad_day(day, words) for day in reversed(known) if bars.of_day(day) is not State.OPERATIONAL]
    return shown


def _bad_day(day: Day, words: Words) -> dict[str, Any]:
    state = bars.of_day(day)
    share = words.show_percent(day.up / day.known) if day.down > 0 else words.of(state.value)
    return {"state": state, "day": words.show_day(day.date), "share": share}


def shown_incident(incident: Incident, scene: Scene, words: Words) -> dict[str, Any]:
    """Return an incident as the page shows it, the latest update first."""
    mine = {part.name for part in scene.page.components}
    named = [name for name in incident.last.components if name in mine]
    is_announcement = incident.last.impact == "none"
    return {
        "id": incident.id,
        "title": incident.last.title,
        "state": _OF_IMPACT[incident.last.impact],
        "announces": is_announcement,
        "is_to_come": incident.is_to_come,
        "starts": incident.last.starts,
        "when": _when(incident.last, scene.zone, words),
        "affects": words.affects.format(names=", ".join(named)) if named else None,
        "updates": [_update(it, scene.zone, words, named=not is_announcement) for it in reversed(incident.updates)],
    }


def _when(last: Update, zone: tzinfo, words: Words) -> str | None:
    """Return the times of planned maintenance."""
    if last.starts is None or last.ends is None:
        return None
    return words.until.format(start=words.show_moment(last.starts, zone), end=words.show_moment(last.ends, zone))


def _update(update: Update, zone: tzinfo, words: Words, *, named: bool) -> dict[str, Any]:
    return {
        "word": words.of(update.state) if named else None,
        "moment": words.show_moment(update.at, zone),
        "at": update.at,
        "paragraphs": [it for it in update.text.split("\n") if it.strip()],
    }


def _planned(it: Planned, zone: tzinfo, words: Words) -> dict[str, Any]:
    start = words.now if it.start is None else words.show_moment(it.start, zone)
    end = words.show_moment(it.end, zone)
    return {"time": words.until.format(start=start, end=end), "components": ", ".join(it.components)}


def _history_as_of(scene: Scene, words: Words) -> str | None:
    if scene.known_at is None:
        return None
    return words.history_as_of.format(moment=words.show_moment(scene.known_at, scene.zone))
