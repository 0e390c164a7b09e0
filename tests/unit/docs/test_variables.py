"""Every variable that a page's shell blocks use is set on that page before, as under `set -u` in one shell."""

import re
from collections.abc import Iterator
from itertools import groupby

import pytest

from tests.unit.docs.blocks import ROOT, Block, blocks

OF_HEALTHD = {"HEALTHD_URL", "HEALTHD_TOKEN"}  # which the command reads, and every page takes for set
OF_PIPELINES = {  # what the pipeline that runs these lines has set
    "docs/cli.md": {"TAG", "CI_JOB_ID"},
    "docs/deploy/README.md": {"CI_PIPELINE_ID"},
    "docs/deploy/aws.md": {"CI_PIPELINE_ID"},
    "docs/deploy/ci.md": {"RUN_ID"},
    "docs/deploy/kubernetes.md": {"CI_PIPELINE_ID"},
    "docs/gate.md": {"BUILD_ID", "BUILD_TAG", "VERSION"},
    "docs/http.md": {"CI_PIPELINE_ID", "RUN_ID", "ATTEMPT"},
    "docs/identities.md": {"CODEBUILD_RESOLVED_SOURCE_VERSION", "CODEBUILD_BUILD_ID"},
}
_VALUE = r'(?:\$\([^()]*\)|"(?:[^"\\]|\\.)*"|[^\s;&|()"])*'
_SET = re.compile(  # assignments alone: those before a command are that command's, and no other's
    rf"(?:^|[;&|({{]|\b(?:then|do|else)|\b\w+\))[ \t]*(?P<alone>\w+={_VALUE}(?:[ \t]+\w+={_VALUE})*)[ \t]*(?=$|[;&|)#])"
    rf"|\b(?:export|local)[ \t]+(?P<export>\w+={_VALUE}(?:[ \t]+\w+={_VALUE})*)"
    r"|\bread(?:[ \t]+-\w+)*(?P<read>(?:[ \t]+[A-Za-z_]\w*)+)|\bfor[ \t]+(?P<for>\w+)[ \t]+in\b",
    re.MULTILINE,
)
_USED = re.compile(r"(?<!\\)\$(?:\{(\w+)\}|([A-Za-z_]\w*))")


def typed(block: Block) -> str:
    """What is typed of a block; what stands in single quotes is no shell's."""
    text = block.text.replace("\\\n", " ")
    if block.language == "console":
        text = "\n".join(line[2:] for line in text.splitlines() if line.startswith("$ "))
    return re.sub(r"""("(?:[^"\\]|\\.)*")|'[^']*'""", lambda found: found[1] or "''", text)


def unset_in(texts: list[str], known: set[str]) -> Iterator[str]:
    """The variables that are used before they are set."""
    text = "\n".join(texts)
    sets = [(found.end(), name) for found in _SET.finditer(text) for name in _names(found)]
    for used in _USED.finditer(text):
        name = used[1] or used[2]
        if name not in known and not any(end <= used.start() and name == each for end, each in sets):
            yield name


def _names(found: re.Match[str]) -> list[str]:
    assigned = found["alone"] or found["export"]
    return re.findall(rf"(\w+)={_VALUE}", assigned) if assigned else (found["read"] or found["for"]).split()


PAGES = {
    str(page.relative_to(ROOT)): [typed(each) for each in those if each.language in ("sh", "bash", "console")]
    for page, those in groupby(blocks(), key=lambda block: block.page)
}


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_uses_it_has_set(page: str) -> None:
    assert list(unset_in(PAGES[page], OF_HEALTHD | OF_PIPELINES.get(page, set()))) == []


@pytest.mark.parametrize("page", OF_PIPELINES)
def test_what_a_pipeline_has_set_is_used(page: str) -> None:
    assert set(unset_in(PAGES[page], OF_HEALTHD)) == OF_PIPELINES[page]


@pytest.mark.parametrize(
    ("text", "unset"),
    [
        ('put "$URI"', ["URI"]),
        ('URI=a check\nput "$URI"', ["URI"]),  # set for `check` alone
        ('put "$URI"\nURI=a', ["URI"]),
        ('URI=a\nput "$URI"', []),
        ('export URI=a KEY="b c"\nput "$URI$KEY"', []),
        ('read -rs URI\nput "$URI"', []),
        ('URI=$(make it); put "${URI}"', []),
        ('for each in a b; do put "$each"; done', []),
        ("put '$URI' \"${URI:-none}\"", []),
        ("put \"it's $URI\" 'x'", ["URI"]),
    ],
)
def test_the_reader_of_shell(text: str, unset: list[str]) -> None:
    assert list(unset_in([typed(Block(ROOT, 1, "sh", text, None))], set())) == unset
