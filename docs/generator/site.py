"""Hooks of mkdocs: the navigation's patterns, the version that the site is of, and links to files of the repository
that are no pages of `docs/`.

Such a file comes with the site below `repository/`: a page where it is Markdown, and as it is otherwise. A link to a
folder becomes plain text. A link to what is not there ends the build.
"""

import posixpath
import re
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
_ELSEWHERE = "repository"
_LINK = re.compile(r"(?P<text>!?\[(?:[^\[\]]|\[[^\]]*\])*\])\((?P<place>[^)\s#:]+)(?P<heading>#[^)\s]*)?\)")
_CODE = re.compile(r"(?ms)^ *```.*?^ *```|`[^`\n]+`")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Fill in what the navigation's patterns stand for, what no line of it names, and the version below each page."""
    docs = Path(config.docs_dir)
    pages = sorted(file.relative_to(docs).as_posix() for file in docs.rglob("*.md"))
    assert config.nav is not None
    named = {page for _, group in _groups(config.nav) for page in group if "*" not in page}
    filled: list[Any] = []
    for title, group in _groups(config.nav):
        found: list[str] = []
        for pattern in group:
            matched = [page for page in pages if fnmatch(page, pattern) and page not in named]
            found += matched if "*" in pattern else [pattern]
        named.update(found)
        filled.append({title: found} if title else found[0])
    if rest := [page for page in pages if page not in named]:
        filled.append({"More": rest})
    config.nav = filled
    command = [sys.executable, "-m", "hatchling", "version"]  # of the commit: that of an installed package may be older
    version = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()
    config.copyright = f"Documentation of healthd {version}"
    return config


def _groups(nav: list[Any]) -> list[tuple[str, list[str]]]:
    """The titles of the navigation with their pages; a page of its own has no title."""
    return [("", [entry]) if isinstance(entry, str) else next(iter(entry.items())) for entry in nav]


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the files of the repository that pages link to, those pages included that are added by it."""
    waiting = [file for file in files if file.is_documentation_page()]
    waiting += [_add(files, name, config) for name in _of_nav(config)]
    while waiting:
        page = waiting.pop()
        for link in _links(Path(str(page.abs_src_path)).read_text(encoding="utf-8")):
            target = _target(page.src_uri, link["place"])
            uri = _uri(target)
            if (ROOT / target).is_file() and uri.startswith(f"{_ELSEWHERE}/") and files.get_file_from_path(uri) is None:
                added = _add(files, target, config)
                if added.is_documentation_page():
                    waiting.append(added)
    return files


def _of_nav(config: MkDocsConfig) -> list[str]:
    pages = [page for _, group in _groups(config.nav or []) for page in group]
    return [page.removeprefix(f"{_ELSEWHERE}/") for page in pages if page.startswith(f"{_ELSEWHERE}/")]


def _add(files: Files, name: str, config: MkDocsConfig) -> File:
    file = File.generated(config, _uri(name), abs_src_path=str(ROOT / name), inclusion=InclusionLevel.NOT_IN_NAV)
    files.append(file)
    return file


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Point links to where their targets are in the site."""

    def rewritten(link: re.Match[str]) -> str:
        target = _target(page.file.src_uri, link["place"])
        if not (ROOT / target).exists():
            raise PluginError(f"{page.file.src_uri}: {link['place']} leads nowhere")
        if (ROOT / target).is_dir():
            return link["text"].removeprefix("[").removesuffix("]")
        place = posixpath.relpath(_uri(target), posixpath.dirname(page.file.src_uri) or ".")
        return f"{link['text']}({place}{link['heading'] or ''})"

    pieces, end = [], 0
    for code in _CODE.finditer(markdown):
        if code[0].startswith("`") and not code[0].startswith("```"):
            continue  # a link may have code as its text
        pieces += [_LINK.sub(rewritten, markdown[end : code.start()]), code[0]]
        end = code.end()
    return "".join([*pieces, _LINK.sub(rewritten, markdown[end:])])


def _links(markdown: str) -> list[re.Match[str]]:
    return list(_LINK.finditer(_CODE.sub(lambda code: code[0] if "\n" not in code[0] else "", markdown)))


def _target(uri: str, place: str) -> str:
    """The path in the repository that a link of a page leads to."""
    own = uri.removeprefix(f"{_ELSEWHERE}/") if uri.startswith(f"{_ELSEWHERE}/") else f"docs/{uri}"
    return posixpath.normpath(posixpath.join(posixpath.dirname(own), place))


def _uri(target: str) -> str:
    return target.removeprefix("docs/") if target.startswith("docs/") else f"{_ELSEWHERE}/{target}"
