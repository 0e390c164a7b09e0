"""Parts of a page and what changed in them."""

from healthd.web.pages.parts import Part, Parts


def wanted(**keys: str) -> dict[str, Part]:
    return {name: Part(key, lambda key=key: f"<{key}>") for name, key in keys.items()}  # type: ignore[misc]


def test_only_changes_are_drawn_and_sent() -> None:
    """A part is drawn when what it shows changes; after a mark there is only what came later."""
    drawn: list[str] = []

    def part(key: str) -> Part:
        def draw() -> str:
            drawn.append(key)
            return key

        return Part(key, draw)

    parts = Parts()
    parts.update({"a": part("1"), "b": part("2")})
    mark = parts.mark
    parts.update({"a": part("1"), "b": part("3")})
    assert drawn == ["1", "2", "3"]
    assert parts.since(mark) == {"html": {"b": "3"}}
    assert parts.since(parts.mark) == {}


def test_marks_of_strangers() -> None:
    """A mark of another process, or none, or nonsense, gets everything."""
    parts = Parts()
    parts.update(wanted(a="1"), ("a",))
    run = parts.mark.split("-")[0]
    for mark in ("", "other-1", f"{run}-", f"{run}-x", f"{run}-²", f"{run}-{'9' * 5000}"):
        assert parts.since(mark) == {"html": {"a": "<1>"}, "order": ("a",)}


def test_order_and_absence() -> None:
    """A row that goes is told by the order, and costs nobody a redraw."""
    parts = Parts()
    parts.update(wanted(a="1", b="2"), ("a", "b"))
    mark = parts.mark
    parts.update(wanted(b="2"), ("b",))
    assert parts.since(mark) == {"order": ("b",)}
