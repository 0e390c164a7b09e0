"""A `systemctl` of the tests' own over units in a file: no init system is started. What it keeps of the original is in
`systemd.md`."""

import json
import sys
from pathlib import Path

_PROGRAM = """
import json, sys
state = json.load(open({state!r}))
words, options = [], {{}}
for at, word in enumerate(sys.argv[1:], 1):
    if word == "--":
        words += sys.argv[at + 1 :]
        break
    if word.startswith("-"):
        name, _, value = word.partition("=")
        options[name] = value
    else:
        words.append(word)
if state["refuses"]:
    sys.stderr.write(state["refuses"] + "\\n")
    sys.exit(1)
match words:
    case ["show", unit] if set(options) == {{"--no-pager", "--property"}}:
        found = state["units"].get(unit, state["unknown"])
        asked = options["--property"].split(",")
        for name, value in found.items():  # in the order of systemd's own, not of the question
            if name in asked:
                print(f"{{name}}={{value}}")
    case ["list-units"] if set(options) == {{"--failed", "--plain", "--no-legend", "--full", "--no-pager"}}:
        for name, unit in state["units"].items():
            if unit["ActiveState"] == "failed":
                print(f"{{name}} {{unit['LoadState']}} failed failed Some unit")
    case _:
        sys.stderr.write(f"Unknown command verb {{words}} or option {{options}}.\\n")
        sys.exit(1)
"""
_SERVICE = {
    "Type": "simple", "ExecMainExitTimestampMonotonic": "0", "ExecMainCode": "0", "ExecMainStatus": "0",
    "Result": "success", "NRestarts": "0", "MemoryCurrent": "[not set]",
}  # fmt: skip
_UNIT = {"LoadState": "loaded", "ActiveState": "inactive", "SubState": "dead"}


class Systemd:
    """The units of a host; `path` is the folder of its `systemctl`."""

    def __init__(self, folder: Path) -> None:
        self.path = folder
        self._file = folder / "units.json"
        self._units: dict[str, dict[str, str]] = {}
        program = folder / "systemctl"
        program.write_text(f"#!{sys.executable} -I\n{_PROGRAM.format(state=str(self._file))}")
        program.chmod(0o755)
        self._write()

    def put(self, name: str, active: str, sub: str, **properties: str) -> None:
        """A unit as it is now. One of another type than service has none of a service's properties."""
        own = _SERVICE if name.endswith(".service") else {}
        self._units[name] = {
            **{key: value for key, value in {**own, **properties}.items() if key != "LoadState"},
            "Id": name, **_UNIT, "ActiveState": active, "SubState": sub,
            **{key: value for key, value in properties.items() if key == "LoadState"},
        }  # fmt: skip
        self._write()

    def refuse(self, words: str) -> None:
        """Fail from now on, with these words."""
        self._write(words)

    def _write(self, refuses: str = "") -> None:
        unknown = {**_SERVICE, "Type": "", **_UNIT, "LoadState": "not-found"}
        self._file.write_text(json.dumps({"units": self._units, "unknown": unknown, "refuses": refuses}))
