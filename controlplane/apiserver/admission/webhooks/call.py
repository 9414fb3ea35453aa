"""One call of one webhook: whether it is for the request, the review, the answer; failures are told as upstream does.

Source: apiserver/pkg/admission/plugin/webhook/{generic,mutating,validating}.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass

import msgspec

from controlplane.api import errors, names
from controlplane.apiserver.admission.interface import Attributes
from controlplane.apiserver.admission.selection.conditions import Evaluator, values_of
from controlplane.apiserver.admission.selection.views import View, Views
from controlplane.apiserver.admission.webhooks import review
from controlplane.apiserver.admission.webhooks.hooks import Hook
from controlplane.apiserver.authz.interface import Authorizer
from controlplane.apiserver.callouts.client import CallError, WebhookClient
from controlplane.apiserver.callouts.target import target_of
from controlplane.apiserver.lookup import Lookup
from controlplane.apiserver.metrics import AdmissionMetrics
from kvstore.base.clock import Clock


class FailedCall(Exception):
    """The webhook could not be asked, or its answer cannot be used; `code` is what metrics say of it."""

    def __init__(self, name: str, why: str, code: int) -> None:
        super().__init__(f"failed calling webhook {json.dumps(name)}: {why}")
        self.code = code


@dataclass(frozen=True, slots=True)
class Caller:
    """What calls are made with."""

    client: WebhookClient
    views: Views
    lookup: Lookup
    authorizer: Authorizer
    clock: Clock
    rng: random.Random
    metrics: AdmissionMetrics

    async def view_for(
        self, hook: Hook, attributes: Attributes, evaluator: Evaluator, sort: str
    ) -> View | None:
        """The request as the webhook is to be shown it; None when the webhook is not for it. APIError."""
        resource = await hook.constraints.resource(attributes, self.views, self.lookup)
        if resource is None:
            return None
        view = await self.views.of(attributes, resource)
        conditions = hook.spec.get("matchConditions")
        if conditions:
            match = await evaluator.match(
                conditions, values_of(attributes, view), fails=not hook.ignores_failures
            )
            if match.error:
                raise errors.Forbidden.of(attributes.resource, attributes.name, match.error)
            if not match.is_match:
                self.metrics.excluded(hook.name, "webhook", sort, attributes.operation)
                return None
        return view

    def evaluator(self, attributes: Attributes) -> Evaluator:
        """Evaluates the conditions of all webhooks of one request."""
        return Evaluator(self.authorizer, attributes.user)

    async def ask(self, hook: Hook, attributes: Attributes, view: View, sort: str) -> review.Answer:
        """Ask, take notes and warnings, count. FailedCall; BadRequest for a dry run that has side effects.

        `sort` is `admit` or `validating`, which is also how metrics tell the two.
        """
        began = self.clock.monotonic()
        outcome, code = "", 200
        try:
            answer = await self._ask(hook, attributes, view, mutates=sort == "admit")
            if not answer.is_allowed:
                outcome, code = "no_error", review.refusal(hook.name, answer.status).status_code
            return answer
        except FailedCall as error:
            outcome, code = "calling_webhook_error", error.code
            raise
        except errors.APIError as error:
            outcome, code = "apiserver_internal_error", error.status_code
            raise
        finally:
            overlooked = outcome == "calling_webhook_error" and hook.ignores_failures
            self.metrics.called(
                hook.name,
                sort,
                attributes.operation,
                "" if overlooked else outcome,
                code,
                self.clock.monotonic() - began,
            )
            if overlooked:
                self.metrics.failed_open(hook.name, sort)

    async def _ask(
        self, hook: Hook, attributes: Attributes, view: View, *, mutates: bool
    ) -> review.Answer:
        if attributes.is_dry_run and not hook.is_harmless:
            text = f"admission webhook {json.dumps(hook.name)} does not support dry run"
            raise errors.BadRequest(text)
        version = review.version_of(hook.spec.get("admissionReviewVersions") or [])
        if not version:
            why = (
                "could not create admission objects: webhook does not accept known "
                "AdmissionReview versions (v1, v1beta1)"
            )
            raise FailedCall(hook.name, why, 400)
        uid = names.generate_uid(self.rng)
        body = msgspec.json.encode(review.request(version, uid, attributes, view))
        try:
            target = target_of(hook.spec.get("clientConfig") or {})
            answered = await self.client.post(target, body, hook.timeout_seconds)
        except ValueError as error:
            raise FailedCall(hook.name, f"could not get REST client: {error}", 500) from error
        except CallError as error:
            why = f"failed to call webhook: {error}"
            raise FailedCall(hook.name, why, error.code or 503) from error
        problem = review.problem(version, answered)
        if problem:
            raise FailedCall(hook.name, f"failed to call webhook: {problem}", 503)
        try:
            answer = review.answer(version, uid, answered, mutates=mutates)
        except review.BadReviewError as error:
            why = f"received invalid webhook response: {error}"
            raise FailedCall(hook.name, why, 503) from error
        for key, value in answer.annotations.items():
            attributes.annotations[f"{hook.name}/{key}"] = value
        attributes.warnings.extend(answer.warnings)
        return answer
