"""Log lines as etcd's logger (zap) writes them, so that what watches a starting etcd can watch a member.

JSON: `{"level":"info","ts":"2024-05-01T10:00:00.000Z","caller":"kvstore.node","msg":"ready to serve …",…}`;
`caller` is the component. Console: the same in columns between tabs. Each output is standard error, standard output or
a file that is appended to.
"""

import contextlib
import datetime
import json
import logging
import sys
from collections.abc import Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Any, Literal, TextIO

import structlog

from kvstore.base.log import Lines

_LEVEL_NAMES = {"warning": "warn", "critical": "fatal", "exception": "error"}
_NUMBERS = {"warn": logging.WARNING, "panic": logging.CRITICAL, "dpanic": logging.CRITICAL}


class Outputs(Lines):
    """Standard streams and files, by name."""

    def __init__(self, names: Sequence[str]) -> None:
        streams: list[TextIO] = []
        self._opened = contextlib.ExitStack()
        for name in dict.fromkeys(names):
            if name == "stderr":
                streams.append(sys.stderr)
            elif name == "stdout":
                streams.append(sys.stdout)
            else:
                # Line by line: a crash loses no line that was written.
                file = Path(name).open("a", buffering=1, encoding="utf-8")  # noqa: SIM115
                streams.append(self._opened.enter_context(file))
        super().__init__(*streams)

    def close(self) -> None:
        """Close what was opened."""
        self._opened.close()


def configure(
    *,
    level: str = "info",
    form: Literal["json", "console"] = "json",
    outputs: Sequence[str] = ("stderr",),
) -> Outputs:
    """Send all log lines to `outputs`. Raises OSError if a file cannot be opened."""
    writer = Outputs(outputs)
    number = _NUMBERS.get(level) or logging.getLevelNamesMapping().get(level.upper(), logging.INFO)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            _render_json if form == "json" else _render_console,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=lambda *_: writer,
        cache_logger_on_first_use=True,
    )
    return writer


def line(level: str, message: str, **pairs: object) -> str:
    """One JSON line without a logger, for what goes wrong before there is one."""
    return _render_json(None, level, {"level": level, "event": message, **pairs})


def _parts(event: MutableMapping[str, Any]) -> tuple[str, str, str, str]:
    level = str(event.pop("level", "info"))
    caller = event.pop("component", None) or event.pop("logger", None) or "kvstore"
    now = datetime.datetime.now(datetime.UTC)
    stamp = now.strftime("%Y-%m-%dT%H:%M:%S.") + f"{now.microsecond // 1000:03d}Z"
    return _LEVEL_NAMES.get(level, level), stamp, str(caller), str(event.pop("event", ""))


def _rest(event: Mapping[str, Any]) -> dict[str, Any]:
    # zap writes names of fields with dashes.
    return {key.replace("_", "-"): value for key, value in event.items()}


def _render_json(_: Any, __: str, event: MutableMapping[str, Any]) -> str:
    level, stamp, caller, message = _parts(event)
    head = {"level": level, "ts": stamp, "caller": caller, "msg": message}
    return json.dumps(
        {**head, **_rest(event)}, separators=(",", ":"), ensure_ascii=False, default=repr
    )


def _render_console(_: Any, __: str, event: MutableMapping[str, Any]) -> str:
    level, stamp, caller, message = _parts(event)
    rest = _rest(event)
    columns = [stamp, level, caller, message]
    if rest:
        columns.append(json.dumps(rest, ensure_ascii=False, default=repr))
    return "\t".join(columns)
