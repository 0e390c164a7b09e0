"""`healthd config check`: what of a valid file could never work on this host."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from healthd.cli import main


def test_a_journal_that_can_never_be_is_refused_with_its_line(tmp_path: Path) -> None:
    """Not by the daemon, which serves health without one; and not where it runs on another host."""
    file = tmp_path / "healthd.yaml"
    file.write_text(f"environment: development\njournal: sqlite:///{tmp_path}\n")
    result = CliRunner().invoke(main, ["config", "check", str(file)])
    assert result.exit_code == 2
    assert f"{file}:2: journal: {tmp_path} is a directory: name a file in it" in result.stderr
    assert CliRunner().invoke(main, ["config", "check", str(file), "--elsewhere"]).exit_code == 0


@pytest.mark.parametrize(
    ("listen", "cluster", "is_told"),
    [
        ("127.0.0.1:8080", "10.96.0.1", True),
        ("0.0.0.0:8080", "10.96.0.1", False),
        ("127.0.0.1:8080", None, False),
    ],
)
def test_a_pod_that_its_probes_cannot_reach_is_told(
    listen: str, cluster: str | None, is_told: bool, tmp_path: Path
) -> None:
    """Which the default would be: Kubernetes restarts it for ever, and its log would say that it serves."""
    file = tmp_path / "healthd.yaml"
    file.write_text(f"http: {{listen: '{listen}'}}\n")
    result = CliRunner().invoke(main, ["config", "check", str(file)], env={"KUBERNETES_SERVICE_HOST": cluster})
    assert (f"http.listen: {listen} is reached from within this pod alone" in result.output) is is_told
    assert result.exit_code == 0


def test_a_variable_that_a_check_lacks_is_named_with_line_and_cure(tmp_path: Path) -> None:
    """The daemon would start without it, and report the check."""
    file = tmp_path / "healthd.yaml"
    file.write_text(
        "checks:\n  db: {kind: postgresql, uri: 'postgresql://me:${DB_PASSWORD}@db/shop', critical: true}\n"
    )
    result = CliRunner().invoke(main, ["config", "check", str(file)], env={"DB_PASSWORD": None})
    told = "not set here: DB_PASSWORD; this critical check would be unhealthy: set it, or give a default as "
    assert (result.exit_code, f"{file}:2: checks.db: {told}${{DB_PASSWORD:-…}}" in result.output) == (0, True)


def test_a_notifier_whose_variable_or_file_is_not_here_is_told(tmp_path: Path) -> None:
    """With the cure that fits; it would send nothing, and nobody would learn it."""
    file = tmp_path / "healthd.yaml"
    file.write_text(
        "notifiers:\n  a: {kind: slack, url: '${SLACK}'}\n  b: {kind: slack, url: '${file:/no/such}'}\n"
        "  c: {kind: slack, url: '${SLACK}', optional: true}\nroutes: [{to: [a, b]}]\n"
    )
    result = CliRunner().invoke(main, ["config", "check", str(file)], env={"SLACK": None})
    assert result.exit_code == 0, result.output
    told = "not set here: SLACK; it would send nothing: set it, or give a default as ${SLACK:-…}"
    assert f"{file}:2: notifiers.a: {told}" in result.output
    assert f"{file}:3: notifiers.b: not set here: file /no/such; it would send nothing: mount it, or" in result.output
    assert "notifiers.c" not in result.output


def test_a_wrong_key_is_told_though_its_variable_is_not_set(tmp_path: Path) -> None:
    """It would be told in production, where the variable is set."""
    file = tmp_path / "healthd.yaml"
    file.write_text("notifiers:\n  a: {kind: slack, webhook: '${SLACK}'}\nroutes: [{to: a}]\n")
    result = CliRunner().invoke(main, ["config", "check", str(file)], env={"SLACK": None})
    assert (result.exit_code, "notifiers.a.webhook: no such option" in result.stderr) == (2, True), result.output


def test_the_program_of_a_check_that_is_not_here_is_told(tmp_path: Path) -> None:
    """By its path or by its name; another host may have it, so that the file is valid."""
    file = tmp_path / "healthd.yaml"
    file.write_text("checks:\n  a: {kind: exec, argv: [/no/such/x]}\n  b: {kind: exec, argv: ['check_load -w 5']}\n")
    result = CliRunner().invoke(main, ["config", "check", str(file)])
    assert (result.exit_code, f"{file}:2: checks.a.argv: /no/such/x is not there; this" in result.output) == (0, True)
    assert f"{file}:3: checks.b.argv: there is no program check_load -w 5 in " in result.output
    assert "argv" not in CliRunner().invoke(main, ["config", "check", str(file), "--elsewhere"]).output


def test_the_file_is_named_as_for_every_other_command_too(tmp_path: Path) -> None:
    """By `-c` or HEALTHD_CONFIG; an argument goes before the variable, and two files are one too many."""
    file, other = tmp_path / "healthd.yaml", str(tmp_path / "none.yaml")
    file.write_text("environment: development\n")
    for words, variables in (
        (["-c", str(file)], {}),
        ([], {"HEALTHD_CONFIG": str(file)}),
        ([str(file)], {"HEALTHD_CONFIG": other}),
    ):
        checked = CliRunner().invoke(main, ["config", "check", *words], env=variables)
        assert (checked.exit_code, checked.output.startswith(f"{file}: valid")) == (0, True), checked.output
    twice = CliRunner().invoke(main, ["config", "check", str(file), "-c", other])
    assert twice.exit_code == 2
    assert f"{file} and {other}: name one file" in twice.output
    none = CliRunner().invoke(main, ["config", "check"], env={"HEALTHD_CONFIG": None})
    assert (none.exit_code, "Missing argument 'FILE'" in none.output) == (2, True)


def test_what_is_shown_holds_no_secret_among_the_words_of_a_command(tmp_path: Path) -> None:
    """Of checks and of actions: known from elsewhere in the file, or named so."""
    file = tmp_path / "healthd.yaml"
    file.write_text(
        "environment: development\n"
        "checks:\n"
        "  mail:\n"
        "    {kind: exec, argv: [/bin/true, -p, hunter2-a, --password, hunter2-b, --token=hunter2-c, -w, '50'],\n"
        "     env: {PGPASSWORD: hunter2-a}}\n"
        "actions:\n"
        "  back: {kind: command, argv: [/bin/true, --api-key, hunter2-d, $service], dry_run: [/bin/true, hunter2-a]}\n"
    )
    result = CliRunner().invoke(main, ["config", "show", "-c", str(file)])
    assert result.exit_code == 0, result.output
    assert "hunter2" not in result.output
    document = json.loads(result.output)
    words = ["/bin/true", "-p", "***", "--password", "***", "--token=***", "-w", "50"]
    assert document["checks"]["mail"]["argv"] == words
    assert document["actions"]["back"]["argv"] == ["/bin/true", "--api-key", "***", "$service"]


_WRONG = """\
level: comprehensive
checks:
  db: {kind: postgresql, uri: "${DATABASE_URL}", critical: true}
  cart: {kind: http, url: "http://cart", intervall: 5s}
  behind: {kind: http, url: "http://behind", depends_on: [cart]}
notifiers:
  a: {kind: slack, url: "${SLACK}"}
groups: {own: {checks: [nothing]}}
"""


def test_what_is_not_set_is_told_beside_what_is_wrong(tmp_path: Path) -> None:
    """Of the entries that are right; else it is learnt only after the next try."""
    file = tmp_path / "healthd.yaml"
    file.write_text(_WRONG)
    unset = {"DATABASE_URL": None, "SLACK": None}
    result = CliRunner().invoke(main, ["config", "check", str(file)], env=unset)
    assert result.exit_code == 2
    assert f"{file}:4: checks.cart.intervall: no such option; did you mean interval?" in result.stderr
    assert f"{file}:3: checks.db: not set here: DATABASE_URL; this critical check would be unhealthy" in result.stderr
    assert f"{file}:7: notifiers.a: not set here: SLACK; it would send nothing" in result.stderr
    elsewhere = CliRunner().invoke(main, ["config", "check", "--elsewhere", str(file)], env=unset)
    assert (elsewhere.exit_code, "not set here" in elsewhere.stderr) == (2, False)


def test_nothing_more_is_told_of_a_file_that_has_nothing_right(tmp_path: Path) -> None:
    """Not even its text."""
    file = tmp_path / "healthd.yaml"
    for text in ("checks: [", "level: none\nchecks: 5\n", _WRONG.replace("comprehensive", "none")):
        file.write_text(text)
        result = CliRunner().invoke(main, ["config", "check", str(file)])
        assert (result.exit_code, "would be" in result.stderr) == (2, False), result.stderr


@pytest.mark.parametrize(("strict", "code"), [([], 0), (["--strict"], 1)])
def test_a_pipeline_may_refuse_what_is_told(tmp_path: Path, strict: list[str], code: int) -> None:
    """A variable that is not set; where it is set nothing is told. That a check does not run is no note."""
    file = tmp_path / "healthd.yaml"
    file.write_text(
        "checks:\n  db: {kind: postgresql, uri: '${DATABASE_URL}', critical: true}\n"
        "  off: {kind: memory, enabled: false}\n"
    )
    for uri, expected in ((None, code), ("postgresql://db/shop?sslmode=verify-full", 0)):
        result = CliRunner().invoke(main, ["config", "check", *strict, str(file)], env={"DATABASE_URL": uri})
        assert result.exit_code == expected, result.output
