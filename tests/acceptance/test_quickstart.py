"""The quickstart does what it says: its files are written, its commands run in their order, its answers compared."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from tests.servers.ports import free_port

PAGE = Path(__file__).parents[2] / "docs" / "quickstart.md"
_BLOCK = re.compile(r"^```(?P<kind>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_PORTS = ("8080", "3000", "3001")
_DONE = "this command is done"


class Shell:
    """One bash that runs a page's commands, with job control as a person has it."""

    def __init__(self, folder: Path, url: str) -> None:
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        self._bash = subprocess.Popen(
            ["bash", "-m"],
            cwd=folder,
            env={"PATH": path, "HOME": str(folder), "COLUMNS": "160", "LANG": "C.UTF-8", "HEALTHD_URL": url},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, command: str) -> list[str]:
        assert self._bash.stdin is not None
        assert self._bash.stdout is not None
        self._bash.stdin.write(f'{command}\necho; echo "{_DONE} $?"\n')
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


@pytest.fixture
def ports() -> dict[str, str]:
    """A free port for each that the page names."""
    return dict(zip(_PORTS, map(str, (free_port() for _ in _PORTS)), strict=True))


@pytest.fixture
def shell(tmp_path: Path, ports: dict[str, str]) -> Iterator[Shell]:
    shell = Shell(tmp_path, f"http://127.0.0.1:{ports['8080']}")
    try:
        yield shell
    finally:
        shell.close()


def blocks(replaced: dict[str, str]) -> Iterator[tuple[str, str]]:
    """The page's blocks in their order, with other ports."""
    for block in _BLOCK.finditer(PAGE.read_text(encoding="utf-8")):
        text = block["text"]
        for port, other in replaced.items():
            text = re.sub(rf"\b{port}\b", other, text)
        yield block["kind"], text


def steps(text: str) -> Iterator[tuple[str, list[str]]]:
    """A console block's commands, each with the lines that it shows."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, *shown = part.splitlines()
        yield command, [line for line in shown if line]


def test_quickstart_is_true(tmp_path: Path, shell: Shell, ports: dict[str, str]) -> None:
    """Whoever follows the page word for word sees what it shows; `…` stands for anything."""
    for kind, text in blocks(ports):
        if kind == "yaml":
            listen = f"http: {{listen: 127.0.0.1:{ports['8080']}, drain: 100ms}}"
            (tmp_path / "healthd.yaml").write_text(text.replace("http: {drain: 100ms}", listen), encoding="utf-8")
        elif kind == "console":
            for command, shown in steps(text):
                said = shell.run(command)
                for line in shown:
                    pattern = line.replace("[", "[[]").replace("*", "[*]").replace("…", "*").rstrip() + "*"
                    assert any(fnmatchcase(one, pattern) for one in said), f"{command}: {line!r} not in {said}"
