"""The string formats that custom resources may ask for, each a check of a text.

The names and meanings are those of apiextensions-apiserver/pkg/apiserver/validation/formats.go; dashes in a name do not
count but for the two formats of Kubernetes itself. A format that is not here is no constraint.
"""

import base64
import binascii
import datetime
import ipaddress
import re
from collections.abc import Callable
from email.utils import parseaddr

from controlplane.api import names
from controlplane.api.cel import networks

_DURATION = re.compile(r"[-+]?(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+|0")
_SCALA = re.compile(
    r"\d+\s*(?:ns|nanos?|nanoseconds?|us|µs|micros?|microseconds?|ms|millis?|milliseconds?|s|secs?|seconds?"
    r"|m|mins?|minutes?|h|hrs?|hours?|d|days?|w|weeks?)"
)
_CARD = re.compile(
    r"(?:4\d{12}(?:\d{3})?|5[1-5]\d{14}|6(?:011|5\d\d)\d{12}|3[47]\d{13}|3(?:0[0-5]|[68]\d)\d{11}"
    r"|(?:2131|1800|35\d{3})\d{11})"
)
_RGB = re.compile(r"rgb\(\s*(\d{1,3})\s*,\s*(\d{1,3})\s*,\s*(\d{1,3})\s*\)")


def _pattern(text: str) -> Callable[[str], bool]:
    compiled = re.compile(text)
    return lambda value: compiled.fullmatch(value) is not None


def _address(version: int) -> Callable[[str], bool]:
    def check(value: str) -> bool:
        try:
            return ipaddress.ip_address(value).version == version
        except ValueError:
            return False

    return check


def _cidr(value: str) -> bool:
    try:
        ipaddress.ip_interface(value)
    except ValueError:
        return False
    return "/" in value


def _email(value: str) -> bool:
    _, address = parseaddr(value)
    local, at, domain = address.rpartition("@")
    return bool(local and at and domain) and " " not in address


def _hostname(value: str) -> bool:
    labels = value.rstrip(".").split(".")
    label = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
    return len(value) <= 255 and all(label.fullmatch(one) for one in labels)


def _base64(value: str) -> bool:
    try:
        base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


def _date(value: str) -> bool:
    try:
        datetime.date.fromisoformat(value)
    except ValueError:
        return False
    return len(value) == 10


def _datetime(value: str) -> bool:
    try:
        datetime.datetime.fromisoformat(value)
    except ValueError:
        return False
    return re.match(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d", value) is not None


def _isbn10(value: str) -> bool:
    text = re.sub(r"[\s-]", "", value)
    if not re.fullmatch(r"\d{9}[\dX]", text):
        return False
    return sum((10 - n) * (10 if c == "X" else int(c)) for n, c in enumerate(text)) % 11 == 0


def _isbn13(value: str) -> bool:
    text = re.sub(r"[\s-]", "", value)
    if not re.fullmatch(r"\d{13}", text):
        return False
    return sum(int(c) * (3 if n % 2 else 1) for n, c in enumerate(text)) % 10 == 0


def _credit_card(value: str) -> bool:
    digits = re.sub(r"\D", "", value)
    if not _CARD.fullmatch(digits):
        return False
    total = 0
    for number, digit in enumerate(reversed(digits)):
        doubled = int(digit) * (2 if number % 2 else 1)
        total += doubled - 9 if doubled > 9 else doubled
    return total % 10 == 0


def _rgb(value: str) -> bool:
    found = _RGB.fullmatch(value)
    return found is not None and all(int(part) <= 255 for part in found.groups())


def _uuid(version: str = "") -> Callable[[str], bool]:
    third = f"{version}[0-9a-f]{{3}}" if version else "[0-9a-f]{4}"
    fourth = "[89ab][0-9a-f]{3}" if version in ("4", "5") else "[0-9a-f]{4}"
    return _pattern(rf"(?i)[0-9a-f]{{8}}-?[0-9a-f]{{4}}-?{third}-?{fourth}-?[0-9a-f]{{12}}")


FORMATS: dict[str, Callable[[str], bool]] = {
    "bsonobjectid": _pattern("[0-9a-fA-F]{24}"),
    "uri": networks.is_url,
    "email": _email,
    "hostname": _hostname,
    "ipv4": _address(4),
    "ipv6": _address(6),
    "cidr": _cidr,
    "mac": _pattern(
        r"(?i)(?:[0-9a-f]{2}(?::[0-9a-f]{2}){5,7}|[0-9a-f]{2}(?:-[0-9a-f]{2}){5,7}|[0-9a-f]{4}(?:\.[0-9a-f]{4}){2,3})"
    ),
    "uuid": _uuid(),
    "uuid3": _uuid("3"),
    "uuid4": _uuid("4"),
    "uuid5": _uuid("5"),
    "isbn": lambda value: _isbn10(value) or _isbn13(value),
    "isbn10": _isbn10,
    "isbn13": _isbn13,
    "creditcard": _credit_card,
    "ssn": _pattern(r"\d{3}[- ]?\d{2}[- ]?\d{4}"),
    "hexcolor": _pattern("#?(?:[0-9a-fA-F]{3}|[0-9a-fA-F]{6})"),
    "rgbcolor": _rgb,
    "byte": _base64,
    "password": lambda value: True,
    "date": _date,
    "duration": lambda value: bool(_DURATION.fullmatch(value) or _SCALA.fullmatch(value)),
    "datetime": _datetime,
    "k8s-short-name": lambda value: not names.dns_label(value),
    "k8s-long-name": lambda value: not names.dns_subdomain(value),
}


def check_of(name: str) -> Callable[[str], bool] | None:
    """The check of a format; None for one that constrains nothing."""
    return FORMATS.get(name) or FORMATS.get(name.replace("-", ""))
