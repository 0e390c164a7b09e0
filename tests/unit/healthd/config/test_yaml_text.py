"""YAML that costs more to read than to write, and YAML that is no configuration."""

import re

import pytest
from ruamel.yaml.comments import TaggedScalar

from healthd.config.yaml_text import YAMLTextError, read_yaml


def refused(text: str) -> str:
    with pytest.raises(YAMLTextError) as error:
        read_yaml(text)
    return f"{error.value.line}: {error.value.key}: {error.value}"


def repeated(levels: int, width: int) -> str:
    """Lists of which each repeats the one before, by an alias, `width` times."""
    lines = ["x0: &x0 [" + "1, " * width + "1]"]
    lines += [f"x{i}: &x{i} [{', '.join([f'*x{i - 1}'] * width)}]" for i in range(1, levels)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    "text",
    [
        "x: " + "[" * 5000,
        "x: " + "{a: " * 5000,
        "x: " + "[{a: " * 2500,
        "? " * 5000 + "a",
        "x:\n" + "".join(" " * i + "a:\n" for i in range(1, 3000)),
        "x:\n" + "".join(" " * i + "-\n" for i in range(1, 3000)),
        "x: " + "[" * 64 + "]" * 64,
        "x0: &x0 [1]\n" + "\n".join(f"x{i}: &x{i} [*x{i - 1}]" for i in range(1, 500)),
    ],
    ids=["lists", "mappings", "both", "keys", "indented", "dashes", "closed", "aliases"],
)
def test_depth(text: str) -> None:
    """What is nested deeper than anybody writes is refused at that depth, not after all of it."""
    assert re.fullmatch(r"\d+: \w*: is nested too deeply: at most 64 mappings and lists in one another", refused(text))


def test_depth_that_is_allowed() -> None:
    """Sixty-three lists in a mapping are sixty-four."""
    assert read_yaml("x: " + "[" * 63 + "]" * 63)["x"]


def test_aliases_that_multiply() -> None:
    """Nine lines that stand for a thousand million values are refused, and named."""
    assert refused(repeated(9, 9)) == (
        "5: x4: its aliases (*name) repeat more than 100,000 values: use templates, or fewer"
    )
    assert "2: x1: its aliases" in refused(repeated(3, 400))
    merged = "\n".join(f"x{i}: &x{i} {{<<: *x{i - 1}, a{i}: *x{i - 1}, b{i}: *x{i - 1}}}" for i in range(1, 30))
    assert "its aliases" in refused("x0: &x0 {a: 1}\n" + merged)


def test_aliases_that_a_person_writes() -> None:
    """Many checks may share some options."""
    options = ", ".join(f"o{i}: {i}" for i in range(9))
    shared = "a: &a {" + options + "}\n" + "".join(f"c{i}: {{<<: *a, own: 1}}\n" for i in range(50))
    assert read_yaml(shared)["c49"]["o8"] == 8


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: &a [*a]", "1: a: an alias (*name) names a value that it stands in: take it out"),
        ("a: &a {b: {c: *a}}", "1: a: an alias (*name) names a value that it stands in: take it out"),
        ("a: *b", "1: : an alias (*name) names a value that no &name above marks; a text that begins with *"),
        ("\nenvironment: !Ref [a]", "2: environment: the tag !Ref means nothing here: take it out, or quote the text"),
        ("x: [1, !Sub a]", "1: x.1: the tag !Sub means nothing here"),
        ("x: !!omap [a: 1]", "1: x: the tag !!omap means nothing here"),
        ("x: !!set {a, b}", "1: x: the tag !!set means nothing here"),
        ("x: !!binary aGk=", "1: x: the tag !!binary means nothing here"),
        ("x: !!python/object/apply:os.system ['id']", "1: x: the tag !!python/object/apply:os.system means nothing"),
        ("x: {y: !vault a}\n---\nz: 1", "1: x.y: the tag !vault means nothing here"),
        ("x: 2026-02-30\n---\nz: 1", "2: : a second document begins here"),
        ("!x:\n  y: 1\n", "1: : the tag !x: means nothing here"),
        ('x: "\\U99999999"', "None: : an escape in double quotes names no character: use single quotes"),
        ("x: =", "1: x: a text of `=` alone must be quoted"),
        ("2026-01-01: 1", '1: : the key 2026-01-01 is no text: quote it, as "2026-01-01"'),
        ("~: 1", '1: : the key ~ is no text: quote it, as "~"'),
        ("a:\n  404: 1", '2: a: the key 404 is no text: quote it, as "404"'),
        ("true: 1", '1: : the key true is no text: quote it, as "true"'),
        ("? [a]\n: 1", "1: : a key must be a text, not a list or a mapping"),
        ("x: 1\n---\ny: 2", "2: : a second document begins here: write all in one, without this `---` or `...`"),
        ("x: [1,\n", "2: : the text ends within a { or a [: close it with } or ]"),
        ("x: @a", "1: : a text that begins with @ must be quoted"),
        ("x: - 1", "1: : a list that begins with - stands on lines of its own, below its key"),
        ("x: {a: {b: 1}}}", "1: : a } closes nothing here: take it out, or write the { that it belongs to"),
        ("x:\n  - [1, 2]]\n", "2: : a ] closes nothing here: take it out, or write the [ that it belongs to"),
        ("x: }", "1: : a } closes nothing here: quote it, or write the { that it belongs to"),
        ("x: ]", "1: : a ] closes nothing here: quote it, or write the [ that it belongs to"),
        ("x: {a: 1]", "1: : a { ends with ] here: close it with }"),
        ("x: [1}", "1: : a [ ends with } here: close it with ]"),
        ("x:\n  a: {b: 1},\n  c: 1", "2: : a comma stands between values of { } and [ ] alone: take it out"),
        ('x: "a" b', "1: : a value has ended, and text follows it: take that out, or quote all of it"),
        ("x: {a: 1} b", "1: : a value has ended, and text follows it: take that out, or quote all of it"),
        ("x:\n  - a\n b", "3: : this line does not line up with its neighbours: indent all keys of one mapping alike"),
        ('x: "C:\\queue"', "1: : a \\ in double quotes begins an escape: write \\\\, or use single quotes"),
    ],
)
def test_no_configuration(text: str, told: str) -> None:
    """Line, key and cure are told, whatever is odd about it."""
    assert refused(text).startswith(told)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("a: !!str memory\nb: !!str 10\nc: [!!str x]", {"a": "memory", "b": "10", "c": ["x"]}),
        ("a:\t# one\n  b: {c: d}\t# two\n", {"a": {"b": {"c": "d"}}}),
        ("\t# one\na: b c \t# two\n\t\n \t# three\nd: 'e'\t\n", {"a": "b c", "d": "e"}),
        ("a: [b,\t# one\n  c]\t", {"a": ["b", "c"]}),
        ("a: |\n  b\t# no comment\n", {"a": "b\t# no comment\n"}),
        ("a: &x {b: 1}\nc: &x {b: 2}\nd: *x", {"a": {"b": 1}, "c": {"b": 2}, "d": {"b": 2}}),
    ],
    ids=["tag of a text", "tab", "lines of tabs", "in a list", "in a text", "anchor twice"],
)
@pytest.mark.filterwarnings("error")
def test_what_yaml_allows_is_read(text: str, read: dict[str, object]) -> None:
    """Without a word of the library's."""
    found = read_yaml(text)
    assert found == read
    assert type(found["a"]) is not TaggedScalar


@pytest.mark.parametrize("text", ["\ta: b", "a:\n\tb: c", "a: b\tc"])
def test_a_tab_elsewhere_is_refused(text: str) -> None:
    with pytest.raises(YAMLTextError, match="a tab cannot be used here"):
        read_yaml(text)
