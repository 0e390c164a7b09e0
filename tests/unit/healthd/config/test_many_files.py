"""Several files that are one configuration: what they include, share and refuse."""

from functools import partial
from pathlib import Path

import pytest

from healthd.config.file import ConfigError, load
from healthd.config.written_files import WrittenFiles
from healthd_gates.config.settings import Config

MAIN = """\
include: healthd.d
defaults:
  labels: {tier: web}
  values: {domain: example.com}
  checks: {http: {timeout: 4s}}
  sources: {prometheus: {url: "http://prometheus:9090"}}
  services: {rollback_window: 1h}
templates:
  checks:
    base: {kind: http, critical: true, url: "https://${self.name}.${values.domain}:${values.port:-443}/"}
    web: {template: base, interval: 20s, expect: {status: [200]}}
  services:
    web:
      source: {kind: prometheus, requests: 'r{s="${self.name}"}', errors: 'e{s="${self.name}"}'}
      targets: {blue: "http://${self.name}:8080"}
"""
SHOP = """\
defaults: {labels: {team: shop}, interval: 40s, fall: 5}
checks:
  cart: {template: web}
  search: {template: web, values: {port: 8443}, labels: {tier: api}, expect: {contains: ok}}
  tick: {kind: heartbeat, period: 1h}
services:
  cart: {template: web, source: {lookback: 2m}}
auth: {tokens: [{name: shop, hash: "sha256:%s", scopes: [admin]}]}
""" % ("0" * 64)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "healthd.yaml").write_text(MAIN)
    (tmp_path / "healthd.d").mkdir()
    write(tmp_path, "shop", SHOP)
    return tmp_path


def write(folder: Path, name: str, text: str) -> None:
    (folder / f"healthd.d/{name}.yaml").write_text(text)


def read(folder: Path, **environ: str) -> Config:
    return load(folder / "healthd.yaml", Config, environ)


def refused(folder: Path, **environ: str) -> list[str]:
    with pytest.raises(ConfigError) as error:
        read(folder, **environ)
    return [str(problem).removeprefix(f"{folder}/") for problem in error.value.problems]


def test_an_entry_is_over_its_template_over_the_defaults(folder: Path) -> None:
    """Mappings are put together, anything else is replaced; the defaults of a file are those of its own entries."""
    write(folder, "ops", "checks: {disk: {kind: disk}, other: {kind: heartbeat, period: 1h}}")
    config = read(folder)
    cart, search = config.checks["cart"].model_dump(), config.checks["search"].model_dump()
    assert cart["url"].get_secret_value() == "https://cart.example.com:443/"
    assert search["url"].get_secret_value() == "https://search.example.com:8443/"
    assert (cart["critical"], cart["interval"], cart["timeout"], cart["fall"]) == (True, 20.0, 4.0, 5)
    assert (search["expect"]["status"], search["expect"]["contains"]) == ((200,), "ok") or search["expect"]
    assert (cart["labels"], search["labels"]) == ({"tier": "web", "team": "shop"}, {"tier": "api", "team": "shop"})
    tick, other = config.checks["tick"], config.checks["other"]
    assert (tick.interval, tick.fall, other.interval) == (40.0, 1, 15.0)  # one failure is a heartbeat's own default
    assert other.labels == {"tier": "web"}
    service = config.services["cart"]
    assert (service.rollback_window, service.labels["team"]) == (3600.0, "shop")
    source = service.model_dump()["source"]
    assert (source["url"], source["lookback"], str(source["requests"])) == (
        "http://prometheus:9090",
        120.0,
        'r{s="cart"}',
    )
    assert [token.name for token in config.auth.tokens] == ["shop"]


def test_lists_and_options_of_several_files_are_put_together(folder: Path) -> None:
    """Tokens, routes and windows are added; two files may say different options of one section."""
    hash_ = "sha256:" + "1" * 64
    write(
        folder,
        "a",
        f'auth: {{trust_loopback: true, tokens: [{{name: a, hash: "{hash_}", scopes: [admin]}}]}}\nroutes: []',
    )
    write(
        folder,
        "b",
        "notifiers: {n: {kind: webhook, url: 'http://x.test'}}\nroutes: [{to: n}]\nhttp: {drain: 1s}\nchecks:",
    )
    config = read(folder)
    assert [token.name for token in config.auth.tokens] == ["a", "shop"]
    assert (config.auth.trust_loopback, len(config.routes), config.http.drain) == (True, 1, 1.0)


class TestRefusals:
    """Every problem has its own file and line."""

    def test_problems_of_several_files_at_once(self, folder: Path) -> None:
        write(folder, "shop", "checks:\n  a: {kind: disk, intervall: 3s}\n")
        write(folder, "ops", "\n\nchecks:\n  b:\n    kind: http\n    url: nothing\n")
        first, second = refused(folder)
        assert first.startswith("healthd.d/ops.yaml:6: checks.b.url: ")
        assert second.startswith("healthd.d/shop.yaml:2: checks.a.intervall: no such option; did you mean interval?")

    @pytest.mark.parametrize("text", ["x: !vault a\n---\ny: 1\n", "!x:\n  y: 1\n"])
    def test_a_main_file_that_goes_on_as_no_yaml(self, folder: Path, text: str) -> None:
        """It is refused by its line, at a reload as well, before anything that it includes is looked for."""
        (folder / "healthd.yaml").write_text(f"{text}\n# include\n")
        main = folder / "healthd.yaml"
        for reading in (partial(load, main, Config, {}), WrittenFiles(main, Config, {}).load):
            with pytest.raises(ConfigError, match=r"healthd\.yaml:1: .*the tag !\S+ means nothing here"):
                reading()

    def test_a_bug_of_a_library(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Whatever is raised for what the main file includes is a refusal of the file, and no more."""
        monkeypatch.setattr("healthd.config.include.glob", lambda *_, **__: 1 / 0)
        with pytest.raises(ConfigError, match="nobody foresaw why: ZeroDivisionError"):
            read(folder)

    def test_texts_that_are_no_yaml(self, folder: Path) -> None:
        write(folder, "shop", "checks: {")
        write(folder, "ops", "checks:\n\t- a")
        first, second = refused(folder)
        assert first.startswith("healthd.d/ops.yaml:2: a tab")
        assert second.startswith("healthd.d/shop.yaml:1: ")

    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            (
                "checks:\n  cart: {kind: disk}",
                "2: checks.cart: is already at {}/healthd.d/shop.yaml:3: write it in one",
            ),
            ("http: {drain: 1s}\nenvironment: x\nchecks: []", "3: checks: is already at {}/healthd.d/shop.yaml:2"),
            ("include: [x]", "1: include: only the main file includes others: name these in {}/healthd.yaml"),
            ("defaults: {intervall: 3s}", "1: defaults.intervall: no such option; there are: checks, fall, "),
            ("defaults: {labels: 3}", "1: defaults.labels: must be a mapping"),
            ("defaults: [x]", "1: defaults: must be a mapping"),
            (
                "defaults:\n  checks: {htp: {}}",
                "2: defaults.checks.htp: no kind of check is called 'htp'. Did you mean http",
            ),
            ("defaults: {sources: {prometeus: {}}}", "1: defaults.sources.prometeus: no kind of source is called "),
            (
                "templates: {check: {}}",
                "1: templates.check: there are templates of checks, policies, services. Did you",
            ),
            ("templates: {services: {web: {}}}", "1: templates.services.web: is already at {}/healthd.yaml:13"),
            (
                "checks:\n  x: {template: webb}",
                "2: checks.x.template: names 'webb', which is not under templates.checks; ",
            ),
            ("checks: {x: {template: web, kind: tcp}}", "1: checks.x.kind: is not the kind of its template, http"),
            ("checks: {x: {template: [web]}}", "1: checks.x.template: names "),
            ("checks: {x: {kind: [web]}}", "1: checks.x: a check needs a kind"),
            (
                "checks: {x: {kind: heartbeat, period: '${values.p}'}}",
                "1: checks.x.period: values.p is not given: add it",
            ),
            (
                "checks: {x: {kind: heartbeat, period: '${self.nam}'}}",
                "1: checks.x.period: an entry has only ${{self.name}}",
            ),
            (
                "notifiers: {x: {kind: slack, url: '${self.name}'}}",
                "1: notifiers.x.url: ${{self.name}} means something only",
            ),
            ("defaults: {labels: {1a: x}}\nchecks: {x: {kind: disk}}", "1: checks.x.labels.1a: must be a label's name"),
        ],
    )
    def test_what_is_said(self, folder: Path, text: str, problem: str) -> None:
        write(folder, "team", text)
        assert any(said.startswith("healthd.d/team.yaml:" + problem.format(folder)) for said in refused(folder)), (
            refused(folder)
        )

    def test_a_mistake_in_a_template_is_told_once_where_it_is(self, folder: Path) -> None:
        main = folder / "healthd.yaml"
        main.write_text(MAIN.replace("interval: 20s", "intervall: 20s"))
        (problem,) = refused(folder)
        assert problem.startswith("healthd.yaml:11: checks.cart.intervall: no such option; did you mean interval?")

    def test_templates_in_a_circle(self, folder: Path) -> None:
        write(
            folder, "team", "templates:\n  policies: {a: {template: b}, b: {template: a}}\npolicies: {p: {template: a}}"
        )
        (problem,) = refused(folder)
        assert "policies.p.template: its templates extend one another" in problem

    @pytest.mark.parametrize(
        "pattern", ["healthd.e", "healthd.d/shopp.yaml", "healthd.e/*.yaml", "''", "{a: b}", "[[]]"]
    )
    def test_a_misspelt_pattern(self, folder: Path, pattern: str) -> None:
        (folder / "healthd.yaml").write_text(MAIN.replace("healthd.d", pattern))
        (problem,) = refused(folder)
        assert problem.startswith("healthd.yaml:1: include: ")

    @pytest.mark.parametrize("name", ["healthd.yaml", "./healthd.yaml", "healthd.d/../healthd.yaml"])
    def test_itself_by_name(self, folder: Path, name: str) -> None:
        """Whoever wrote it meant another file; one of a folder that is taken whole is left out without a word."""
        (folder / "healthd.yaml").write_text(MAIN.replace("include: healthd.d", f"include:\n  - healthd.d\n  - {name}"))
        (problem,) = refused(folder)
        cure = f"{name} is this file itself: name only other files, or leave it out"
        assert problem == f"healthd.yaml:3: include: {cure}"


def test_what_a_pattern_takes(folder: Path) -> None:
    """Neither itself, nor hidden files, nor one file twice; a folder that is empty may fill later."""
    (folder / "healthd.yaml").write_text(
        MAIN.replace("healthd.d", "['*.yaml', healthd.d, 'healthd.d/**/*.yaml', 'd/*.yaml']")
    )
    (folder / "healthd.d/.old.yaml").write_text("checks: {")
    (folder / "d").mkdir()
    assert "cart" in read(folder).checks
    (folder / "healthd.d/gone.yaml").symlink_to(folder / "nowhere")
    assert refused(folder) == ["healthd.d/gone.yaml: cannot be read: No such file or directory"]


def test_secrets_of_variables_are_hidden_and_unset_ones_named(folder: Path) -> None:
    """In whichever file they stand, and through a template's values too."""
    write(folder, "team", "checks: {x: {template: base, values: {port: '${PORT}'}}}\ndefaults: {fall: '${FALL}'}")
    assert read(folder, FALL="3").checks["x"].model_dump()["missing"] == ("PORT",)
    assert refused(folder, FALL="s3cret-word", PORT="1") == [
        "healthd.d/team.yaml:2: checks.x.fall: must be a whole number"
    ]
    assert "s3cret" not in read(folder, FALL="3", PORT="1").model_dump_json()
