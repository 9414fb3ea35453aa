"""ValidatingAdmissionWebhook: all webhooks that are for a request are asked at once, and each may refuse it.

Source: apiserver/pkg/admission/plugin/webhook/validating/dispatcher.go.
"""

from __future__ import annotations

import asyncio

from controlplane.api import errors
from controlplane.api.resource import Resource
from controlplane.apiserver.admission.interface import Attributes
from controlplane.apiserver.admission.selection.rules import is_exempt
from controlplane.apiserver.admission.selection.views import View
from controlplane.apiserver.admission.webhooks import review
from controlplane.apiserver.admission.webhooks.call import Caller, FailedCall
from controlplane.apiserver.admission.webhooks.hooks import Hook, Hooks
from kvstore.base.log import get_logger

log = get_logger(__name__)

_SORT = "validating"
_FAILED_OPEN = "failed-open.validating.webhook.admission.k8s.io/"


class ValidatingWebhooks:
    """The plugin."""

    def __init__(self, hooks: Hooks, caller: Caller) -> None:
        self._hooks = hooks
        self._caller = caller

    def handles(self, operation: str, resource: Resource, subresource: str) -> bool:
        """Everything but what decides about admission."""
        del operation, subresource
        return not is_exempt(resource)

    async def validate(self, attributes: Attributes) -> None:
        """Ask; the first refusal in the order of the webhooks is told."""
        hooks = await self._hooks.concerning(attributes)
        if not hooks:
            return
        evaluator = self._caller.evaluator(attributes)
        chosen: list[tuple[Hook, View]] = []
        for hook in hooks:
            view = await self._caller.view_for(hook, attributes, evaluator, _SORT)
            if view is not None:
                chosen.append((hook, view))
        if not chosen:
            return
        results = await asyncio.gather(
            *(self._ask(attributes, *one, index) for index, one in enumerate(chosen)),
        )
        for refusal in results:
            if refusal is not None:
                raise refusal

    async def _ask(
        self, attributes: Attributes, hook: Hook, view: View, index: int
    ) -> errors.APIError | None:
        """The refusal, None when there is none."""
        try:
            answer = await self._caller.ask(hook, attributes, view, _SORT)
        except FailedCall as error:
            if not hook.ignores_failures:
                return errors.Internal(str(error))
            log.warning("webhook failed open", webhook=hook.name, error=str(error))
            attributes.annotations[f"{_FAILED_OPEN}round_0_index_{index}"] = hook.name
            return None
        except errors.APIError as error:
            return error
        return None if answer.is_allowed else review.refusal(hook.name, answer.status)
