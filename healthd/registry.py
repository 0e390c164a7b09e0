"""Registry of a kind of plug-in: checks, sources, actions, notifiers, dialects.

Built-in plug-ins are loaded by name when the configuration needs them; other packages add theirs through an entry-point
group. Errors name the package of the plug-in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint
from inspect import iscoroutinefunction
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from healthd.extras import extra_of, how_to_get
from healthd.nearest import nearest
from healthd.runtime.entry_points import installed_entry_points

PluginT = TypeVar("PluginT")


class UnknownKindError(LookupError):
    """No plug-in has this kind."""


class ExtensionError(ImportError):
    """Plug-in of a package that cannot be used."""


_LEFT_OUT = ContextVar("drivers are left out", default=False)


@contextmanager
def leaving_out_drivers() -> Iterator[None]:
    """Read configurations without importing a driver. What only a driver can judge is then not judged."""
    token = _LEFT_OUT.set(True)
    try:
        yield
    finally:
        _LEFT_OUT.reset(token)


def drivers_are_left_out() -> bool:
    """Return True inside of `leaving_out_drivers`."""
    return _LEFT_OUT.get()


class Registry(Generic[PluginT]):
    """Registry of the kinds that a configuration can name.

    `what` is the name of the plug-in type (`check`), `group` the entry-point group, `built_in` the built-in kinds as
    `module:Class`. A plug-in is a class with a `config_model` that is a subclass of `base`, and `methods`, which are
    coroutine functions. `models` are the config models, also as `module:Class`, of the kinds that import a driver: they
    are read without it.
    """

    def __init__(
        self,
        what: str,
        group: str,
        built_in: Mapping[str, str],
        base: type[BaseModel],
        methods: tuple[str, ...],
        models: Mapping[str, str] | None = None,
    ) -> None:
        self.what, self.group, self.base = what, group, base
        self._built_in, self._methods, self._models = built_in, methods, models or {}
        self._without_driver: set[str] = set()
        self._loaded: set[str] = set()
        _REGISTRIES.append(self)

    def kinds(self) -> list[str]:
        """Return every kind that can be configured: built-in ones and those of installed packages, broken or not."""
        return sorted({*self._built_in, *_installed(self.group)})

    def foreign(self) -> list[str]:
        """Return the kinds of installed packages."""
        return sorted(set(_installed(self.group)) - set(self._built_in))

    def find(self, kind: str) -> type[PluginT]:
        """Return the class of a kind. Raises UnknownKindError, or ImportError when it cannot be loaded: an extra is not
        installed, a package is broken, or two packages bring the same kind."""
        rivals = _installed(self.group).get(kind, ())
        if kind in self._built_in:
            if rivals:
                named = _named(*rivals)
                raise ExtensionError(
                    f"it is built in, and {named} brings another of that name: uninstall it, or have it renamed"
                )
            found = _imported(self._built_in[kind])
            self._without_driver.discard(kind)
            self._loaded.add(kind)
            return found  # type: ignore[no-any-return]
        if rivals:
            return self._load(rivals)
        raise UnknownKindError(kind)

    def model_of(self, raw: Any) -> type[Any]:
        """Return the configuration model of one entry as read from a file. Raises ValueError, whose message says what
        to write."""
        article = f"{'an' if self.what[0] in 'aeiou' else 'a'} {self.what}"
        kinds = ", ".join(self.kinds())
        if not isinstance(raw, Mapping) or not isinstance(raw.get("kind"), str):
            words = ("kind", "type")  # `type` is what other tools call it
            meant = next((key for key in raw if str(key).lower() in words), None) if isinstance(raw, Mapping) else None
            hint = f"; write kind, not {meant}" if meant not in (None, "kind") else ""
            if kind := self._alone(raw):
                raise ValueError(f"{article} needs a kind; write `kind: {kind}`, with a space behind the colon")
            raise ValueError(f"{article} needs a kind, one of: {kinds}{hint}")
        kind = raw["kind"]
        try:
            return self._model(kind)
        except UnknownKindError:
            alike = nearest(kind, self.kinds())
            hint = f"; did you mean {alike}?" if alike else ""
            raise ValueError(f"no kind of {self.what} is called {kind!r}; there are: {kinds}{hint}") from None
        except ImportError as error:
            raise ValueError(why_not_loaded(kind, error)) from None

    def _alone(self, raw: Any) -> str | None:
        """Return the kind that is written without its key, as `memory`, or as `kind:memory`, which is one word."""
        words = [raw] if isinstance(raw, str) else raw if isinstance(raw, Mapping) else ()
        found = (str(word).removeprefix("kind:").strip() for word in words if raw is word or "kind:" in str(word))
        return next((word for word in found if word in self.kinds()), None)

    def lacks_driver(self, kind: str) -> bool:
        """Return True if only the config model of a kind was loaded so far: `find` will import a driver."""
        return kind in self._without_driver

    def _model(self, kind: str) -> type[Any]:
        left_out = drivers_are_left_out() and kind in self._models and kind not in self._loaded
        if not left_out or kind in _installed(self.group):
            return self.find(kind).config_model  # type: ignore[attr-defined, no-any-return]
        model = _imported(self._models[kind])
        self._without_driver.add(kind)
        return model  # type: ignore[no-any-return]

    def _load(self, points: tuple[EntryPoint, ...]) -> type[PluginT]:
        point, *others = points
        if others:
            raise ExtensionError(f"several packages bring it, {_named(*points)}: uninstall all but one")
        try:
            found = point.load()
        except (Exception, SystemExit) as error:
            said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            raise ExtensionError(f"{_named(point)} is broken: {point.value}: {said}") from error
        if fault := self._fault(found):
            raise ExtensionError(f"{_named(point)} is broken: {point.value} {fault}")
        return found  # type: ignore[no-any-return]

    def _fault(self, found: object) -> str | None:
        """Return why a loaded object is no such plug-in; None when it is one."""
        if not isinstance(found, type):
            return "is not a class"
        model = getattr(found, "config_model", None)
        if not (isinstance(model, type) and issubclass(model, self.base)):
            return f"has no config_model that is a subclass of {self.base.__module__}.{self.base.__qualname__}"
        for method in self._methods:
            if not iscoroutinefunction(getattr(found, method, None)):
                return f"has no `async def {method}`"
        if missing := sorted(getattr(model, "__abstractmethods__", ())):
            return f"has no `def {missing[0]}`"
        return None


class SchemaOfKinds:
    """Metadata of an annotation; in its JSON schema it stands for the models of all kinds of a registry."""

    KEY = "x-kinds"

    def __init__(self, registry: Registry[Any]) -> None:
        self._registry = registry

    def __get_pydantic_json_schema__(self, _: CoreSchema, __: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {self.KEY: self._registry.what}


def why_not_loaded(kind: str, error: ImportError) -> str:
    """Return why a kind cannot be used, and what to install."""
    package = (error.name or "").partition(".")[0]
    extra = extra_of(package)
    return f"kind {kind!r} " + (f"needs {package}: {how_to_get(extra)}" if extra else f"cannot be loaded: {error}")


_REGISTRIES: list[Registry[Any]] = []


def registries() -> tuple[Registry[Any], ...]:
    """Return all registries, one for each kind of plug-in."""
    return tuple(_REGISTRIES)


def _imported(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)


@cache
def _installed(group: str) -> dict[str, tuple[EntryPoint, ...]]:
    found: dict[str, tuple[EntryPoint, ...]] = {}
    for point in installed_entry_points().select(group=group):
        found[point.name] = (*found.get(point.name, ()), point)
    return found


def _named(*points: EntryPoint) -> str:
    return " and ".join(
        f"package {point.dist.name} {point.dist.version}" if point.dist else point.value for point in points
    )
