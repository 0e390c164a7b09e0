"""Feeds of the incidents on a public page: Atom (RFC 4287) and RSS 2.0. An incident is one entry, which grows with its
updates; its id stays the same in every language."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import format_datetime
from html import escape

from healthd.config.incident import Incident
from healthd.config.public_page import Language
from healthd.web.public.catalogue import WORDS
from healthd.web.public.view import Scene, shown_incident

_ATOM = "http://www.w3.org/2005/Atom"
_MOST = 50  # entries
_LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)  # the last change of a feed without entries


def atom(scene: Scene, language: Language, address: str, own: str) -> str:
    """Return the Atom feed of the page at an address; `own` is the feed's."""
    feed = ET.Element("feed", {"xmlns": _ATOM, "xml:lang": language})
    _add(feed, "id", address)
    _add(feed, "title", scene.title)
    _add(feed, "updated", _iso(_changed(entries := _entries(scene))))
    _add(ET.SubElement(feed, "author"), "name", scene.title)
    ET.SubElement(feed, "link", {"rel": "self", "type": "application/atom+xml", "href": own})
    ET.SubElement(feed, "link", {"rel": "alternate", "type": "text/html", "href": address})
    for incident in entries:
        entry = ET.SubElement(feed, "entry")
        _add(entry, "id", _place(address, incident))
        _add(entry, "title", incident.last.title)
        _add(entry, "published", _iso(incident.opened))
        _add(entry, "updated", _iso(incident.last.at))
        ET.SubElement(entry, "link", {"rel": "alternate", "type": "text/html", "href": _place(address, incident)})
        _add(entry, "content", _html(incident, scene, language), type="html")
    return _written(feed)


def rss(scene: Scene, language: Language, address: str, own: str) -> str:
    """Return the RSS feed of the page at an address; `own` is the feed's."""
    root = ET.Element("rss", {"version": "2.0", "xmlns:atom": _ATOM})
    channel = ET.SubElement(root, "channel")
    _add(channel, "title", scene.title)
    _add(channel, "link", address)
    _add(channel, "description", f"{scene.title}: {WORDS[language].current_incidents}")
    _add(channel, "language", language)
    _add(channel, "lastBuildDate", format_datetime(_changed(entries := _entries(scene))))
    ET.SubElement(channel, "atom:link", {"rel": "self", "type": "application/rss+xml", "href": own})
    for incident in entries:
        item = ET.SubElement(channel, "item")
        _add(item, "title", incident.last.title)
        _add(item, "link", _place(address, incident))
        _add(item, "guid", _place(address, incident), isPermaLink="false")
        _add(item, "pubDate", format_datetime(incident.opened.astimezone(UTC)))
        _add(item, "description", _html(incident, scene, language))
    return _written(root)


def _entries(scene: Scene) -> list[Incident]:
    """Return the incidents, the last to change first."""
    return sorted(scene.incidents or (), key=lambda it: it.last.at, reverse=True)[:_MOST]


def _changed(entries: Sequence[Incident]) -> datetime:
    return entries[0].last.at.astimezone(UTC) if entries else _LONG_AGO


def _place(address: str, incident: Incident) -> str:
    return f"{address}#incident-{incident.id}"


def _html(incident: Incident, scene: Scene, language: Language) -> str:
    """Return what the page says of an incident, the latest update first."""
    shown = shown_incident(incident, scene, WORDS[language])
    parts = [f"<p>{escape(shown[it])}</p>" for it in ("when", "affects") if shown[it]]
    for said in shown["updates"]:
        word = f"<strong>{escape(said['word'])}</strong> · " if said["word"] else ""
        parts += [f"<p>{word}{escape(said['moment'])}</p>", *(f"<p>{escape(it)}</p>" for it in said["paragraphs"])]
    return "".join(parts)


def _add(parent: ET.Element, name: str, text: str, **attributes: str) -> None:
    ET.SubElement(parent, name, attributes).text = text


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _written(root: ET.Element) -> str:
    ET.indent(root)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{ET.tostring(root, encoding="unicode")}\n'
