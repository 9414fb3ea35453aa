"""Objects inside custom resources (x-kubernetes-embedded-resource): they have a type and sound metadata.

Source: apiextensions-apiserver/pkg/apiserver/schema/objectmeta/validation.go.
"""

from typing import Any

from controlplane.api import names
from controlplane.api.errors import Cause
from controlplane.api.schema.structural.node import Node
from controlplane.api.validation import causes
from controlplane.api.validation.metadata import validate_labels


def validate(value: Any, node: Node, path: str = "") -> list[Cause]:
    """What is wrong with the embedded objects in `value`."""
    found: list[Cause] = []
    if isinstance(value, list):
        if node.items is not None:
            for number, item in enumerate(value):
                found += validate(item, node.items, f"{path}[{number}]")
        return found
    if not isinstance(value, dict):
        return found
    if node.is_embedded and path:
        found += _object(value, path)
    for key, item in value.items():
        inner = node.child(key)
        if inner is not None:
            found += validate(item, inner, f"{path}.{key}" if path else key)
    return found


def _object(value: dict[str, Any], path: str) -> list[Cause]:
    found: list[Cause] = []
    for key in ("apiVersion", "kind"):
        where, text = f"{path}.{key}", value.get(key)
        if key not in value:
            found.append(causes.required(where))
        elif not isinstance(text, str):
            found.append(causes.invalid(where, text, "must be a string"))
        elif not text:
            found.append(causes.invalid(where, text, "must not be empty"))
        elif key == "apiVersion" and text.count("/") > 1:
            detail = f"unexpected GroupVersion string: {text}"
            found.append(causes.invalid(where, text, detail))
        elif key == "kind" and (problems := names.dns1035_label(text.lower())):
            detail = "may have mixed case, but should otherwise match: " + ",".join(problems)
            found.append(causes.invalid(where, text, detail))
    metadata = value.get("metadata")
    if isinstance(metadata, dict):
        name = metadata.get("name")
        if isinstance(name, str) and name and (problems := names.path_segment(name)):
            found += causes.each(f"{path}.metadata.name", name, problems)
        found += validate_labels(f"{path}.metadata.labels", metadata.get("labels"))
    elif "metadata" in value:
        found.append(causes.invalid(f"{path}.metadata", metadata, "must be an object"))
    return found
