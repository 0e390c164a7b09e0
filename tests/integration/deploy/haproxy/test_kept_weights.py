"""What a deploy says of a real HAProxy that forgets its weights at a reload."""

import re
from pathlib import Path

import pytest

from healthd_deploy.haproxy.kept_weights import forgets
from tests.servers import haproxy

_WEB = "default_backend web\n{before}backend web\n{own} server b1 127.0.0.1:1\n server g1 127.0.0.1:2 weight 0\n{after}"
_DEFAULTS = "defaults\n mode http\n"
_LOADS = " load-server-state-from-file global\n"
_QUOTED = ' load-server-state-from-file "global"\n'


@pytest.mark.parametrize(
    ("before", "own", "after", "written", "told"),
    [
        ("", "", "", False, r"add `load-server-state-from-file global` .* and `server-state-file FILE` to global, and"),
        ("", _LOADS, "", False, r"names: add `server-state-file FILE` to global, and run `echo"),
        ("", "", "global\n server-state-file {file}\n", True, r"global` to its defaults or to backend web, and run"),
        ("", _LOADS, "global\n server-state-file {file}\n", False, r"nobody has written {file}: run `echo .* >{file}`"),
        ("", _LOADS, "global\n server-state-file {file}\n", True, None),
        ("", _LOADS, "global\n server-state-base {folder}\n server-state-file s\n", True, None),
        ("", _QUOTED, "global\n server-state-file '{file}' # ours\n", True, None),
        ("", _QUOTED, "global\n server-state-file '{file}#2'\n", True, r"nobody has written {file}#2: run `echo"),
        ("", _LOADS, "global\n server-state-file of-its-own-folder\n", False, None),
        ("", _LOADS, 'global\n server-state-file "{folder}/${{HOSTNAME}}.state"\n', False, None),
        ("", "", "global\n server-state-file of-its-own-folder\n", False, r"run `echo .* >of-its-own-folder` before"),
        (f"{_DEFAULTS}{_LOADS}", "", "global\n server-state-file {file}\n", True, None),
        (f"{_DEFAULTS}{_LOADS}{_DEFAULTS}", "", "global\n server-state-file {file}\n", True, "add `load-server-state"),
        (f"{_DEFAULTS}{_LOADS}", _LOADS.replace("global", "none"), "", False, "add `load-server-state"),
        ("", _LOADS.replace("global", "local"), "global\n server-state-base {folder}\n", False, None),
    ],
)
async def test_a_reload_that_forgets(
    tmp_path: Path, before: str, own: str, after: str, told: str | None, *, written: bool
) -> None:
    """With the lines to write; nothing where it keeps them, as its own files say."""
    places = {"file": str(tmp_path / "s"), "folder": str(tmp_path)}
    if written:
        (tmp_path / "s").write_text("1\n")
    with haproxy.running(_WEB.format(before=before, own=own, after=after).format(**places)) as running:
        said = await forgets(str(running.stats), "web")
    if told is None:
        assert said is None
    else:
        assert said is not None
        assert str(running.stats) in said
        pattern = told.format(**places)
        assert re.search(pattern, said), said


async def test_one_whose_files_are_elsewhere(tmp_path: Path) -> None:
    """Nothing is said of what is not known: another host, and a socket that nobody has."""
    assert await forgets("127.0.0.1:1", "web") is None
    assert await forgets(str(tmp_path / "none.sock"), "web") is None
