"""What the conditions of a namespace being deleted say, with upstream's reasons and messages: pure."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from controlplane.api import conditions, meta
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource


@dataclass(slots=True)
class Findings:
    """What one pass over a namespace found: what failed, and what is still there.

    `discovery` and `errors` are messages; `remaining` counts objects by resource, `finalizers` by finalizer.
    """

    discovery: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    remaining: Counter[str] = field(default_factory=Counter)
    finalizers: Counter[str] = field(default_factory=Counter)

    @property
    def is_empty(self) -> bool:
        """Whether the namespace is surely empty: nothing is left, and nothing could not be looked at."""
        return not (self.discovery or self.errors or self.remaining)

    def count(self, resource: Resource, objects: Sequence[Obj]) -> None:
        """These objects are still there."""
        if objects:
            self.remaining[f"{resource.plural}.{resource.group}"] += len(objects)
        for obj in objects:
            self.finalizers.update(meta.finalizers(obj))


def plan_status(namespace: Obj, findings: Findings, now: str) -> Obj:
    """The namespace's status after a pass; `now` is RFC 3339 text."""
    status = meta.copy_of(meta.status(namespace))
    listed = status.setdefault("conditions", [])
    for condition in _conditions(findings):
        conditions.set(listed, condition, now)
    status["phase"] = "Terminating"
    return status


def _conditions(findings: Findings) -> list[Obj]:
    remaining = [f"{name} has {n} resource instances" for name, n in findings.remaining.items()]
    finalizers = [f"{name} in {n} resource instances" for name, n in findings.finalizers.items()]
    return [
        _condition(
            "NamespaceDeletionDiscoveryFailure",
            "DiscoveryFailed",
            "; ".join(findings.discovery),
            ("ResourcesDiscovered", "All resources successfully discovered"),
        ),
        _condition(
            "NamespaceDeletionGroupVersionParsingFailure",
            "GroupVersionParsingFailed",
            "",  # rows from discovery are parsed already
            ("ParsedGroupVersions", "All legacy kube types successfully parsed"),
        ),
        _condition(
            "NamespaceDeletionContentFailure",
            "ContentDeletionFailed",
            f"Failed to delete all resource types, {len(findings.errors)} remaining: "
            + ", ".join(sorted(findings.errors))
            if findings.errors
            else "",
            (
                "ContentDeleted",
                "All content successfully deleted, may be waiting on finalization",
            ),
        ),
        _condition(
            "NamespaceContentRemaining",
            "SomeResourcesRemain",
            f"Some resources are remaining: {', '.join(sorted(remaining))}" if remaining else "",
            ("ContentRemoved", "All content successfully removed"),
        ),
        _condition(
            "NamespaceFinalizersRemaining",
            "SomeFinalizersRemain",
            "Some content in the namespace has finalizers remaining: "
            + ", ".join(sorted(finalizers))
            if finalizers
            else "",
            ("ContentHasNoFinalizers", "All content-preserving finalizers finished"),
        ),
    ]


def _condition(kind: str, reason: str, message: str, well: tuple[str, str]) -> Obj:
    """True with `reason` and `message` if there is a message, else False with what is said when all is well."""
    return {
        "type": kind,
        "status": "True" if message else "False",
        "reason": reason if message else well[0],
        "message": message or well[1],
    }
