"""Forms of healthd's pages, and how those of other sites are told apart."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from urllib.parse import parse_qs, urlsplit

from aiohttp import hdrs, web
from multidict import istr

from healthd.nearest import did_you_mean
from healthd.web.problems import Problem

_FORM = "application/x-www-form-urlencoded"
_LARGEST = 8 * 1024  # bytes
_MOST_FIELDS = 16
_SHOWN = 64  # characters of a field's name
_PATIENCE = 5.0  # seconds for the form to arrive
_SEC_FETCH_SITE = istr("Sec-Fetch-Site")


def refuse_other_sites(request: web.Request) -> None:
    """Raise Problem 403 for a form of another site, before anything is read. A caller who is no browser may not say
    where the form is from: what it brings has to prove who it is."""
    origin = request.headers.get(hdrs.ORIGIN)
    foreign = origin is not None and urlsplit(origin).netloc.lower() != request.headers.get(hdrs.HOST, "").lower()
    if request.headers.get(_SEC_FETCH_SITE, "same-origin") not in ("same-origin", "none") or (
        foreign and _SEC_FETCH_SITE not in request.headers
    ):
        raise Problem(403, "Nothing was done", "the form was sent by another site; open the page here")


def refuse_unless_from_here(request: web.Request, external_url: str | None) -> None:
    """Raise Problem 403 for a form with which a browser sends a cookie, unless the browser says that it comes from a
    page of healthd's own: by Sec-Fetch-Site, which no page can set, or where there is none (an old browser, or no
    TLS) by Origin, which every browser sends with a form."""
    site = request.headers.get(_SEC_FETCH_SITE)
    parts = urlsplit(external_url or "")
    own = f"{parts.scheme}://{parts.netloc}".lower()
    if site != "same-origin" and not (site is None and request.headers.get(hdrs.ORIGIN, "").lower() == own):
        raise Problem(403, "Nothing was done", f"the form was not sent by a page of {external_url}; open it there")


async def read_form(request: web.Request, largest: int = _LARGEST) -> dict[str, str]:
    """Return the fields of a form, which has so many bytes at most. Raises Problem."""
    if request.content_type != _FORM:
        raise Problem(415, "Nothing was done", f"this takes forms, of the type {_FORM}; programs call the API")
    if request.content_length is None or request.content_length > largest:
        raise Problem(413, "Nothing was done", f"a form may have {largest // 1024} KiB")
    try:
        async with asyncio.timeout(_PATIENCE):
            text = (await request.read()).decode("utf-8", "replace")
        fields = parse_qs(text, keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except TimeoutError:
        raise Problem(408, "Nothing was done", "the form took too long to arrive") from None
    except ValueError:
        raise Problem(400, "Nothing was done", "the form has too many fields") from None
    if twice := [name for name, values in fields.items() if len(values) > 1]:
        raise Problem(400, "Nothing was done", f"{twice[0][:_SHOWN]}: is given more than once")
    return {name: value for name, (value,) in fields.items()}


def refuse_strange_fields(form: Mapping[str, str], known: Collection[str]) -> None:
    """Raise Problem 422 for a field that the form does not have: what somebody's program sends there would be lost."""
    if strange := [name for name in form if name not in known]:
        told = "; ".join(f"{name[:_SHOWN]}: no such field.{did_you_mean(name, known)}" for name in strange)
        raise Problem(422, "Nothing was done", told)
