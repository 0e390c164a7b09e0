"""One reader for each followed file, shared by all gates that count it. Each gate has a place of its own; lines between
two places that are shared are read and counted once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from healthd.checks.failures import describe
from healthd.model import FailureKind
from healthd_gates.sources.access_log.counting import Counting
from healthd_gates.sources.access_log.follower import Follower, Reading
from healthd_gates.sources.access_log.format import Format
from healthd_gates.sources.access_log.places import Place, Position
from healthd_gates.sources.access_log.tally import Question, Tally
from healthd_gates.sources.access_log.worker import Worker
from healthd_gates.sources.contract import SourceUnavailable

_AT_ONCE = 32 * 1024 * 1024  # bytes of one evaluation
_APART = 0.25  # seconds between two readings of the file
_MOST_BATCHES, _MOST_CELLS = 1000, 20_000


@dataclass(frozen=True, slots=True)
class Ask:
    """A question to a log: which lines, in which format, and the edges of the latencies."""

    question: Question
    form: Format
    edges: tuple[float, ...]

    @property
    def name(self) -> tuple[Question, str]:
        return self.question, self.form.key


@dataclass(slots=True)
class Answer:
    """The counts since a place, and the place after them. `lost` counts the places after which lines are missing."""

    tally: Tally
    position: Any
    lost: int = 0
    more: bool = False
    problem: str | None = None
    overwritten: bool = False
    """True if the log is written to and does not grow."""
    older: int = 0
    """Lines of the time before the gate, which show that the log is written to."""
    seconds: float | None = None
    """The time that the counts are of, where it is not that since the last evaluation."""


@dataclass(slots=True)
class _Batch:
    """The counts of each question between two places of the shared reader."""

    end: Position
    tallies: dict[tuple[Question, str], Tally]
    reading: Reading


class OpenQuestion:
    """A question that is counted in every batch, with the edges of all who ask it."""

    def __init__(self, ask: Ask) -> None:
        self.counting, self.edges, self._users = Counting(ask.question, ask.form), ask.edges, 1

    def join(self, ask: Ask) -> None:
        self._users += 1
        self.edges = tuple(sorted({*self.edges, *ask.edges}))

    def leave(self) -> bool:
        """Return True if nobody asks it any more."""
        self._users -= 1
        return not self._users


class FileReader:
    """The shared reader of one file. Must be built in a running event loop."""

    def __init__(self, path: Path, steady: Callable[[], float]) -> None:
        self._path, self._steady = path, steady
        self._worker = Worker(str(path))
        self._follower: Follower | None = None
        self._batches: deque[_Batch] = deque()
        self._start: Position = ()
        self._read_at = float("-inf")
        self._questions: dict[tuple[Question, str], OpenQuestion] = {}
        self._problem: OSError | None = None

    def join(self, ask: Ask) -> None:
        """Count a question from now on."""
        if (known := self._questions.get(ask.name)) is not None:
            known.join(ask)
        else:
            self._questions[ask.name] = OpenQuestion(ask)

    def leave(self, ask: Ask) -> None:
        if self._questions[ask.name].leave():
            del self._questions[ask.name]

    async def close(self) -> None:
        follower, self._follower = self._follower, None
        if follower is not None:
            with suppress(SourceUnavailable):  # the file system does not answer
                await self._worker.call(follower.close, 1.0)

    async def collect(self, ask: Ask, since: Sequence[Any] | None, seconds: float) -> Answer:
        """Return what was counted since a place, within so many seconds; nothing, and the end of the log, without one.
        Raises SourceUnavailable."""
        position = None if since is None else tuple(Place.from_json(place) for place in since)
        try:
            return await self._worker.call(lambda: self._collect(ask, position), seconds)
        except OSError as error:
            raise self._unavailable(error) from error

    def _collect(self, ask: Ask, position: Position | None) -> Answer:
        self._advance(position)
        assert self._follower is not None
        end = self._follower.position
        if position is None:
            return Answer(Tally(ask.edges), end)
        batches = self._since(position, ask)
        if batches is None:
            return self._on_its_own(ask, position, end)
        answer = Answer(Tally(ask.edges), end, overwritten=self._follower.is_overwritten)
        for batch in batches:
            tally = batch.tallies[ask.name]
            answer.tally.merge(tally.with_edges(ask.edges))
            answer.tally.misfits += batch.reading.skipped
            answer.lost += batch.reading.lost
            answer.more = batch.reading.more
        if self._problem is not None:
            answer.problem = str(self._unavailable(self._problem))
        return answer

    def _advance(self, position: Position | None) -> None:
        """Read what is new, unless that was done just now. The first gate's place is where reading begins."""
        if self._follower is None:
            self._follower = Follower(self._path, position)
            self._start = position or self._follower.position
            self._batches.clear()
        now = self._steady()
        if position is not None and now < self._read_at + _APART:
            return
        self._read_at = now
        open_now = dict(self._questions)
        tallies = {name: Tally(each.edges) for name, each in open_now.items()}

        def count(lines: list[str]) -> None:
            for name, each in open_now.items():
                each.counting.add(lines, tallies[name])

        reading = self._follower.read(count, _AT_ONCE, now)
        self._problem = reading.problem
        end = self._follower.position
        if _spot(end) != _spot(self._end) or reading.lost:
            self._batches.append(_Batch(end, tallies, reading))
            self._forget()

    @property
    def _end(self) -> Position:
        return self._batches[-1].end if self._batches else self._start

    def _forget(self) -> None:
        """Forget the oldest batches. Who stands before them reads the file again."""
        cells = sum(tally.size for batch in self._batches for tally in batch.tallies.values())
        while len(self._batches) > 1 and (len(self._batches) > _MOST_BATCHES or cells > _MOST_CELLS):
            oldest = self._batches.popleft()
            cells -= sum(tally.size for tally in oldest.tallies.values())
            self._start = oldest.end

    def _since(self, position: Position, ask: Ask) -> list[_Batch] | None:
        """Return the batches since a place; None if they are not known, or were not counted for this question."""
        spot = _spot(position)
        places = [_spot(self._start), *(_spot(batch.end) for batch in self._batches)]
        if spot not in places:
            return None
        found = list(self._batches)[places.index(spot) :]
        edges = set(ask.edges)
        fit = all((it := batch.tallies.get(ask.name)) is not None and edges <= set(it.edges) for batch in found)
        return found if fit else None

    def _on_its_own(self, ask: Ask, position: Position, end: Position) -> Answer:
        """Read for one gate alone, up to the place of the shared reader: after a restart, or long after all others."""
        tally, counting = Tally(ask.edges), Counting(ask.question, ask.form)
        follower = Follower(self._path, position)
        try:
            reading = follower.read(lambda lines: counting.add(lines, tally), _AT_ONCE, self._steady(), end)
            tally.misfits += reading.skipped
            problem = str(self._unavailable(reading.problem)) if reading.problem is not None else None
            reached = follower.position
            if not reading.more and set(_spot(end)) <= set(_spot(reached)):
                reached = end  # from now on it shares the reader's batches
            return Answer(tally, reached, reading.lost, reading.more, problem)
        finally:
            follower.close()

    def _unavailable(self, error: OSError) -> SourceUnavailable:
        return unavailable(self._path, error)


def _spot(position: Position) -> tuple[tuple[int, int], ...]:
    return tuple((place.inode, place.offset) for place in position)


def unavailable(path: Path, error: OSError) -> SourceUnavailable:
    """Return why a log cannot be read, with the remedy."""
    if isinstance(error, FileNotFoundError):
        return SourceUnavailable(FailureKind.MISCONFIGURED, f"there is no {path}")
    if isinstance(error, PermissionError):
        remedy = "add healthd's user to the group that may (often adm), or run `setfacl -m u:healthd:r` on it"
        return SourceUnavailable(FailureKind.PERMISSION, f"healthd may not read {path}: {remedy}")
    if error.args and isinstance(error.args[-1], str) and error.args[-1].startswith("is "):
        return SourceUnavailable(FailureKind.MISCONFIGURED, f"{path} {error.args[-1]}")
    return SourceUnavailable(FailureKind.UNEXPECTED_RESPONSE, f"{path} cannot be read: {describe(error)}")
