"""Sources that a gate observes, as its criteria read them, and where the numbers of its versions are in them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from healthd.nearest import did_you_mean
from healthd_gates.domain.request import Version
from healthd_gates.judge.rules import Against
from healthd_gates.sources.contract import Arm, ArmError, Arms, Series, SourceConfig, SourceContext

if TYPE_CHECKING:  # the settings import this module to check what hooks name
    from healthd_gates.config.policy import Policy
    from healthd_gates.config.service import Service
    from healthd_gates.criteria.contract import CriterionConfig


@dataclass(frozen=True, slots=True)
class ReadSource:
    """A source that a gate reads; `name` is None for the service's first one. `series` are those that criteria name in
    it, `streams` those that have its counts as they are, `by` the label by which these are split, and `latency_by` the
    one by which their latencies are."""

    name: str | None
    config: SourceConfig
    series: tuple[Series, ...] = ()
    streams: tuple[str, ...] = ()
    by: str | None = None
    latency_by: str | None = None

    def context(self, context: SourceContext) -> SourceContext:
        """Return what the source gets when it is built: with what is read from it."""
        return replace(context, series=self.series, by=self.by, latency_by=self.latency_by)

    def blind_to(self, arms: Arms) -> Blindness:
        """Return the numbers that are the same ones for both of the arms."""
        apart = self.config.tells_apart(arms)
        shared = [
            each.stream
            for each in self.series
            if not self.config.tells_series_apart(each) or not (apart or any("$" in it for it in each.parts.values()))
        ]
        return Blindness(not apart, frozenset(shared))


@dataclass(frozen=True, slots=True)
class Blindness:
    """Numbers of a source that are the same ones for both versions: its `counts`, and `streams` of criteria."""

    counts: bool = False
    streams: frozenset[str] = frozenset()


def sources_of(policy: Policy, service: Service) -> tuple[ReadSource, ...]:
    """Return the sources that the criteria read, each once; the service's first one is the first."""
    found: dict[str | None, ReadSource] = {}
    for criterion in policy.criteria:
        config = service.source_of(criterion) if criterion.reads_traffic else None
        if config is None:
            continue
        name = None if config is service.traffic_source else criterion.named_source
        one = found.get(name, ReadSource(name, config))
        if criterion.series is not None:
            one = replace(one, series=(*one.series, criterion.series))
        elif criterion.stream is not None and criterion.stream not in one.streams:
            one = replace(one, streams=(*one.streams, criterion.stream))
        latency_by = criterion.split_by if criterion.reads_latency else None
        found[name] = replace(one, by=one.by or criterion.split_by, latency_by=one.latency_by or latency_by)
    return tuple(sorted(found.values(), key=lambda one: one.name is not None))


def criteria_of(policy: Policy, service: Service, config: SourceConfig) -> tuple[CriterionConfig, ...]:
    """Return the criteria that read a source."""
    return tuple(each for each in policy.criteria if each.reads_traffic and service.source_of(each) is config)


def arms_of(service_name: str, service: Service, candidate: Version, baseline: Version | None) -> Arms:
    """Return the arms that are observed. Raises KeyError for a target that the service does not have."""
    return Arms(service_name, _arm(service, candidate), _arm(service, baseline) if baseline else None)


def _arm(service: Service, version: Version) -> Arm:
    target = target_of(service, version)
    urls = service.addresses(target) if target is not None else ()
    return Arm(version.version, version.labels, target, urls)


def target_of(service: Service, version: Version) -> str | None:
    """Return the target that a version runs on: the one that it names, or the only one that there is."""
    if version.target is not None:
        return version.target
    return next(iter(service.targets)) if len(service.targets) == 1 else None


def check_versions(name: str, service: Service, policy: Policy, candidate: Version, baseline: Version | None) -> None:
    """Check that a gate of a service, called `name`, could observe these versions under a policy. Raises ArmError."""
    check_targets(candidate, baseline, service, needed=policy.needs_target)
    arms = arms_of(name, service, candidate, baseline)
    compared = {each.stream for each in policy.criteria if each.compares_with is Against.CONCURRENT}
    for source in sources_of(policy, service):
        source.config.check(arms)
        for series in source.series:
            source.config.check_series_of(series, arms)
        counts = {None, *source.streams} if source.name is None else {*source.streams}
        if compared & counts and not source.config.tells_apart(arms):
            which = f"the source of {name}" if source.name is None else f"the source {source.name}"
            raise ArmError(
                "baseline",
                f"{which} counts the same requests for both versions, so that they cannot "
                "be compared: give them targets of their own, or use $version, $target or a label in its selectors",
            )


def check_targets(candidate: Version, baseline: Version | None, service: Service, *, needed: bool = False) -> None:
    """Check that the targets exist, and with `needed` that the candidate's is known. Raises ArmError."""
    known = ", ".join(sorted(service.targets)) or "none"
    for place, version in (("candidate", candidate), ("baseline", baseline)):
        if version is not None and version.target is not None and version.target not in service.targets:
            hint = did_you_mean(version.target, service.targets)
            raise ArmError(f"{place}.target", f"no target is called {version.target!r}; there are: {known}.{hint}")
    if needed and candidate.target is None and len(service.targets) != 1:
        raise ArmError("candidate.target", f"say which target the version runs on, one of: {known}")
