"""Regular expressions and named formats in CEL.

Expressions are RE2's, as in Go: they cannot take more than linear time, whoever wrote them.
Source: k8s.io/apiserver/pkg/cel/library/{regex,format}.go.
"""

import base64
import binascii
import datetime
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import re2

from controlplane.api import names
from controlplane.api.cel import networks, tagged
from controlplane.api.cel.tagged import FORMAT, OPTIONAL, FunctionError

_UUID = re.compile(r"(?i)[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}")
_QUIET = re2.Options()
_QUIET.log_errors = False


@lru_cache(maxsize=1024)
def compiled(pattern: str) -> Any:
    """The RE2 expression; FunctionError when it is none."""
    try:
        return re2.compile(pattern, _QUIET)
    except re2.error as error:
        text = error.args[0] if error.args else ""
        detail = text.decode(errors="replace") if isinstance(text, bytes) else str(text)
        raise FunctionError(f"Illegal regex: error parsing regexp: {detail}") from error


def find(text: str, pattern: str) -> str:
    """The first match, empty for none."""
    found = compiled(pattern).search(text)
    return found.group(0) if found else ""


def find_all(text: str, pattern: str, limit: int = -1) -> list[str]:
    """All matches, at most `limit` of them when it is not negative."""
    result: list[str] = []
    for found in compiled(pattern).finditer(text):
        if 0 <= limit <= len(result):
            break
        result.append(found.group(0))
    return result


def _no_uri(text: str) -> list[str]:
    return [] if networks.is_url(text) else [f'parse "{text}": invalid URI for request']


def _no_uuid(text: str) -> list[str]:
    return [] if _UUID.fullmatch(text) else ["does not match the UUID format"]


def _no_byte(text: str) -> list[str]:
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return ["invalid base64"]
    return [] if text else ["invalid base64"]


def _no_date(text: str) -> list[str]:
    try:
        datetime.date.fromisoformat(text)
    except ValueError:
        return ["invalid date"]
    return [] if len(text) == 10 else ["invalid date"]


def _no_datetime(text: str) -> list[str]:
    try:
        found = datetime.datetime.fromisoformat(text)
    except ValueError:
        return ["invalid datetime"]
    return [] if found.tzinfo is not None else ["invalid datetime"]


def _prefix(rule: Callable[[str], list[str]]) -> Callable[[str], list[str]]:
    """The rule for the start of a generated name: it may end with a dash."""
    return lambda text: rule(text[:-1] + "a" if text.endswith("-") else text)


FORMATS: dict[str, Callable[[str], Sequence[str]]] = {
    "dns1123Label": names.dns_label,
    "dns1123Subdomain": names.dns_subdomain,
    "dns1035Label": names.dns1035_label,
    "qualifiedName": names.qualified_name,
    "dns1123LabelPrefix": _prefix(names.dns_label),
    "dns1123SubdomainPrefix": _prefix(names.dns_subdomain),
    "dns1035LabelPrefix": _prefix(names.dns1035_label),
    "labelValue": names.label_value,
    "uri": _no_uri,
    "uuid": _no_uuid,
    "byte": _no_byte,
    "date": _no_date,
    "datetime": _no_datetime,
}


def named_format(name: str) -> dict[str, Any]:
    """An optional: the format so called."""
    return tagged.make(OPTIONAL, [tagged.make(FORMAT, name)] if name in FORMATS else [])


def validate_format(value: Any, text: str) -> dict[str, Any]:
    """An optional: what is wrong with `text`; none when it has the format."""
    problems = list(FORMATS[tagged.content(value, FORMAT, "validate")](text))
    return tagged.make(OPTIONAL, [problems] if problems else [])


def has_value(value: Any) -> bool:
    """Whether an optional holds something."""
    return bool(tagged.content(value, OPTIONAL, "hasValue"))


def optional_value(value: Any) -> Any:
    """What an optional holds; FunctionError when it is empty."""
    held = tagged.content(value, OPTIONAL, "value")
    if not held:
        raise FunctionError("optional.none() dereference")
    return held[0]


def or_value(value: Any, instead: Any) -> Any:
    """What an optional holds, or `instead`."""
    held = tagged.content(value, OPTIONAL, "orValue")
    return held[0] if held else instead


def escape_key(key: str) -> str:
    """A key as a JSON pointer spells it."""
    return key.replace("~", "~0").replace("/", "~1")
