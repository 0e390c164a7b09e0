"""Options of a configuration, as lines of text: each option by its path, and each word that it takes.

A release leaves the lines of its own behind (`cut`), and a test holds every later one to them: a file that was valid
stays valid.
"""

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

FOLDER = Path("deploy/release/released")
"""A folder for each release: `options.txt`, and `full.yaml` as it was."""


def options(schema: Mapping[str, Any]) -> set[str]:
    """The lines of a JSON Schema: `checks.*(tcp).port` is an option, with `!` one that must be given, and
    `checks.*(tcp).level=basic` a word that it takes."""
    return set(_walk(schema, schema["$defs"], "", ()))


def record(root: Path, version: str) -> None:
    """Leave the options of this tree, and its full.yaml, to the tests of later releases."""
    folder = root / FOLDER / version
    folder.mkdir(parents=True)
    lines = sorted(options(json.loads((root / "config/schema.json").read_text(encoding="utf-8"))))
    (folder / "options.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    shutil.copyfile(root / "config/full.yaml", folder / "full.yaml")


def broken(earlier: set[str], now: set[str]) -> list[str]:
    """Return the lines of an earlier release that are refused now: options and words that are gone, and options that
    must be given where they were not."""
    named = {line.removesuffix("!") for line in earlier}
    gone = named - {line.removesuffix("!") for line in now}
    parents = {line.rpartition(".")[0] for line in named}
    must = {line for line in now - earlier if line.endswith("!") and line.rpartition(".")[0] in parents}
    must = {line for line in must if not line.endswith(".kind!")}  # which tells the alternatives apart
    return sorted([f"{line}: is refused" for line in gone] + [f"{line[:-1]}: must be given" for line in must])


def _walk(node: Any, known: Mapping[str, Any], path: str, above: tuple[str, ...]) -> Iterator[str]:
    if not isinstance(node, Mapping):
        return
    if (name := str(node.get("$ref", "")).removeprefix("#/$defs/")) and name not in above:
        above = (*above, name)
        yield from _walk(known[name], known, path, above)
    for word in (*node.get("enum", ()), *([node["const"]] if "const" in node else ())):
        yield f"{path}={word}"
    kind = node.get("properties", {}).get("kind", {}).get("const")
    inside = f"{path}({kind})" if kind is not None and not path.endswith(")") else path
    for each in (each for word in ("anyOf", "oneOf", "allOf") for each in node.get(word, ())):
        yield from _walk(each, known, f"{path}({_kind(each)})" if _kind(each) else path, above)
    for option, value in node.get("properties", {}).items():
        place = f"{inside}.{option}".lstrip(".")
        yield place + ("!" if option in node.get("required", ()) else "")
        yield from _walk(value, known, place, above)
    for value in (*node.get("patternProperties", {}).values(), node.get("additionalProperties")):
        yield from _walk(value, known, f"{path}.*".lstrip("."), above)
    for value in (node.get("items"), *node.get("prefixItems", ())):
        yield from _walk(value, known, f"{path}[]", above)


def _kind(node: Mapping[str, Any]) -> str | None:
    kind: str | None = node.get("properties", {}).get("kind", {}).get("const")
    return kind
