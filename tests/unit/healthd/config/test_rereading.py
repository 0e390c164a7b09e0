"""A reading of the configuration that does not end: it is told, given up, and the next one is not held up by it."""

import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from healthd.app.daemon import Daemon
from healthd.config.file import ConfigError, load
from healthd.config.rereading import within
from healthd_gates.config.settings import Config


@pytest.fixture
def hanging() -> Iterator[Callable[[], Config]]:
    """A reading that ends with the test, as one of a file system that does not answer."""
    end = threading.Event()

    def read() -> Config:
        end.wait()
        raise AssertionError("nobody waits for it any more")

    yield read
    end.set()


async def test_a_reading_that_does_not_end(hanging: Callable[[], Config]) -> None:
    """It is told while it lasts, and given up."""
    with (
        capture_logs() as logged,
        pytest.raises(ConfigError, match=r"c\.yaml: was not read within 0\.05 s"),
    ):
        await within(0.05, 0.02, hanging, Path("c.yaml"))
    assert {entry["event"] for entry in logged} == {"configuration still being read"}


async def test_a_reload_that_does_not_end_does_not_end_reloading(
    hanging: Callable[[], Config], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The metric tells that the last one failed, and a corrected file is taken."""
    good = load(None, Config, {}).model_copy(update={"version": "corrected"})
    monkeypatch.setenv("HEALTHD_JOURNAL", f"sqlite:///{tmp_path}/j.db")
    monkeypatch.setattr("healthd.logs.configure", lambda *_: None)
    daemon = Daemon(load(None, Config, {}), None)
    readings: list[Callable[[], Config]] = [hanging, lambda: good]

    async def read_again(*_: object) -> Config:
        return await within(0.05, 0.02, readings.pop(0), None)

    monkeypatch.setattr("healthd.app.reloading.read_again", read_again)
    with capture_logs() as logged:
        await daemon.reloading.reload()
        assert daemon.health.metrics.reload_ok._value.get() == 0
        await daemon.reloading.reload()
    assert daemon.health.metrics.reload_ok._value.get() == 1
    assert daemon.settings.version == "corrected"
    told = [entry["event"] for entry in logged]
    assert told.count("reading configuration") == 2
    assert "configuration refused, previous configuration stays in force" in told
    await daemon.health.suite.close()


async def test_what_a_reading_raises_is_raised() -> None:
    """Whatever it is."""
    with pytest.raises(ConfigError, match="No such file"):
        await within(60, 60, partial(load, Path("/nowhere.yaml"), Config, {}), Path("/nowhere.yaml"))
