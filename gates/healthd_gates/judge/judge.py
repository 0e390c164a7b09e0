"""The judge: a fold over evidence. Its whole state can be rebuilt by replaying the same evidence."""

from collections.abc import Iterable, Sequence

from healthd_gates.domain.evidence import Evidence
from healthd_gates.domain.standing import Reason, Standing, Verdict
from healthd_gates.judge import explain
from healthd_gates.judge.criterion import END_SUSPICION, Criterion, Frame, Look
from healthd_gates.judge.mixtures import log_weighted
from healthd_gates.judge.past import Past
from healthd_gates.judge.rhythm import Rhythm
from healthd_gates.judge.rules import Against, Rules
from healthd_gates.judge.stability import Stability
from healthd_gates.judge.streams import OwnStream
from healthd_gates.judge.traffic import Traffic

_UNSEEN_LOOKS, _UNSEEN_SPACINGS = 4.0, 2.0
"""Intervals, and usual distances of the candidate's numbers, beyond which an evaluation came after a time in which
nobody looked, such as one without the daemon: its numbers are one report, and give no more evidence than one."""
_ROUNDING = 0.05
"""Share of an interval by which a clock may run early and still have reached a mark."""


class Judge:
    """Judges one candidate. The first verdict that `step` returns is the decision; the caller stops there.

    `history` is the baseline before the switch, oldest interval first; `bake` the evidence of the gate before this
    judge takes over for its watch; `earlier` that of gates before it, where the source keeps no history.

    Judging is deterministic: the same rules, history and evidence give the same standing, so that a judge is stored as
    its evidence and restored by `replay`.
    """

    def __init__(
        self,
        rules: Rules,
        history: Sequence[Evidence] = (),
        bake: Sequence[Evidence] = (),
        earlier: Sequence[Evidence] = (),
    ) -> None:
        self._rules = rules
        self._frame = Frame(rules.risk, rules.timing)
        names = dict.fromkeys(rule.stream for rule in rules.criteria)
        pasts = {name: Past.of(history, bake, name, earlier) for name in names}
        self._criteria = [rule.build(self._frame, pasts[rule.stream]) for rule in rules.criteria]
        self._streams = {
            name: OwnStream(name, rules.lateness.get(name, rules.timing.lateness)) for name in names if name is not None
        }
        self._needed_streams = [
            self._streams[rule.stream] for rule in rules.criteria if rule.critical and rule.stream is not None
        ]
        self._traffic = Traffic(rules.timing.lateness, whole=rules.whole)
        self._stability = Stability()
        traffic = [rule for rule in rules.criteria if rule.critical and rule.reads_traffic and rule.stream is None]
        self._needs_traffic = bool(traffic)
        self._compares = any(rule.compares_with is Against.CONCURRENT for rule in traffic)
        self._rhythm = Rhythm()
        self._elapsed = 0.0
        self._maximum = rules.timing.maximum
        self._settling = False
        self._gaps = self._resets = 0
        self.unseen_seconds = 0.0

    def step(self, evidence: Evidence) -> Standing:
        """Take the evidence of the next interval and return the standing."""
        self.take(evidence)
        verdict, reason = self.decision
        silence = self._traffic.silence
        return Standing(
            at=evidence.at,
            elapsed_seconds=self._elapsed,
            verdict=verdict,
            reason=reason,
            sentence=self._told(reason) + self._nobody(reason) + self._stability.remark + self._remark(verdict),
            log_e_harm=self.log_e_harm,
            log_e_needed=self._frame.harm_needed,
            criteria=tuple(
                criterion.report(silence if rule.stream is None else self._streams[rule.stream].silence)
                for rule, criterion in zip(self._rules.criteria, self._criteria, strict=True)
            ),
            gaps=self._gaps,
            resets=self._resets,
        )

    def take(self, evidence: Evidence) -> None:
        """Take the evidence of the next interval without asking for a standing."""
        middle = self._elapsed + evidence.seconds / 2
        unwatched = self._unseen_of(evidence)
        self._postpone(evidence, unwatched)
        self._rhythm.step(evidence)
        look = Look(evidence, middle < self._rules.timing.initial_delay, self._rhythm)
        self._settling = look.settling
        self._elapsed += evidence.seconds
        self._gaps += evidence.gaps
        self._resets += evidence.resets
        self._traffic.step(evidence, unwatched=unwatched > 0, span=self._rhythm.span)
        self._stability.step(evidence, settling=look.settling)
        looks: dict[str | None, Look] = {None: look}
        for name, stream in self._streams.items():
            looks[name] = Look(stream.step(evidence), look.settling, stream.rhythm)
        for rule, criterion in zip(self._rules.criteria, self._criteria, strict=True):
            criterion.step(looks[rule.stream])

    def _unseen_of(self, evidence: Evidence) -> float:
        """The seconds of an interval in which nobody looked."""
        usual = max(_UNSEEN_LOOKS * self._rules.timing.interval, _UNSEEN_SPACINGS * self._rhythm.spacing)
        return max(0.0, evidence.seconds - usual)

    def _postpone(self, evidence: Evidence, unwatched: float) -> None:
        """Give back the time in which nobody looked: it is none of the time that the rules give to the evidence."""
        if evidence.candidate is not None:
            self.unseen_seconds += unwatched
            self._maximum += unwatched

    def end_within(self, seconds: float) -> None:
        """Let the time be up so many seconds after the newest evidence, though the rules would give it longer.

        The time counts from the end of the initial delay at the earliest. Evidence counts on as before: only its end
        moves, at which a pass still needs the limits proven, every comparison made and no suspicion of harm.
        """
        observed = max(0.0, self._elapsed - self._rules.timing.initial_delay)
        self._maximum = min(self._rules.timing.maximum + self.unseen_seconds, observed + seconds)

    @property
    def log_e_harm(self) -> float:
        """ln of the weighted mean of all critical criteria's e-values, valid whatever their dependence
        (Vovk & Wang 2021, theorem 3.2).
        """
        weighed = [
            (criterion.weight, criterion.log_e_harm)
            for criterion in self._criteria
            if criterion.critical and criterion.log_e_harm is not None
        ]
        total = sum(weight for weight, _ in weighed)
        return log_weighted([(weight / total, log_e) for weight, log_e in weighed]) if weighed else 0.0

    @property
    def decision(self) -> tuple[Verdict | None, Reason]:
        """The verdict, None while the gate goes on, and why."""
        critical = [c for c in self._criteria if c.critical]
        miscounted = self._needs_traffic and self._traffic.is_miscounted
        if miscounted or any(stream.is_miscounted for stream in self._needed_streams):
            return Verdict.INCONCLUSIVE, Reason.MISCOUNTED
        for failed in (c for c in critical if c.failed):
            return Verdict.FAIL, failed.failure
        if self.log_e_harm >= self._frame.harm_needed:
            return Verdict.FAIL, Reason.HARM
        if self._settling:
            return None, Reason.SETTLING
        if self._needs_traffic and (unseen := self._unseen) is not None:
            return unseen
        if any(stream.silence or stream.is_late for stream in self._needed_streams):
            waits = not self._reached(self._maximum + self._rules.timing.patience)
            late = not any(stream.silence for stream in self._needed_streams)
            return (Verdict.INCONCLUSIVE if self._over and not (late and waits) else None), Reason.NO_SERIES
        proves = any(getattr(c, "proves_safety", True) for c in critical)
        if self._reached(self._rules.timing.minimum) and self._proven:
            return Verdict.PASS, Reason.PROVEN_SAFE
        if not self._over:
            return None, Reason.BASELINE_ALREADY_BAD if self._baseline_bad else Reason.OBSERVING
        if all(c.acceptable for c in critical):
            return Verdict.PASS, Reason.NO_EVIDENCE_OF_HARM if proves else Reason.NO_SIGN_OF_HARM
        return Verdict.INCONCLUSIVE, self._inconclusive_reason(critical)

    @property
    def _proven(self) -> bool:
        """True if every critical criterion is proven safe."""
        critical = [c for c in self._criteria if c.critical]
        return any(getattr(c, "proves_safety", True) for c in critical) and all(c.proven for c in critical)

    def _told(self, reason: Reason) -> str:
        waits = reason is Reason.OBSERVING and not self._reached(self._rules.timing.minimum)
        return explain.PROVEN_EARLY if waits and self._proven else explain.REASONS[reason]

    @property
    def _unseen(self) -> tuple[Verdict | None, Reason] | None:
        """The verdict and reason that follow from missing numbers: without fresh numbers of a candidate that still has
        its traffic, and of a baseline if one was required, no gate passes.
        """
        if self._stability.is_crash_looping:
            return Verdict.INCONCLUSIVE, Reason.CRASH_LOOPING
        if (loss := self._traffic.loss) is not None:
            return Verdict.INCONCLUSIVE, loss
        if self._misses_baseline and self._elapsed > self._rules.timing.initial_delay + self._rules.timing.patience:
            return Verdict.INCONCLUSIVE, Reason.NO_BASELINE
        if self._traffic.is_elsewhere:
            return (Verdict.INCONCLUSIVE if self._over else None), Reason.NOT_SWITCHED
        if (doubt := self._traffic.doubt or self._stability.doubt) is None:
            return None if self._traffic.is_seen_again else (None, Reason.UNWATCHED)
        patience = self._rules.timing.patience + (self._rules.timing.interval if doubt is Reason.NOT_FRESH else 0.0)
        waits = doubt in _PASSING and not self._reached(self._maximum + patience)
        return (Verdict.INCONCLUSIVE if self._over and not waits else None), doubt

    def _nobody(self, reason: Reason) -> str:
        """The remark that the other version has no traffic either: then it is not the release that has lost it."""
        told = reason in (Reason.NO_TRAFFIC, Reason.TRAFFIC_LOST) and self._traffic.is_nowhere
        return " None comes to the baseline either: nobody has any requests." if told else ""

    def _remark(self, verdict: Verdict | None) -> str:
        if verdict is None:
            return self._signs_of_harm
        lacking = [c.name for c in self._criteria if c.critical and getattr(c, "compared_with_nothing", c.uncompared)]
        if verdict is not Verdict.PASS or not lacking:
            return ""
        return f" Compared with nothing ({', '.join(lacking)}): no past yet; the limit alone decided."

    @property
    def _signs_of_harm(self) -> str:
        """The criteria that suspect harm, for whom looks while the gate waits for a proof or for something else."""
        suspecting = [
            rule.name
            for rule, criterion in zip(self._rules.criteria, self._criteria, strict=True)
            if criterion.critical and criterion.log_e_harm is not None and criterion.log_e_harm >= END_SUSPICION
        ]
        return f" There are signs of harm: {', '.join(suspecting)}." if suspecting else ""

    @property
    def _misses_baseline(self) -> bool:
        """True if a criterion compares with a version that never sent numbers, while the candidate does."""
        return self._compares and self._traffic.silence is None and not self._traffic.has_baseline

    def _inconclusive_reason(self, critical: list[Criterion]) -> Reason:
        if any(c.log_e_harm is not None and c.log_e_harm >= END_SUSPICION for c in critical):
            return Reason.HARM_SUSPECTED
        if self._baseline_bad:
            return Reason.BASELINE_ALREADY_BAD
        if any(getattr(c, "is_too_coarse", False) for c in critical):
            return Reason.TOO_COARSE
        return Reason.NO_BASELINE if any(c.uncompared for c in critical) else Reason.NOT_ENOUGH_EVIDENCE

    @property
    def _baseline_bad(self) -> bool:
        return any(c.critical and c.baseline_bad for c in self._criteria)

    @property
    def _over(self) -> bool:
        return self._reached(self._maximum)

    def _reached(self, mark: float) -> bool:
        timing = self._rules.timing
        return self._elapsed >= timing.initial_delay + mark - _ROUNDING * timing.interval


def replay(rules: Rules, history: Sequence[Evidence], evidence: Iterable[Evidence]) -> Judge:
    """Return the judge as it was after `evidence`."""
    judge = Judge(rules, history)
    for interval in evidence:
        judge.take(interval)
    return judge


_PASSING = (
    Reason.NOT_FRESH,
    Reason.TRAFFIC_FALLING,
    Reason.TRAFFIC_LOST,
    Reason.RESTARTED,
    Reason.UNREACHABLE,
)
"""Doubts that the next numbers may remove."""
