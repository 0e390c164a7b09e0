"""Put the trees of several files together, and work `defaults` and `templates` into the entries. Every key keeps its
place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from healthd.checks import CHECKS
from healthd.checks.parsing import yields_to_defaults
from healthd.config.include import INCLUDE
from healthd.config.places import KeyPath, Layered, LayeredList, Place, Problem, entries, place_of
from healthd.config.variables import TEMPLATED
from healthd.nearest import did_you_mean
from healthd.registry import registries

DEFAULTS, TEMPLATES = "defaults", "templates"
_LABELLED = ("checks", "services")
_BY_KIND = {"checks": "check", "sources": "source"}
_WORKED_IN = ("labels", "values", "checks", "services", "sources", "policies")
_MAPPING = "must be a mapping of keys to values, such as `key: value`, one a line"
_DEEPEST = 8  # templates that extend one another


def is_layered(model: type[BaseModel]) -> bool:
    """True if files of this model may include others, and have templates."""
    return INCLUDE in model.model_fields


class Layers:
    """Trees of a configuration's files, the main one first."""

    def __init__(self, trees: Mapping[str, CommentedMap], model: type[BaseModel]) -> None:
        self._main, *self._included = trees
        self._known = _fields(model, DEFAULTS), _fields(model, TEMPLATES)
        self.problems: list[Problem] = []
        self._defaults: dict[str, CommentedMap] = {}
        self.tree = Layered()
        for file, tree in trees.items():
            self._join(file, tree)
        self._work_in()

    def _refuse(self, place: Place, key: KeyPath, message: str) -> None:
        problem = Problem(place.file, place.line, ".".join(map(str, key)), message)
        if problem not in self.problems:
            self.problems.append(problem)

    # One tree of all files.

    def _join(self, file: str, tree: CommentedMap) -> None:
        for key, value, place in entries(tree, file):
            if key == INCLUDE:
                if file != self._main:
                    message = f"only the main file includes others: name these in {self._main}"
                    self._refuse(place, (key,), message)
            elif key == DEFAULTS:
                self._keep_defaults(file, value, place)
            elif key not in self.tree or self.tree[key] is None:
                self.tree.put(key, _copied(value, place, 2 if key == TEMPLATES else 1), place)
            elif value is not None:
                self._add(key, value, place)

    def _keep_defaults(self, file: str, value: Any, place: Place) -> None:
        """Keep the defaults of a file for its own entries, those of the main file for all."""
        known = self._known[0]
        if isinstance(value, CommentedMap):
            self._defaults[file] = value
            for key, inner, where in entries(value, file):
                if key in _WORKED_IN and key in known and inner is not None and not isinstance(inner, CommentedMap):
                    self._refuse(where, (DEFAULTS, key), _MAPPING)
                if key not in known and file != self._main:
                    message = f"no such option; there are: {', '.join(sorted(known))}.{did_you_mean(str(key), known)}"
                    self._refuse(where, (DEFAULTS, key), message)
        elif value is not None:
            self._refuse(place, (DEFAULTS,), _MAPPING)
        if file == self._main:
            rest = Layered()
            for key, inner, where in entries(value, file) if isinstance(value, CommentedMap) else ():
                if key not in _WORKED_IN or key not in known:
                    rest.put(key, inner, where)
            self.tree.put(DEFAULTS, rest, place)

    def _add(self, section: str, value: Any, place: Place) -> None:
        """Add a section of another file to what is there: names of entries, options, and lists of items."""
        depth = 2 if section == TEMPLATES else 1
        self._merge((section,), self.tree[section], value, place, self.tree.places[section], depth)

    def _merge(self, key: KeyPath, there: Any, value: Any, place: Place, first: Place, depth: int) -> None:
        if isinstance(there, LayeredList) and isinstance(value, CommentedSeq):
            _extend(there, value, place)
        elif depth and isinstance(there, Layered) and isinstance(value, CommentedMap):
            for name, inner, where in entries(value, place.file):
                if name not in there:
                    there.put(name, _copied(inner, where, depth - 1), where)
                else:
                    self._merge((*key, name), there[name], inner, where, there.places[name], depth - 1)
        else:
            self._refuse(place, key, f"is already at {first.file}:{first.line}: write it in one file only")

    # Defaults and templates.

    def _work_in(self) -> None:
        templates = self.tree.pop(TEMPLATES, None)
        self._check_shape(templates)
        for section in TEMPLATED:
            there = self.tree.get(section)
            if isinstance(there, Layered):
                for name, entry, place in list(entries(there, self._main)):
                    if isinstance(entry, CommentedMap):
                        there[name] = self._entry(section, str(name), _copied(entry, place), place, templates)

    def _check_shape(self, templates: Any) -> None:
        known = self._known[1]
        where = self.tree.places.get(TEMPLATES, Place(self._main))
        if templates is not None and not isinstance(templates, Layered):
            self._refuse(where, (TEMPLATES,), _MAPPING)
        for section, inner, place in entries(templates, self._main) if isinstance(templates, Layered) else ():
            if section not in known:
                hint = did_you_mean(str(section), known)
                self._refuse(place, (TEMPLATES, section), f"there are templates of {', '.join(sorted(known))}.{hint}")
            elif inner is not None and not isinstance(inner, CommentedMap):
                self._refuse(place, (TEMPLATES, section), _MAPPING)
        for file, defaults in self._defaults.items():
            for section, what in _BY_KIND.items():
                kinds = next((each.kinds() for each in registries() if each.what == what), [])
                inner = defaults.get(section)
                for kind, _, place in entries(inner, file) if isinstance(inner, CommentedMap) and kinds else ():
                    if kind not in kinds:
                        self._refuse(
                            Place(file, place.line),
                            (DEFAULTS, section, kind),
                            f"no kind of {what} is called {kind!r}.{did_you_mean(str(kind), kinds)}",
                        )

    def _entry(self, section: str, name: str, entry: Layered, place: Place, templates: Any) -> Layered:
        """Return an entry over its template, over the defaults of its file, over those of the main file."""
        for template, at in self._templates(section, name, entry, place, templates):
            kind, own = template.get("kind"), entry.get("kind")
            if None not in (kind, own) and kind != own:
                where = place_of(entry, ("kind",), place.file)
                self._refuse(where, (section, name, "kind"), f"is not the kind of its template, {kind}: leave one out")
            entry = _over(entry, place.file, template, at.file)
        files = list(dict.fromkeys((place.file, self._main)))
        for file in files:
            entry = _over(entry, place.file, self._of_section(section, entry, file), file)
        for file in files:
            entry = _over(entry, place.file, self._of_source(section, entry, file), file)
            for key in ("labels", "values") if section in _LABELLED else ("values",):
                entry = _over(entry, place.file, self._alone(key, file, key), file)
            if section == "checks" and file != self._main:
                entry = _over(entry, place.file, self._flat(entry, file), file)
        return entry

    def _templates(
        self, section: str, name: str, entry: Layered, place: Place, templates: Any
    ) -> Iterator[tuple[CommentedMap, Place]]:
        """Yield the template of an entry, the one which that extends, and so on."""
        wanted, where, key = entry.get("template"), place_of(entry, ("template",), place.file), (section, name)
        there = templates.get(section) if isinstance(templates, Layered) else None
        known = there if isinstance(there, CommentedMap) else CommentedMap()
        holder = place_of(Layered() if templates is None else templates, (section,), self._main).file
        for _ in range(_DEEPEST):
            if wanted is None:
                return
            found = known.get(wanted) if isinstance(wanted, str) else None
            if not isinstance(found, CommentedMap):
                names = ", ".join(sorted(map(str, known))) or "none"
                hint = did_you_mean(str(wanted), map(str, known))
                message = f"names {wanted!r}, which is not under {TEMPLATES}.{section}; there are: {names}.{hint}"
                self._refuse(where, (*key, "template"), message)
                return
            at = place_of(known, (wanted,), holder)
            yield found, at
            wanted, where = found.get("template"), place_of(found, ("template",), at.file)
        self._refuse(where, (*key, "template"), f"its templates extend one another, more than {_DEEPEST}")

    def _of_section(self, section: str, entry: Layered, file: str) -> CommentedMap:
        """Return what the defaults of a file say of a check of this kind, of a service, of a policy."""
        mine = self._defaults.get(file, CommentedMap()).get(section)
        if section == "checks" and isinstance(mine, CommentedMap):
            mine = mine.get(_kind(entry))
        return mine if isinstance(mine, CommentedMap) else CommentedMap()

    def _of_source(self, section: str, entry: Layered, file: str) -> CommentedMap:
        """Return what the defaults of a file say of the source of a service, by its kind."""
        kind = _kind(entry.get("source")) if section == "services" else None
        return self._alone("source", file, "sources", kind) if kind else CommentedMap()

    def _alone(self, key: str, file: str, *path: str) -> CommentedMap:
        """Return a mapping of one key: what the defaults of a file have under a path."""
        node: Any = self._defaults.get(file)
        for step in path:
            node = node.get(step) if isinstance(node, CommentedMap) else None
        alone = Layered()
        if isinstance(node, CommentedMap):
            alone.put(key, node, place_of(self._defaults[file], path, file))
        return alone

    def _flat(self, entry: Layered, file: str) -> CommentedMap:
        """Return the options of any check that an included file sets for its own, where the kind has no own default."""
        flat, kind = Layered(), _kind(entry)
        model = CHECKS.model_of({"kind": kind}) if kind in CHECKS.kinds() else None
        for key, value, place in entries(self._defaults.get(file, CommentedMap()), file):
            if key not in _WORKED_IN and model is not None and yields_to_defaults(model, key):
                flat.put(key, value, place)
        return flat


def _fields(model: type[BaseModel], name: str) -> frozenset[str]:
    inner = model.model_fields[name].annotation
    assert isinstance(inner, type)
    assert issubclass(inner, BaseModel)
    return frozenset(inner.model_fields)


def _copied(value: Any, place: Place, depth: int = 1) -> Any:
    """Return a copy, some levels deep, that knows its places; a single value as it is."""
    if isinstance(value, CommentedMap) and depth:
        layered = Layered()
        for key, inner, where in entries(value, place.file):
            layered.put(key, _copied(inner, where, depth - 1), where)
        return layered
    return _extend(LayeredList(), value, place) if isinstance(value, CommentedSeq) else value


def _extend(items: LayeredList, value: CommentedSeq, place: Place) -> LayeredList:
    for number, item in enumerate(value):
        items.put(item, place_of(value, (number,), place.file))
    return items


def _over(upper: CommentedMap, upper_file: str, lower: CommentedMap, lower_file: str) -> Layered:
    """Return a mapping in which keys of the upper one take precedence; mappings in both are put together in the same
    way, unless they are of different kinds."""
    both = Layered()
    for key, value, place in entries(upper, upper_file):
        both.put(key, value, place)
    for key, value, place in entries(lower, lower_file):
        if key not in both:
            both.put(key, value, place)
        elif isinstance(mine := both[key], CommentedMap) and isinstance(value, CommentedMap) and _alike(mine, value):
            both.put(key, _over(mine, both.places[key].file, value, place.file), both.places[key])
    return both


def _alike(upper: CommentedMap, lower: CommentedMap) -> bool:
    return "kind" not in lower or upper.get("kind", lower["kind"]) == lower["kind"]


def _kind(node: Any) -> str | None:
    kind = node.get("kind") if isinstance(node, CommentedMap) else None
    return kind if isinstance(kind, str) else None
