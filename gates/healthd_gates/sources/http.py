"""Numbers in a JSON document that an address answers with, or each of the targets: by a path for each."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from math import isfinite
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import quote

from pydantic import Field
from yarl import URL

from healthd.checks.json_path import ABSENT, follow, path_of, steps_of
from healthd.model import FailureKind
from healthd.nearest import nearest
from healthd.runtime.web_address import ShownMasked
from healthd.wording import shape
from healthd_gates.sources.contract import Arm, ArmError, Arms, SourceConfig, SourceContext, SourceUnavailable
from healthd_gates.sources.counters import Family
from healthd_gates.sources.endpoint import Endpoint, all_of, place_of
from healthd_gates.sources.http_options import HttpConfig
from healthd_gates.sources.numbers import Answered, Answers, NumbersConfig, NumbersSource
from healthd_gates.sources.selectors import filled

_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")


class HttpSourceConfig(NumbersConfig, HttpConfig):
    """Numbers in the JSON that an address answers with. Each has a path: dotted (`queue.depth`, `items.-1.n`) or a JSON
    pointer (`/queue/depth`). `$version`, `$target` and the names of labels are replaced in address and paths.
    """

    kind: Literal["http"]
    url: Annotated[
        str,
        Field(
            pattern=shape(
                r"^(https?://[^\s$/?#]+(/[!-~]*)?|/[!-~]*)$",
                "an address that begins with http:// or https:// and has no placeholder in its host, or a path of the"
                " targets that begins with a slash",
            )
        ),
        ShownMasked(),
    ]
    """Address that answers with JSON; a path alone, such as `/stats`, is asked of every address of the arm's target."""
    port: int | None = Field(None, ge=1, le=65535)
    """The port of the targets where `url` is a path, if not that of the traffic."""
    requests: str | None = None
    """Path of the counter of requests, for criteria of error rate; without it, there are only those of criteria."""
    errors: str | None = None
    """Path of the counter of failed requests."""

    @property
    def texts(self) -> dict[Family, str]:
        paths = {Family.REQUESTS: self.requests, Family.ERRORS: self.errors}
        return {family: path for family, path in paths.items() if path is not None}

    def depends_on_arm(self, text: str) -> bool:
        return self.is_of_targets or "$" in self.url or "$" in text

    @property
    def is_apart(self) -> bool:
        return False

    @property
    def is_of_targets(self) -> bool:
        return self.url.startswith("/")

    @property
    def counts_instances(self) -> bool:
        return self.is_of_targets

    def check_text(self, text: str) -> None:
        if not text.strip() or "" in steps_of(text):
            raise ValueError(f"{text!r} is no path: write queue.depth, items.0.n or /queue/depth")

    def check_text_of(self, text: str, arms: Arms) -> None:
        for name, arm in arms.named().items():
            steps(text, name, arm)

    def check(self, arms: Arms) -> None:
        super().check(arms)
        for name, arm in arms.named().items():
            self.addresses(name, arm)

    def check_series_of(self, series: Any, arms: Arms) -> None:
        super().check_series_of(series, arms)
        self.check(arms)

    def addresses(self, name: str, arm: Arm) -> list[str]:
        """Return the addresses of an arm. Raises ArmError."""
        path = filled(self.url, name, arm, lambda value: quote(value, safe=""))
        if not self.is_of_targets:
            return [path]
        if not arm.urls:
            raise ArmError(f"{name}.target", "is needed: the source asks the targets of the service")
        bases = [URL(url).with_port(self.port) if self.port else URL(url) for url in arm.urls]
        return [str(base.origin()) + path for base in bases]


class Http(NumbersSource):
    """One gate's reader of JSON documents."""

    config_model: ClassVar[type[SourceConfig]] = HttpSourceConfig

    def __init__(self, config: HttpSourceConfig, arms: Arms, context: SourceContext) -> None:
        super().__init__(config, arms, context)
        self._named = arms.named()
        self._addresses = {name: config.addresses(name, arm) for name, arm in self._named.items()}
        self._endpoint = Endpoint(config, context.redact)

    async def read(self, texts: Sequence[str]) -> Mapping[str, Answers]:
        asked = dict.fromkeys(url for urls in self._addresses.values() for url in urls)
        documents = await all_of({url: self._document(url) for url in asked})
        return {
            name: {_key(url): self._answered(name, documents[url], texts) for url in urls}
            for name, urls in self._addresses.items()
        }

    async def close(self) -> None:
        await self._endpoint.close()

    async def _document(self, url: str) -> Any:
        """Return the JSON that an address answers with, or the outage."""
        try:
            answer = await self._endpoint.get(url, accept="application/json")
            self._endpoint.refuse_status(url, answer)
        except SourceUnavailable as outage:
            return outage
        try:
            return await asyncio.to_thread(json.loads, answer.body)
        except (ValueError, RecursionError):
            text = f"{place_of(url)} did not answer with JSON"
            kind = FailureKind.MISCONFIGURED if answer.is_page else FailureKind.UNEXPECTED_RESPONSE
            return self._endpoint.unavailable(kind, text)

    def _answered(self, name: str, document: Any, texts: Sequence[str]) -> Answered | SourceUnavailable:
        if isinstance(document, SourceUnavailable):
            return document
        numbers, problems = dict[str, float](), dict[str, str]()
        for text in texts:
            way = steps(text, name, self._named[name])
            found = follow(document, way)
            if (number := number_of(found)) is not None:
                numbers[text] = number
            else:
                what = (
                    f"is not there{_meant(document, way)}"
                    if found is ABSENT
                    else f"is {_shown(found)}, which is no number"
                )
                problems[text] = f"{text} {what}"
        return Answered(numbers, problems)


def _key(url: str) -> str:
    """Return the key of an address in the cursor, which does not show it."""
    return blake2b(url.encode(), digest_size=8).hexdigest()


def steps(text: str, name: str, arm: Arm) -> list[str]:
    """Return the steps of a path, filled in one by one: a version with dots in it is one step. Raises ArmError."""
    return [filled(step, name, arm) for step in steps_of(text)]


def _meant(document: Any, way: Sequence[str]) -> str:
    """Return the path with the name that is like the first one on the way that is not there, as it can be written."""
    node = document
    for number, step in enumerate(way):
        if (below := follow(node, [step])) is ABSENT:
            alike = nearest(step, map(str, node)) if isinstance(node, dict) else None
            return "" if alike is None else f"; did you mean {path_of([*way[:number], alike, *way[number + 1 :]])}?"
        node = below
    return ""


def number_of(found: Any) -> float | None:
    """Return a number, also one that is written as text; None for anything else."""
    if isinstance(found, str) and len(found) < 64 and _NUMBER.fullmatch(found):
        found = float(found)
    if isinstance(found, bool) or not isinstance(found, int | float):
        return None
    try:
        number = float(found)
    except OverflowError:
        return None
    return number if isfinite(number) else None


def _shown(found: object) -> str:
    """Return the type of a value, which may be a secret itself."""
    match found:
        case None | True | False:
            return json.dumps(found)
        case str():
            return "a text"
        case dict():
            return "an object"
        case list():
            return "a list"
    return "a number that is not finite"
