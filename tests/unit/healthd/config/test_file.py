"""Variables, defaults and what becomes of what is unset."""

from pathlib import Path

import pytest

from healthd.checks.contract import Scope
from healthd.checks.misconfigured import MisconfiguredConfig
from healthd.config.file import ConfigError, load, parse
from healthd.config.settings import Settings
from healthd_gates.config.settings import Config


def read(text: str, **environ: str) -> Settings:
    return parse(text, "test.yaml", Settings, environ)


def refused(text: str, **environ: str) -> list[str]:
    with pytest.raises(ConfigError) as error:
        read(text, **environ)
    return [str(problem) for problem in error.value.problems]


@pytest.mark.parametrize(
    ("text", "environ", "value"),
    [
        ("${A}", {"A": "one"}, "one"),
        ("x-${A}-${B}", {"A": "one", "B": "two"}, "x-one-two"),
        ("${A:-one}", {}, "one"),
        ("${A:-one}", {"A": ""}, "one"),
        ("${A:-one}", {"A": "two"}, "two"),
        ("a$$b", {}, "a$b"),
        ("$${A}", {"A": "one"}, "${A}"),
        ("cost$", {}, "cost$"),
    ],
)
def test_variables(text: str, environ: dict[str, str], value: str) -> None:
    """An empty variable is as good as none: an orchestrator sets empty what it does not have."""
    assert read(f'version: "{text}"', **environ).version == value


def test_a_value_cannot_become_structure() -> None:
    """What stands in a variable is a text, whatever it looks like."""
    assert read("version: ${A}", A="1, level: basic}\nlevel: basic").version == "1, level: basic}\nlevel: basic"


def test_files(tmp_path: Path) -> None:
    """Secrets come from files too, without the newline that editors add; an empty file is as good as none."""
    (tmp_path / "version").write_text("1.2\n")
    (tmp_path / "empty").write_text("\n")
    assert read(f"version: ${{file:{tmp_path}/version}}").version == "1.2"
    assert refused(f"version: ${{file:{tmp_path}/empty}}") == [
        f"test.yaml:1: version: not set: file {tmp_path}/empty: it is empty: write the value into it"
    ]


def test_values_from_outside_do_not_show() -> None:
    """A secret that ended up under the wrong key is not printed with the complaint about it."""
    (problem,) = refused("defaults: {interval: '${KEY}'}", KEY="sk_live_4eC39HqLyjWDarjt")
    assert problem.startswith("test.yaml:1: defaults.interval: '***' is not a duration")


class TestUnset:
    """A check with an unset variable."""

    def test_is_misconfigured_and_named(self) -> None:
        """It runs and says what it lacks; the file is valid."""
        check = read("checks: {b: {kind: heartbeat, period: '${PERIOD}', runbook_url: '${LINK}'}}").checks["b"]
        assert isinstance(check, MisconfiguredConfig)
        assert check.missing == ("LINK", "PERIOD")

    def test_keeps_what_it_is_told(self) -> None:
        """How it counts stays as configured, or as its kind has it."""
        memory = read("checks: {m: {kind: memory, critical: true, interval: 1m, runbook_url: '${LINK}'}}").checks["m"]
        assert (memory.critical, memory.interval, memory.scope) == (True, 60.0, Scope.LOCAL)

    def test_does_not_hide_other_mistakes(self) -> None:
        """A key that does not exist is found also where the variables are unset, as in CI."""
        (problem,) = refused("checks: {b: {kind: heartbeat, period: '${P}', periods: 1h}}")
        assert problem.startswith("test.yaml:1: checks.b.periods: no such option;")

    def test_of_an_optional_check_leaves_it_out(self) -> None:
        """In development there may be no database."""
        settings = read("checks: {b: {kind: heartbeat, period: '${P}', optional: true}, p: {kind: process}}")
        assert list(settings.active_checks) == ["p"]
        settings = read("checks: {b: {kind: heartbeat, period: '${P}', optional: true}}", P="1h")
        assert list(settings.active_checks) == ["b"]

    def test_of_a_disabled_check_leaves_it_out(self) -> None:
        """`enabled: false` needs no variables."""
        assert not read("checks: {b: {kind: heartbeat, period: '${P}', enabled: false}}").active_checks

    def test_through_a_merge(self) -> None:
        """A key that an alias brought in has no line of its own."""
        text = "checks:\n  a: &a {kind: process, runbook_url: '${LINK}'}\n  b: {<<: *a, interval: 5s}\n"
        assert {type(check) for check in read(text).checks.values()} == {MisconfiguredConfig}


class TestMerge:
    """What an alias brings in is as if it was written there."""

    @pytest.mark.parametrize("merge", ["*a", "[*a]", "[*a, *a]"])
    def test_of_all_that_an_entry_has(self, merge: str) -> None:
        """An entry may have nothing of its own."""
        text = f"checks:\n  a: &a {{kind: process, interval: 7s}}\n  b:\n    <<: {merge}\n"
        assert read(text).checks["b"].interval == 7.0

    def test_of_a_mistake(self) -> None:
        """A mistake is told with the entry's line where the merged key has none."""
        text = "checks:\n  a: &a {kind: process, interval: 7}\n  b:\n    <<: *a\n"
        assert [each.partition(" 7 is ")[0] for each in refused(text)] == [
            "test.yaml:2: checks.a.interval:",
            "test.yaml:3: checks.b.interval:",
        ]

    @pytest.mark.parametrize(
        "section",
        ["policies: {a: &a {criteria: [{kind: error_rate, limit: 5%}]}, b: {<<: *a}}", "defaults: {<<: &a {fall: 5}}"],
    )
    def test_of_all_that_a_section_has(self, section: str) -> None:
        """The same holds of policies, and of a section itself."""
        parse(section, "test.yaml", Config, {})


class TestDefaults:
    """Who wins: the check, then its kind, then the file, then the daemon."""

    text = "defaults: {interval: 20s, fall: 5}\nchecks:\n"

    def test_the_file(self) -> None:
        """`defaults` counts where neither the check nor its kind says otherwise."""
        check = read(self.text + "  p: {kind: process}").checks["p"]
        assert (check.interval, check.fall, check.timeout, check.rise) == (20.0, 5, 2.0, 2)

    def test_the_kind(self) -> None:
        """A kind that knows better keeps its own: a heartbeat that is missed is missed."""
        assert read(self.text + "  h: {kind: heartbeat, period: 1h}").checks["h"].fall == 1

    def test_the_check(self) -> None:
        """What is said of the check itself counts first."""
        assert read(self.text + "  h: {kind: heartbeat, period: 1h, fall: 2, interval: 1m}").checks["h"].fall == 2


def test_no_file_is_a_configuration() -> None:
    """Without one, this host and this process are checked."""
    assert list(load(None, Settings, {}).active_checks) == ["memory", "disk", "process"]


def test_two_lines_are_one_too() -> None:
    """So are empty braces, by which somebody says that the defaults are meant."""
    assert read("environment: staging\n").environment == "staging"
    assert read("{}").environment == "development"


@pytest.mark.parametrize("text", ["", "\n", "# only a comment\n", "---\n", "null\n", "\ufeff"])
def test_a_file_without_content_is_refused(text: str) -> None:
    """A writer that truncates first, or a full disk, leaves such a file: it must not become the defaults."""
    assert refused(text) == ["test.yaml: holds no configuration; write {} into it to have nothing but the defaults"]


def test_a_fault_that_nobody_foresaw_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a library raises, what runs goes on; the fault is kept as the cause, for whoever has to find it."""

    def stumble(*_: object) -> None:
        raise ZeroDivisionError("a secret")

    monkeypatch.setattr(Settings, "model_validate", stumble)
    assert refused("{}") == ["test.yaml: cannot be read, and nobody foresaw why: ZeroDivisionError"]


def test_a_file_that_is_not_there() -> None:
    """It is named with the reason."""
    with pytest.raises(ConfigError, match=r"/nowhere\.yaml: cannot be read: No such file"):
        load(Path("/nowhere.yaml"), Settings, {})


def test_levels() -> None:
    """A check above the level does not run."""
    text = "level: {}\nchecks: {{a: {{kind: process}}, b: {{kind: memory, level: comprehensive}}}}"
    assert list(read(text.format("basic")).active_checks) == ["a"]
    assert list(read(text.format("comprehensive")).active_checks) == ["a", "b"]


def test_groups() -> None:
    """`ready` is all that is critical unless given; `startup` and `preflight` follow it; `live` needs nothing."""
    settings = read("checks: {a: {kind: process, critical: true}, b: {kind: memory}}")
    assert {name: group.checks for name, group in settings.active_groups.items()} == {
        "ready": ("a",),
        "live": (),
        "startup": ("a",),
        "preflight": ("a",),
    }
    settings = read(
        "checks: {a: {kind: process}, b: {kind: memory}}\ngroups: {ready: {checks: [b]}, own: {checks: [a]}}"
    )
    assert settings.active_groups["startup"].checks == ("b",)
    assert settings.active_groups["own"].checks == ("a",)


def test_windows_keep_their_zone() -> None:
    """A time with an offset is that time."""
    (window,) = read(
        "checks: {a: {kind: process}}\n"
        "maintenance: [{checks: [a], from: 2026-12-01T01:00:00+02:00, to: 2026-12-01T01:00:00Z, reason: x}]"
    ).maintenance
    assert window.start is not None
    assert window.end is not None
    assert window.start.astimezone(window.end.tzinfo).hour == 23


@pytest.mark.parametrize("environ", [{}, {"A": "one"}])
def test_a_default_that_holds_a_variable_is_refused(environ: dict[str, str]) -> None:
    """Taken apart at the first brace it would be another text, in silence."""
    told = "test.yaml:1: version: the default of A holds another variable: write a plain text there"
    assert refused('version: "${A:-${B}}"', B="bee", **environ) == [told]


def test_a_file_of_an_editor_that_marks_its_texts(tmp_path: Path) -> None:
    """The byte order mark is no part of a secret."""
    (tmp_path / "version").write_bytes(b"\xef\xbb\xbf1.2\r\n")
    assert read(f"version: ${{file:{tmp_path}/version}}").version == "1.2"
