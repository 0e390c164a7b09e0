"""Values of a MongoDB URI's options that its driver refuses."""

from __future__ import annotations

import re

from pymongo import common, errors

from healthd.addresses.words import split

# What the driver says behind these words names no value; in front of them it may.
_TAKEN = re.compile(r".*\bmust be (?:in |one of )?(?P<taken>.*?)(?:, not .*)?", re.IGNORECASE | re.DOTALL)
_QUOTES = re.compile(r"[()\"']")
_PREFERENCES = "primary, primaryPreferred, secondary, secondaryPreferred, nearest"
_NEVER_EMPTY = ("authsource", "replicaset")


def unreadable_option(uri: str) -> str | None:
    """Return a sentence on an option whose value the driver refuses, with those that it takes; never with the value."""
    for word in split(uri, "&;")[1]:
        if not word.value and word.name.lower() in _NEVER_EMPTY:
            return f"has no value of {word.name}: write one, or leave {word.name} out"
        try:
            common.get_validated_options({word.name: word.value}, warn=False)
        except OSError:
            continue  # a file may be mounted late
        except (errors.PyMongoError, ValueError, TypeError) as error:
            return f"has a value of {word.name} that the MongoDB driver does not take{_taken(word.name, str(error))}"
    return None


def _taken(name: str, said: str) -> str:
    if name.lower() == "readpreference":
        return f": write one of {_PREFERENCES}"
    found = _TAKEN.fullmatch(said)
    if found is None:
        return ""
    taken = _QUOTES.sub("", found["taken"])
    if ", " in taken and " or " not in taken:  # the driver's sets have another order in each process
        taken = f"one of {', '.join(sorted(taken.split(', ')))}"
    return f": write {taken}"
