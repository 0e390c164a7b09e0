"""`python -m deploy.release`: `build` makes the files of a release, `cut` ends the changelog's part of one."""

import re
import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import click

from deploy.release import application, changelog, chart, node, options, packages, pages, source, statement

ROOT = Path(__file__).parents[2]


@click.group()
def main() -> None:
    """Steps that RELEASE.md asks for."""


@main.command()
@click.option("--out", type=click.Path(path_type=Path), default=ROOT / "dist", show_default=True)
@click.option("--untagged", is_flag=True, help="Build a commit that has no tag, to try it out.")
def build(out: Path, untagged: bool) -> None:
    """Build every file of a release from the commit that is checked out."""
    commit = source.read(ROOT)
    if not untagged and (problem := commit.why_no_release()):
        raise click.UsageError(f"{problem}; --untagged builds the commit all the same, to try it out")
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        source.export(ROOT, commit, tree)
        if not untagged and (left := pages.unfinished(tree)):
            named = ", ".join(left)
            raise click.UsageError(
                f"{named}: not finished for a release: python -m deploy.release cut does that, before the tag"
            )
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir(parents=True)
        wheel = packages.build(tree, out, commit)
        application.build(tree, out, commit, wheel)
        chart.build(tree, out, commit)
        node.build(tree, out, commit)
        statement.checksums(out)
        statement.provenance(tree, out, commit)
    for file in sorted(out.iterdir()):
        click.echo(f"{statement.digest(file)}  {file.name}")


@main.command()
@click.argument("version")
def cut(version: str) -> None:
    """Put what stands under Unreleased in CHANGELOG.md under VERSION, dated today, record its configuration, and take
    out of the pages what held only before the first release."""
    if not re.fullmatch(r"\d+\.\d+\.\d+(?:(?:a|b|rc)\d+)?", version):
        raise click.UsageError(f"{version} is no version: write it as 1.2.3, or 1.2.3rc1")
    file, today = ROOT / "CHANGELOG.md", datetime.now(UTC).date()
    try:
        changelog.cut(file.read_text(encoding="utf-8"), version, today)  # refused before anything is changed
        changed = pages.finish(ROOT)
    except ValueError as error:
        raise click.ClickException(str(error)) from None
    options.record(ROOT, version)
    file.write_text(changelog.cut(file.read_text(encoding="utf-8"), version, today), encoding="utf-8")
    for name in ("CHANGELOG.md", *changed):
        click.echo(f"changed: {name}")


if __name__ == "__main__":
    main(prog_name="python -m deploy.release")
