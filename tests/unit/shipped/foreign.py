"""The schemas of other programs' files, as check-jsonschema carries them."""

from click.testing import CliRunner


def passes(schema: str, document: str) -> None:
    """Fail unless the schema, such as `compose-spec`, takes a YAML or JSON document. A process of its own would spend
    a second and a half to load what this one has loaded."""
    from check_jsonschema import main  # type: ignore[import-untyped]

    done = CliRunner().invoke(
        main, ["--builtin-schema", f"vendor.{schema}", "--default-filetype", "yaml", "-"], input=document
    )
    assert done.exit_code == 0, done.output
