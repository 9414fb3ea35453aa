"""Unix seconds to and from the API's two time forms.

`Time` has whole seconds (`2024-01-01T00:00:00Z`), `MicroTime` has six digits; both are read by `parse_time`.
"""

import datetime


def seconds_to_text(seconds: float) -> str:
    """A metav1.Time."""
    moment = datetime.datetime.fromtimestamp(int(seconds), datetime.UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def micro_to_text(seconds: float) -> str:
    """A metav1.MicroTime."""
    moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_time(text: str | None) -> float:
    """Unix seconds of either form; 0.0 for nothing or nonsense."""
    if not text:
        return 0.0
    try:
        return datetime.datetime.fromisoformat(text).timestamp()
    except ValueError:
        return 0.0
