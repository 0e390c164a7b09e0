"""A guide of the documentation, carried out: its commands run in their order, and what they print is compared."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from textwrap import dedent

from tests.servers import forked

_BLOCK = re.compile(r"^(?P<indent> *)```(?P<kind>\w+)\n(?P<text>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL)
_DONE = "this command is done"


class Shell:
    """One bash that runs a page's commands, with job control as a person has it."""

    def __init__(self, folder: Path, url: str, **env: str) -> None:
        path = f"{forked.program('healthd').parent}:{Path(sys.executable).parent}:{os.environ['PATH']}"
        self._bash = subprocess.Popen(
            ["bash", "-m"],
            cwd=folder,
            env={"PATH": path, "HOME": str(folder), "COLUMNS": "160", "LANG": "C.UTF-8", "HEALTHD_URL": url, **env},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, command: str) -> list[str]:
        assert self._bash.stdin is not None
        assert self._bash.stdout is not None
        self._bash.stdin.write(f'{command}\nended=$?; echo; echo "{_DONE} $ended"\n')
        self._bash.stdin.flush()
        lines: list[str] = []
        for line in self._bash.stdout:
            if line.startswith(_DONE):
                assert line.split()[-1] == "0", f"{command} ended with {line.split()[-1]}:\n" + "\n".join(lines)
                return [text for text in lines if text]
            lines.append(line.rstrip())
        raise AssertionError(f"the shell ended during {command}")

    def close(self) -> None:
        assert self._bash.stdin is not None
        self._bash.stdin.write("kill $(jobs -p)\nwait\nexit\n")
        self._bash.stdin.close()
        try:
            self._bash.wait(timeout=20)
        except subprocess.TimeoutExpired:
            os.killpg(self._bash.pid, signal.SIGKILL)


def blocks(page: Path, replaced: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """The page's blocks in their order, with other ports and places."""
    for kind, text in blocks_of(page.read_text(encoding="utf-8")):
        for place, other in replaced.items():
            text = re.sub(rf"(?<!\w){re.escape(place)}(?!\w)", other, text)
        yield kind, text


def blocks_of(text: str) -> Iterator[tuple[str, str]]:
    """The blocks of a text in their order, as they stand."""
    for block in _BLOCK.finditer(text):
        yield block["kind"], dedent(block["text"])


def steps(text: str) -> Iterator[tuple[str, list[str]]]:
    """A console block's commands, each with the lines that it shows."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, *shown = part.splitlines()
        yield command, [line for line in shown if line]


def carry_out(shell: Shell, text: str) -> None:
    """Run a console block; each line that it shows must be in what its command prints, and `…` stands for anything."""
    for command, shown in steps(text):
        said = shell.run(command)
        for line in shown:
            pattern = line.replace("[", "[[]").replace("*", "[*]").replace("…", "*").rstrip() + "*"
            assert any(fnmatchcase(one, pattern) for one in said), f"{command}: {line!r} not in {said}"
