"""Criteria without statistics: a mean latency against a plain threshold, and answers from observed criteria."""

from collections import deque

from healthd_gates.domain.standing import CriterionReport, Finding, Reason, Unit
from healthd_gates.judge import explain
from healthd_gates.judge.criterion import Frame, Look
from healthd_gates.judge.rules import MeanLatencyRule, ObservedRule


class MeanLatency:
    """A `MeanLatencyRule` in use: exceeded or not over a sliding window, with no guarantee about chance."""

    log_e_harm = None
    weight = 0.0
    failure = Reason.THRESHOLD_EXCEEDED
    baseline_bad = False
    uncompared = False

    def __init__(self, rule: MeanLatencyRule, frame: Frame) -> None:
        self.name, self.critical = rule.name, rule.critical
        self._rule, self._frame = rule, frame
        self._window: deque[tuple[float, float, float]] = deque()

    def step(self, look: Look) -> None:
        """Take the evidence of one evaluation."""
        if look.settling:
            return
        latency = look.evidence.candidate.latency if look.evidence.candidate else None
        requests, total = (latency.total, latency.sum_seconds) if latency and latency.has_sum else (0.0, 0.0)
        self._window.append((look.evidence.seconds, requests, total))
        while self._seconds - self._window[0][0] >= self._rule.window - 1e-6:
            self._window.popleft()

    @property
    def _seconds(self) -> float:
        return sum(seconds for seconds, _, _ in self._window)

    @property
    def _requests(self) -> float:
        return sum(requests for _, requests, _ in self._window)

    @property
    def _mean(self) -> float | None:
        requests = self._requests
        return sum(total for _, _, total in self._window) / requests if requests else None

    @property
    def _full(self) -> bool:
        return self._seconds >= self._rule.window - 1e-6 and self._requests >= self._rule.requests

    @property
    def failed(self) -> bool:
        """True if the mean of a full window is above the limit."""
        return self._full and self._mean is not None and self._mean > self._rule.limit

    @property
    def proven(self) -> bool:
        """True if the mean of a full window is within the limit."""
        return self._full and self._mean is not None and self._mean <= self._rule.limit

    acceptable = proven

    def report(self, silence: Finding | None) -> CriterionReport:
        """Return the criterion's report."""
        mean, requests = self._mean, self._requests
        finding = Finding.HARM if self.failed else silence or (Finding.SAFE if self.proven else Finding.OPEN)
        seen = "unknown" if mean is None else explain.seconds(mean)
        return CriterionReport(
            name=self.name,
            critical=self.critical,
            finding=finding,
            sentence=(
                f"The mean latency of the last {explain.seconds(self._rule.window)} is {seen}"
                f" ({explain.plural(requests, 'request')}), limit {explain.seconds(self._rule.limit)};"
                " a plain threshold, without a guarantee."
            ),
            observed=mean,
            limit=self._rule.limit,
            requests=requests,
            requests_needed=0.0 if self._full else max(0.0, self._rule.requests - requests),
            seconds_needed=max(0.0, self._rule.window - self._seconds),
            unit=Unit.SECONDS,
        )


class Observed:
    """An `ObservedRule` in use: noes in a row fail it, a missing answer keeps it from passing. Noes while settling do
    not count, since a version that is still starting may fail.
    """

    log_e_harm = None
    weight = 0.0
    failure = Reason.OBSERVATION_FAILED
    baseline_bad = False
    uncompared = False

    def __init__(self, rule: ObservedRule) -> None:
        self.name, self.critical = rule.name, rule.critical
        self._rule = rule
        self._ok: bool | None = None
        self._detail = ""
        self._noes = 0
        self._seconds, self._started = 0.0, False

    def step(self, look: Look) -> None:
        """Take the evidence of one evaluation. An interval without an answer changes nothing; the answer "unknown"
        does."""
        self._seconds += look.evidence.seconds
        for observation in look.evidence.observations:
            if observation.criterion != self.name:
                continue
            self._ok, self._detail = observation.ok, observation.detail
            if observation.ok:
                self._noes, self._started = 0, True
            elif observation.ok is False and not look.settling and not self._may_be_starting:
                self._noes += 1

    @property
    def _may_be_starting(self) -> bool:
        return not self._started and self._seconds < self._rule.startup

    @property
    def failed(self) -> bool:
        """True after as many noes in a row as the rule allows."""
        return self._noes >= self._rule.failures

    @property
    def proven(self) -> bool:
        """True if the latest answer is yes."""
        return self._ok is True

    acceptable = proven

    def report(self, silence: Finding | None) -> CriterionReport:
        """Return the criterion's report. Traffic does not affect it."""
        return CriterionReport(name=self.name, critical=self.critical, finding=self._finding, sentence=self._sentence)

    @property
    def _finding(self) -> Finding:
        if self.failed:
            return Finding.HARM
        if self._ok is None:
            return Finding.NO_TELEMETRY
        return Finding.SAFE if self._ok else Finding.OPEN

    @property
    def _sentence(self) -> str:
        detail = f": {self._detail}" if self._detail else ""
        if self._ok is None:
            return f"{self.name} has not been answered{detail}."
        if self._ok:
            return f"{self.name} holds{detail}."
        if self._may_be_starting:
            return f"{self.name} does not hold yet{detail} (it may start for {explain.seconds(self._rule.startup)})."
        return f"{self.name} does not hold{detail} ({self._noes} of {self._rule.failures} in a row)."
