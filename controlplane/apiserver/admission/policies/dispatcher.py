"""What both sorts of policies are found and applied with.

Source: apiserver/pkg/admission/plugin/policy/generic/policy_dispatcher.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from controlplane.api.meta import Obj
from controlplane.apiserver.admission.interface import Attributes
from controlplane.apiserver.admission.policies.bound import Policy
from controlplane.apiserver.admission.policies.invocations import Finder
from controlplane.apiserver.admission.selection import selectors
from controlplane.apiserver.admission.selection.conditions import Evaluator, Match, namespace_value
from controlplane.apiserver.admission.selection.views import Views
from controlplane.apiserver.authz.interface import Authorizer
from controlplane.apiserver.lookup import Lookup
from controlplane.apiserver.metrics import AdmissionMetrics
from controlplane.kinds.core.namespace import NAMESPACES


@dataclass(frozen=True, slots=True)
class Dispatcher:
    """The parts of a server that policies need."""

    finder: Finder
    views: Views
    lookup: Lookup
    authorizer: Authorizer
    metrics: AdmissionMetrics

    def evaluator(self, attributes: Attributes) -> Evaluator:
        """Evaluates the expressions of all policies of one request."""
        return Evaluator(self.authorizer, attributes.user)

    async def namespace(self, attributes: Attributes) -> Obj | None:
        """The variable `namespaceObject`; None for what is in no namespace, and for namespaces."""
        if attributes.resource == NAMESPACES:
            return None
        return namespace_value(await selectors.namespace_object(attributes, self.lookup))

    async def match(
        self,
        policy: Policy,
        sort: str,
        values: Mapping[str, Any],
        evaluator: Evaluator,
        attributes: Attributes,
    ) -> Match:
        """What the policy's match conditions say; one that they exclude is counted. `sort` is the policy's kind."""
        conditions = policy.spec.get("matchConditions") or ()
        match = await evaluator.match(conditions, values, fails=policy.fails)
        if not match.is_match and not match.error:
            self.metrics.excluded(policy.name, sort, "admit", attributes.operation)
        return match
