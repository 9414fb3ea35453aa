"""LimitRanger: containers that do not say what they need get the namespace's defaults; all keep within its bounds.

What was set stands in the annotation `kubernetes.io/limit-ranger`. Amounts up to a limit are compared in thousandths,
greater ones in whole numbers, as upstream does.

Source: plugin/pkg/admission/limitranger.
"""

from collections.abc import Callable, Iterator
from fractions import Fraction
from math import ceil

from controlplane.api import errors, meta, quantity
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.apiserver.admission.interface import CREATE, UPDATE, Attributes
from controlplane.apiserver.lookup import Lookup
from controlplane.kinds.core.limit_range import LIMIT_RANGES
from controlplane.kinds.core.persistent_volume_claim import PERSISTENT_VOLUME_CLAIMS
from controlplane.kinds.core.pod.resource import PODS
from controlplane.kinds.core.pod.totals import Amounts, parsed, totals

_ANNOTATION = "kubernetes.io/limit-ranger"
# resource.MaxMilliValue: thousandths of greater amounts do not fit into 64 bits.
_MAX_IN_THOUSANDTHS = ((1 << 63) - 1) // 1000


class LimitRanger:
    """The plugin."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup

    def handles(self, operation: str, resource: Resource, subresource: str) -> bool:
        """New pods, and claims when they are made or grow."""
        if subresource:
            return False
        if resource == PODS:
            return operation == CREATE
        return resource == PERSISTENT_VOLUME_CLAIMS and operation in (CREATE, UPDATE)

    async def admit(self, attributes: Attributes) -> None:
        """Set defaults of containers."""
        if attributes.resource != PODS:
            return
        for limit_range in await self._lookup.all(LIMIT_RANGES, attributes.namespace):
            _set_defaults(attributes.require_object(), limit_range)

    async def validate(self, attributes: Attributes) -> None:
        """Refuse what is out of bounds, with all reasons of the first range that is broken."""
        if attributes.old is not None and meta.is_deleting(attributes.old):
            return
        for limit_range in await self._lookup.all(LIMIT_RANGES, attributes.namespace):
            problems = list(_problems(attributes, limit_range))
            if problems:
                why = problems[0] if len(problems) == 1 else f"[{', '.join(problems)}]"
                raise errors.Forbidden.of(attributes.resource, attributes.name, why)


def _limits(limit_range: Obj, kind: str) -> list[Obj]:
    return [one for one in meta.spec(limit_range).get("limits") or () if one.get("type") == kind]


def _set_defaults(pod: Obj, limit_range: Obj) -> None:
    requests: dict[str, str] = {}
    limits: dict[str, str] = {}
    for limit in _limits(limit_range, "Container"):
        requests.update(limit.get("defaultRequest") or {})
        limits.update(limit.get("default") or {})
    notes: list[str] = []
    spec = meta.spec(pod)
    for field, word in (("containers", "container"), ("initContainers", "init container")):
        for container in spec.get(field) or ():
            notes += _merge(container, word, requests, limits)
    if notes:
        text = "LimitRanger plugin set: " + "; ".join(notes)
        meta.set_annotation(pod, _ANNOTATION, text)


def _merge(
    container: Obj, word: str, requests: dict[str, str], limits: dict[str, str]
) -> Iterator[str]:
    resources = container.setdefault("resources", {})
    for field, defaults, noun in (("requests", requests, "request"), ("limits", limits, "limit")):
        present = resources.get(field) or {}
        missing = sorted(name for name in defaults if name not in present)
        if missing:
            resources[field] = {**present, **{name: defaults[name] for name in missing}}
            yield f"{', '.join(missing)} {noun} for {word} {container.get('name')}"


def _problems(attributes: Attributes, limit_range: Obj) -> Iterator[str]:
    spec = meta.spec(attributes.require_object())
    if attributes.resource == PERSISTENT_VOLUME_CLAIMS:
        asked = parsed((spec.get("resources") or {}).get("requests"))
        for limit in _limits(limit_range, "PersistentVolumeClaim"):
            yield from _each(
                limit,
                "min",
                lambda name, bound: _below("PersistentVolumeClaim", name, bound, asked, {}),
            )
            yield from _each(limit, "max", lambda name, bound: _claim_above(name, bound, asked))
        return
    for limit in meta.spec(limit_range).get("limits") or ():
        kind = limit.get("type")
        if kind == "Container":
            for field in ("containers", "initContainers"):
                for container in spec.get(field) or ():
                    own = container.get("resources") or {}
                    yield from _bounds(
                        limit, kind, parsed(own.get("requests")), parsed(own.get("limits"))
                    )
        elif kind == "Pod":
            yield from _bounds(limit, kind, totals(spec, "requests"), totals(spec, "limits"))


def _bounds(limit: Obj, kind: str, requests: Amounts, limits: Amounts) -> Iterator[str]:
    yield from _each(limit, "min", lambda name, bound: _below(kind, name, bound, requests, limits))
    yield from _each(limit, "max", lambda name, bound: _above(kind, name, bound, requests, limits))
    yield from _each(
        limit,
        "maxLimitRequestRatio",
        lambda name, bound: _ratio(kind, name, bound, requests, limits),
    )


def _each(limit: Obj, field: str, check: Callable[[str, str], str]) -> Iterator[str]:
    """What `check(resource name, bound as text)` says of each bound."""
    for name, bound in sorted((limit.get(field) or {}).items()):
        problem = check(name, str(bound))
        if problem:
            yield problem


def _comparable(*amounts: Fraction) -> list[int]:
    if all(amount <= _MAX_IN_THOUSANDTHS for amount in amounts):
        return [ceil(amount * 1000) for amount in amounts]
    return [ceil(amount) for amount in amounts]


def _below(kind: str, name: str, bound: str, requests: Amounts, limits: Amounts) -> str:
    request, limit = requests.get(name), limits.get(name)
    head = f"minimum {name} usage per {kind} is {quantity.canonical(bound)}"
    if request is None:
        return f"{head}.  No request is specified"
    zero = Fraction(0)
    asked, capped, least = _comparable(request, limit or zero, quantity.parse(bound))
    if asked < least:
        return f"{head}, but request is {_shown(request, name)}"
    if limit is not None and capped < least:
        return f"{head}, but limit is {_shown(limit, name)}"
    return ""


def _above(kind: str, name: str, bound: str, requests: Amounts, limits: Amounts) -> str:
    request, limit = requests.get(name), limits.get(name)
    head = f"maximum {name} usage per {kind} is {quantity.canonical(bound)}"
    if limit is None:
        return f"{head}.  No limit is specified"
    zero = Fraction(0)
    asked, capped, most = _comparable(request or zero, limit, quantity.parse(bound))
    if capped > most:
        return f"{head}, but limit is {_shown(limit, name)}"
    if request is not None and asked > most:
        return f"{head}, but request is {_shown(request, name)}"
    return ""


def _claim_above(name: str, bound: str, requests: Amounts) -> str:
    request = requests.get(name)
    head = f"maximum {name} usage per PersistentVolumeClaim is {quantity.canonical(bound)}"
    if request is None:
        return f"{head}.  No request is specified"
    asked, most = _comparable(request, quantity.parse(bound))
    return f"{head}, but request is {_shown(request, name)}" if asked > most else ""


def _ratio(kind: str, name: str, bound: str, requests: Amounts, limits: Amounts) -> str:
    request, limit = requests.get(name), limits.get(name)
    head = f"{name} max limit to request ratio per {kind} is {quantity.canonical(bound)}"
    if not request:
        return f"{head}, but no request is specified or request is 0"
    if not limit:
        return f"{head}, but no limit is specified or limit is 0"
    asked, capped = _comparable(request, limit)
    ratio = capped / asked
    if ratio > quantity.parse(bound):
        return f"{head}, but provided ratio is {ratio:f}"
    return ""


def _shown(amount: Fraction, name: str) -> str:
    """An amount as messages show it: bytes in powers of two, the rest in powers of ten."""
    is_bytes = name in ("memory", "storage", "ephemeral-storage") or name.startswith("hugepages-")
    return quantity.format(amount, "binary" if is_bytes else "decimal")
