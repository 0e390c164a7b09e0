"""Finder in NGINX's configuration: the sites that pass requests on, where they log, and to which servers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from healthd_gates.commands.init.nginx_site import Front, Site, addresses, is_host
from healthd_gates.sources.access_log.formats import COMBINED

PLACES = tuple(
    map(Path, ("/etc/nginx/nginx.conf", "/usr/local/etc/nginx/nginx.conf", "/opt/homebrew/etc/nginx/nginx.conf"))
)
_TOKEN = re.compile(
    r"""\s+ | \#[^\n]*
    | (?P<quoted>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')
    | (?P<mark>[{};])
    | (?P<word>(?:\\.|\$\{|[^\s;{}])+)""",
    re.DOTALL | re.VERBOSE,
)
_ESCAPES = {"\\t": "\t", "\\r": "\r", "\\n": "\n", "\\\\": "\\", '\\"': '"', "\\'": "'"}
_ESCAPED = re.compile(r"\\.", re.DOTALL)
_MOST_FILES = 300
_NOT_SERVING = ("backup", "down")
Read = Callable[[Path], str]
"""A file → its text. Raises OSError."""
Matching = Callable[[Path, str], Sequence[Path]]
"""The folder of the configuration and a mask → the files that `include` takes, in order."""


@dataclass(slots=True)
class Directive:
    """A directive with its words, and what stands within its braces."""

    words: tuple[str, ...]
    block: list[Directive] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.words[0]


Levels = tuple[Sequence[Directive], ...]


def directives(text: str) -> list[Directive]:
    """Parse a configuration. What is cut off is taken as far as it goes."""
    top: list[Directive] = []
    stack, words = [top], list[str]()
    for found in _TOKEN.finditer(text):
        if found["quoted"] is not None:
            inner = found["quoted"][1:-1]
            words.append(_ESCAPED.sub(lambda it: _ESCAPES.get(it[0], it[0]), inner))
        elif found["word"] is not None:
            words.append(found["word"])
        elif found["mark"] == "}":
            words = []
            if len(stack) > 1:
                stack.pop()
        elif found["mark"] is not None and words:
            made, words = Directive(tuple(words)), []
            stack[-1].append(made)
            if found["mark"] == "{":
                stack.append(made.block)
    return top


def sites(
    main: Path, read: Read = lambda path: path.read_text("utf-8", "replace"), matching: Matching | None = None
) -> list[Site]:
    """Return the sites of a configuration and of all that it includes. Raises OSError if the main file cannot be read;
    one that it includes and that cannot is passed over."""
    whole = _included(directives(read(main)), main.parent, read, matching or _glob, [_MOST_FILES])
    http = [inner for each in whole if each.name == "http" for inner in each.block]
    formats = {each.words[1]: _text(each.words[2:]) for each in http if each.name == "log_format" and each.words[2:]}
    formats["combined"] = COMBINED
    upstreams = {
        each.words[1]: tuple(_serving(each.block)) for each in http if each.name == "upstream" and each.words[1:]
    }
    found = [site for each in http if each.name == "server" for site in _sites(each, http, formats, upstreams)]
    logs = [site.log for site in found]
    return [replace(each, shares_log=logs.count(each.log) > 1) for each in found]  # in NGINX's order


def _glob(folder: Path, mask: str) -> Sequence[Path]:
    whole = Path(mask) if mask.startswith("/") else folder / mask
    if not re.search(r"[*?[]", mask):
        return [whole]
    return sorted(Path(whole.anchor).glob(str(whole.relative_to(whole.anchor))))


def _included(tree: list[Directive], folder: Path, read: Read, matching: Matching, left: list[int]) -> list[Directive]:
    whole: list[Directive] = []
    for each in tree:
        if each.name != "include" or len(each.words) < 2:
            each.block = _included(each.block, folder, read, matching, left)
            whole.append(each)
            continue
        for file in matching(folder, each.words[1]):
            left[0] -= 1
            if left[0] < 0:
                return whole
            try:
                whole += _included(directives(read(file)), folder, read, matching, left)
            except OSError:
                continue
    return whole


def _text(words: Sequence[str]) -> str:
    return "".join(words[1:] if words[0].startswith("escape=") else words)


def _serving(block: Sequence[Directive]) -> Iterator[str]:
    """Yield the addresses of servers that get requests, as `host:port`."""
    for each in block:
        if each.name == "server" and each.words[1:] and not set(_NOT_SERVING) & set(each.words[2:]):
            address = each.words[1]
            if not address.startswith("unix:"):
                yield address if re.search(r":\d+$", address) else f"{address}:80"


def _sites(
    server: Directive, http: Sequence[Directive], formats: Mapping[str, str], upstreams: Mapping[str, tuple[str, ...]]
) -> Iterator[Site]:
    """Yield one site for each upstream that a server block passes requests to; what is said where it passes all of them
    on goes before what holds for one path."""
    seen: set[str] = set()
    names = [name for each in server.block if each.name == "server_name" for name in each.words[1:]]
    listening = addresses([each.words[1:] for each in server.block if each.name == "listen" and each.words[1:]])
    passing = [(levels, *path, *passed) for levels, path, passed in _passed((server.block, http), ("/", True))]
    for levels, path, is_prefix, place, uri in sorted(passing, key=lambda each: each[1] != "/"):
        if place in seen:
            continue
        seen.add(place)
        servers = upstreams.get(place) or ((place if ":" in place else f"{place}:80"),)
        log, name = _log(levels)
        own = place if place in upstreams else (names or ["_"])[0].removeprefix("www.").partition(".")[0]
        same = {each[1] for each in passing if each[3] == place}
        others = [each.words[1:] for each in server.block if each.name == "location" and each.words[-1] not in same]
        apart = tuple(f"= {words[1]}" if words[0] == "=" and len(words) == 2 else words[-1] for words in others)
        front = Front(listening, next(filter(is_host, names), None), path, uri, apart) if is_prefix else None
        yield Site(own, servers, log, formats.get(name), front=front)


def _passed(levels: Levels, path: tuple[str, bool]) -> Iterator[tuple[Levels, tuple[str, bool], tuple[str, str]]]:
    """Yield where requests are passed to: the blocks around that, the innermost first, the path of the location and
    whether it is a prefix, and the host with the path there."""
    for each in levels[0]:
        if each.name == "proxy_pass" and each.words[1:]:
            if found := re.match(r"https?://(?P<place>[^/$\s]+)(?P<uri>\S*)", each.words[1]):
                yield levels, path, (found["place"], found["uri"])
        elif each.name == "location" and each.words[1:]:
            is_prefix = len(each.words) == 2 or each.words[1] == "^~"
            yield from _passed((each.block, *levels), (each.words[-1], is_prefix))
        elif each.name in ("if", "limit_except"):
            yield from _passed((each.block, *levels), path)


def _log(levels: Levels) -> tuple[Path | None, str]:
    """Return the log and its format's name: of the innermost level that says it."""
    for level in levels:
        logs = [each.words for each in level if each.name == "access_log" and each.words[1:]]
        if not logs:
            continue
        for _, target, *more in logs:
            if target.startswith("/") and "$" not in target:
                name = more[0] if more and "=" not in more[0] and more[0] not in ("buffer", "gzip") else "combined"
                return Path(target), name
        return None, "combined"
    return Path("/var/log/nginx/access.log"), "combined"
