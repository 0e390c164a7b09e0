"""Options of `gate verify` whose variable a pipeline has not set."""

import click
import pytest

from healthd.commands.values import refuse_empty
from healthd_gates.commands.verify import verify

SHOWN = {"deployment_id", "deployment_url", "actor", "committed_at"}


def test_what_is_only_shown_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    """No deploy stops for it; what changes the judgement or its key is refused."""
    refuse_empty(verify)
    params = {param.name: param for param in verify.params}
    for name in SHOWN:
        assert params[name].type.convert("", params[name], None) is None
        assert f"{params[name].opts[0]} is left out: it is empty" in capsys.readouterr().err
    for name in ("service", "version", "target", "baseline", "key"):
        with pytest.raises(click.BadParameter, match="it is empty"):
            params[name].type.convert("", params[name], None)
