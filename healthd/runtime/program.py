"""Looks for the program of an action as the kernel will: before a rollback needs it, not when it does."""

from __future__ import annotations

import os
import shutil
import sysconfig
from pathlib import Path

_INTERPRETER = 256  # bytes in which a script names its interpreter

# healthd's own programs come first: they are in its virtual environment as often as not.
OWN_FOLDER = sysconfig.get_path("scripts")
PATH = f"{OWN_FOLDER}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
OWN = "healthd-deploy"


def trouble_with(word: str, path: str, cwd: Path) -> str | None:
    """Return why a program cannot be run from a folder, with a PATH; None if no reason is found."""
    if not cwd.is_dir():
        return f"the folder {cwd} is not there"
    found = shutil.which(str(cwd / word)) if "/" in word else shutil.which(word, path=path)
    if found is None:
        if "/" in word:
            file = cwd / word
            if cwd == Path("/") and not word.startswith("/") and not file.exists():
                return (
                    f"{file} is not there: {word} is looked for below cwd, which is /; write its whole path, or set cwd"
                )
            return f"{file} is not there" if not file.exists() else f"{file} may not be executed by this user"
        return f"there is no program {word} in {path}: write its whole path"
    interpreter = _interpreter(Path(found))
    if interpreter is not None and not os.access(interpreter, os.X_OK):
        return f"{found} is a script for {interpreter}, which is not there"
    return None


def _interpreter(file: Path) -> str | None:
    """Return the interpreter that a script names; None for a file that is no script, or cannot be read."""
    try:
        with file.open("rb") as stream:
            first = stream.read(_INTERPRETER).partition(b"\n")[0]
    except OSError:
        return None
    words = first.removeprefix(b"#!").split() if first.startswith(b"#!") else []
    return os.fsdecode(words[0]) if words else None
