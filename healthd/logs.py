"""Structured logs: JSON in production, readable on a terminal, and never a secret."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from collections.abc import MutableMapping
from types import TracebackType
from typing import Any

import structlog

from healthd.config.sections import Log
from healthd.runtime.line_writer import LineWriter
from healthd.runtime.redaction import Redactor
from healthd.runtime.repeats import Repeats

_log = structlog.get_logger(__name__)
# Libraries that log too much: the scheduler's skipped runs are counted anyway, AWS's log contains whole requests,
# hpack's every header of a gRPC call, and urllib3's, which Apprise uses, every path.
_CHATTY = {
    "aiobotocore": logging.WARNING,
    "aiosqlite": logging.INFO,
    "alembic": logging.WARNING,
    "apscheduler": logging.ERROR,
    "asyncio": logging.INFO,
    "botocore": logging.WARNING,
    "hpack": logging.INFO,
    "pymongo": logging.INFO,
    "urllib3": logging.INFO,
}
_AS_THEY_ARE = frozenset({"level", "logger", "problems", "timestamp"})
_NAMES = frozenset({"action", "check", "notifier", "service"})  # fields for the name of something configured
_CONTROLS = {code: None for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\n\t"}


def configure(settings: Log, redact: Redactor, writer: LineWriter | None = None) -> None:
    """Send everything that is logged, by structlog or by a library through logging, to stderr in one format.

    With a `writer`, code that logs never waits for the reader of the log.
    """
    level = settings.level.upper()
    terminal = sys.stderr.isatty()
    as_json = settings.format == "json" or (settings.format == "auto" and not terminal)
    known: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*known, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr) if writer is None else _LossTellingHandler(writer)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=known,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.StackInfoRenderer(),
                structlog.processors.format_exc_info,
                _Redaction(redact),
                structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer(colors=terminal),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler, *(other for other in root.handlers if getattr(other, "stays", False))]
    root.setLevel(level)
    for name, least in _CHATTY.items():
        logging.getLogger(name).setLevel(max(least, root.level))


def catch_the_uncaught() -> None:
    """Log warnings, and exceptions that no code caught, like everything else: so they are redacted too."""
    logging.captureWarnings(True)
    sys.excepthook = _log_uncaught
    threading.excepthook = lambda args: _log_uncaught(args.exc_type, args.exc_value, args.exc_traceback)
    sys.unraisablehook = lambda args: _log_uncaught(args.exc_type, args.exc_value, args.exc_traceback)


def catch_the_uncaught_in(loop: asyncio.AbstractEventLoop) -> None:
    """Log exceptions that no task of a loop retrieved. Without a free descriptor one occurs a hundred times a second:
    each kind is logged once a minute, with its number of occurrences."""
    repeats = Repeats()

    def handle(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if not (times := repeats.count((context["message"], type(error), str(error)[:100]))):
            return
        task = context.get("task") or context.get("future")
        name = task.get_name() if isinstance(task, asyncio.Task) else None
        _log.error(
            "uncaught exception in the event loop", reason=context["message"], task=name, times=times, exc_info=error
        )

    loop.set_exception_handler(handle)


def _log_uncaught(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    _log.critical("uncaught exception", exc_info=(kind, error, trace) if error is not None else None)


class _LossTellingHandler(logging.StreamHandler[LineWriter]):
    """Logs how many lines were dropped, once lines can be written again."""

    def emit(self, record: logging.LogRecord) -> None:
        super().emit(record)
        if lost := self.stream.take_losses():
            _log.error("log lines dropped, output too slow", lines=lost)


class _Redaction:
    """Redacts every text of an event, at any depth; a dependency's answer cannot move the cursor either.

    The names of its fields, its level and its logger are the code's own words; reasons of a refusal were redacted where
    the places and the words in them are told apart.
    """

    def __init__(self, redact: Redactor) -> None:
        self._redact = redact

    def __call__(self, _logger: Any, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        cleaned = {key: value if key in _AS_THEY_ARE else self._cleaned(key, value) for key, value in event.items()}
        return {key: value.translate(_CONTROLS) if isinstance(value, str) else value for key, value in cleaned.items()}

    def _cleaned(self, key: str, value: Any) -> Any:
        return self._redact.name(value) if key in _NAMES and isinstance(value, str) else self._redact.deeply(value)
