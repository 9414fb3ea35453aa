"""YAML as Kubernetes' clients and servers write it: keys sorted, texts that could be read as something else quoted."""

from __future__ import annotations

from typing import Any

import yaml

_BASE: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_BOOLEANS = frozenset({"y", "Y", "n", "N"})


class _Dumper(_BASE):  # type: ignore[misc]
    """Plain where that is unambiguous, double quotes where a reader would take a text for another type."""

    def ignore_aliases(self, data: Any) -> bool:
        """Objects share parts; their text does not."""
        return True


def _text(dumper: Any, text: str) -> Any:
    style = None
    if "\n" in text:
        style = "|"
    elif text in _BOOLEANS or dumper.resolve(yaml.ScalarNode, text, (True, False)) != _STRING:
        style = '"'
    return dumper.represent_scalar(_STRING, text, style)


_STRING = "tag:yaml.org,2002:str"
_Dumper.add_representer(str, _text)


def encode(content: Any) -> bytes:
    """The YAML text of a JSON value."""
    text = yaml.dump(content, Dumper=_Dumper, sort_keys=True, allow_unicode=True)
    return str(text).encode()
