"""What is said of mistakes in the gate's part of a configuration: the key, and the nearest valid word."""

import pytest

from healthd.config.file import ConfigError, parse
from healthd_gates.config.settings import Config

_QUANTILE = "4: policies.p.criteria.0.quantile:"
_POLICY = "policies:\n  p:\n    criteria:\n      - {%s}\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            _POLICY % "kind: latency, quantile: 95",
            "4: policies.p.criteria.0.quantile: 95 is not between 0 and 1: write a share such as 0.95, or p95",
        ),
        (
            _POLICY % "kind: latency, quantile: fast",
            "4: policies.p.criteria.0.quantile: 'fast' is not a quantile: write",
        ),
        (
            "services:\n  api:\n    targets: {blue: 'http://a', green: ['http://b', 'http://a/']}\n"
            "    source: {kind: push}\n",
            "2: services.api: targets.green has an address of blue too: each target needs its own",
        ),
        (
            "actions:\n  back: {kind: command, argv: ['true'], pass_env: [HEALTHD_TOKEN]}\n",
            "2: actions.back.pass_env: HEALTHD_TOKEN cannot be handed on: names that begin with HEALTHD_ are what",
        ),
        (
            "actions:\n  back: {kind: command, argv: ['true'], env: {HEALTHD_GATE: x}}\n",
            "2: actions.back.env: HEALTHD_GATE cannot be set here: names that begin with HEALTHD_ are what healthd "
            "itself tells a command. Give it another name",
        ),
        (
            "actions:\n  back: {kind: command, argv: [sh, -c, 'echo $HOME']}\n",
            "2: actions.back.argv: $HOME is not one of $service,",
        ),
        (
            _POLICY % "kind: latency, quantil: 0.9",
            "4: policies.p.criteria.0.quantil: no such option; did you mean q",
        ),
        (
            _POLICY % "kind: latency, limitt: 5s",
            "4: policies.p.criteria.0.limitt: no such option; did you mean limit?",
        ),
        (
            "services:\n  api:\n    source: {kind: access_log, file: /x, fields: {duratino: request_time}}\n",
            "3: services.api.source.fields.duratino: must be 'status', 'duration', 'upstream', 'upstream_status', "
            "'upstream_duration', 'agent', 'request', 'method' or 'time'; did you mean duration?",
        ),
        (
            "services:\n  api:\n    source: {kind: access_log, s3: {bucket: 's3://logs/x', load_balancer: "
            "'arn:aws:elasticloadbalancing:eu-west-1:123456789012:loadbalancer/app/a/b'}}\n",
            "3: services.api.source.s3.bucket: must be the name of a bucket, without s3:// and without a prefix",
        ),
        (_POLICY % "kind: smoke", "4: policies.p.criteria.0.requests: is required"),
        (
            _POLICY % "kind: error_rate, compare: {to: lastweek}",
            "4: policies.p.criteria.0.compare.to: must be 'concurrent', 'history' or 'before'",
        ),
        (
            _POLICY % "limit: 5%",
            "4: policies.p.criteria.0: a criterion needs a kind, one of: checks, error_rate,",
        ),
        (
            "policies:\n  post-switch: {settle: 30s}\n",
            "2: policies.post-switch.settle: no such option; did you mean initial_delay?",
        ),
        (
            "services:\n  api:\n    targets: {blue: '${BLUE_HOST}'}\n    source: {kind: push}\n",
            "3: services.api.targets.blue: not set: BLUE_HOST: set it, or give a default as ${BLUE_HOST:-…}",
        ),
        (
            "services:\n  api:\n    source: {kind: scrape, requests: 'rate(a[1m])', errors: b}\n",
            "3: services.api.source.requests: 'rate(a[1m])' is not a vector selector: write name{label=",
        ),
        (
            _POLICY % "kind: error-rate",
            "4: policies.p.criteria.0: no kind of criterion is called 'error-rate'; there are: checks, error_rate,",
        ),
        (_POLICY % "kind: error_rate, limit: 5", "4: policies.p.criteria.0.limit: 5 is not a percentage"),
        ("services: [api]\n", "1: services: must be a mapping of keys to values"),
        (
            "services:\n  api:\n    targets: [http://a]\n",
            "3: services.api.targets: must be a mapping of",
        ),
        (
            "services:\n  api:\n    source: {kind: prometeus}\n",
            "3: services.api.source: no kind of source is called 'prometeus'; there are: access_log,",
        ),
        ("services:\n  api:\n    policy: canry\n", "2: services.api: policy is 'canry', which is not under policies;"),
        ("actions:\n  back: {kind: comand}\n", "2: actions.back: no kind of action is called 'comand'; there are:"),
        ("hooks:\n  flux: {kind: fluger}\n", "2: hooks.flux: no kind of hook is called 'fluger'; there are:"),
        (
            "actions:\n  back: {kind: webhook, url: 'http://a', timout: 3s}\n",
            "2: actions.back.timout: no such option; did you mean timeout?",
        ),
        (
            "services:\n  api:\n    source: {kind: push}\n    on_fail: [trafic-back]\n"
            "actions:\n  traffic-back: {kind: webhook, url: 'http://a'}\n",
            "2: services.api: on_fail names 'trafic-back', which is not under actions; did you mean traffic-back?",
        ),
    ],
)
def test_a_mistake(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse(text, "healthd.yaml", Config, {})
    (problem,) = [str(problem).removeprefix("healthd.yaml:") for problem in refused.value.problems]
    assert problem.startswith(said)


_GROUPS = """\
services:
  api:
    targets: {blue: "http://a", green: "http://b"}
    source:
      kind: cloudwatch
      load_balancer: app/shop/50dc6c495c0c9188
      target_groups: {blue: targetgroup/blue/73e2d6bc24d8a067, green: targetgroup/green/943f017f100becff}
hooks:
  aws: {kind: %s, services: %s}
"""
_ECS = "{main/api: {POST_TEST_TRAFFIC_SHIFT: {service: api, policy: %s}}}"


@pytest.mark.parametrize("kind", ["ecs", "codedeploy"])
def test_target_groups_that_are_swapped_are_asked_for(kind: str) -> None:
    """The same group has the new version at one deployment and the old one at the next: the file names none."""
    services = {"ecs": "{main/api: {POST_SCALE_UP: %s}}", "codedeploy": "{api: %s}"}[kind]

    def read(deploys: str, text: str = _GROUPS) -> None:
        parse(text % (kind, services % deploys), "healthd.yaml", Config, {})

    read("{service: api}")
    read("{service: api, policy: canary, baseline: {version: stable}}")
    for named in ("target: green", "policy: canary, baseline: {version: stable, target: blue}"):
        with pytest.raises(ConfigError, match=f"{kind} swaps the target groups of both .*: leave target out"):
            read(f"{{service: api, {named}}}")
    three = _GROUPS.replace("{blue: t", "{red: targetgroup/red/1, blue: t").replace(
        "s: {blue:", "s: {red: http://c, blue:"
    )
    read("{service: api}", three)
    with pytest.raises(ConfigError, match="3 target_groups, and the baseline's is known where there are two"):
        read("{service: api, policy: canary, baseline: {version: stable}}", three)


def test_a_smoke_test_of_the_test_listener_may_be_asked_for() -> None:
    """It looks at no numbers of a target group."""
    parse(_GROUPS % ("ecs", _ECS % "smoke, target: green"), "healthd.yaml", Config, {})


@pytest.mark.parametrize(
    ("written", "share"), [("0.95", 0.95), ("p99", 0.99), ("P99.9", 0.999), ("50%", 0.5), ("'p95'", 0.95)]
)
def test_a_quantile_is_understood_as_people_say_it(written: str, share: float) -> None:
    """As a share, or as a percentile."""
    config = parse(_POLICY % f"kind: latency, quantile: {written}", "healthd.yaml", Config, {})
    (criterion,) = config.policies["p"].criteria
    assert getattr(criterion, "quantile", None) == pytest.approx(share)


def test_a_shell_in_an_action_is_written_as_its_message_says() -> None:
    """In the file two dollar signs are one, so that a placeholder's escape has four."""
    text = """actions: {back: {kind: command, argv: [sh, -c, 'echo "$1" $$$$HOME', sh, $candidate]}}"""
    action = parse(text, "healthd.yaml", Config, {}).actions["back"]
    assert getattr(action, "argv", None) == ("sh", "-c", 'echo "$1" $$HOME', "sh", "$candidate")
