"""Sources that answer with single numbers, each asked for by a text: counters of the service and of criteria, and
values. `http.py` and `sql.py` get the numbers.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Self

from pydantic import model_validator

from healthd.model import FailureKind
from healthd_gates.domain.evidence import Counts, Events, Evidence, Lives, Stream, Values
from healthd_gates.domain.evidence import Numbers as StreamNumbers
from healthd_gates.sources.arm_look import ArmLook, Standpoint, States, combined
from healthd_gates.sources.contract import (
    Arms,
    Cursor,
    Look,
    Series,
    SourceConfig,
    SourceContext,
    SourceUnavailable,
)
from healthd_gates.sources.counter_resets import follow
from healthd_gates.sources.counters import Counter, Family, Snapshot, valid
from healthd_gates.sources.increase import Increase
from healthd_gates.sources.inspection import LASTING, ArmInspection, Inspection
from healthd_gates.sources.own_series import SeriesLook, with_streams

_WHOLE, _PARTS = ("of", "requests"), ("bad", "good", "events")


@dataclass(frozen=True, slots=True)
class Answered:
    """The numbers of one instance, by the text that asks for each, and what is wrong with the others."""

    numbers: Mapping[str, float]
    problems: Mapping[str, str] = field(default_factory=dict)


Answers = Mapping[str, Answered | SourceUnavailable]
"""Answer of each instance of an arm."""


class NumbersConfig(SourceConfig, ABC):
    """Common part of sources of single numbers."""

    latency_is_missing: ClassVar[str] = "histogram, as no source of this kind has: judge latency by another source"

    @property
    @abstractmethod
    def texts(self) -> dict[Family, str]:
        """The texts that ask for the service's own requests and errors, if it has any."""

    @property
    def counts_requests(self) -> bool:
        return bool(self.texts)

    @property
    def sees_traffic(self) -> bool:
        return self.counts_requests

    @property
    def measures_latency(self) -> bool:
        return False

    @abstractmethod
    def depends_on_arm(self, text: str) -> bool:
        """True if the number of a text is not the same for every arm."""

    @abstractmethod
    def check_text(self, text: str) -> None:
        """Check a text. Raises ValueError."""

    @abstractmethod
    def check_text_of(self, text: str, arms: Arms) -> None:
        """Raise ArmError if an arm lacks a value for a placeholder."""

    @model_validator(mode="after")
    def _requests_and_errors(self) -> Self:
        if len(self.texts) == 1:
            (there,) = self.texts
            raise ValueError("errors is missing" if there is Family.REQUESTS else "requests is missing")
        for family, text in self.texts.items():
            _checked(family.value, lambda text=text: self.check_text(text))
        return self

    def check(self, arms: Arms) -> None:
        for text in self.texts.values():
            self.check_text_of(text, arms)

    def tells_apart(self, arms: Arms) -> bool:
        return not self.texts or any(self.depends_on_arm(text) for text in self.texts.values())

    def check_series(self, series: Series) -> None:
        if "up" in series.parts:
            raise ValueError("up: what answers is there, so that nothing else has to show it: leave it out")
        for part, text in series.parts.items():
            _checked(part, lambda text=text: self.check_text(text))

    def check_series_of(self, series: Series, arms: Arms) -> None:
        for text in series.parts.values():
            self.check_text_of(text, arms)

    def tells_series_apart(self, series: Series) -> bool:
        return any(self.depends_on_arm(text) for text in series.parts.values())


class NumbersSource(ABC):
    """One gate's reader of single numbers."""

    def __init__(self, config: NumbersConfig, arms: Arms, context: SourceContext) -> None:
        self._numbers, self._clock, self._arms = config, context.clock, list(arms.named())
        self._series = context.series
        asked = [*config.texts.values(), *(text for each in context.series for text in each.parts.values())]
        self._texts: Sequence[str] = tuple(dict.fromkeys(asked))

    @abstractmethod
    async def read(self, texts: Sequence[str]) -> Mapping[str, Answers]:
        """Return what every instance of each arm answers. Raises SourceUnavailable."""

    async def observe(self, since: Cursor | None) -> Look:
        found = await self.read(self._texts)
        now = self._clock.now()
        outages = [answer for answers in found.values() for answer in answers.values()]
        if outages and all(isinstance(answer, SourceUnavailable) for answer in outages):
            raise next(answer for answer in outages if isinstance(answer, SourceUnavailable))
        positions = since.get("streams", {}) if since is not None else {}
        own = {each.stream: self._stream(each, found, positions.get(each.stream), now) for each in self._series}
        return with_streams(self._main(found, since, now), own, since, now)

    async def inspect(self) -> Inspection:
        """Return the numbers as they are now."""
        found = await self.read(self._texts)
        names = {text: family.value for family, text in self._numbers.texts.items()}
        for each in self._series:
            names |= {text: f"{each.stream}.{part}" for part, text in each.parts.items()}
        arms, refused, doubtful = dict[str, ArmInspection](), list[str](), list[str]()
        for name, answers in found.items():
            numbers: dict[str, float] = {}
            for answer in answers.values():
                if isinstance(answer, SourceUnavailable):
                    (refused if answer.kind in LASTING else doubtful).append(f"{name}: {answer}")
                    continue
                for text, number in answer.numbers.items():
                    numbers[names[text]] = numbers.get(names[text], 0.0) + number
                for text, problem in answer.problems.items():
                    # What depends on the version may come with it.
                    group = doubtful if self._numbers.depends_on_arm(text) else refused
                    group.append(f"{name}: {names[text]}: {problem}")
            arms[name] = ArmInspection(numbers=numbers)
        return Inspection(arms, tuple(dict.fromkeys(refused)), tuple(dict.fromkeys(doubtful)))

    def _main(self, found: Mapping[str, Answers], since: Cursor | None, now: datetime) -> Look | SourceUnavailable:
        at = now.timestamp()
        before = None if since is None else Standpoint.from_json(since)
        if not self._numbers.texts:
            evidence = Evidence(now, max(at - before.at, 0.001)) if before is not None else None
            began = at if before is None else before.began
            return Look(evidence, Standpoint(began, at, {}).to_json(), _outages(found))
        arms = dict[str, ArmLook]()
        for name, answers in found.items():
            states = {} if before is None else dict(before.arms.get(name, {}))
            counted = _count(answers, self._numbers.texts, states, at, is_first=before is None)
            silence = counted.silence
            down = sum(isinstance(a, SourceUnavailable) and a.is_down for a in answers.values())
            lives = Lives(counted.increase.restarts, counted.increase.repeated, down)
            counts = counted.increase.counts() if counted.told else None
            notes = (*(note for note in counted.problems if silence is None), *counted.increase.notes)
            arms[name] = ArmLook(
                counts, states, counted.gaps, counted.increase.resets, silence=silence, notes=notes, lives=lives
            )
        try:
            return combined(arms, now, before)
        except SourceUnavailable as outage:
            return outage

    def _stream(
        self, series: Series, found: Mapping[str, Answers], position: Mapping[str, Any] | None, now: datetime
    ) -> SeriesLook:
        if series.shape == "values":
            return _values(series.parts["value"], found)
        texts = _texts_of(series)
        numbers, stands = dict[str, StreamNumbers | None](), dict[str, Any]()
        gaps, resets, notes = 0, 0, list[str]()
        for name, answers in found.items():
            kept = (position or {}).get(name, {})
            states = {instance: Snapshot.from_json(raw) for instance, raw in kept.items()}
            counted = _count(answers, texts, states, now.timestamp(), is_first=position is None)
            numbers[name] = _shaped(series, counted) if counted.told else None
            gaps, resets = gaps + counted.gaps, resets + counted.increase.resets
            notes += [f"{name}: {note}" for note in (*counted.problems, *counted.increase.notes)]
            stands[name] = {instance: state.to_json() for instance, state in states.items()}
        stream = Stream(numbers["candidate"], numbers.get("baseline"), gaps, resets) if position is not None else None
        return SeriesLook(stream, stands, tuple(notes))


@dataclass(slots=True)
class _Counted:
    increase: Increase
    told: bool = False
    gaps: int = 0
    instances: int = 0
    problems: list[str] = field(default_factory=list)
    silence: SourceUnavailable | None = None


def _count(answers: Answers, texts: Mapping[Family, str], states: States, at: float, *, is_first: bool) -> _Counted:
    """Follow the counters of an arm's instances; `states` are changed to where they stand now."""
    counted = _Counted(Increase())
    for instance, answer in answers.items():
        if isinstance(answer, SourceUnavailable):
            counted.gaps += 1
            counted.problems.append(str(answer))
            counted.silence = counted.silence or answer
            continue
        wrong = [answer.problems[text] for text in texts.values() if text in answer.problems]
        wrong += [
            f"{text} is {answer.numbers[text]:g}, which no counter can be"
            for text in texts.values()
            if text in answer.numbers and not valid(answer.numbers[text])
        ]
        if wrong:
            counted.gaps += 1
            counted.problems += wrong
            counted.silence = counted.silence or SourceUnavailable(FailureKind.UNEXPECTED_RESPONSE, wrong[0])
            continue
        known = states.get(instance)
        values = {Counter(family, instance): answer.numbers[text] for family, text in texts.items()}
        later = at if known is None else max(at, known.at + 0.001)  # the clock may have been set back
        counted.gaps += known is None and not is_first
        counted.told = counted.told or known is not None
        counted.instances += 1
        states[instance] = follow(known, [Snapshot(later, values)], counted.increase) or states[instance]
    if counted.instances:
        counted.silence = None
    return counted


def _texts_of(series: Series) -> dict[Family, str]:
    """Return the texts of a criterion's counters. Events that nothing else is counted beside are followed as requests
    are, whose pace tells a restart from a lagging answer."""
    whole = next((text for part, text in series.parts.items() if part in _WHOLE), None)
    part = next(text for part, text in series.parts.items() if part in _PARTS)
    return {Family.REQUESTS: part} if whole is None else {Family.REQUESTS: whole, Family.ERRORS: part}


def _shaped(series: Series, counted: _Counted) -> StreamNumbers:
    counts = counted.increase.counts()
    if series.shape == "counts":
        return Counts(counts.requests, counts.errors)
    if "requests" in series.parts:
        return Events(counts.errors, counts.requests, counted.instances)
    return Events(counts.requests, None, counted.instances)


def _values(text: str, found: Mapping[str, Answers]) -> SeriesLook:
    measured, notes = dict[str, Values | None](), list[str]()
    for name, answers in found.items():
        numbers = list[float]()
        for answer in answers.values():
            if isinstance(answer, SourceUnavailable):
                notes.append(f"{name}: {answer}")
            elif text in answer.problems:
                notes.append(f"{name}: {answer.problems[text]}")
            else:
                numbers.append(answer.numbers[text])
        measured[name] = Values(tuple(numbers)) if numbers else None
    return SeriesLook(Stream(measured["candidate"], measured.get("baseline")), {}, tuple(notes))


def _outages(found: Mapping[str, Answers]) -> tuple[str, ...]:
    return tuple(
        f"{name}: {answer}"
        for name, answers in found.items()
        for answer in answers.values()
        if isinstance(answer, SourceUnavailable)
    )


def _checked(part: str, check: Any) -> None:
    try:
        check()
    except ValueError as error:
        raise ValueError(f"{part}: {error}") from None
