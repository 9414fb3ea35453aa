"""Admission of a body that is not the stored object: a Scale, a Binding, an Eviction, the options of an exec.

Such a request is let in by what it carries, and the write that follows from it is not let in a second time.
"""

from dataclasses import replace

from controlplane.api.kind import Kind
from controlplane.api.meta import Obj
from controlplane.apiserver.admission import interface as admission
from controlplane.apiserver.registry.registry import Registry
from controlplane.apiserver.requests.context import WriteContext


async def admitted(
    registry: Registry,
    context: WriteContext,
    operation: str,
    obj: Obj,
    old: Obj | None = None,
    *,
    kind: Kind,
    namespace: str,
    name: str,
) -> None:
    """Ask all plugins about `obj`, which they may change in place; raises what they raise."""
    attributes = replace(
        registry.attributes(operation, context, obj, old, namespace=namespace, name=name),
        kind=kind,
    )
    await admission.mutate(registry.admission, attributes)
    await admission.validate(registry.admission, attributes)


def without_admission(context: WriteContext) -> WriteContext:
    """The context of the write that follows."""
    return replace(context, is_admitted=True)
