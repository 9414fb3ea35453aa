"""Durations as Go programs write them: `300ms`, `1.5s`, `1h5m`; also bare seconds."""

import re

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)")


def parse_duration(text: str) -> float:
    """Seconds in `text` ("1h5m", "250ms", or a bare number of seconds). Raises ValueError otherwise."""
    stripped = text.strip()
    try:
        return float(stripped)
    except ValueError:
        pass
    sign = -1.0 if stripped.startswith("-") else 1.0
    body = stripped.lstrip("+-")
    total, at = 0.0, 0
    for match in _PART.finditer(body):
        if match.start() != at:
            break
        total += float(match.group(1)) * _UNITS[match.group(2)]
        at = match.end()
    if not body or at != len(body):
        raise ValueError(f"invalid duration {text!r}: expected a form like 300ms, 1.5s or 1h5m")
    return sign * total
