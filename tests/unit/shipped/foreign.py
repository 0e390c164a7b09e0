"""The schemas of other programs' files, as check-jsonschema carries them."""

import pytest
from click.testing import CliRunner
from ruamel.yaml.constructor import SafeConstructor


def passes(schema: str, document: str) -> None:
    """Fail unless the schema, such as `compose-spec`, takes a YAML or JSON document. A process of its own would spend
    a second and a half to load what this one has loaded.

    It switches dates off in the constructors that all of the process shares
    (https://sourceforge.net/p/ruamel-yaml/tickets/341/): only a copy of them is lent to it.
    """
    with pytest.MonkeyPatch.context() as lent:
        lent.setattr(SafeConstructor, "yaml_constructors", dict(SafeConstructor.yaml_constructors))
        from check_jsonschema import main  # type: ignore[import-untyped]

        done = CliRunner().invoke(
            main, ["--builtin-schema", f"vendor.{schema}", "--default-filetype", "yaml", "-"], input=document
        )
    assert done.exit_code == 0, done.output
