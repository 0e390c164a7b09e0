"""A log's format, by its newest lines."""

from pathlib import Path

import pytest

from healthd_gates.commands.init.log_tail import newest_lines, tried

COMBINED = '127.0.0.1 - - [26/Nov/2026:18:00:00 +0000] "GET /a HTTP/1.1" 200 5 "-" "curl/8"'
OWN = "$status $request_time $upstream_addr"
CADDY = (
    '{"ts": 1764180000.1, "request": {"uri": "/a", "headers": {"User-Agent": ["x"]}}, "duration": 0.01, "status": 200}'
)
NGINX_JSON = (
    '{"time_iso8601": "2026-11-26T18:00:00+00:00", "request_uri": "/a", "status": "200", "request_time": "0.1",'
    ' "upstream_addr": "a:1"}'
)
LOG = Path("/log")


@pytest.mark.parametrize(
    ("line", "formats", "format_", "by_server", "timed", "servers"),
    [
        (COMBINED, [], "nginx_combined", False, False, ()),
        (COMBINED + " 1234", [], "apache_combined", False, True, ()),
        (CADDY, [], "caddy_json", False, True, ()),
        (NGINX_JSON, [], "nginx_json", True, True, ("a:1",)),
        ("200 0.1 127.0.0.1:1", [OWN], OWN, True, True, ("127.0.0.1:1",)),
    ],
)
def test_the_format_is_the_one_that_finds_most(
    line: str, formats: list[str], format_: str, by_server: bool, timed: bool, servers: tuple[str, ...]
) -> None:
    """Several formats read the same line; the right one knows the most of it."""
    found = tried(LOG, [line] * 3, formats)
    assert (found.format, found.by_server, found.has_latency, found.servers) == (format_, by_server, timed, servers)


@pytest.mark.parametrize(
    ("lines", "formats", "says"),
    [
        ([], [], "has no line yet"),
        (["hello"], [], "no format that healthd knows"),
        (["hello"], [OWN], "not the log_format that NGINX's configuration has"),
        (["200"], ["$a$b $status"], "nothing between"),
    ],
)
def test_a_log_that_cannot_be_read(lines: list[str], formats: list[str], says: str) -> None:
    """The reason is said."""
    with pytest.raises(ValueError, match=says):
        tried(LOG, lines, formats)


def test_only_whole_lines_are_read(tmp_path: Path) -> None:
    """Of a long log its end, of a line that is being written nothing."""
    file = tmp_path / "log"
    file.write_text("".join(f"{number:>9}\n" for number in range(20_000)) + "half")
    lines = newest_lines(file)
    assert (len(lines), lines[-1], {*map(len, lines)}) == (200, "    19999", {9})
