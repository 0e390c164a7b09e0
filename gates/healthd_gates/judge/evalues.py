"""Log e-values of one interval: how strongly its counts speak against a null hypothesis. `processes` adds them up,
`burstiness` estimates the correlation.

An e-value has expectation at most 1 under its null. Requests within an interval fail together: their counts are
beta-binomial with an intra-class correlation of at most ρ, given here as `odds` = (1 − ρ)/ρ. Each form is the
exponential tilt of a negative binomial; a beta-binomial with correlation ≤ ρ lies below the matching negative binomial
in convex order, hence the bound. At ρ → 0 they are the binomial likelihood ratio and the conditional binomial bet
(Lindon & Malek 2022; Lindon & Kallus 2024; Waudby-Smith & Ramdas 2024). The derivation is this project's own; the tests
prove the bound numerically. Counts may be fractions; errors ≤ requests.
"""

from math import expm1, log, log1p

_TINY = 1e-9


def harm_above(errors: float, requests: float, limit: float, times: float, odds: float) -> float:
    """Return ln e against "the error rate is at most `limit`", betting on `times` (> 1) the limit."""
    spread = (1 - limit) * (1 + max(requests - 1, 0.0) / odds) - 1
    if abs(spread) < _TINY:
        spread = _TINY
    return _tilt(errors, requests, limit, times, spread)


def safe_below(errors: float, requests: float, limit: float, times: float, odds: float) -> float:
    """Return ln e against "the error rate is at least `limit`", betting on `times` (< 1) the limit.

    The tighter spread of `harm_above` is not valid on this side.
    """
    return _tilt(errors, requests, limit, times, max(requests / odds, _TINY))


def harm_rate(events: float, exposure: float, limit: float, times: float, odds: float) -> float:
    """Return ln e against "at most `limit` events in a unit of exposure", betting on `times` (> 1) the limit.

    Events are Poisson, or a negative binomial whose variance is its mean times at most 1 + exposure / odds.
    """
    return _tilt(events, exposure, limit, times, max(exposure / odds, _TINY))


def _tilt(errors: float, requests: float, limit: float, times: float, spread: float) -> float:
    return errors * log(times) - (errors + requests * limit / spread) * log1p(spread * (times - 1) / (1 + spread))


def harm_ratio(
    errors: float,
    requests: float,
    baseline_errors: float,
    baseline_requests: float,
    ratio: float,
    fraction: float,
    odds: float,
) -> float:
    """Return ln e against "p ≤ ratio · p_baseline" for any p_baseline, staking `fraction` on every baseline error."""
    spread, baseline_spread = max(requests / odds, _TINY), max(baseline_requests / odds, _TINY)
    gain = -fraction * expm1(-log1p(baseline_spread) / ratio) / spread
    loss = expm1(-ratio * log1p(-spread * gain)) / baseline_spread
    return errors * log1p(gain) + baseline_errors * log1p(-min(loss, 1 - 1e-12))


def safe_ratio(
    errors: float,
    requests: float,
    baseline_errors: float,
    baseline_requests: float,
    ratio: float,
    fraction: float,
    odds: float,
) -> float:
    """Return ln e against "p ≥ ratio · p_baseline" for any p_baseline, staking `fraction` on every candidate error."""
    spread, baseline_spread = max(requests / odds, _TINY), max(baseline_requests / odds, _TINY)
    gain = -expm1(-ratio * log1p(spread * fraction)) / baseline_spread
    return errors * log1p(-fraction) + baseline_errors * log1p(gain)
