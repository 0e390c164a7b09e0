"""Lines as proxies write them, read by each format. Where a line was read stands beside it."""

from __future__ import annotations

import json
import time

import pytest

from healthd_gates.sources.access_log.counting import Counting
from healthd_gates.sources.access_log.format import Format
from healthd_gates.sources.access_log.formats import FORMATS, format_of, pattern_format
from healthd_gates.sources.access_log.tally import Question, Tally
from healthd_gates.sources.access_log.template import fits_up_to
from healthd_gates.sources.access_log.times import epoch

EDGES = (0.05, 0.5)
A, B = "10.0.0.1:80", "10.0.0.2:80"


def counted(form: Format, *lines: str, **question: object) -> Tally:
    tally = Tally(EDGES)
    asked = {"key": form.roles.arms or "", **question}
    Counting(Question(**asked), form).add(lines, tally)  # type: ignore[arg-type]
    return tally


def one(form: Format, line: str, **question: object) -> tuple[str, int, float | None]:
    """The key, the status and the seconds of the only request in a line."""
    tally = counted(form, line, **question)
    assert (tally.lines, tally.misfits) == (1, 0)
    (((key, status), cell),) = tally.cells.items()
    return key, status, cell.seconds if cell.timed else None


# docs.nginx.com, "Configuring logging", and a format with the upstream's variables.
COMBINED = (
    '203.0.113.9 - alice [26/Nov/2026:13:55:36 +0000] "GET /x HTTP/1.1" 200 2326 "http://a/" "Mozilla/5.0 \\x22q\\x22"'
)
UPSTREAM = (
    '$remote_addr [$time_local] "$request" $status $request_time '
    "$upstream_addr $upstream_status $upstream_response_time"
)
# The HAProxy documentation, 8.2.3 and 8.9.
HAPROXY = (
    "Feb  6 12:14:14 localhost haproxy[14389]: 10.0.1.2:33317 [06/Feb/2009:12:14:14.655] http-in static/srv1 "
    '10/0/30/69/109 200 2750 - - ---- 1/1/1/1/0 0/0 {1wt.eu} {} "GET /index.html HTTP/1.1"'
)
HAPROXY_504 = (
    "<30>Jun 27 21:43:42 haproxy[22021]: 8.6.7.10:55480 [27/Jun/2019:21:42:38.916] public_ssl~ be_http/srva "
    '0/0/0/-1/63387    504 194 - - sH-- 15/13/10/0/0 0/0 "PATCH /api/upload/4ddad61736a6 HTTP/1.1"'
)
HAPROXY_408 = (
    "haproxy[18113]: 127.0.0.1:34549 [15/Oct/2003:15:19:06.103] px-http px-http/<NOSRV> -1/-1/-1/-1/+50001 408 +2750 "
    '- - cR-- 2/2/2/0/+2 0/0 ""'
)
# httpd.apache.org, mod_log_config; with %v before it, and %D after it.
APACHE = (
    '127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] "GET /apache_pb.gif HTTP/1.0" 200 2326 '
    '"http://www.example.com/start.html" "Mozilla/4.08 [en] (Win98; I ;Nav)"'
)
# caddyserver.com, "How logging works".
CADDY = json.dumps(
    {
        "level": "info",
        "ts": 1646861401.5241024,
        "logger": "http.log.access",
        "msg": "handled request",
        "request": {
            "remote_ip": "127.0.0.1",
            "remote_port": "41342",
            "client_ip": "127.0.0.1",
            "proto": "HTTP/2.0",
            "method": "GET",
            "host": "localhost",
            "uri": "/",
            "headers": {"User-Agent": ["curl/7.82.0"], "Accept": ["*/*"]},
        },
        "bytes_read": 0,
        "user_id": "",
        "duration": 0.000929675,
        "size": 10900,
        "status": 200,
        "resp_headers": {"Server": ["Caddy"], "X-Version": ["1.4.2"]},
    }
)
# doc.traefik.io, "Access logs": the fields of JSON; durations are in nanoseconds.
TRAEFIK = (
    '{"ClientAddr":"10.0.0.9:52654","DownstreamStatus":200,"Duration":3454189,"OriginDuration":3427197,'
    '"OriginStatus":200,"RequestHost":"shop.example.com","RequestMethod":"GET","RequestPath":"/cart?id=1",'
    '"RetryAttempts":0,"RouterName":"shop@docker","ServiceAddr":"10.0.1.8:8000","ServiceName":"shop@docker",'
    '"ServiceURL":"http://10.0.1.8:8000","StartUTC":"2026-09-29T23:05:40.189830187Z","level":"info","msg":"",'
    '"request_User-Agent":"Mozilla/5.0","time":"2026-09-29T23:05:40Z"}'
)
# docs.aws.amazon.com, "Access logs for your Application Load Balancer".
ALB = (
    "https 2018-07-02T22:23:00.186641Z app/my-loadbalancer/50dc6c495c0c9188 192.168.131.39:2817 10.0.0.1:80 "
    '0.086 0.048 0.037 200 200 0 57 "GET https://www.example.com:443/a?b HTTP/1.1" "curl/7.46.0" '
    "ECDHE-RSA-AES128-GCM-SHA256 TLSv1.2 arn:aws:elasticloadbalancing:us-east-2:123456789012:targetgroup/my-targets/"
    '73e2d6bc24d8a067 "Root=1-58337281-1d84f3d73c47ec4e58577259" "www.example.com" "-" 1 2018-07-02T22:22:48.364000Z '
    '"authenticate,forward" "-" "-" "10.0.0.1:80" '
    '"200" "-" "-"'
)


@pytest.mark.parametrize(
    ("form", "line", "expected"),
    [
        ("nginx_combined", COMBINED, ("", 200, None)),
        ("haproxy_http", HAPROXY, ("srv1", 200, 0.109)),
        ("haproxy_http", HAPROXY_504.replace("    504", " 504"), ("srva", 504, 63.387)),
        ("haproxy_http", HAPROXY.removeprefix("Feb  6 12:14:14 localhost haproxy[14389]: "), ("srv1", 200, 0.109)),
        ("apache_combined", APACHE, ("", 200, None)),
        ("apache_combined", f"www.example.com:443 {APACHE} 4213", ("", 200, 0.004213)),
        ("caddy_json", CADDY, ("", 200, 0.000929675)),
        ("traefik_json", TRAEFIK, ("10.0.1.8:8000", 200, 0.003454189)),
        ("alb", ALB, ("10.0.0.1:80", 200, 0.048)),
        (
            "alb",
            ALB.replace("10.0.0.1:80 0.086 0.048 0.037 200 200", "10.0.0.1:80 0.0 -1 -1 502 -"),
            ("10.0.0.1:80", 502, None),
        ),
        ("alb", ALB.replace("0.037 200 200", "0.037 460 -"), ("10.0.0.1:80", 499, 0.048)),
    ],
)
def test_recorded_lines(form: str, line: str, expected: tuple[str, int, float | None]) -> None:
    """The arm, the status and the seconds."""
    key, status, seconds = one(FORMATS[form], line)
    assert (key, status) == expected[:2]
    assert seconds == (None if expected[2] is None else pytest.approx(expected[2]))


def test_what_no_server_saw_belongs_to_no_arm() -> None:
    """HAProxy answered it itself."""
    tally = counted(FORMATS["haproxy_http"], HAPROXY_408)
    assert (tally.nobody, tally.cells, tally.misfits) == (1, {}, 0)


def test_arms_are_told_apart_by_any_field() -> None:
    """A header of the answer within JSON, a captured header, a backend, a virtual host."""
    assert one(FORMATS["caddy_json"], CADDY, key="resp_headers.X-Version")[0] == "1.4.2"
    assert one(FORMATS["haproxy_http"], HAPROXY, key="request_headers.1")[0] == "1wt.eu"
    assert one(FORMATS["haproxy_http"], HAPROXY, key="backend_server")[0] == "static/srv1"
    assert one(FORMATS["apache_combined"], f"www.example.com {APACHE}", key="vhost")[0] == "www.example.com"


@pytest.mark.parametrize(
    ("addresses", "statuses", "times", "status", "expected"),
    [
        (A, "200", "0.010", 200, {(A, 200): 0.01}),
        (f"{A}, {B}", "502, 200", "0.010, 0.300", 200, {(A, 502): 0.01, (B, 200): 0.3}),
        (f"{A}, {A}", "502, 200", "0.010, 0.300", 200, {(A, 502): 0.01, (A, 200): 0.3}),
        (f"{A} : {B}", "200 : 404", "0.1 : 0.2", 404, {(A, 200): 0.1, (B, 404): 0.2}),
        (f"unix:/a.sock, {B}", "504, -", "0.010, -", 499, {("unix:/a.sock", 504): 0.01, (B, 499): None}),
        (f"{A}, {B}", "-, 200", "-, 0.300", 200, {(A, 502): None, (B, 200): 0.3}),
    ],
)  # fmt: skip
def test_a_retried_request_is_a_failure_of_the_arm_that_failed(
    addresses: str, statuses: str, times: str, status: int, expected: dict[tuple[str, int], float | None]
) -> None:
    """And a success of the one that answered, as the lists of NGINX's variables say."""
    line = f'1.2.3.4 [26/Nov/2026:13:55:36 +0000] "GET / HTTP/1.1" {status} 0.310 {addresses} {statuses} {times}'
    tally = counted(format_of(UPSTREAM), line)
    assert {key: cell.seconds if cell.timed else None for key, cell in tally.cells.items()} == expected
    assert (tally.lines, tally.misfits) == (1, 0)


def test_json_of_nginx_in_its_own_escapes() -> None:
    """Without escape=json NGINX writes \\x22 into JSON, which is none then."""
    line = '{"status":"200","request_time":"0.004","upstream_addr":"10.0.0.1:80","http_user_agent":"a \\x22b\\x22"}'
    assert one(FORMATS["nginx_json"], line) == ("10.0.0.1:80", 200, 0.004)


def test_a_log_format_in_json_names_its_own_keys() -> None:
    """The text of the configuration is enough."""
    form = format_of(
        '{"at":"$time_iso8601","code":$status,"rt":"$request_time","to":"$upstream_addr","p":"$request_uri"}'
    )
    line = '{"at":"2026-11-26T13:55:36+00:00","code":503,"rt":"0.250","to":"10.0.0.1:80","p":"/x"}'
    assert one(form, line) == ("10.0.0.1:80", 503, 0.25)


def test_upgraded_connections_have_no_latency() -> None:
    """A WebSocket lasts for as long as it is wanted."""
    line = '1.2.3.4 [26/Nov/2026:13:55:36 +0000] "GET /ws HTTP/1.1" 101 3600.0 10.0.0.1:80 101 3600.0'
    assert one(format_of(UPSTREAM), line) == ("10.0.0.1:80", 101, None)


@pytest.mark.parametrize(
    ("request_line", "agent", "left_out"),
    [
        ("GET /health HTTP/1.1", "curl/8", True),
        ("GET /health/ready?x=1 HTTP/1.1", "curl/8", True),
        ("GET /healthy HTTP/1.1", "curl/8", False),
        ("GET / HTTP/1.1", "kube-probe/1.31", True),
        ("GET / HTTP/1.1", "Mozilla kube-probe/1.31", False),
        ("GET /?healthd-heartbeat=1 HTTP/1.1", "curl/8", True),
        ("", "curl/8", False),
        ("\\x16\\x03\\x01", "-", False),
    ],
)
def test_health_checks_are_left_out(request_line: str, agent: str, left_out: bool) -> None:
    """By path and by the beginning of the user agent."""
    line = f'1.2.3.4 - - [26/Nov/2026:13:55:36 +0000] "{request_line}" 400 0 "-" "{agent}"'
    tally = counted(FORMATS["nginx_combined"], line, agents=("kube-probe/",), paths=("/health", "/health/*"))
    assert (tally.left_out, sum(cell.requests for cell in tally.cells.values())) == ((1, 0) if left_out else (0, 1))


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(
    "line",
    ["", "x", "\0" * 50, "{", "[1]", '{"a":1}', "{" * 90_000, '"' * 90_000, "[" * 90_000, "1.1.1.1 - - [", "\xff\xfe"],
)  # fmt: skip
def test_nonsense_is_counted_and_costs_no_time(name: str, line: str) -> None:
    """Whatever a line is, it is read in a time that grows with its length alone."""
    began = time.process_time()
    tally = counted(FORMATS[name], line)
    assert (tally.cells, tally.misfits) == ({}, 1 if line else 0)
    assert time.process_time() - began < 5


def test_a_pattern_that_backtracks_is_given_up() -> None:
    """A user's own expression cannot hold the reader up."""
    form = pattern_format(r"(?P<status>\d+) (a+)+$")
    tally = counted(form, "200 " + "a" * 40 + "b", "200 aaa")
    assert (tally.lines, tally.misfits) == (2, 1)


@pytest.mark.parametrize(
    ("log_format", "problem"),
    [
        ("$remote_addr", r"no \$status"),
        ("$status$request", "nothing between"),
        ("$status $status", "twice"),
        ("nginx_combind", "no format"),
    ],
)
def test_a_log_format_that_cannot_be_read(log_format: str, problem: str) -> None:
    """Is refused with the reason."""
    with pytest.raises(ValueError, match=problem):
        format_of(log_format)


def test_where_a_line_no_longer_fits() -> None:
    """The variable, for whoever copied another log_format."""
    line = '1.2.3.4 [26/Nov/2026:13:55:36 +0000] "GET / HTTP/1.1" 200 "-"'
    assert fits_up_to(UPSTREAM, line) == "request_time"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("26/Nov/2026:13:00:00 +0000", 1795698000.0),
        ("26/Nov/2026:14:00:00 +0100", 1795698000.0),
        ("2026-11-26T13:00:00+00:00", 1795698000.0),
        ("2026-11-26T13:00:00.250Z", 1795698000.25),
        ("1795698000.125", 1795698000.125),
        ("31/Feb/2026:13:00:00 +0000", None),
        ("yesterday", None),
        ("", None),
    ],
)
def test_times(text: str, seconds: float | None) -> None:
    """In every notation that the formats have."""
    assert epoch(text) == seconds
