"""MutatingAdmissionWebhook: webhooks asked one after the other, each shown what the ones before have made.

A webhook with `reinvocationPolicy: IfNeeded` that was asked in the first round is asked again in a second one, when
somebody after it has changed the object.

Source: apiserver/pkg/admission/plugin/webhook/mutating/{dispatcher.go,reinvocationcontext.go}.
"""

from __future__ import annotations

import json

from controlplane.api import errors, meta
from controlplane.api.errors import APIError
from controlplane.api.meta import Obj
from controlplane.api.patch import json_patch
from controlplane.api.resource import Resource
from controlplane.api.schema.values import MalformedError
from controlplane.apiserver.admission.interface import CONNECT, Attributes
from controlplane.apiserver.admission.selection.rules import is_exempt
from controlplane.apiserver.admission.selection.views import View
from controlplane.apiserver.admission.webhooks import review
from controlplane.apiserver.admission.webhooks.call import Caller, FailedCall
from controlplane.apiserver.admission.webhooks.hooks import Hook, Hooks
from controlplane.apiserver.requests import body
from kvstore.base.log import get_logger

log = get_logger(__name__)

_NAME = "MutatingAdmissionWebhook"
_SORT = "admit"
_MUTATION = "mutation.webhook.admission.k8s.io/"
_PATCH = "patch.webhook.admission.k8s.io/"


class MutatingWebhooks:
    """The plugin."""

    def __init__(self, hooks: Hooks, caller: Caller) -> None:
        self._hooks = hooks
        self._caller = caller

    def handles(self, operation: str, resource: Resource, subresource: str) -> bool:
        """Everything but what decides about admission."""
        del operation, subresource
        return not is_exempt(resource)

    async def admit(self, attributes: Attributes) -> None:
        """Ask the webhooks that are for the request; in the second round those that must see it again."""
        hooks = await self._hooks.concerning(attributes)
        if not hooks:
            return
        rounds = attributes.reinvocation
        rounds.begin(_NAME, attributes.obj)
        evaluator = self._caller.evaluator(attributes)
        try:
            for index, hook in enumerate(hooks):
                view = await self._caller.view_for(hook, attributes, evaluator, _SORT)
                if view is None or (rounds.is_second and not rounds.is_due(_NAME, hook.key)):
                    continue
                changed = await self._invoke(attributes, hook, view, index)
                if changed:
                    rounds.changed(_NAME)
                if hook.spec.get("reinvocationPolicy") == "IfNeeded":
                    rounds.invoked(_NAME, hook.key)
        finally:
            rounds.end(_NAME, attributes.obj)

    async def _invoke(self, attributes: Attributes, hook: Hook, view: View, index: int) -> bool:
        """Ask one webhook; whether it has changed the object."""
        place = f"round_{int(attributes.reinvocation.is_second)}_index_{index}"
        mutated = False
        try:
            answer = await self._caller.ask(hook, attributes, view, _SORT)
            if not answer.is_allowed:
                raise review.refusal(hook.name, answer.status)
            made = _patched(hook, view, answer)
            if made is not None:
                mutated = await self._take(attributes, view, made)
                _note(attributes, _PATCH + place, hook, patch=json.loads(answer.patch))
        except FailedCall as error:
            if not hook.ignores_failures:
                raise errors.Internal(str(error)) from error
            log.warning("webhook failed open", webhook=hook.name, error=str(error))
            attributes.annotations[f"failed-open.{_MUTATION}{place}"] = hook.name
        finally:
            _note(attributes, _MUTATION + place, hook, mutated=mutated)
        return mutated

    async def _take(self, attributes: Attributes, view: View, made: Obj) -> bool:
        """Put what a patch has made in the place of the object; whether it is another."""
        obj = attributes.require_object()
        if attributes.operation != CONNECT:
            made = _decoded(made, view)
        is_changed = made != view.obj
        result = await self._caller.views.back(made, view.kind, attributes)
        if result is not obj:
            obj.clear()
            obj.update(result)
        return is_changed


def _patched(hook: Hook, view: View, answer: review.Answer) -> Obj | None:
    """What the webhook's patch makes of the object; None when there is no patch."""
    if not answer.patch:
        return None
    try:
        operations = json_patch.parse(answer.patch)
    except APIError as error:
        text = error.message.removeprefix("error decoding patch: ")
        text = text.replace("[]handlers.jsonPatchOp", "jsonpatch.Patch")
        why = f"received undecodable patch in webhook response: {text}"
        raise FailedCall(hook.name, why, 503) from error
    if not operations:
        return None
    if view.obj is None:
        raise errors.Internal(
            f"admission webhook {json.dumps(hook.name)} attempted to modify the object, which is "
            "not supported for this operation"
        )
    if answer.patch_type != "JSONPatch":
        raise FailedCall(hook.name, f"unsupported patch type {json.dumps(answer.patch_type)}", 400)
    try:
        return json_patch.apply(view.obj, operations)
    except APIError as error:
        problem = json_patch.problem(view.obj, operations) or error.message
        raise errors.Internal(problem) from error


def _decoded(made: Obj, view: View) -> Obj:
    """What a patch has made as its type reads it, with defaults."""
    row = view.kind.resource
    given = (made.get("apiVersion"), made.get("kind"))
    if given != (row.group_version, row.kind):
        # Compat: a plain error of the original's, which its edge makes a 500 without a reason.
        version, group = str(given[0]).rpartition("/")[2], row.group.partition(".")[0] or "core"
        raise APIError(
            f"converting ({version}.{given[1]}) to ({group}.{row.kind}): unknown conversion"
        )
    try:
        made, _ = body.decoded(meta.copy_of(made), view.kind)
    except MalformedError as error:
        raise errors.Internal(str(error)) from error
    view.kind.default(made)
    return made


def _note(attributes: Attributes, key: str, hook: Hook, **content: object) -> None:
    """A note for the audit log, as compact JSON."""
    note = {"configuration": hook.configuration, "webhook": hook.name, **content}
    if "patch" in content:
        note["patchType"] = "JSONPatch"
    attributes.annotations[key] = json.dumps(note, separators=(",", ":"))
