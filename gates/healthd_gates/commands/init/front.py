"""Tries what users reach: the proxy in front of a service's targets."""

from __future__ import annotations

from dataclasses import dataclass

from healthd_gates.commands.init import pages
from healthd_gates.commands.init.nginx_site import Front

_ELSEWHERE = "a check of what users reach, which should be critical"


@dataclass(frozen=True, slots=True)
class Through:
    """An address of the proxy at which a service says that it is healthy, and the name to ask for there."""

    url: str
    host: str | None
    said: str


async def through(
    front: Front | None, health: str, left_out: list[str], ask: pages.GetAs = pages.get
) -> Through | None:
    """Return where the proxy passes on the path `health`; None, with why among `left_out`, if that cannot be told. A
    proxy that does not run yet is taken at its word."""
    if front is None or not front.addresses:
        left_out.append(f"{_ELSEWHERE}: no site of NGINX is found that passes all requests on to a target")
        return None
    path = front.outside(health)
    if path is None:
        left_out.append(f"{_ELSEWHERE}: NGINX does not pass {health} on")
        return None
    urls = [f"{address.removesuffix(':80')}{path}" for address in front.addresses]
    answers = [await ask(url, front.host) for url in urls]
    for url, answer in zip(urls, answers, strict=True):
        if answer is not None and answer[0] == 200:
            return Through(url, front.host, "what users reach; tried, it answers 200")
    if any(answers):
        heard = [f"answers {answer[0]}" if answer else "does not answer" for answer in answers]
        said = ", ".join(map(" ".join, zip(urls, heard, strict=True)))
        left_out.append(f"{_ELSEWHERE}: {said}")
        return None
    return Through(urls[0], front.host, "what users reach; not tried: nothing answers there")
