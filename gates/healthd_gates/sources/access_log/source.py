"""Counts from the access log of a proxy, which every team has. `file_reader.py` reads it for all gates."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from math import inf
from typing import Any, ClassVar

from healthd.checks.expectations import has_status
from healthd.model import FailureKind
from healthd.units import show_duration
from healthd_gates.domain.evidence import Counts, Evidence, Histogram, Stream
from healthd_gates.domain.strata import OTHER as STRATUM_OTHER
from healthd_gates.domain.strata import Choice
from healthd_gates.sources.access_log.addresses import Addresses
from healthd_gates.sources.access_log.config import AccessLogConfig
from healthd_gates.sources.access_log.counting import Counting
from healthd_gates.sources.access_log.file_reader import Answer, Ask, FileReader, unavailable
from healthd_gates.sources.access_log.heartbeat import Heart
from healthd_gates.sources.access_log.hub import Membership, Reader
from healthd_gates.sources.access_log.inspection import LENGTH, inspect_lines, nearest_file
from healthd_gates.sources.access_log.notes import notes_of
from healthd_gates.sources.access_log.past import Span, last_lines, past
from healthd_gates.sources.access_log.s3_bucket import Bucket
from healthd_gates.sources.access_log.s3_past import newest_lines, newest_span, past_of_bucket
from healthd_gates.sources.access_log.s3_reader import S3Reader
from healthd_gates.sources.access_log.series import LogSeries, selections_of
from healthd_gates.sources.access_log.syslog_reader import SyslogReader
from healthd_gates.sources.access_log.tally import CLIENT_CLOSED, Question, Tally
from healthd_gates.sources.access_log.worker import Worker
from healthd_gates.sources.arm_look import ArmLook, Standpoint, combined
from healthd_gates.sources.contract import Arms, Cursor, Look, SourceConfig, SourceContext, SourceUnavailable
from healthd_gates.sources.inspection import Inspection

_APPENDED = "as HAProxy does where its output is a file, also behind `>>`: write `| cat >>` the file, or use `syslog`"
_MISFITS = 0.1  # share of the lines; beyond it the others say too little
_PAST = 25.0  # seconds to read the past in


class AccessLog:
    """One gate's part of a log."""

    config_model: ClassVar[type[SourceConfig]] = AccessLogConfig

    def __init__(self, config: AccessLogConfig, arms: Arms, context: SourceContext) -> None:
        self._config, self._clock = config, context.clock
        self._expected = {name: config.expected(name, arm) for name, arm in arms.named().items()}
        self._addresses = Addresses()
        only = tuple(sorted((name, frozenset(values)) for name, values in config.only.items()))
        selections = selections_of(context.series)
        question = Question(
            config.key or "",
            only,
            config.ignore_agents,
            config.ignore_paths,
            config.latency_of == "upstream",
            context.by or "",
            selections,
        )
        self._series = [LogSeries(series, selections, config.counts) for series in context.series]
        self._latency_by = context.latency_by
        self._ask = Ask(question, config.form, tuple(sorted({*config.edges, *context.edges})))
        self._membership: Membership | None = None
        self._heart: Heart | None = None

    async def observe(self, since: Cursor | None) -> Look:
        now = self._clock.now()
        at = now.timestamp()
        answer = await self._collect(None if since is None else since["place"])
        if since is None:
            look = combined({name: ArmLook(None, {}) for name in self._expected}, now, None)
            return replace(look, cursor={**look.cursor, "place": answer.position, "heard": at})
        heard = at if answer.older or answer.tally.lines > answer.tally.misfits else since["heard"]
        silence = self._silence(answer, at - heard)
        if silence is not None and _has_nothing_for_later(answer):
            evidence = Evidence(now, max(at - since["at"], 0.001), gaps=answer.tally.misfits + answer.lost)
            return Look(evidence, {**since, "at": at, "place": answer.position}, (str(silence),))
        values = {name: await self._values(expected) for name, expected in self._expected.items()}
        told = silence is None and answer.tally.lines > 0
        arms = {
            name: ArmLook(self._counts(answer.tally, values[name]) if told and counts else None, {}, silence=silence)
            for name, counts in ((name, self._is_told(name)) for name in self._expected)
        }
        notes = notes_of(answer, values, self._config, self._addresses.unknown)
        arms["candidate"] = replace(arms["candidate"], gaps=answer.tally.misfits + answer.lost, notes=notes)
        look = combined(arms, now, Standpoint.from_json(since))
        streams = self._streams(answer, values, arms["candidate"].gaps) if told else {}
        counted = replace(look.evidence, streams=streams) if look.evidence is not None else None
        return replace(look, evidence=counted, cursor={**look.cursor, "place": answer.position, "heard": heard})

    async def history(self, start: datetime, end: datetime, step: float) -> list[Evidence]:
        """Return the evidence of every `step` seconds from `start` on, oldest first; steps of which the log says
        nothing are left out, and all are if its lines have no time."""
        tallies = await self._past(Span(start.timestamp(), step, int((end - start).total_seconds() / step + 1e-9)))
        values = {name: await self._values(expected) for name, expected in self._expected.items()}
        choice, found = Choice(), list[Evidence]()
        for place, tally in sorted(tallies.items()):
            baseline = values.get("baseline")
            candidate, beside = choice.fold(
                self._counts(tally, values["candidate"]),
                self._counts(tally, baseline) if baseline is not None else None,
            )
            end = start + timedelta(seconds=step * (place + 1))
            streams = self._streams(Answer(tally, None), values, tally.misfits)
            found.append(Evidence(end, step, candidate, beside, gaps=tally.misfits, streams=streams))
        return found

    async def _past(self, span: Span) -> dict[int, Tally]:
        ask = self._ask
        if (bucket := self._bucket()) is not None:
            try:
                return await past_of_bucket(bucket, ask, span, self._clock, _PAST)
            finally:
                await bucket.close()
        if (file := self._config.file) is None:
            return {}
        try:
            return await Worker(str(file)).call(lambda: past(file, ask.form, ask.question, ask.edges, span), _PAST)
        except OSError as error:
            raise unavailable(file, error) from error

    async def inspect(self) -> Inspection:
        if (bucket := self._bucket()) is not None:
            return await self._inspect_bucket(bucket)
        if (file := self._config.file) is None:
            await self._collect(None)
            return Inspection({}, doubtful=self._config.doubts)
        values = {name: await self._values(expected) for name, expected in self._expected.items()}
        counting = Counting(self._ask.question, self._ask.form)

        def look() -> Inspection:
            lines = last_lines(file, LENGTH)
            newest = max(0.0, self._clock.now().timestamp() - file.stat().st_mtime)
            return inspect_lines(lines, self._config, counting, values, newest, self._ask.question.split, self._series)

        try:
            return await Worker(str(file)).call(look, self._config.timeout)
        except OSError as error:
            problem = unavailable(file, error)
            hint = nearest_file(file) if isinstance(error, FileNotFoundError) else ""
            raise SourceUnavailable(problem.kind, f"{problem}{hint and '.'}{hint}") from error

    async def _inspect_bucket(self, bucket: Bucket) -> Inspection:
        span = newest_span(self._clock.now().timestamp())
        try:
            lines, newest = await newest_lines(bucket, self._clock, LENGTH)
            tallies = await past_of_bucket(bucket, self._ask, span, self._clock, self._config.timeout)
        finally:
            await bucket.close()
        if newest is None:
            text = f"{self._config.log} has no object of the last hour: are the load balancer's access logs on?"
            return Inspection({}, doubtful=(f"{text} Is `prefix` its access_logs.s3.prefix?", *self._config.doubts))
        values = {name: await self._values(expected) for name, expected in self._expected.items()}
        counting = Counting(self._ask.question, self._ask.form)
        split = self._ask.question.split
        seen = await asyncio.to_thread(
            inspect_lines, lines, self._config, counting, values, newest, split, self._series
        )
        if (tally := tallies.get(0)) is None:
            return seen
        arms = {
            name: replace(
                arm, counts=self._counts(tally, values[name]), counted=span.step, edges=(*self._ask.edges, inf)
            )
            for name, arm in seen.arms.items()
        }
        return replace(seen, arms=arms)

    def _bucket(self) -> Bucket | None:
        return Bucket(self._config.s3, self._config.timeout) if self._config.s3 is not None else None

    async def close(self) -> None:
        if (heart := self._heart) is not None:
            self._heart = None
            await heart.close()
        membership, self._membership = self._membership, None
        if membership is not None:
            await membership.close()

    async def _collect(self, place: Any) -> Answer:
        if self._heart is None and self._config.heartbeat is not None:
            self._heart = Heart(self._config.heartbeat)
        if self._membership is None:
            # Which lines of a bucket count depends on when the gate began: it shares none.
            own = f"#{id(self)}" if self._config.s3 is not None else ""
            self._membership = Membership(f"{self._config.log}{own}", self._build_reader, self._ask)
        return await self._membership.reader.collect(self._ask, place, self._config.timeout)

    def _build_reader(self) -> Reader:
        if self._config.syslog is not None:
            return SyslogReader(self._config.syslog)
        if self._config.s3 is not None:
            return S3Reader(self._config.s3, self._clock, self._config.timeout)
        assert self._config.file is not None
        return FileReader(self._config.file, self._clock.steady)

    def _is_told(self, name: str) -> bool:
        """True if the log tells an arm's requests: all are the candidate's, where nothing tells the two apart."""
        return name == "candidate" or self._expected[name] is not None

    async def _values(self, expected: frozenset[str] | None) -> frozenset[str] | None:
        return await self._addresses.of(expected) if expected is not None and self._config.by_address else expected

    def _counts(self, tally: Tally, values: Collection[str] | None) -> Counts:
        requests, errors, seconds, timed = 0, 0, 0.0, 0
        buckets = [0] * (len(self._ask.edges) + 1)
        for (key, status), cell in tally.cells.items():
            if (values is not None and key not in values) or (failed := self._failed(status)) is None:
                continue
            requests += cell.requests
            errors += cell.requests if failed else 0
            seconds, timed = seconds + cell.seconds, timed + cell.timed
            buckets = [one + more for one, more in zip(buckets, cell.buckets, strict=True)]
        edges = (*self._ask.edges, inf)
        measured = self._config.measures_latency and (timed > 0 or not requests)
        latency = Histogram(edges, tuple(map(float, buckets)), seconds) if measured else None
        return Counts(requests, errors, latency, self._strata(tally, values), self._strata_latency(tally, values))

    def _streams(self, answer: Answer, values: Mapping[str, Collection[str] | None], gaps: int) -> dict[str, Stream]:
        arms = [name for name in values if self._is_told(name)]
        found = {}
        for each in self._series:
            numbers = {name: each.numbers(answer.tally, values[name], answer.seconds) for name in arms}
            found[each.stream] = Stream(numbers["candidate"], numbers.get("baseline"), gaps)
        return found

    def _strata(self, tally: Tally, values: Collection[str] | None) -> dict[str, tuple[float, float]]:
        found: dict[str, tuple[float, float]] = {}
        for (key, stratum), statuses in tally.strata.items():
            if values is not None and key not in values:
                continue
            name = stratum or STRATUM_OTHER
            requests, errors = found.get(name, (0.0, 0.0))
            for status, count in statuses.items():
                if (failed := self._failed(status)) is not None:
                    requests, errors = requests + count, errors + count * failed
            if requests:
                found[name] = (requests, errors)
        return found

    def _strata_latency(self, tally: Tally, values: Collection[str] | None) -> dict[str, Histogram]:
        if self._latency_by is None:
            return {}
        found: dict[str, list[int]] = {}
        for (key, stratum), statuses in tally.latencies.items():
            if values is not None and key not in values:
                continue
            for status, buckets in statuses.items():
                if self._failed(status) is not None:
                    sums = found.setdefault(stratum or STRATUM_OTHER, [0] * len(buckets))
                    sums[:] = [one + more for one, more in zip(sums, buckets, strict=True)]
        edges = (*self._ask.edges, inf)
        return {name: Histogram(edges, tuple(map(float, buckets))) for name, buckets in found.items()}

    def _failed(self, status: int) -> bool | None:
        """True if a request of this status failed; None if it does not count."""
        if status == CLIENT_CLOSED:
            return True if self._config.client_closed == "error" else None
        return has_status(self._config.errors, status)

    def _silence(self, answer: Answer, quiet: float) -> SourceUnavailable | None:
        """Return why nothing is known of the time since the last evaluation; None if it is, or if it is too early to
        say."""
        tally, log = answer.tally, self._config.log
        if tally.misfits > _MISFITS * tally.lines:
            text = f"{tally.misfits} of {tally.lines} lines of {log} do not fit the format {self._ask.form.name}"
            return SourceUnavailable(FailureKind.UNEXPECTED_RESPONSE, f"{text}: see `healthd source test`")
        if not tally.lines and answer.problem is not None:
            return SourceUnavailable(FailureKind.UNEXPECTED_RESPONSE, answer.problem)
        if quiet > self._config.silent_for:
            if answer.overwritten:
                text = f"{log} is written to and does not grow: its writer begins at its start again, {_APPENDED}"
                return SourceUnavailable(FailureKind.UNEXPECTED_RESPONSE, text)
            if self._config.s3 is not None:
                text = f"nothing new came to {log} for {show_duration(round(quiet))}: are its access logs on?"
                if answer.more:
                    text = f"{log} is written to faster than it is read"
                return SourceUnavailable(FailureKind.TIMEOUT, text)
            text = f"nothing was written to {log} for {show_duration(round(quiet))}"
            return SourceUnavailable(FailureKind.TIMEOUT, f"{text}; with `heartbeat` healthd knows if that is silence")
        return None


def _has_nothing_for_later(answer: Answer) -> bool:
    """True if lines that are of no use now would not be later either, or are more than one look can read: reading goes
    on behind them, where otherwise the next look would read them again."""
    tally = answer.tally
    return tally.misfits > _MISFITS * tally.lines and (answer.more or tally.misfits == tally.lines)
