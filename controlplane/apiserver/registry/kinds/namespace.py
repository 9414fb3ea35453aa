"""Namespaces: they end in two steps, the second being the removal of `kubernetes` from spec.finalizers.

The namespace controller empties an ending namespace and then calls the finalize subresource.
"""

from typing import Any

from controlplane.api import meta
from controlplane.api.strategy import Strategy

Obj = dict[str, Any]

# The namespaces a cluster cannot live without (upstream's immortal namespaces).
IMMORTAL = ("default", "kube-system", "kube-public")
NAME_LABEL = "kubernetes.io/metadata.name"


class NamespaceStrategy(Strategy):
    """The rules of namespaces."""

    def prepare_for_create(self, obj: Obj) -> None:
        """A new namespace is active, carries the finalizer and its name as a label."""
        super().prepare_for_create(obj)
        obj["status"] = {"phase": "Active"}
        spec = obj.setdefault("spec", {})
        if "kubernetes" not in (spec.get("finalizers") or ()):
            spec["finalizers"] = [*(spec.get("finalizers") or ()), "kubernetes"]
        self._label(obj)

    def prepare_for_update(self, obj: Obj, live: Obj) -> None:
        """spec.finalizers change only through the finalize subresource."""
        super().prepare_for_update(obj, live)
        obj.setdefault("spec", {})["finalizers"] = meta.spec(live).get("finalizers") or []
        self._label(obj)

    def check_delete(self, live: Obj) -> str:
        """Some namespaces may not go."""
        return "this namespace may not be deleted" if meta.name(live) in IMMORTAL else ""

    def mark_deleting(self, obj: Obj) -> None:
        """Show the phase people look at."""
        obj["status"] = {**meta.status(obj), "phase": "Terminating"}

    def holds_deletion(self, obj: Obj) -> bool:
        """An ending namespace stays until its own finalizers are gone."""
        return bool(meta.spec(obj).get("finalizers"))

    @staticmethod
    def _label(obj: Obj) -> None:
        name = meta.name(obj)
        if name:
            meta.set_label(obj, NAME_LABEL, name)
