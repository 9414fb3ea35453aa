"""structlog set-up: JSON lines by default, a readable form on a terminal.

`log.info("lease expired", lease_id=...)`: constant event, pairs. Context (process, request) is bound through
contextvars. No key values and no Secret data are ever logged.
"""

import contextlib
import logging
import sys
from typing import Any, Literal, TextIO, cast

import structlog


class Lines:
    """Writes each line to all of `streams` at once; one that is gone or full loses it, and its writer goes on."""

    def __init__(self, *streams: TextIO) -> None:
        self._streams = streams

    def msg(self, message: str) -> None:
        """Write a line."""
        for stream in self._streams:
            with contextlib.suppress(OSError, ValueError):
                stream.write(message + "\n")
                stream.flush()

    log = debug = info = warn = warning = msg
    fatal = failure = err = error = critical = exception = msg


def configure(
    program: str, *, level: str = "info", form: Literal["auto", "json", "text"] = "auto"
) -> None:
    """Send log lines to stderr. `form="auto"` is text on a terminal and JSON elsewhere."""
    lines = Lines(sys.stderr)
    text = form == "text" or (form == "auto" and sys.stderr.isatty())
    renderer: Any = (
        structlog.dev.ConsoleRenderer() if text else structlog.processors.JSONRenderer(default=repr)
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping().get(level.upper(), logging.INFO)
        ),
        logger_factory=lambda *_: lines,
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(program=program)


def get_logger(name: str) -> structlog.typing.FilteringBoundLogger:
    """A logger whose lines carry `component=name`."""
    return cast("structlog.typing.FilteringBoundLogger", structlog.get_logger(component=name))
