"""Is a value what its schema asks for? Causes in upstream's words.

The texts are those of kube-openapi's validator, which the API server turns into field errors: a missing field, an
unknown word and a size are errors of their own kind, everything else says `<path> in body should ...`.

`validate_update` ratchets: what is wrong in a part that the update leaves as it was is no reason to refuse the update.
Source: kube-openapi/pkg/validation/{validate,errors} and apiextensions-apiserver/pkg/apiserver/validation.
"""

import json
import math
from collections.abc import Callable
from typing import Any

from controlplane.api.cel.tagged import FunctionError
from controlplane.api.cel.texts import compiled
from controlplane.api.errors import Cause
from controlplane.api.schema.structural.formats import check_of
from controlplane.api.schema.structural.node import MISSING, Node
from controlplane.api.validation import causes

_INT32, _INT64 = 2**31, 2**63


def validate(value: Any, node: Node, path: str = "") -> list[Cause]:
    """What is wrong with `value`."""
    return _checked(value, MISSING, node, path)


def validate_update(value: Any, old: Any, node: Node, path: str = "") -> list[Cause]:
    """What is wrong with `value` and was not already so in `old`."""
    return _checked(value, old, node, path)


def _checked(value: Any, old: Any, node: Node, path: str) -> list[Cause]:
    found = _type(value, node, path)
    if found and isinstance(value, float) and node.type == "integer":
        # Compat: the limits of a number are looked at all the same.
        text = f"Checked value must be of type integer (default format) in {path}"
        found += [_composite(text), *_number(value, old, node, path)]
    elif not found and value is not None:
        found = [
            *_logical(value, node, path),
            *_enum(value, node, path),
            *_CHECKS.get(_kind_of(value), _no_check)(value, old, node, path),
        ]
    return [] if found and old is not MISSING and same(value, old) else found


def same(left: Any, right: Any) -> bool:
    """Equality of JSON values: true is not 1."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[k], right[k]) for k in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    return isinstance(left, bool) == isinstance(right, bool) and bool(left == right)


def _kind_of(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, str):
        return "string"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, float):
        return "number"
    return "array" if isinstance(value, list) else "object"


def _body(path: str) -> str:
    return f"{path} in body"


def _type(value: Any, node: Node, path: str) -> list[Cause]:
    kind = _kind_of(value)
    wanted = ",".join(node.types)
    if kind == "null":
        if not node.types or node.is_nullable:
            return []
    elif kind in ("integer", "number"):
        if not node.types or "number" in node.types:
            return []
        is_whole = kind == "integer" or float(value).is_integer()
        if "integer" in node.types and is_whole:
            limit = {"int32": _INT32, "int64": _INT64}.get(node.format)
            if limit is None or -limit <= value < limit:
                return []
            wanted = node.format
    elif not node.types or kind in node.types:
        return []
    detail = f'{_body(path)} must be of type {wanted}: "{kind}"'
    return [Cause(path, f'Invalid value: "{kind}": {detail}', "FieldValueTypeInvalid")]


def _invalid(path: str, value: Any, detail: str) -> Cause:
    return causes.invalid(path, value, f"{_body(path)} {detail}")


def _enum(value: Any, node: Node, path: str) -> list[Cause]:
    words = node.limits.get("enum")
    if words is None or any(same(value, word) for word in words):
        return []
    texts = [word if isinstance(word, str) else json.dumps(word) for word in words]
    return [causes.not_supported(path, value, texts)]


def _no_check(value: Any, old: Any, node: Node, path: str) -> list[Cause]:
    del value, old, node, path
    return []


def _string(value: str, old: Any, node: Node, path: str) -> list[Cause]:
    del old
    found = _text(value, node, path)
    check = check_of(node.format) if node.format else None
    if check is not None and not check(value):
        detail = f'must be of type {node.format}: "{value}"'
        text = f"Invalid value: {causes.show(value)}: {_body(path)} {detail}"
        found.append(Cause(path, text, "FieldValueTypeInvalid"))
    return found


def _text(value: str, node: Node, path: str) -> list[Cause]:
    """The first limit that a text breaks: the others are not looked at."""
    most, least = node.limits.get("maxLength"), node.limits.get("minLength")
    if most is not None and len(value) > most:
        return [causes.too_long(path, most)]
    if least is not None and len(value) < least:
        return [_invalid(path, value, f"should be at least {least} chars long")]
    pattern = node.limits.get("pattern")
    if not pattern:
        return []
    try:
        if compiled(str(pattern)).search(value) is not None:
            return []
        reason = ""
    except FunctionError as error:
        reason = f", but pattern is invalid: {error}"
    return [_invalid(path, value, f"should match '{pattern}{reason}'")]


def _number(value: float, old: Any, node: Node, path: str) -> list[Cause]:
    del old
    found: list[Cause] = []
    limits = node.limits
    factor = limits.get("multipleOf")
    if factor and not _is_multiple(value, factor):
        found.append(_invalid(path, value, f"should be a multiple of {_shown(factor)}"))
    most, least = limits.get("maximum"), limits.get("minimum")
    if most is not None:
        if limits.get("exclusiveMaximum") and value >= most:
            found.append(_invalid(path, value, f"should be less than {_shown(most)}"))
        elif value > most:
            found.append(_invalid(path, value, f"should be less than or equal to {_shown(most)}"))
    if least is not None:
        if limits.get("exclusiveMinimum") and value <= least:
            found.append(_invalid(path, value, f"should be greater than {_shown(least)}"))
        elif value < least:
            detail = f"should be greater than or equal to {_shown(least)}"
            found.append(_invalid(path, value, detail))
    return found


def _is_multiple(value: float, factor: float) -> bool:
    if isinstance(value, int) and isinstance(factor, int):
        return value % factor == 0
    quotient = value / factor
    return math.isclose(quotient, round(quotient), rel_tol=1e-12, abs_tol=1e-12)


def _shown(number: float) -> str:
    """A number as Go's %v prints it: whole ones without a point."""
    return str(int(number)) if float(number).is_integer() else repr(number)


def _array(value: list[Any], old: Any, node: Node, path: str) -> list[Cause]:
    found: list[Cause] = []
    if node.items is not None:
        for number, item in enumerate(value):
            before = _correlated(item, number, old, node)
            found += _checked(item, before, node.items, f"{path}[{number}]")
    least, most = node.limits.get("minItems"), node.limits.get("maxItems")
    if least is not None and len(value) < least:
        found.append(_invalid(path, len(value), f"should have at least {least} items"))
    if most is not None and len(value) > most:
        found.append(causes.too_many(path, len(value), most))
    if node.limits.get("uniqueItems") and _has_twins(value):
        found.append(causes.invalid(path, "", f"{_body(path)} shouldn't contain duplicates"))
    return found


def _correlated(item: Any, number: int, old: Any, node: Node) -> Any:
    """The item of the old list that this one stands for: by keys in a map-like list, by nothing in others."""
    del number
    if not isinstance(old, list) or node.list_type != "map" or not isinstance(item, dict):
        return MISSING
    keys = [item.get(key) for key in node.list_map_keys]
    for candidate in old:
        if isinstance(candidate, dict) and [candidate.get(k) for k in node.list_map_keys] == keys:
            return candidate
    return MISSING


def _has_twins(items: list[Any]) -> bool:
    texts = [json.dumps(item, sort_keys=True) for item in items]
    return len(set(texts)) != len(texts)


def _object(value: dict[str, Any], old: Any, node: Node, path: str) -> list[Cause]:
    found: list[Cause] = []
    least, most = node.limits.get("minProperties"), node.limits.get("maxProperties")
    if least is not None and len(value) < least:
        found.append(_invalid(path, len(value), f"should have at least {least} properties"))
    if most is not None and len(value) > most:
        found.append(causes.too_many(path, len(value), most))
    for key, item in value.items():
        inner = node.child(key)
        if inner is None:
            continue
        before = old.get(key, MISSING) if isinstance(old, dict) else MISSING
        found += _checked(item, before, inner, _join(path, key))
    found += [causes.required(_join(path, key)) for key in node.required if key not in value]
    return found


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _logical(value: Any, node: Node, path: str) -> list[Cause]:
    found: list[Cause] = []
    for word, nodes in node.logical:
        results = [validate(value, one, path) for one in nodes]
        found += _LOGIC[word](results, path)
    return found


def _composite(text: str) -> Cause:
    """A failed combination of schemas has no path of its own in upstream's answer; its text names it."""
    return Cause("<nil>", f'Invalid value: "": {text}', "FieldValueInvalid")


def _any_of(results: list[list[Cause]], path: str) -> list[Cause]:
    if any(not result for result in results):
        return []
    text = f'"{path}" must validate at least one schema (anyOf)'
    return [_composite(text), *_best(results)]


def _one_of(results: list[list[Cause]], path: str) -> list[Cause]:
    count = sum(1 for result in results if not result)
    if count == 1:
        return []
    detail = f"Found {count} valid alternatives" if count else "Found none valid"
    text = f'"{path}" must validate one and only one schema (oneOf). {detail}'
    return [_composite(text), *([] if count else _best(results))]


def _all_of(results: list[list[Cause]], path: str) -> list[Cause]:
    failed = [result for result in results if result]
    if not failed:
        return []
    detail = ". None validated" if len(failed) == len(results) else ""
    text = f'"{path}" must validate all the schemas (allOf){detail}'
    return [*(cause for result in failed for cause in result), _composite(text)]


def _none_of(results: list[list[Cause]], path: str) -> list[Cause]:
    if results[0]:
        return []
    return [_composite(f'"{path}" must not validate the schema (not)')]


def _best(results: list[list[Cause]]) -> list[Cause]:
    """The failures of the alternative that came nearest; the first one of equals."""
    return min(results, key=len)


_LOGIC: dict[str, Callable[[list[list[Cause]], str], list[Cause]]] = {
    "anyOf": _any_of,
    "oneOf": _one_of,
    "allOf": _all_of,
    "not": _none_of,
}
_CHECKS: dict[str, Callable[[Any, Any, Node, str], list[Cause]]] = {
    "string": _string,
    "integer": _number,
    "number": _number,
    "array": _array,
    "object": _object,
}
