"""The zipapp's first lines: they start healthd, or say in one sentence why it cannot start here and what can.

Whichever Python runs the file reads this: nothing here is newer than Python 2.7. What does not start ends with 3,
"could not ask": 1, as of a traceback, would tell a pipeline that a gate has failed.
"""

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:  # in comments, which is where Python 2 has its types
    from collections.abc import Callable
    from typing import Any

_COULD_NOT_ASK = 3


def start(name, python, platform, suffix, glibc, beside):
    # type: (str, str, str, str, str, dict[str, str]) -> None
    """Start healthd where this Python is the one that the file is for, or where that one is on the path.

    `name` is the file's as released, `python` a version as "3.13", `platform` one as "linux_x86_64", `suffix` that of
    compiled packages there, `glibc` the oldest that they run with, as "2.28", and `beside` the names of the release's
    files by their suffixes.
    """
    suffixes, here = _suffixes(), ".".join(str(number) for number in sys.version_info[:2])
    fits = [beside[each] + " of the same release" for each in suffixes if each in beside]
    if here != python:
        again = "healthd" in getattr(sys, "_xoptions", {})  # set below, so that it is tried once
        other = None if again else _on_path("python" + python)
        if other is not None:
            os.execv(other, [other, "-X", "healthd=again"] + sys.argv)
        cure = ", or ".join(["take " + each for each in fits] + ["install python" + python])
        _end(name, "is for Python " + python + ", and this is Python " + here + ", " + sys.executable + ": " + cure)
    if suffix not in suffixes:
        cure = "take " + (fits[0] if fits else "the image, or the wheel")
        _end(name, "is for CPython on " + platform + ", and this Python wants packages " + suffixes[0] + ": " + cure)
    found = _glibc()
    if found is None or _numbers(found) < _numbers(glibc):
        _end(name, "needs glibc " + glibc + " or newer, and here is " + (found or "none") + ": take the image")
    _unpacked(name)


def _unpacked(name):
    # type: (str) -> None
    import _bootstrap  # shiv's, beside this file

    def told(function):
        # type: (Callable[..., Any]) -> Callable[..., Any]
        def tried(*given, **named):
            # type: (Any, Any) -> Any
            try:
                return function(*given, **named)
            except (OSError, RuntimeError) as error:
                _end(name, "cannot unpack itself: " + str(error) + ": name a folder to write to in SHIV_ROOT")

        return tried

    _bootstrap.cache_path = told(_bootstrap.cache_path)
    _bootstrap.extract_site_packages = told(_bootstrap.extract_site_packages)
    _bootstrap.bootstrap()


def _suffixes():
    # type: () -> list[str]
    """Suffixes of compiled packages that this Python loads; they name its version, processor and C library."""
    try:
        from importlib.machinery import EXTENSION_SUFFIXES
    except ImportError:  # Python 2
        return ["no such packages"]
    return EXTENSION_SUFFIXES


def _glibc():
    # type: () -> str | None
    try:
        return (os.confstr("CS_GNU_LIBC_VERSION") or "").split()[1]
    except (IndexError, OSError, ValueError):
        return None


def _numbers(version):
    # type: (str) -> list[int]
    return [int(number) for number in version.split(".")]


def _on_path(program):
    # type: (str) -> str | None
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        file = os.path.join(folder or ".", program)
        if os.path.isfile(file) and os.access(file, os.X_OK):
            return file
    return None


def _end(name, why):
    # type: (str, str) -> None
    sys.stderr.write("healthd: " + name + " " + why + "\n")
    sys.exit(_COULD_NOT_ASK)
