"""Which names a definition gets, and what its status says. Pure.

Within a group no two definitions may share a plural, singular or short name, nor a kind or list kind. Whoever had a
name accepted keeps it; of new ones the older definition wins, then the lesser name. A definition is served when the
names that clients need - plural and kind - are its own.

Source: apiextensions-apiserver/pkg/controller/{status,establish,nonstructuralschema}.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from controlplane.api import conditions, meta
from controlplane.api.meta import Obj

_KEYS = ("plural", "singular", "kind", "listKind")


def statuses(crds: Iterable[Obj], now: str) -> dict[str, Obj]:
    """Name of a definition -> the status it should have; `now` is the time of changed conditions."""
    ordered = sorted(crds, key=_seniority)
    taken: dict[str, _Names] = {}
    for crd in ordered:
        # What was accepted before is held first, whoever asks for it now.
        taken.setdefault(_group(crd), _Names()).hold(crd)
    return {meta.name(crd): _status(crd, taken[_group(crd)], now) for crd in ordered}


def is_established(crd: Obj) -> bool:
    """Whether the status says that the definition is served."""
    return _condition(crd, "Established") == "True"


def _condition(crd: Obj, kind: str) -> str:
    for row in meta.status(crd).get("conditions") or ():
        if row.get("type") == kind:
            return str(row.get("status"))
    return ""


def _group(crd: Obj) -> str:
    return str(meta.spec(crd).get("group"))


def _seniority(crd: Obj) -> tuple[str, str]:
    return (meta.creation_timestamp(crd), meta.name(crd))


class _Names:
    """The names of one group, each with the definition that holds it."""

    def __init__(self) -> None:
        self._words: dict[str, str] = {}
        self._kinds: dict[str, str] = {}

    def hold(self, crd: Obj) -> None:
        """Note what the definition had accepted before."""
        accepted = meta.status(crd).get("acceptedNames") or {}
        for key in _KEYS:
            if accepted.get(key):
                self._map(key).setdefault(str(accepted[key]), meta.name(crd))
        for word in accepted.get("shortNames") or ():
            self._words.setdefault(str(word), meta.name(crd))

    def _map(self, key: str) -> dict[str, str]:
        return self._kinds if key in ("kind", "listKind") else self._words

    def take(self, key: str, word: str, owner: str) -> bool:
        """Whether `owner` may have the name; it has it from now on."""
        return self._map(key).setdefault(word, owner) == owner


def _status(crd: Obj, taken: _Names, now: str) -> Obj:
    wanted = meta.spec(crd).get("names") or {}
    accepted, reasons = _accepted(crd, wanted, taken)
    status = {**meta.status(crd), "acceptedNames": accepted}
    rows = [dict(row) for row in status.get("conditions") or ()]
    if reasons:
        reason, text = reasons[0]
        _set(rows, "NamesAccepted", "False", reason, text, now)
    else:
        _set(rows, "NamesAccepted", "True", "NoConflicts", "no conflicts found", now)
    if not reasons:
        _set(
            rows,
            "Established",
            "True",
            "InitialNamesAccepted",
            "the initial names have been accepted",
            now,
        )
    elif _condition(crd, "Established") != "True":
        _set(rows, "Established", "False", "NotAccepted", "not all names are accepted", now)
    status["conditions"] = rows
    return status


def _accepted(crd: Obj, wanted: Obj, taken: _Names) -> tuple[Obj, list[tuple[str, str]]]:
    """(the names the definition has from now on, (reason, text) of each refusal)."""
    before = meta.status(crd).get("acceptedNames") or {}
    owner = meta.name(crd)
    accepted: Obj = {}
    reasons: list[tuple[str, str]] = []
    for key in _KEYS:
        word = str(wanted.get(key) or "")
        if not word or taken.take(key, word, owner):
            accepted[key] = word
        else:
            accepted[key] = str(before.get(key) or "")
            title = key[0].upper() + key[1:]
            reasons.append((f"{title}Conflict", f'"{word}" is already in use'))
    short = [str(word) for word in wanted.get("shortNames") or ()]
    lost = [word for word in short if not taken.take("shortNames", word, owner)]
    if lost:
        texts = [f'"{word}" is already in use' for word in lost]
        text = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
        reasons.append(("ShortNamesConflict", text))
        short = [str(word) for word in before.get("shortNames") or ()]
    if short:
        accepted["shortNames"] = short
    categories = wanted.get("categories")
    if categories:
        accepted["categories"] = list(categories)
    result = {key: value for key, value in accepted.items() if value or key in ("plural", "kind")}
    return result, reasons


def _set(rows: list[Obj], kind: str, status: str, reason: str, message: str, now: str) -> None:
    row: dict[str, Any] = {"type": kind, "status": status, "reason": reason, "message": message}
    conditions.set(rows, row, now)


def terminating(crd: Obj, status: str, reason: str, message: str, now: str) -> Obj:
    """The status of a definition that goes, with its condition Terminating."""
    rows = [dict(row) for row in meta.status(crd).get("conditions") or ()]
    _set(rows, "Terminating", status, reason, message, now)
    return {**meta.status(crd), "conditions": rows}


def served(crds: Sequence[Obj], now: str) -> list[Obj]:
    """The definitions whose objects are to be served, each with the status it should have, in order of their names.

    That is before the status says so in the store: whoever reads there that a kind is established must find it.
    """
    coming = statuses([crd for crd in crds if not meta.is_deleting(crd)], now)
    all_of_them = [{**crd, "status": coming.get(meta.name(crd), meta.status(crd))} for crd in crds]
    return sorted((crd for crd in all_of_them if is_established(crd)), key=meta.name)
