"""Slips of the pen in a file: each is answered with the line, the key, the cure and the nearest valid word, and never
in the words of a parser or a validator; and what YAML writes in several ways is read as what it means."""

from __future__ import annotations

import ast
import inspect

import pytest
from ruamel.yaml import composer, parser, scanner

from healthd.config.file import ConfigError, parse
from healthd.config.settings import Settings
from healthd.config.yaml_text import _PLAINLY, YAMLTextError, read_yaml
from healthd.validation_words import LIST as _LIST
from healthd.validation_words import MAPPING as _MAPPING

_QUOTED = "must stand in quotes within { } and [ ]: YAML takes its braces for a mapping"
_DOCUMENT = "a second document begins here: write all in one, without this `---` or `...`"
_NAME_ALONE = "write the name alone, without a scheme, a port or a path, such as example.com"
_SPACE = "a check needs a kind; write `kind: memory`, with a space behind the colon"
_UNIT = "is not a duration: write a number with its unit, such as 30s, 5m, 1h30m or 250ms"
_COLON = "a space is missing behind the colon: write `reason: …`"
_EMPTY = "holds no configuration; write {} into it to have nothing but the defaults"


def said(text: str) -> list[str]:
    """What the file `c` with this text is refused with."""
    try:
        parse(text, "c", Settings, {"X": "x"})
    except ConfigError as error:
        return [str(problem).removeprefix("c:").strip() for problem in error.problems]
    return []


def http(options: str) -> str:
    return f"checks:\n  d: {{kind: http, url: 'http://a', {options}}}\n"


def memory(options: str) -> str:
    return f"checks:\n  d: {{kind: memory, {options}}}\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("checks:\n  d: {kind: dns, name: 'http://a.example'}\n", f"2: checks.d.name: {_NAME_ALONE}"),
        ("checks:\n  d: {kind: dns, name: 'a.example/x'}\n", f"2: checks.d.name: {_NAME_ALONE}"),
        ("checks:\n  d: {kind: dns, name: 'a.example:53'}\n", f"2: checks.d.name: {_NAME_ALONE}"),
        ("routes:\n  - name:x\n", f"2: routes.0: {_MAPPING}; a space is missing behind the colon: write `name: …`"),
        ("maintenance:\n  - reason:x\n", f"2: maintenance.0: {_MAPPING}; {_COLON}"),
        ("maintenance:\n  -reason: x\n   for: 1h\n", "2: a space belongs behind each -: write `- reason: …`"),
        ("maintenance:\n  -reason: x\n  -reason: y\n", "3: a space belongs behind each -: write `- reason: …`"),
        ("maintenance:\n  -reason: x\n", f"1: maintenance: {_LIST}; a space belongs behind each -"),
        ("routes:\n  - http://a\n", f"2: routes.0: {_MAPPING}"),
        (memory("runbook: wiki/foo"), "2: checks.d.runbook: no such option; did you mean runbook_url?"),
        (
            "http: {listen: '${file:/no/such}'}\n",
            "1: http.listen: not set: file /no/such: it cannot be read: No such file or directory; "
            "mount it, or let the daemon read it",
        ),
        ("http: {listen: '${file:/a:-b}'}\n", "1: http.listen: a file has no default: write ${file:/a}"),
        (
            "checks:\n  d: {kind: postgresql, uri: {file: /a}}\n",
            "2: checks.d.uri: must be text, in quotes if it looks like a number, a date, or true or false; "
            'to have a text from a file write "${file:/path}"',
        ),
        (
            "checks:\n  d: {kind: postgresql, uri: {env: A}}\n",
            "2: checks.d.uri: must be text, in quotes if it looks like a number, a date, or true or false; "
            'the value of a variable is written "${NAME}"',
        ),
        (
            "checks:\n  d: {kind: postgresql, uri: 'file:/a'}\n",
            "2: checks.d.uri: must begin with postgresql:// or postgres://; to have a text from a file write "
            '"${file:/path}"',
        ),
        ("checks:\n  d: {kind: http, url: ${APP_URL}}\n", f'2: "${{APP_URL}}" {_QUOTED}'),
        ("checks:\n  d: {kind: http, url: http://${HOST}/x}\n", f'2: "${{HOST}}" {_QUOTED}'),
        ("groups: {ready: {checks: [${X:-a}]}}\n", f'1: "${{X}}" {_QUOTED}'),
        (http("status: 200"), "2: checks.d.status: no such option; did you mean expect.status?"),
        (
            http("expect: {status: ok}"),
            "2: checks.d.expect.status: 'ok' is not a status: write 200, 2xx, 200-299 or a list of them",
        ),
        ("listen: 127.0.0.1:1\n", "1: listen: no such option; did you mean http.listen?"),
        ("checks:\n  d: {kind: tcp, host: a, port: http}\n", "2: checks.d.port: must be a whole number"),
        (memory("interval: 15"), f"2: checks.d.interval: 15 {_UNIT}"),
        (memory("interval: '15'"), f"2: checks.d.interval: '15' {_UNIT}"),
        (memory("interval: 15 sec"), f"2: checks.d.interval: '15 sec' {_UNIT}"),
        (memory("critical: maybe"), "2: checks.d.critical: must be true or false"),
        ("checks:\n\td: {kind: memory}\n", "2: a tab cannot be used here: indent with spaces"),
        (
            "checks:\n  d: {kind: memory}\n  d: {kind: disk}\n",
            '3: the key "d" is there twice: keep one, or rename the other',
        ),
        (
            "\ufeffchecks:\n  d: {kind: memory, intervall: 3s}\n",
            "2: checks.d.intervall: no such option; did you mean interval?",
        ),
        (
            "checks:\r\n  d:\r\n    kind: memory\r\n    intervall: 3s\r\n",
            "4: checks.d.intervall: no such option; did you mean interval?",
        ),
        (
            "checks:\n  d: &a {kind: memory}\n  e:\n    <<: *a\n    intervall: 3s\n",
            "5: checks.e.intervall: no such option; did you mean interval?",
        ),
        (
            "checks:\n  d: *a\n",
            "2: an alias (*name) names a value that no &name above marks; a text that begins with * must be quoted",
        ),
        (
            "checks:\n  d: {<<: text, kind: memory}\n",
            "2: << takes the alias of a mapping, such as <<: *name, or a list of those",
        ),
        ("", _EMPTY),
        ("# only a comment\n", _EMPTY),
        ("---\n", _EMPTY),
        ("- checks\n", "1: the file must be a mapping of keys to values, such as `checks:`, and is a list"),
        ("checks\n", "1: the file must be a mapping of keys to values, such as `checks:`, and is a single value"),
        ("checks: {}\n---\nchecks: {}\n", f"2: {_DOCUMENT}"),
        ("checks: {}\n...\nchecks: {}\n", f"3: {_DOCUMENT}"),
        ("%YAML 3.0\n---\nchecks: {}\n", "1: only YAML 1.1 and 1.2 can be read: leave the line that begins with % out"),
        (
            "groups: {ready: [a]}\n",
            "1: groups.ready: must be a mapping of keys to values, such as `key: value`, one a line; "
            "write `ready: {checks: [a, b]}`",
        ),
        (
            "groups:\n  ready:\n    checks:\n      -a\n      -b\n",
            "3: groups.ready.checks: must be a list, such as [a, b]; a space belongs behind each -",
        ),
        ("checks:\n  d: memory\n", f"2: checks.d: {_SPACE}"),
        ("checks:\n  d: {kind:memory}\n", f"2: checks.d: {_SPACE}"),
        ("checks:\n  d:\n    kind:memory\n", f"2: checks.d: {_SPACE}"),
        (
            "checks:\n  d: {kind: http, url: “http://a”}\n",
            "2: checks.d.url: is not a URL: write http://host/path or https://host/path; "
            "“ is no quote in YAML: write \" or '",
        ),
        ("maintenance: [{checks: *}]\n", "1: a text that begins with & or * must be quoted"),
        (memory("runbook_url: !x"), "2: a text that begins with ! must be quoted"),
        (
            "checks:\n  d:\n    kind: memory\n    runbook_url: |x\n",
            "4: a text that begins with | or > must be quoted; for a text of several lines nothing follows that sign",
        ),
    ],
)
def test_a_slip(text: str, told: str) -> None:
    assert said(text) == [told]


@pytest.mark.parametrize(
    "text",
    [
        "checks:\n  d: {kind: tcp, host: a, port: '80'}\n",
        http("expect: {status: 200}"),
        http("expect: {status: '200'}"),
        http("expect: {status: [200, 2xx]}"),
        *(memory(f"critical: {word}") for word in ("yes", "'yes'", "on", "'off'", "True", "'true'")),
        "\ufeffchecks:\n  d: {kind: memory}\n",
        "checks:\r\n  d: {kind: memory}\r\n",
        "checks:\n  d: &a {kind: memory}\n  e: *a\n",
        "checks:\n  d: {kind: memory}\n...\n",
        "%YAML 1.1\n---\nchecks: {}\n",
        "{}",
        "checks:\n  d: {kind: dns, name: _dmarc.a.example.}\n",
        "checks:\n  d: {kind: dns, name: '2001:db8::1', record: PTR}\n",
        "checks:\n  d: {kind: dns, name: 1.0/25.2.0.192.in-addr.arpa, record: PTR}\n",
        memory("runbook_url: HTTPS://wiki.example.com/a?b=c#d"),
        memory("runbook_url: '${UNSET:-}'"),
        memory("runbook_url: docs/runbooks/memory.md"),
        memory("runbook_url: 'see wiki: memory'"),
    ],
)
def test_what_can_be_understood_is(text: str) -> None:
    assert said(text) == []


def test_an_option_that_is_called_as_its_kind_is_named() -> None:
    assert said("checks:\n  d: {kind: domain}\n") == ["2: checks.d.domain: is required"]


def _problems() -> set[str]:
    """How the problems begin that the YAML library can have with a text."""
    found = set[str]()
    for module in (scanner, parser, composer):
        for node in ast.walk(ast.parse(inspect.getsource(module))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "").endswith("Error") and len(node.args) > 2:
                problem = node.args[2]
                start = problem.values[0] if isinstance(problem, ast.JoinedStr) else problem
                found |= {start.value} if isinstance(start, ast.Constant) and isinstance(start.value, str) else set()
    return found


def test_no_words_of_the_yaml_library_are_shown() -> None:
    """A version of it that has other problems fails here, and not before a user."""
    problems = _problems() - {"maximum depth of data structure exceeded ("}  # an error of its own: nested too deeply
    assert len(problems) > 20
    assert {each for each in problems if not any(each.startswith(start.strip()) for start in _PLAINLY)} <= {
        "found character ",  # more follows
    }
    with pytest.raises(YAMLTextError, match="an escape in double quotes names no character: use single quotes"):
        read_yaml('a: "\\U00110000"')


@pytest.mark.parametrize(
    ("text", "line", "key"),
    [
        ("checks:\n  db:\n    kind: memory\n    interval:10s\ngroups: {}\n", 4, "interval"),
        ("checks:\n  db:\n    kind:postgresql\n    uri: postgresql://h/d\n", 3, "kind"),
        ("checks:\n  db:\n    kind: memory\n    interval:10s\n    timeout: 2s\n", 4, "interval"),
        ("checks:\n  db:\n    kind: memory\n    interval:10s\n    timeout:2s\n", 4, "interval"),
        ("checks:\n  db:\n    kind: memory\n    interval:10s  # often\n\n", 4, "interval"),
        ("environment:production\nchecks: {}\n", 1, "environment"),
        ("environment:production\n\n# what is looked at\nchecks: {}\n", 1, "environment"),
        ("checks: {}\nenvironment:production", 2, "environment"),
        ("auth:\n  tokens:\n    - name:x\n      role: viewer\n", 3, "name"),
        ("auth:\n  tokens:\n    - name: x\n      role:viewer\n    - name: y\n", 4, "role"),
    ],
)
def test_a_space_is_missing_behind_a_colon(text: str, line: int, key: str) -> None:
    """The line in which it is missing, though the parser stumbles in a later one."""
    assert said(text) == [f"{line}: a space is missing behind the colon: write `{key}: …`"]


def test_a_glued_value_is_not_repeated() -> None:
    """It may be a password."""
    assert "hunter22" not in str(said("checks:\n  d:\n    kind: redis\n    password:hunter22\n    uri: redis://h\n"))


def test_an_address_on_its_own_line_is_no_key() -> None:
    """`http://a` has a colon and is one value."""
    text = "checks:\n  d:\n    kind: http\n    url:\n      http://a\n     timeout: 1s\n"
    assert "space is missing" not in str(said(text))


def test_how_often_a_job_reports_is_its_period() -> None:
    """`interval`, which every check has, is how often it is looked whether the job did."""
    text = "checks:\n  d: {kind: heartbeat, every: 1h, period: 1h}\n"
    assert said(text) == ["2: checks.d.every: no such option; did you mean period?"]
    assert said(memory("every: 1h")) == ["2: checks.d.every: no such option; did you mean interval?"]


def test_the_nearest_severity_is_named() -> None:
    """A word of few is told as such, whatever declares them."""
    (told,) = said("notifiers:\n  n: {kind: slack, url: 'https://h/x'}\nroutes:\n  - {to: n, severity: warn}\n")
    assert told == "4: routes.0.severity: must be 'info', 'warning' or 'critical'; did you mean warning?"
