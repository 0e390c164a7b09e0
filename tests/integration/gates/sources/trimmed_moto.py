"""CloudWatch as moto imitates it, taught the one statistic that it lacks: trimmed counts between two values.

The server is this file, run as a script: `python trimmed_moto.py PORT`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[4]))

from tests.servers.moto import Moto
from tests.servers.ports import HOST
from tests.servers.process import Process, own_folder, serving


@contextmanager
def running() -> Iterator[Moto]:
    """A server with no metrics."""
    with own_folder() as folder:

        def prepare(port: int) -> Process:
            argv = [sys.executable, __file__, str(port)]
            return Process(argv, lambda process: process.listens(port), log=folder / "log", cwd=folder)

        with serving(prepare) as (port, process):
            yield Moto(port, process)


def _serve(port: str) -> None:
    from moto.cloudwatch.models import Statistics
    from moto.server import main

    plain = Statistics.get_statistics_for_type

    def with_trimmed_counts(self: Any, stat: str) -> Any:
        trimmed = re.fullmatch(r"TC\((?P<low>[\d.]*):(?P<high>[\d.]*)\)", stat)
        if trimmed is None:
            return plain(self, stat)
        low, high = float(trimmed["low"] or -inf), float(trimmed["high"] or inf)
        return sum(low < value <= high for value in self.metric_single_values_list)

    setattr(Statistics, "get_statistics_for_type", with_trimmed_counts)  # noqa: B010
    main(["-H", HOST, "-p", port])


if __name__ == "__main__":
    _serve(sys.argv[1])
