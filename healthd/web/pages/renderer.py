"""Templates, and the answers made from them. Jinja is imported when the first page is requested, not before."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiohttp import web

from healthd.units import stamp
from healthd.web.caller import Caller
from healthd.web.pages.assets import Assets

if TYPE_CHECKING:
    from jinja2 import Environment

FOLDER = Path(__file__).parent
_PERSON = "<!--person-->"  # what is drawn is escaped, and has none of its own
_CODE = re.compile(r"`([^`]+)`")
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Vary": "Authorization, Cookie",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
FORMS = {
    "Content-Security-Policy": HEADERS["Content-Security-Policy"].replace("form-action 'none'", "form-action 'self'")
}
"""Headers of a page with a form."""


class Renderer:
    """Renders pages and parts of pages. All text is escaped; only the template's own text is markup."""

    def __init__(self) -> None:
        self.assets = Assets()
        self._templates: list[Path] = []
        self._environment: Environment | None = None
        self._macros: dict[tuple[str, str], Any] = {}
        self.add(FOLDER)

    def add(self, folder: Path) -> None:
        """Use the `templates` and serve the `static` files of a folder as well; call it before the first request for a
        page."""
        self._templates.append(folder / "templates")
        self.assets.add(folder / "static")

    async def ready(self) -> None:
        """Load what pages need, off the event loop: probes must not wait for it. Later calls are cheap."""
        if self._environment is None:
            self._environment = await asyncio.to_thread(self._load)

    def part(self, template: str, macro: str, *arguments: Any) -> str:
        """Return one part of a page: the result of a macro for the arguments. Call `ready` first."""
        key = (template, macro)
        if key not in self._macros:
            assert self._environment is not None
            self._macros[key] = getattr(self._environment.get_template(template).module, macro)
        return str(self._macros[key](*arguments))

    def text(self, template: str, context: Mapping[str, Any]) -> str:
        """Return a whole page. Call `ready` first."""
        assert self._environment is not None
        return self._environment.get_template(template).render(context)

    def page(
        self,
        template: str,
        context: Mapping[str, Any],
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        person: Caller | None = None,
    ) -> web.Response:
        """Return a whole page as an answer that is not cached. Call `ready` first."""
        return self.answer(self.text(template, context), status, headers, person)

    def answer(
        self,
        text: str,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        person: Caller | None = None,
    ) -> web.Response:
        """Return a page that may be drawn for many, with the name of the person who has signed in, who can sign out."""
        if person is not None:
            text = text.replace(_PERSON, self.part("marks.html", "person", person.name))
            headers = {**FORMS, **(headers or {})}
        response = web.Response(
            text=text,
            status=status,
            content_type="text/html",
            headers={**HEADERS, **(headers or {})},
        )
        response.enable_compression()
        return response

    def _load(self) -> Environment:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
        from markupsafe import Markup, escape

        def code(text: str) -> Markup:
            """Return a text with its parts between backquotes as code."""
            return Markup(_CODE.sub(r"<code>\1</code>", str(escape(text))))

        environment = Environment(
            loader=FileSystemLoader(self._templates),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        environment.filters |= {"code": code, "stamp": stamp_seconds, "clock": clock_time, "day": day_time}
        environment.globals["asset"] = self.assets.url
        for name in environment.list_templates():
            environment.get_template(name)
        return environment


def stamp_seconds(moment: datetime) -> str:
    """Return a time as ISO 8601 in UTC, to the second."""
    return f"{stamp(moment)[:-5]}Z"


def clock_time(moment: datetime) -> str:
    """Return a time as `20:42:48`, in UTC."""
    return moment.astimezone(UTC).strftime("%H:%M:%S")


def day_time(moment: datetime) -> str:
    """Return a time as `22 Nov 20:42`, in UTC."""
    return moment.astimezone(UTC).strftime("%-d %b %H:%M")
