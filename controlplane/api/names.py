"""Names: DNS rules with upstream's messages, generateName suffixes, template hashes.

Checkers return a list of problems, empty when the text is good, in the words of
apimachinery/pkg/util/validation: users search for them.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from random import Random

Rule = Callable[[str], list[str]]
"""A checker: the problems of a text."""

# Letters and digits that make no words and are not taken for each other.
SAFE_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
GENERATED_LENGTH = 5
# A generated name is at most a DNS label long, so that it can be a host name.
MAX_GENERATED_BASE = 63 - GENERATED_LENGTH

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_DNS1035 = "[a-z]([-a-z0-9]*[a-z0-9])?"
_QUALIFIED = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_LABEL_VALUE = "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?"

_LABEL_RE = re.compile(_LABEL)
_SUBDOMAIN_RE = re.compile(_SUBDOMAIN)
_DNS1035_RE = re.compile(_DNS1035)
_QUALIFIED_RE = re.compile(_QUALIFIED)
_LABEL_VALUE_RE = re.compile(_LABEL_VALUE)
_UNDERSCORE_LABEL = "_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?"
_UNDERSCORE_SUBDOMAIN = rf"{_UNDERSCORE_LABEL}(\.{_UNDERSCORE_LABEL})*"
_UNDERSCORE_SUBDOMAIN_RE = re.compile(_UNDERSCORE_SUBDOMAIN)
_HTTP_HEADER_RE = re.compile("[-A-Za-z0-9]+")
_CONFIG_KEY_RE = re.compile("[-._a-zA-Z0-9]+")
_ENV_RE = re.compile(r"[ -<>-~]+")
_PORT_NAME_RE = re.compile("[-a-z0-9]+")


def _too_long(limit: int, unit: str = "characters") -> str:
    return f"must be no more than {limit} {unit}"


def _regex(rule: str, pattern: str, *examples: str) -> str:
    shown = " or ".join(f"'{example}', " for example in examples)
    return f"{rule} (e.g. {shown}regex used for validation is '{pattern}')"


def dns_label(text: str) -> list[str]:
    """RFC 1123 label: namespaces, containers, ports' hosts."""
    problems = []
    if len(text) > 63:
        problems.append(_too_long(63))
    if "." in text and _SUBDOMAIN_RE.fullmatch(text):
        problems.append("must not contain dots")
    elif not _LABEL_RE.fullmatch(text):
        problems.append(
            _regex(
                "a lowercase RFC 1123 label must consist of lower case alphanumeric characters "
                "or '-', and must start and end with an alphanumeric character",
                _LABEL,
                "my-name",
                "123-abc",
            )
        )
    return problems


def dns_subdomain(text: str) -> list[str]:
    """RFC 1123 subdomain: the name of most objects."""
    problems = []
    if len(text) > 253:
        problems.append(_too_long(253))
    if not _SUBDOMAIN_RE.fullmatch(text):
        problems.append(
            _regex(
                "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric "
                "characters, '-' or '.', and must start and end with an alphanumeric character",
                _SUBDOMAIN,
                "example.com",
            )
        )
    return problems


def dns_search(text: str) -> list[str]:
    """A search domain of the resolver: labels of a subdomain may have underscores."""
    problems = []
    if len(text) > 253:
        problems.append(_too_long(253))
    if not _UNDERSCORE_SUBDOMAIN_RE.fullmatch(text):
        problems.append(
            _regex(
                "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric "
                "characters, '_', '-' or '.', and must start and end with an alphanumeric character",
                _UNDERSCORE_SUBDOMAIN,
                "example.com",
            )
        )
    return problems


def http_header(text: str) -> list[str]:
    """Names of HTTP headers."""
    if _HTTP_HEADER_RE.fullmatch(text):
        return []
    rule = "a valid HTTP header must consist of alphanumeric characters or '-'"
    return [_regex(rule, "[-A-Za-z0-9]+", "X-Header-Name")]


def dns1035_label(text: str) -> list[str]:
    """RFC 1035 label: services, which become host names."""
    problems = []
    if len(text) > 63:
        problems.append(_too_long(63))
    if not _DNS1035_RE.fullmatch(text):
        problems.append(
            _regex(
                "a DNS-1035 label must consist of lower case alphanumeric characters or '-', "
                "start with an alphabetic character, and end with an alphanumeric character",
                _DNS1035,
                "my-name",
                "abc-123",
            )
        )
    return problems


def qualified_name(text: str) -> list[str]:
    """Label keys, annotation keys, finalizers: `name` or `prefix/name`."""
    prefix, slash, name = text.rpartition("/")
    if "/" in prefix:
        return [_qualified_shape(" with an optional DNS subdomain prefix and '/'")]
    problems = []
    if slash:
        if not prefix:
            problems.append("prefix part must be non-empty")
        else:
            problems += ["prefix part " + problem for problem in dns_subdomain(prefix)]
    if not name:
        problems.append("name part must be non-empty")
    elif len(name) > 63:
        problems.append("name part " + _too_long(63, "bytes"))
    if not _QUALIFIED_RE.fullmatch(name):
        problems.append("name part " + _qualified_shape(""))
    return problems


def _qualified_shape(suffix: str) -> str:
    rule = (
        "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with "
        "an alphanumeric character"
    )
    if suffix:
        return (
            "a qualified name "
            + _regex(rule, _QUALIFIED, "MyName", "my.name", "123-abc")
            + suffix
            + " (e.g. 'example.com/MyName')"
        )
    return _regex(rule, _QUALIFIED, "MyName", "my.name", "123-abc")


def path_segment(name: str) -> list[str]:
    """Names that only have to fit into a URL: of roles, of embedded objects."""
    if name in (".", ".."):
        return [f"may not be '{name}'"]
    return [f"may not contain '{mark}'" for mark in ("/", "%") if mark in name]


def wildcard_subdomain(text: str) -> list[str]:
    """A host name whose first part is `*`."""
    problems = []
    if len(text) > 253:
        problems.append(_too_long(253))
    if not re.fullmatch(rf"\*\.{_SUBDOMAIN}", text):
        problems.append(
            _regex(
                "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS "
                "subdomain, which must consist of lower case alphanumeric characters, '-' or '.' "
                "and end with an alphanumeric character",
                rf"\*\.{_SUBDOMAIN}",
                "*.example.com",
            )
        )
    return problems


def label_value(text: str) -> list[str]:
    """Values of labels: empty is good."""
    problems = []
    if len(text) > 63:
        problems.append(_too_long(63, "bytes"))
    if not _LABEL_VALUE_RE.fullmatch(text):
        problems.append(
            _regex(
                "a valid label must be an empty string or consist of alphanumeric characters, "
                "'-', '_' or '.', and must start and end with an alphanumeric character",
                _LABEL_VALUE,
                "MyValue",
                "my_value",
                "12345",
            )
        )
    return problems


def config_key(text: str) -> list[str]:
    """Keys of ConfigMap and Secret data."""
    problems = []
    if len(text) > 253:
        problems.append(_too_long(253))
    if not _CONFIG_KEY_RE.fullmatch(text):
        problems.append(
            _regex(
                "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
                "[-._a-zA-Z0-9]+",
                "key.name",
                "KEY_NAME",
                "key-name",
            )
        )
    if text in (".", ".."):
        problems.append(f"must not be '{text}'")
    elif text.startswith(".."):
        problems.append("must not start with '..'")
    return problems


def env_name(text: str) -> list[str]:
    """Names of environment variables: printable ASCII but '='."""
    if _ENV_RE.fullmatch(text):
        return []
    return [
        "a valid environment variable name must consist only of printable ASCII characters "
        "other than '='"
    ]


def port_name(text: str) -> list[str]:
    """Names of ports: IANA service names."""
    problems = []
    if len(text) > 15:
        problems.append(_too_long(15))
    if not _PORT_NAME_RE.fullmatch(text):
        problems.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if not re.search("[a-z]", text):
        problems.append("must contain at least one letter (a-z)")
    if "--" in text:
        problems.append("must not contain consecutive hyphens")
    if text.startswith("-") or text.endswith("-"):
        problems.append("must not begin or end with a hyphen")
    return problems


def generate_name(base: str, rng: Random) -> str:
    """A name from `generateName`: the base cut to fit, and five safe letters."""
    suffix = "".join(rng.choice(SAFE_ALPHABET) for _ in range(GENERATED_LENGTH))
    return base[:MAX_GENERATED_BASE] + suffix


def generate_uid(rng: Random) -> str:
    """A random UUID (version 4)."""
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))


def safe_encode(number: int) -> str:
    """A number's decimal digits in safe letters (upstream's rand.SafeEncodeString)."""
    return "".join(SAFE_ALPHABET[ord(digit) % len(SAFE_ALPHABET)] for digit in str(number))


def fnv1a_32(data: bytes) -> int:
    """FNV-1a, 32 bits: small, stable between processes and releases."""
    value = 0x811C9DC5
    for byte in data:
        value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    return value


def template_hash(canonical: bytes, collision_count: int = 0) -> str:
    """The pod-template-hash of a template's canonical JSON, in safe letters."""
    if collision_count:
        canonical += collision_count.to_bytes(8, "little")
    return safe_encode(fnv1a_32(canonical))


def as_prefix(text: str) -> str:
    """The text to check in place of a prefix that something will follow: a dash at the end may stand there."""
    return text[:-2] + "a" if len(text) > 1 and text.endswith("-") else text
