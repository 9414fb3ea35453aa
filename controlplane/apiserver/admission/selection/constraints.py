"""For which requests a webhook, a policy or a binding is: selectors of namespaces and objects, and rules.

Source: apiserver/pkg/admission/plugin/webhook/generic/webhook.go, plugin/policy/matching/matching.go.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from controlplane.api import errors
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.api.selectors import LabelSelector
from controlplane.apiserver.admission.interface import Attributes
from controlplane.apiserver.admission.selection import selectors
from controlplane.apiserver.admission.selection.views import Views
from controlplane.apiserver.lookup import Lookup


@dataclass(frozen=True, slots=True)
class Constraints:
    """What is written, read once. Without `rules` (None) they are for every resource that is not `excluded`."""

    namespaces: LabelSelector
    objects: LabelSelector
    rules: Sequence[Obj] | None
    excluded: Sequence[Obj]
    is_exact: bool

    @classmethod
    def of_webhook(cls, spec: Obj) -> Constraints:
        """Those of a webhook."""
        return cls._of(spec, spec.get("rules") or ())

    @classmethod
    def of_match(cls, match: Obj) -> Constraints:
        """Those of a policy's MatchResources."""
        return cls._of(match, match.get("resourceRules") or None)

    @classmethod
    def _of(cls, spec: Obj, rules: Sequence[Obj] | None) -> Constraints:
        return cls(
            LabelSelector.from_object(spec.get("namespaceSelector") or {}),
            LabelSelector.from_object(spec.get("objectSelector") or {}),
            rules,
            spec.get("excludeResourceRules") or (),
            spec.get("matchPolicy") == "Exact",
        )

    async def resource(
        self, attributes: Attributes, views: Views, lookup: Lookup
    ) -> Resource | None:
        """The resource by which they know the request; None when they are not for it. APIError."""
        problem: errors.APIError | None = None
        try:
            if not await selectors.selects_namespace(self.namespaces, attributes, lookup):
                return None
        except errors.APIError as error:
            # It counts only if they were for the request else.
            problem = error
        if not selectors.selects_object(self.objects, attributes):
            return None
        is_exact = self.is_exact
        found: Resource | None = attributes.resource
        if self.excluded and views.matching(self.excluded, attributes, is_exact=is_exact):
            return None
        if self.rules is not None:
            found = views.matching(self.rules, attributes, is_exact=is_exact)
        if found is not None and problem is not None:
            raise problem
        return found
