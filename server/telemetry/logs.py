"""JSON lines, one per event, for our own code and for the libraries' stdlib loggers alike.

`request_id` is bound per call by contextvars. A value that is no plain JSON is written as the name of its type, and an
exception as types and frames: its text may quote what the caller sent.
"""

from __future__ import annotations

import json
import logging
import sys
import traceback
from collections.abc import MutableMapping
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, TextIO, TypeAlias
from uuid import UUID

import structlog

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Mapping

Event: TypeAlias = MutableMapping[str, object]

_MAX_FRAMES = 30


def configure(process: str, level: str = "info", stream: TextIO | None = None) -> None:
    """Set up logging for the whole process; calling it again replaces the set-up.

    Args:
        process: `server` or `worker`, on every line.
        level: lowest level of our own events; libraries are heard from `warning` on, because their finer lines quote values.
        stream: where lines go, standard error by default.

    """
    lowest = logging.getLevelNamesMapping()[level.upper()]
    target = stream or sys.stderr
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            _Process(process),
            exception_without_text,
            structlog.processors.JSONRenderer(serializer=_dumps),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(lowest),
        logger_factory=structlog.WriteLoggerFactory(file=target),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers = [_Bridge()]
    root.setLevel(max(lowest, logging.WARNING))
    logging.captureWarnings(capture=True)


def watch_loop(loop: asyncio.AbstractEventLoop) -> None:
    """Log what nobody awaited by its type; the loop's own way prints the repr of the task with the exception's text."""
    loop.set_exception_handler(_lost_exception)


def exception_without_text(_logger: object, _method: str, event: Event) -> Event:
    """Replace `exc_info` by the types of the exception and its causes and by the frames it passed."""
    info = event.pop("exc_info", None)
    error = _exception(info)
    if error is not None:
        event["exception"] = describe(error)
    return event


def describe(error: BaseException) -> Mapping[str, object]:
    """Types (the exception first, then what caused it) and frames (innermost last) of an exception."""
    types, seen, cause = [], {id(error)}, error
    while True:
        types.append(f"{type(cause).__module__}.{type(cause).__qualname__}")
        following = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
        if following is None or id(following) in seen:
            break
        seen.add(id(following))
        cause = following
    frames = traceback.extract_tb(error.__traceback__)[-_MAX_FRAMES:]
    return {"types": types, "frames": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]}


class _Process:
    """Adds the name of the process."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self, _logger: object, _method: str, event: Event) -> Event:
        event["process"] = self._name
        return event


class _Bridge(logging.Handler):
    """Brings the stdlib's records into the same lines."""

    def emit(self, record: logging.LogRecord) -> None:
        log = structlog.get_logger()
        log.log(record.levelno, record.getMessage(), logger=record.name, exc_info=record.exc_info)


def _lost_exception(_loop: asyncio.AbstractEventLoop, context: Mapping[str, object]) -> None:
    structlog.get_logger().error("loop.exception_lost", what=str(context.get("message", "")), exc_info=context.get("exception"))


def _exception(info: object) -> BaseException | None:
    if isinstance(info, BaseException):
        return info
    if isinstance(info, tuple):
        return next((part for part in info if isinstance(part, BaseException)), None)
    return sys.exc_info()[1] if info else None


def _plain(value: object) -> object:
    if isinstance(value, Enum):
        return value.value
    return str(value) if isinstance(value, UUID | datetime) else type(value).__name__


# Made once: `json.dumps` makes an encoder per line when it is given options.
_encode = json.JSONEncoder(default=_plain, separators=(",", ":")).encode


def _dumps(event: object, **_options: object) -> str:
    return _encode(event)
