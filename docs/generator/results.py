"""What the benchmarks printed, which pages show word for word."""

import re
from pathlib import Path

RESULTS = Path(__file__).parents[2] / "bench" / "results"
SHOWN = re.compile(
    r"(?s)(?P<head><!-- bench/results/(?P<name>\S+\.md): [^>]*-->\n).*?(?P<foot><!-- end of what was printed -->\n)"
)


def with_results(page: Path) -> str:
    """Return the page's text with each result as it is kept; the comment before it names its file, and the command that
    prints it."""

    def shown(block: re.Match[str]) -> str:
        return f"{block['head']}\n{(RESULTS / block['name']).read_text(encoding='utf-8')}\n{block['foot']}"

    return SHOWN.sub(shown, page.read_text(encoding="utf-8"))
