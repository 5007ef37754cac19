"""What is logged while a test runs, as it is written."""

from __future__ import annotations

import io
import json
import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

import structlog

from server.telemetry import logs

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def logged(process: str) -> Iterator[io.StringIO]:
    """Log into the stream, from level info on."""
    stream, root = io.StringIO(), logging.getLogger()
    handlers, level, configured = root.handlers, root.level, structlog.get_config()
    logs.configure(process, "info", stream)
    try:
        yield stream
    finally:
        logging.captureWarnings(capture=False)
        root.handlers, root.level = handlers, level
        structlog.configure(**configured)


def events(stream: io.StringIO) -> list[dict[str, object]]:
    """Return the lines."""
    return [json.loads(line) for line in stream.getvalue().splitlines()]
