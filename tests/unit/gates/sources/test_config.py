"""What a `source:` of the configuration may say. Every rule has an example that breaks it."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import jsonschema
import pytest
from jsonschema import Draft202012Validator
from pydantic import TypeAdapter, ValidationError

from healthd_gates.sources import KINDS, AnySource, find_kind
from healthd_gates.sources.contract import Arm, ArmError, Arms, SourceConfig

config: TypeAdapter[SourceConfig] = TypeAdapter(AnySource)
PROMETHEUS = {"kind": "prometheus", "url": "http://p:9090", "requests": "r_total", "errors": "e_total"}
SCRAPE = {"kind": "scrape", "requests": "r_total", "errors": 'r_total{status=~"5.."}', "latency": "s_bucket"}
PROBE = {"kind": "probe", "requests": [{"method": "get", "path": "/", "status": 200}]}
BALANCER = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:loadbalancer/app/shop/50dc6c495c0c9188"
GROUP = "targetgroup/blue/73e2d6bc24d8a067"
CLOUDWATCH = {"kind": "cloudwatch", "load_balancer": BALANCER, "target_groups": {"blue": GROUP}}
LOG = {"kind": "access_log", "file": "/var/log/nginx/access.log"}
S3 = {"bucket": "shop-logs", "load_balancer": BALANCER}
IN_S3 = {"kind": "access_log", "s3": S3}
JSON = {"kind": "http", "url": "http://stats:8080/shop?version=$version", "requests": "requests", "errors": "failed"}
SQL = {"kind": "sql", "uri": "postgresql://healthd:hush@db/shop", "requests": "SELECT 9", "errors": "SELECT 1"}
DATADOG = {"kind": "datadog", "api_key": "hush", "application_key": "hush-hush", "up": "sum:a{*}.as_count()"}
LOKI = {"kind": "loki", "url": "http://loki:3100", "requests": '{a="$version"}', "errors": '{a="$version"} |= "x"'}
INFLUXQL = """SELECT count("took") FROM "requests" WHERE "version" = '$version'"""
INFLUXDB = {"kind": "influxdb", "url": "http://i:8086", "database": "shop", "requests": INFLUXQL, "errors": INFLUXQL}
COUNTER = "sumSeries(stats.shop.$version.requests.count)"
GRAPHITE = {"kind": "graphite", "url": "http://g", "requests": COUNTER, "errors": COUNTER}
OAUTH2 = {"token_url": "https://auth.test/token", "client_id": "healthd", "client_secret": "hush-hush"}
NRQL = "SELECT count(*) FROM Transaction WHERE v = '$version'"
NEWRELIC = {"kind": "newrelic", "account": 7, "key": "NRAK-hush", "requests": NRQL, "errors": NRQL}
GOOD: dict[str, dict[str, Any]] = {
    "access_log": LOG,
    "cloudwatch": CLOUDWATCH,
    "cloudwatch_metrics": {"kind": "cloudwatch_metrics", "up": "SampleCount(Shop/Beats)"},
    "datadog": DATADOG,
    "elasticsearch": {
        "kind": "elasticsearch",
        "url": "http://es:9200",
        "index": "logs",
        "requests": "*",
        "errors": "a:b",
    },
    "graphite": GRAPHITE,
    "http": JSON,
    "influxdb": INFLUXDB,
    "loki": LOKI,
    "newrelic": NEWRELIC,
    "otlp": {"kind": "otlp"},
    "probe": PROBE,
    "prometheus": PROMETHEUS,
    "push": {"kind": "push"},
    "scrape": SCRAPE,
    "sentry": {"kind": "sentry", "organization": "shop", "token": "hush", "up": "sessions environment:production"},
    "sql": SQL,
}


def test_every_kind_loads_and_has_a_good_example() -> None:
    """The registry names what exists."""
    assert set(GOOD) == set(KINDS)
    for kind, raw in GOOD.items():
        model = config.validate_python(raw)
        assert type(model) is find_kind(kind).config_model
        shown = model.model_dump(mode="json", exclude_unset=True)
        hidden = {name: raw[name] for name, value in shown.items() if value == "**********"}
        assert config.validate_python({**shown, **hidden}).kind == kind


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ("prometheus", "a source needs a kind"),
        ({}, "a source needs a kind"),
        ({"kind": "zipkin"}, "there are: .*prometheus"),
        ({"kind": "prometheus"}, "url"),
        ({**PROMETHEUS, "uri": "x"}, "Extra inputs"),
        ({**PROMETHEUS, "url": "prometheus:9090"}, "url"),
        ({**PROMETHEUS, "url": "http://p:9090/api/v1"}, "address of the server: leave /api/v1 out"),
        ({**PROMETHEUS, "url": "http://p:9090/mimir/api/v1/query"}, "leave /api/v1/query out"),
        ({**PROMETHEUS, "url": "http://p:9090/?x=1"}, "url"),
        ({**PROMETHEUS, "requests": "rate(r_total[5m])"}, "is not a vector selector"),
        (
            {**PROMETHEUS, "latency": "seconds_sum"},
            "must select a histogram: seconds_bucket, or seconds where it is a native one",
        ),
        ({**PROMETHEUS, "latency": 's_bucket{le="1"}'}, "leave le out"),
        ({**PROMETHEUS, "params": {"time": "0"}}, "healthd's own"),
        ({**PROMETHEUS, "timeout": 5}, "duration"),
        ({**PROMETHEUS, "bearer": "a", "basic": {"username": "u", "password": "p"}}, "bearer and basic are two ways"),
        ({**PROMETHEUS, "bearer": "abc", "oauth2": OAUTH2}, "bearer and oauth2 are two ways to say who asks: give one"),
        ({**PROMETHEUS, "headers": {"authorization": "x"}, "oauth2": OAUTH2}, "oauth2 and the header authorization"),
        ({**SCRAPE, "headers": {"Authorization": "x"}, "bearer": "abc"}, "bearer and the header Authorization"),
        ({**PROBE, "headers": {"Authorization": "x"}, "bearer": "abc"}, "bearer and the header Authorization"),
        ({**DATADOG, "oauth2": OAUTH2}, "api_key and oauth2 are two ways to say who asks: give one"),
        ({**NEWRELIC, "oauth2": OAUTH2}, "key and oauth2 are two ways"),
        ({**INFLUXDB, "token": "abc", "oauth2": OAUTH2}, "token and oauth2 are two ways"),
        ({**GOOD["elasticsearch"], "api_key": "abc", "oauth2": OAUTH2}, "api_key and oauth2 are two ways"),
        ({**GOOD["elasticsearch"], "api_key": "abc", "bearer": "abc"}, "api_key and bearer are two ways"),
        ({**GOOD["sentry"], "oauth2": OAUTH2}, "token and oauth2 are two ways"),
        ({**PROMETHEUS, "tls": {"key": "k.pem"}}, "certificate"),
        ({**SCRAPE, "path": "metrics"}, "path"),
        ({**CLOUDWATCH, "load_balancer": GROUP.replace("targetgroup", "net")}, "Application Load Balancer"),
        ({**CLOUDWATCH, "target_groups": {"blue": "blue"}}, "target group"),
        ({**CLOUDWATCH, "target_groups": {}}, "target_groups"),
        ({**PROBE, "rate": 0}, "rate"),
        ({**PROBE, "rate": 300.0}, "1000 requests at once"),
        ({**PROBE, "requests": []}, "requests"),
        ({**PROBE, "requests": [{"get": "//elsewhere/"}]}, "one slash"),
        ({**SCRAPE, "port": 0}, "port"),
        ({**SCRAPE, "url": "http://x/metrics"}, "Extra inputs"),
        ({**JSON, "url": "stats:8080"}, "url"),
        ({**JSON, "url": "http://$target:8080/"}, "url"),
        ({**JSON, "requests": ""}, "requests: '' is no path"),
        ({**JSON, "errors": "a..b"}, "errors: 'a..b' is no path"),
        ({"kind": "http", "url": "/stats", "requests": "n"}, "errors is missing"),
        ({**SQL, "uri": "mssql://db/shop"}, "must begin with postgresql:// or .* or mariadb://"),
        ({**SQL, "uri": "mysql://a,b/shop"}, "names several hosts: the driver here connects to one"),
        (
            {**SQL, "uri": "mysql://db/shop?ssl-mode=on"},
            "none of DISABLED, PREFERRED, REQUIRED, VERIFY_CA",
        ),
        ({**SQL, "uri": "mysql://db/shop?ssl-mod=REQUIRED"}, "ssl-mod, which nobody knows: did you mean ssl-mode"),
        ({**SQL, "uri": "mysql://db/shop?ssl-cert=/etc/ca.pem"}, "needs both ssl-cert and ssl-key, or neither"),
        ({**SQL, "uri": "mysql://db/shop?ssl-ca=ca.pem"}, "a file by ssl-ca that is no absolute path"),
        (
            {**SQL, "errors": "SELECT 1 WHERE v = '$version'"},
            r"errors: \$version is a parameter: write it without quotes",
        ),
        ({**SQL, "errors": "SELECT $1"}, "parameters have names"),
        ({**SQL, "errors": "SELECT $$a$$"}, "looks like a placeholder"),
        ({**SQL, "errors": " "}, "errors: is no query"),
        ({**DATADOG, "site": "https://datadoghq.eu"}, "site"),
        ({**DATADOG, "up": "sum:a{*}"}, "gives no counts: write sum:METRIC"),
        ({**NEWRELIC, "errors": f"{NRQL} SINCE 1 hour ago"}, "errors: leave SINCE out"),
        ({**NEWRELIC, "errors": "SELECT count(*) FROM T WHERE v = $version"}, "must stand in a quoted text"),
        ({**NEWRELIC, "errors": "SELECT average(duration) FROM T"}, r"average\(\) gives no count"),
        ({**NEWRELIC, "errors": "count(*)"}, "is no NRQL query"),
        ({**LOKI, "errors": 'rate({a="b"}[1m])'}, "does not begin with a stream selector"),
        ({**LOKI, "errors": "{a=$version}"}, "must stand in a quoted string"),
        ({**LOKI, "window": "2h"}, "less than or equal to 3600"),
        ({**INFLUXDB, "token": "a", "basic": {"username": "u", "password": "p"}}, "give one"),
        ({**INFLUXDB, "errors": "count(took)"}, "is no InfluxQL query"),
        ({**INFLUXDB, "errors": "SELECT mean(took) FROM r"}, "counts nothing: begin with SELECT count"),
        ({**INFLUXDB, "errors": "SELECT count(a)/max(b) FROM r"}, r"max\(\) gives no count"),
        ({**INFLUXDB, "errors": "SELECT sum(d) FROM (SELECT difference(a) AS d FROM r)"}, r"difference\(\) gives no"),
        ({**INFLUXDB, "errors": f"{INFLUXQL} GROUP BY time(10s)"}, "leave GROUP BY out"),
        ({**INFLUXDB, "errors": f"{INFLUXQL} AND time > now() - 5m"}, "leave TIME out"),
        ({**INFLUXDB, "errors": f"{INFLUXQL}; {INFLUXQL}"}, "must be one query"),
        ({**INFLUXDB, "errors": "SELECT count(a) FROM r WHERE (b = 1"}, "parentheses without their counterpart"),
        ({**INFLUXDB, "errors": "SELECT count(a) FROM r WHERE v = $version"}, "must stand in a quoted text"),
        ({**INFLUXDB, "errors": "SELECT count(a) FROM r WHERE v =~ /^$version/"}, "may not stand in a pattern"),
        ({**GRAPHITE, "errors": ""}, "errors: is no target"),
        ({**GRAPHITE, "errors": "sumSeries(a.count"}, "parenthesis without its counterpart"),
        ({**GRAPHITE, "errors": "seriesByTag('name=a)"}, "a quote or a parenthesis without"),
        ({**GRAPHITE, "errors": "sumSeries(a.m1_rate)"}, r"\.m1_rate gives no count"),
        ({**PROMETHEUS, "headers": {"X-Scope-OrgID": "a\n"}}, "cannot hold line breaks"),
        ({**PROMETHEUS, "headers": {"X Scope": "a"}}, "headers"),
        ({**GRAPHITE, "errors": "perSecond(a.count)"}, r"perSecond\(\) gives no count.*nonNegativeDerivative"),
        ({**GRAPHITE, "errors": "seriesByTag('name=a', 'version=~$version.*')"}, "may not stand in a pattern"),
        ({"kind": "access_log"}, "file is missing"),
        ({**LOG, "syslog": "udp://127.0.0.1:5514"}, "not both"),
        ({**LOG, "s3": S3}, "not both"),
        ({**IN_S3, "s3": {"bucket": "shop-logs"}}, "load_balancer"),
        ({**IN_S3, "s3": {**S3, "bucket": "s3://shop-logs/x"}}, r"s3\.bucket"),
        ({**IN_S3, "s3": {**S3, "prefix": "x/AWSLogs/1"}}, "is what stands before AWSLogs"),
        ({**IN_S3, "s3": {**S3, "prefix": "x/"}}, "has a slash at an end: write it without"),
        (
            {**IN_S3, "s3": {**S3, "load_balancer": BALANCER.replace("/app/", "/net/")}},
            "Application Load Balancer: arn",
        ),
        ({**IN_S3, "s3": {**S3, "region": "eu-centrall-1"}}, "AWS has no 'eu-centrall-1'. Did you mean eu-central-1"),
        ({**IN_S3, "s3": {**S3, "delay": "1h"}}, "1500"),
        ({**IN_S3, "format": "nginx_json"}, "whose format is alb: leave it out"),
        ({**IN_S3, "pattern": "(?P<status>.)"}, "whose format is alb: leave it out"),
        ({**IN_S3, "silent_after": "30s"}, "five minutes come at once: write at least 9m"),
        ({"kind": "access_log", "syslog": "127.0.0.1:5514"}, "syslog"),
        ({**LOG, "file": "access.log"}, "absolute path"),
        ({**LOG, "format": "nginx_combind"}, "Did you mean nginx_combined"),
        ({**LOG, "format": "$remote_addr"}, "no \\$status"),
        ({**LOG, "format": "nginx_json", "pattern": "(?P<status>.)"}, "give one"),
        ({**LOG, "pattern": "(?P<code>.)"}, r"needs a group \(\?P<status>"),
        ({**LOG, "pattern": "(?P<status>.)(?P<ms>.)", "fields": {"duration": "mss"}}, "Did you mean ms"),
        ({**LOG, "arms_by": "upstream_addr"}, "arms_by is 'upstream_addr', which nginx_combined has not"),
        ({**LOG, "only": {"server_nam": "x"}}, "only.server_nam is"),
        ({**LOG, "value": "$version"}, "arms_by is missing"),
        ({**LOG, "format": "nginx_json", "value": "$version", "values": {"blue": "b"}}, "give one"),
        ({**LOG, "errors": "5x"}, "is not a status"),
        ({**LOG, "ignore_paths": ["health"]}, "ignore_paths"),
        ({**LOG, "format": "$status $request_time", "heartbeat": {"url": "http://x/"}}, "needs the request"),
    ],
)
def test_what_is_wrong_is_refused_and_named(raw: Any, message: str) -> None:
    """A typing error must not switch something off in silence."""
    with pytest.raises(ValidationError, match=message):
        config.validate_python(raw)


def test_secrets_do_not_show() -> None:
    """Neither in a representation nor in a dump."""
    model = config.validate_python({**PROMETHEUS, "bearer": "hush-hush"})
    assert "hush" not in repr(model) + model.model_dump_json()


def test_an_arm_that_cannot_be_told_apart_is_refused_at_once() -> None:
    """The request names no region, and the selectors need one."""
    model = config.validate_python({**PROMETHEUS, "requests": 'r_total{region="$region"}'})
    with pytest.raises(ArmError) as refused:
        model.check(Arms("shop", Arm("2")))
    assert refused.value.field == "candidate.labels.region"


def test_how_late_a_log_in_s3_is() -> None:
    """By the five minutes of an object and the time that it has to come."""
    assert config.validate_python(IN_S3).lateness == 600
    assert config.validate_python({**IN_S3, "format": "alb", "s3": {**S3, "delay": "10m"}}).lateness == 960
    assert config.validate_python({**IN_S3, "silent_after": "20m"}).lateness == 1200


@pytest.mark.parametrize("raw", [SCRAPE, PROBE])
def test_a_target_is_needed_where_it_is_asked_itself(raw: Any) -> None:
    """A request cannot name an address: only a target that the service has."""
    with pytest.raises(ArmError, match=r"^baseline\.target: is needed"):
        config.validate_python(raw).check(Arms("shop", Arm("2", urls=("http://a",)), Arm("1")))


def test_a_target_group_is_needed_where_the_load_balancer_counts() -> None:
    """The request names a target that has none."""
    with pytest.raises(ArmError, match=r"^candidate\.target: is needed: .*: blue$"):
        config.validate_python(CLOUDWATCH).check(Arms("shop", Arm("2", target="green")))


def test_no_sdk_is_loaded_before_it_is_used() -> None:
    """A daemon without AWS does not pay for it."""
    script = "import sys, healthd_gates.sources.cloudwatch; assert not {'aiobotocore', 'botocore'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.proof
def test_the_schema_knows_every_kind(file_schema: Draft202012Validator) -> None:
    """An editor that completes the file offers what each kind can be told, and no more."""

    def file(source: dict[str, Any]) -> dict[str, Any]:
        return {"services": {"api": {"source": source}}}

    for raw in GOOD.values():
        file_schema.validate(file(raw))
    with pytest.raises(jsonschema.ValidationError):
        file_schema.validate(file({**PROMETHEUS, "uri": "x"}))


@pytest.mark.parametrize(
    ("source", "follows"),
    [
        ({**PROMETHEUS, "requests": 'r_total{hash="$version"}', "errors": 'e_total{hash="$version"}'}, True),
        ({**PROMETHEUS, "requests": 'r_total{role="$role"}', "errors": 'e_total{role="$role"}'}, False),
        ({"kind": "prometheus", "url": "http://p:9090", "preset": "istio"}, True),
        (JSON, True),
        (SQL, False),
        (PROBE, False),
        (SCRAPE, False),
        ({"kind": "otlp"}, True),
        ({"kind": "otlp", "resource": {"deployment.role": "$role"}}, False),
        ({"kind": "push"}, True),
    ],
)
def test_a_version_is_followed_by_its_name_or_found_at_a_place(source: dict[str, Any], *, follows: bool) -> None:
    assert config.validate_python(source).follows_version is follows
