"""A path that begins with `~` is refused where it is written: no shell would make a home of it."""

import pytest

from healthd.config.file import ConfigError, parse
from healthd_deploy.nginx.settings import NginxConfig
from healthd_gates.config.settings import Config

_DEPLOY = """\
service: api
upstream:
  file: {file}
  name: api
  targets: {{blue: ["a:1"], green: ["b:1"]}}
  test: {test}
release:
  argv: {argv}
"""


def deploy(file: str = "/etc/api.conf", test: str = "[nginx, -t]", argv: str = "[release]") -> NginxConfig:
    return parse(_DEPLOY.format(file=file, test=test, argv=argv), "deploy.yaml", NginxConfig, {"HOME": "/home/ci"})


@pytest.mark.parametrize(
    ("changes", "line", "key"),
    [
        ({"file": "~/api.conf"}, 3, "upstream.file: ~/api.conf is not"),
        ({"argv": "[~/release, $version]"}, 8, "release.argv.0: ~/release is not"),
        ({"argv": "[sh, ~/release, $version]"}, 8, "release.argv.1: ~/release is not"),
        ({"test": "[nginx, -t, -c, ~/n.conf]"}, 6, "upstream.test.3: ~/n.conf is not"),
    ],
)
def test_where_nothing_expands_it(changes: dict[str, str], line: int, key: str) -> None:
    with pytest.raises(ConfigError) as refused:
        deploy(**changes)
    (problem,) = refused.value.problems
    assert str(problem).startswith(f"deploy.yaml:{line}: {key} expanded, since no shell reads it: write the whole path")
    assert "such as ${HOME}/" in str(problem)


@pytest.mark.parametrize("argv", ["[sh, -c, '~/release']", "[ssh, host, ~/release]", "[release, a~b, a/~]"])
def test_where_a_shell_reads_it_or_none_would(argv: str) -> None:
    deploy(argv=argv)


def test_the_home_of_the_variable() -> None:
    assert deploy(argv="['${HOME}/release']").release.argv == ("/home/ci/release",)


def test_everywhere_in_a_configuration() -> None:
    checks = "checks:\n  space:\n    kind: disk\n    path: ~/data\n"
    text = f"{checks}actions:\n  back:\n    kind: command\n    argv: [~/back]\n"
    with pytest.raises(ConfigError) as refused:
        parse(text, "c.yaml", Config, {})
    told = [str(problem) for problem in refused.value.problems]
    assert [each.partition(" is not expanded")[0] for each in told] == [
        "c.yaml:4: checks.space.path: ~/data",
        "c.yaml:8: actions.back.argv.0: ~/back",
    ]
