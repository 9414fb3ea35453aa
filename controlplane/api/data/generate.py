"""Make kinds-1.36.json, what the wire formats know of Kubernetes' types.

`python controlplane/api/data/generate.py TARGET_FOLDER`. Two inputs, both facts of release 1.36 of the Go types:

- `input/protobuf-fields.json`: message -> field -> [number, type, JSON name where it differs]. `repeated T` and
  `map<K,V>` as in a .proto file; `~inline` is an embedded struct (a message of its own on the wire, its fields the
  parent's in JSON), `-` a field without a JSON form.
- `input/json-rules.json`: message -> field -> what becomes of a zero value in JSON, and the Go type's name where it
  does not follow from the field's type. `a` is always written; `o` is left out when empty (`omitempty` on a value,
  which does nothing for a struct); `z` is left out when zero (`omitzero`); `p` is a pointer, left out when nil, a zero
  that is set being a value; `P` is a pointer written as null when nil. `~TypeMeta` marks a type that has apiVersion
  and kind.

The result has one line a message: its name, whether it has apiVersion and kind, then its fields in order of their
numbers as [name, number, label, type, JSON name, rule, Go type]. `label` is 0 for one value, 1 for repeated, 2 for a
map (whose keys are strings); `type` is a scalar's name or the place of a message in the list.
"""

import json
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
TARGET = "kinds-1.36.json"
_SCALARS = {
    "string": "string",
    "bool": "bool",
    "int32": "int32",
    "int64": "int64",
    "double": "float64",
    "bytes": "[]uint8",
}
_LABELS = {"one": 0, "repeated": 1, "map": 2}


def split(kind: str) -> tuple[str, str]:
    """(label, element type) of a field's type."""
    if kind.startswith("repeated "):
        return "repeated", kind.removeprefix("repeated ")
    if kind.startswith("map<"):
        key, _, value = kind[4:-1].partition(",")
        if key != "string":
            raise SystemExit(f"a map by {key}: the wire formats only know keys that are strings")
        return "map", value.strip()
    return "one", kind


def go_name(kind: str) -> str:
    """The Go type as error texts spell it, where nothing else is recorded."""
    label, element = split(kind)
    package, _, name = element.rpartition(".")
    text = _SCALARS.get(element) or f"{package.rpartition('.')[2]}.{name}"
    return {"one": "", "repeated": "[]", "map": "map[string]"}[label] + text


def rows_of(
    fields: dict[str, list[Any]], rules: dict[str, str], places: dict[str, int]
) -> list[list[Any]]:
    """The fields of one message, in order of their numbers."""
    rows = []
    for name, (number, kind, *json_name) in fields.items():
        label, element = split(kind)
        if element not in _SCALARS and element not in places:
            raise SystemExit(f"{name} is of the unknown type {element}")
        rule, _, go = rules.get(name, "").partition(" ")
        written = json_name[0] if json_name else name
        if rule not in ("", "a", "o", "z", "p", "P"):
            raise SystemExit(f"{name} has the unknown rule {rule}")
        kept = element if element in _SCALARS else places[element]
        rows.append([name, number, _LABELS[label], kept, written, rule, go or go_name(kind)])
    return sorted(rows, key=lambda row: int(row[1]))


def generate() -> str:
    """The text of the data file."""
    fields = json.loads((HERE / "input" / "protobuf-fields.json").read_text())
    rules = json.loads((HERE / "input" / "json-rules.json").read_text())
    unknown = sorted(set(rules) - set(fields))
    if unknown:
        raise SystemExit(f"rules of messages that have no numbers: {unknown}")
    names = sorted(fields)
    places = {name: place for place, name in enumerate(names)}
    lines = [
        json.dumps(
            [
                name,
                int("~TypeMeta" in rules.get(name, {})),
                rows_of(fields[name], rules.get(name, {}), places),
            ],
            separators=(",", ":"),
        )
        for name in names
    ]
    head = '{"generated":"by generate.py from input/: do not edit","messages":[\n'
    return head + ",\n".join(lines) + "\n]}\n"


if __name__ == "__main__":
    Path(sys.argv[1]).joinpath(TARGET).write_text(generate())
