"""The sites that `healthd init` finds in NGINX's configuration."""

from collections.abc import Mapping
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path

import pytest

from healthd_gates.commands.init.nginx_conf import sites
from healthd_gates.commands.init.nginx_site import Front, Site, addresses
from healthd_gates.sources.access_log.formats import COMBINED

MAIN = Path("/etc/nginx/nginx.conf")
DEFAULT = Path("/var/log/nginx/access.log")
FORMAT = 'log_format own escape=json \'$status "$request" \' "$upstream_addr";'


def found(files: Mapping[str, str]) -> list[Site]:
    def read(path: Path) -> str:
        if str(path) not in files:
            raise PermissionError(13, "Permission denied")
        return files[str(path)]

    def matching(folder: Path, mask: str) -> list[Path]:
        return [Path(name) for name in sorted(files) if fnmatch(name, str(folder / mask))]

    return sites(MAIN, read, matching)


@pytest.mark.parametrize(
    ("http", "site"),
    [
        (
            "server { location / { proxy_pass http://127.0.0.1:3000; } }",
            Site("_", ("127.0.0.1:3000",), DEFAULT, COMBINED),
        ),
        (
            "upstream api { least_conn; server a:1 weight=2; server b; server c:3 backup; server unix:/run/x.sock; }"
            " server { location / { proxy_pass http://api/v1; } }",
            Site("api", ("a:1", "b:80"), DEFAULT, COMBINED),
        ),
        (
            f"{FORMAT} access_log /log/http.log; server {{ access_log /log/api.log own buffer=32k; server_name"
            " www.shop.example; location / { proxy_pass http://127.0.0.1:3000; } }",
            Site("shop", ("127.0.0.1:3000",), Path("/log/api.log"), '$status "$request" $upstream_addr'),
        ),
        (
            FORMAT + " server { location /a { access_log /log/a.log own; location /a/b { # } }\n"
            " proxy_pass http://h:1; } } }",
            Site("_", ("h:1",), Path("/log/a.log"), '$status "$request" $upstream_addr'),
        ),
        (
            "access_log off; server { location / { proxy_pass http://h:1; } }",
            Site("_", ("h:1",), None, COMBINED),
        ),
        (
            "access_log /log/$host.log; server { location / { proxy_pass http://h:1; } }",
            Site("_", ("h:1",), None, COMBINED),
        ),
        (
            "access_log /log/a.log unknown; server { location / { proxy_pass http://h:1; } }",
            Site("_", ("h:1",), Path("/log/a.log"), None),
        ),
    ],
)
def test_a_site(http: str, site: Site) -> None:
    """Its log is that of the innermost block; its servers those that get requests."""
    (seen,) = found({str(MAIN): f"events {{}} http {{ {http} }}"})
    assert replace(seen, front=None) == site


def front(server: str) -> Front | None:
    (site,) = found({str(MAIN): f"http {{ server {{ {server} }} }}"})
    return site.front


@pytest.mark.parametrize(
    ("server", "there"),
    [
        ("location / { proxy_pass http://h:1; }", "/health"),
        ("location / { proxy_pass http://h:1/; }", "/health"),
        ("location /api/ { proxy_pass http://h:1/; }", "/api/health"),
        ("location ^~ /api/ { proxy_pass http://h:1/; }", "/api/health"),
        ("location /api/ { proxy_pass http://h:1; }", None),
        ("location /health { proxy_pass http://h:1; }", "/health"),
        ("location /api/ { proxy_pass http://h:1/v1/; }", None),
        ("location / { proxy_pass http://h:1; } location = /health { return 200; }", None),
        ("location / { proxy_pass http://h:1; } location /he { return 200; }", None),
        ("location / { proxy_pass http://h:1; } location = / { return 302 /shop; } location /static/ { }", "/health"),
        ("location = /health { proxy_pass http://h:1; } location / { proxy_pass http://h:1; }", "/health"),
        ("location / { limit_except GET { deny all; } if ($x) { return 1; } proxy_pass http://h:1; }", "/health"),
    ],
)
def test_the_path_outside(server: str, there: str | None) -> None:
    """What NGINX does not pass on, or answers itself, says nothing of the service."""
    known = front(server)
    assert known is not None
    assert known.outside("/health") == there


def test_a_pattern_says_nothing_of_a_path() -> None:
    """Whether a regular expression takes a path is NGINX's to say."""
    assert front("location ~ ^/v[0-9]+/ { proxy_pass http://h:1; }") is None


@pytest.mark.parametrize(
    ("listen", "urls"),
    [
        ([], ["http://127.0.0.1:80"]),
        (["8000", "[::]:8000 default_server"], ["http://127.0.0.1:8000", "http://[::1]:8000"]),
        (["443 ssl http2", "*:80"], ["http://127.0.0.1:80", "https://127.0.0.1:443"]),
        (
            ["10.0.0.5", "localhost:81", "www.example.com"],
            ["http://10.0.0.5:80", "http://localhost:81", "http://www.example.com:80"],
        ),
        (["unix:/run/n.sock", "443 quic", "82 proxy_protocol", "$port"], []),
    ],
)
def test_where_a_site_is_asked(listen: list[str], urls: list[str]) -> None:
    """This host reaches what speaks HTTP over TCP, the plain one first."""
    assert list(addresses([tuple(each.split()) for each in listen])) == urls


@pytest.mark.parametrize(
    ("names", "host"),
    [
        ("_", None),
        ("~^www *.a.example", None),
        (".a.example", None),
        ("www.a.example b.example", "www.a.example"),
        ("shop", "shop"),
    ],
)
def test_the_name_to_ask_for(names: str, host: str | None) -> None:
    """A pattern is none."""
    known = front(f"server_name {names}; location / {{ proxy_pass http://h:1; }}")
    assert known is not None
    assert known.host == host


def test_included_files() -> None:
    """They are read as NGINX reads them; one that may not be read is passed over."""
    files = {
        str(MAIN): "http { include conf.d/*.conf; include /etc/nginx/secret; }",
        "/etc/nginx/conf.d/a.conf": "upstream api { server 127.0.0.1:1; }",
        "/etc/nginx/conf.d/b.conf": "server { location / { proxy_pass http://api; } }",
    }
    assert [site.name for site in found(files)] == ["api"]


def test_sites_that_share_a_log() -> None:
    """They are marked: whose a line is has to stand in it."""
    two = "".join(f"server {{ location / {{ proxy_pass http://h:{port}; }} }}" for port in (1, 2))
    assert [site.shares_log for site in found({str(MAIN): f"http {{ {two} }}"})] == [True, True]


_BROKEN = (
    *("", "}", "http {", "include;"),
    *("http { server { location / { proxy_pass", "http { server { proxy_pass http://$x; } }"),
)


@pytest.mark.parametrize("text", _BROKEN)
def test_what_is_no_configuration(text: str) -> None:
    """A broken file has no sites, and breaks nothing; nor does one that includes itself."""
    assert found({str(MAIN): text}) == []
    assert found({str(MAIN): f"include nginx.conf; {text}"}) == []
