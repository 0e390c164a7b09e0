"""A pipeline starts a command for each question: it must not load what only the daemon needs."""

import subprocess
import sys


def test_a_command_loads_no_configuration_and_no_source() -> None:
    """The modules of ours that the longest command loads, in a program of its own."""
    program = "import sys, healthd_gates.commands.verify; print(*sorted(sys.modules))"
    run = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    loaded = run.stdout.split()
    needless = ("healthd.config.settings", "healthd_gates.sources", "healthd_gates.actions", "healthd_gates.config")
    assert "healthd_gates.client.client" in loaded
    assert [name for name in loaded if name.startswith(needless)] == []
