"""Waits until an address answers with a version: `released.py URL VERSION`."""

import sys
import time
from urllib.error import URLError
from urllib.request import urlopen

URL, VERSION = sys.argv[1:]


def serves() -> bool:
    """The sample shop answers `shop VERSION`, also with the errors that it is told to make."""
    try:
        with urlopen(URL, timeout=2) as answer:
            return bool(answer.read().decode().split() == ["shop", VERSION])
    except (URLError, OSError):
        return False


while not serves():
    time.sleep(0.5)
