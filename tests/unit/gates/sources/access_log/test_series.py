"""Criteria of a team's own over the lines of a log: logins that fail, errors of one host, checkouts by status."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from healthd_gates.config.policy import Policy
from healthd_gates.config.settings import Config
from healthd_gates.domain.evidence import Counts, Events
from healthd_gates.sources.access_log.counting import Counting
from healthd_gates.sources.access_log.formats import format_of, pattern_format
from healthd_gates.sources.access_log.selection import _MOST_VALUES, Selecting, parse_selection
from healthd_gates.sources.access_log.tally import _MOST_KEYS, Question, Tally
from healthd_gates.sources.contract import HistoricalSource, Series, SourceUnavailable
from healthd_gates.sources.inspection import InspectableSource, Inspection
from tests.unit.gates.sources.access_log.test_source import START, Written, line, log

__all__ = ["log"]
LOGINS = {"of": '{method="POST",path="/login"}', "bad": '{method="POST",path="/login",status=~"401|5.."}'}
RATIO = Series("logins", "counts", LOGINS)


def login(status: int = 200, method: str = "POST", path: str = "/login", **more: Any) -> str:
    return line(status, request_method=method, request_uri=path, **more)


async def test_a_ratio_counts_its_lines_of_each_arm(log: Written) -> None:
    """Beside the requests of the service, which count all lines."""
    gate = log.gate(series=(RATIO,))
    await gate.look()
    log.write(
        login(), login(401), login(503), login(path="/login?next=/cart"), login(method="GET"), login(path="/cart")
    )
    log.write(login(401, to="10.0.0.1:3000"), login(401, to="10.9.9.9:1"), login(429, to="-"))
    seen = await gate.seen(after=5)
    assert (seen.streams["logins"].candidate, seen.streams["logins"].baseline) == (Counts(4, 2), Counts(1, 1))
    assert seen.candidate is not None
    assert seen.candidate.requests == 6
    log.write(login(path="/cart"))
    assert (await gate.seen(after=5)).streams["logins"].candidate == Counts(0, 0)


async def test_a_rate_counts_events_and_the_requests_they_happen_in(log: Written) -> None:
    per_second = Series("denied", "events", {"events": '{status="403"}'})
    per_request = Series(
        "slow_checkouts", "events", {"events": '{path=~"/checkout/.*",status="504"}', "requests": "{}"}
    )
    gate = log.gate(series=(per_second, per_request))
    await gate.look()
    log.write(*[login(403)] * 3, login(504, path="/checkout/7"), login())
    seen = await gate.seen(after=5)
    assert seen.streams["denied"].candidate == Events(3)
    assert seen.streams["slow_checkouts"].candidate == Events(1, 5)


async def test_a_killed_gate_and_one_that_shares_the_reader_count_the_same(log: Written) -> None:
    """What was written while nobody looked is read again for it alone, with its own selections."""
    killed, other = log.gate(series=(RATIO,)), log.gate()
    await killed.look()
    await other.look()
    await killed.source.close()
    log.write(*[login(401)] * 5)
    await other.look(after=5)
    log.write(login())
    again = log.gate(series=(RATIO,))
    again.cursor = killed.cursor
    assert (await again.seen(after=5)).streams["logins"].candidate == Counts(6, 5)


async def test_a_log_of_no_use_says_nothing_of_a_criterion(log: Written) -> None:
    """No telemetry is neither zero logins nor failed ones, and no line at all is no number."""
    gate = log.gate(series=(RATIO,), silent_after="30s")
    await gate.look()
    assert (await gate.seen(after=5)).streams == {}
    log.write("what is this", login(401))
    with pytest.raises(SourceUnavailable, match=r"1 of 2 lines .* do not fit"):
        await gate.look(after=5)


async def test_the_past_has_them_too(log: Written) -> None:
    gate = log.gate(series=(RATIO,))
    log.write(login(at=START), login(401, at=START + timedelta(seconds=70)))
    assert isinstance(gate.source, HistoricalSource)
    past = await gate.source.history(START, START + timedelta(minutes=2), 60)
    assert [each.streams["logins"].candidate for each in past] == [Counts(1, 0), Counts(1, 1)]


def counted(selectors: list[str], form: str, *lines: str, key: str = "") -> dict[str, dict[tuple[int, int], int]]:
    """By arm: which selectors took requests of which status, as bits."""
    tally = Tally(())
    question = Question(key, selections=tuple(map(parse_selection, selectors)))
    Counting(question, format_of(form)).add(lines, tally)
    return tally.selected


NGINX = '$remote_addr [$time_local] "$request" $status $host $upstream_addr $upstream_status'


def test_each_server_that_nginx_asked_has_its_own_status() -> None:
    """A login that failed on one arm and was answered by the other is a bad one of the first alone."""
    asked = (
        '1.2.3.4 [26/Nov/2026:13:55:36 +0000] "POST /login HTTP/1.1" 200 shop.example 10.0.0.1:1, 10.0.0.2:1 502, 200'
    )
    found = counted(['{path="/login"}', '{path="/login",status=~"5.."}'], NGINX, asked, key="upstream_addr")
    assert found == {"10.0.0.1:1": {(0b11, 502): 1}, "10.0.0.2:1": {(0b01, 200): 1}}


@pytest.mark.parametrize(
    ("form", "written"),
    [
        (NGINX, '1.2.3.4 [26/Nov/2026:13:55:36 +0000] "PUT /a/7?x=1 HTTP/1.1" 204 shop.example - -'),
        ("apache_combined", '1.2.3.4 - - [26/Nov/2026:13:55:36 +0000] "PUT /a/7 HTTP/1.1" 204 0 "-" "Mozilla"'),
        (
            "haproxy_http",
            "1.2.3.4:1 [26/Nov/2026:13:55:36.000] f b/s 0/0/0/5/5 204 9 - - ---- 1/1/0/0/0 0/0 "
            '"PUT https://shop.example/a/7?x HTTP/2.0"',
        ),
        ("caddy_json", json.dumps({"status": 204, "request": {"method": "PUT", "uri": "/a/7?x=1"}})),
        ("traefik_json", json.dumps({"DownstreamStatus": 204, "RequestMethod": "PUT", "RequestPath": "/a/7"})),
        ("nginx_json", json.dumps({"status": "204", "request_method": "PUT", "request_uri": "/a/7?x=1"})),
    ],
    ids=lambda value: str(value)[:12],
)
def test_every_format_has_a_method_a_path_and_a_status(form: str, written: str) -> None:
    selectors = [
        '{method="PUT",path=~"/a/[0-9]+",status="204"}',
        '{method!="PUT"}',
        '{path!~"/a/.*"}',
        '{status=~"4.."}',
    ]
    assert counted(selectors, form, written) == {"": {(0b0001, 204): 1}}


def test_any_field_is_a_condition_also_one_within_objects() -> None:
    written = json.dumps(
        {"status": 200, "request": {"uri": "/", "host": "api.shop.example", "headers": {"X-Plan": ["pro"]}}}
    )
    selectors = ['{"request.host"=~"api[.].*"}', '{"request.headers.X-Plan"="pro"}', '{"request.headers.X-No"=""}']
    assert counted([*selectors, '{"request.host"="api"}'], "caddy_json", written) == {"": {(0b0111, 200): 1}}


def test_a_pattern_of_ones_own_may_have_a_method() -> None:
    form = pattern_format(r"^(?P<method>\w+) (?P<request>\S+) (?P<status>\d+)$")
    selecting = Selecting((parse_selection('{method="GET",path="/a"}'),), form)
    assert [selecting.of(form.parse(text) or {}, "/a") for text in ("GET /a?b 200", "POST /a 200")] == [1, 0]


def test_a_pattern_that_takes_too_long_makes_a_line_a_misfit_and_hangs_nothing() -> None:
    tally = Tally(())
    question = Question("", selections=(parse_selection('{path=~"/(a|a)*b"}'),))
    written = json.dumps({"status": 200, "request_uri": "/" + "a" * 5000})
    Counting(question, format_of("nginx_json")).add([written], tally)
    assert (tally.lines, tally.misfits, tally.selected) == (1, 1, {})


def test_memory_is_bounded_whatever_clients_ask_for() -> None:
    """Paths and hosts are a client's choice, and so may be what tells the arms apart."""
    form = format_of("nginx_json")
    selecting = Selecting((parse_selection('{path=~"/a.*"}'),), form)
    assert all(selecting.of({}, f"/a/{number}") == 1 for number in range(2 * _MOST_VALUES))
    assert len(selecting._by_path._known) <= _MOST_VALUES
    tally = Tally(())
    for number in range(2 * _MOST_KEYS):
        tally.add(f"host-{number}", 200, None, taken_by=1)
    assert len(tally.selected) <= _MOST_KEYS + 1
    assert sum(sum(each.values()) for each in tally.selected.values()) == 2 * _MOST_KEYS


def config(criterion: dict[str, Any], **source: Any) -> Config:
    log = {"kind": "access_log", "file": "/var/log/nginx/access.log", "format": NGINX, **source}
    return Config.model_validate(
        {
            "services": {"api": {"targets": {"blue": ["http://10.0.0.1:1"]}, "source": log, "policy": "mine"}},
            "policies": {"mine": {"criteria": [criterion]}},
        }
    )


def ratio(of: str, bad: str = '{status="500"}', **more: Any) -> dict[str, Any]:
    return {"kind": "ratio", "name": "logins", "of": of, "bad": bad, "limit": "5%", **more}


@pytest.mark.parametrize(
    ("criterion", "problem"),
    [
        (ratio("POST /login"), 'of: \'POST /login\' is no selector of lines: write {method="POST",path="/login"}'),
        (ratio('logins{path="/login"}'), "of: .* is no selector of lines"),
        (ratio("{path=/login}"), "of: 'path=/login' is not a label matcher: write label=\"value\""),
        (ratio('{path="/login?next"}'), "of: .*: a path has no query: leave out \\?next"),
        (ratio('{path="/api/*"}'), 'of: .* is one path: for all that begin so write path=~"/api/.\\*"'),
        (ratio('{path="login"}'), 'of: .*: a path begins with /: write path="/login"'),
        (ratio('{method="post"}'), 'of: .*: methods are in capitals: write method="POST"'),
        (ratio("{}", '{status="5xx"}'), 'bad: status="5xx" fits no status: write status=~"5.."'),
        (ratio("{}", '{status=~"5xx"}'), 'bad: status=~"5xx" fits no status: write status=~"5.."'),
        (ratio("{}", '{status="ok"}'), 'bad: status="ok" fits no status: write one of three digits'),
        (
            ratio("{}", '{status="499"}'),
            "bad: .* counts none: clients that went away count with `client_closed: error`",
        ),
        (
            ratio('{hots="a"}'),
            "of: hots is no field of log_format; there are: path, method, status, .*Did you mean host",
        ),
        (ratio('{path=~"("}'), "of: '\\(' is not a regular expression"),
        (ratio('{host="$version"}'), "of: .*: versions are told apart by the source's arms_by and value"),
        ({"kind": "value", "name": "v", "value": "{}", "max": 1}, "value: a log has no value at a moment"),
        ({"kind": "rate", "name": "r", "events": "{}", "up": "{}", "limit": 1}, "up: a log that is written to shows"),
        (
            {"kind": "rate", "name": "r", "events": "{}", "per": "instance", "limit": 1},
            "criterion r: per: instance needs the number of instances, which a source of kind access_log does not know",
        ),
    ],
)
def test_what_no_line_could_answer_is_refused_by_its_name(criterion: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        config(criterion)


def test_two_versions_are_compared_only_where_a_field_tells_them_apart() -> None:
    compared = ratio("{}", compare={"to": "concurrent"})
    config(compared)
    with pytest.raises(ValueError, match="nothing in of and bad tells them apart"):
        config(compared, format="nginx_combined")
    with pytest.raises(ValueError, match="of: path needs the request in the line"):
        config(ratio('{path="/a"}'), format="$remote_addr $status")


async def test_what_looks_misnamed_is_said_before_a_gate_starts(tmp_path: Path, log: Written) -> None:
    """Paths are a team's own words: none of the last lines is one, and a similar one is there."""
    gate = log.gate(series=(RATIO, Series("plan", "events", {"events": "{}", "requests": '{"headers.plan"="pro"}'})))
    log.write(*[login(path="/logni")] * 3, login(path="/cart"))

    async def inspected() -> Inspection:
        assert isinstance(gate.source, InspectableSource)
        return await gate.source.inspect()

    found = await inspected()
    assert any(
        re.search("no line has the field headers.plan .criterion plan: requests.", each) for each in found.refused
    )
    log.write(json.dumps({**json.loads(login(path="/logni")), "headers": {"plan": "pro"}}))
    found = await inspected()
    assert not found.refused
    assert "criterion logins: of takes none of the last 5 lines. Did you mean /logni?" in found.doubtful
    log.write(login(401))
    found = await inspected()
    assert found.arms["candidate"].numbers == {"logins.of": 1, "logins.bad": 1, "plan.events": 6, "plan.requests": 1}


def test_a_policy_names_what_it_counts() -> None:
    """The criterion is one of any policy, and asks for its own selections."""
    policy = Policy.model_validate({"criteria": [{"kind": "ratio", "name": "logins", **LOGINS, "limit": "5%"}]})
    assert policy.criteria[0].series == RATIO
