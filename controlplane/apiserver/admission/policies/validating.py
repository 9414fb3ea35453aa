"""ValidatingAdmissionPolicy: what a write must fulfil, and what is done when it does not: deny, warn, audit.

Source: apiserver/pkg/admission/plugin/policy/validating/{dispatcher.go,validator.go}.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from controlplane.api import errors, meta
from controlplane.api.errors import APIError, Cause
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.apiserver.admission.interface import Attributes
from controlplane.apiserver.admission.policies.bound import Policies, Policy
from controlplane.apiserver.admission.policies.dispatcher import Dispatcher
from controlplane.apiserver.admission.policies.invocations import (
    Invocation,
    Misconfigured,
)
from controlplane.apiserver.admission.policies.values import Values
from controlplane.apiserver.admission.selection.conditions import (
    Evaluator,
    ExpressionError,
    values_of,
)
from controlplane.apiserver.admission.selection.rules import is_exempt

_NAME = "ValidatingAdmissionPolicy"
_CODES = {"Unauthorized": 401, "Forbidden": 403, "RequestEntityTooLarge": 413, "Invalid": 422}
_FAILURE = "validation.policy.admission.k8s.io/validation_failure"
_MAX_NOTE_BYTES = 10 * 1024
_MAX_MESSAGE_BYTES = 5 * 1024


@dataclass(frozen=True, slots=True)
class Denial:
    """A refusal; `binding` is None where the policy itself is at fault."""

    policy: Policy
    binding: Obj | None
    message: str
    reason: str = "Invalid"


@dataclass(slots=True)
class _Outcome:
    """What one evaluation of a policy says: (index of the validation, message, reason), notes, failures of notes."""

    failures: list[tuple[int, str, str]] = field(default_factory=list)
    notes: list[tuple[str, str]] = field(default_factory=list)
    denials: list[str] = field(default_factory=list)


class ValidatingPolicies:
    """The plugin."""

    def __init__(self, policies: Policies, dispatcher: Dispatcher) -> None:
        self._policies = policies
        self._dispatcher = dispatcher
        self._views = dispatcher.views

    def handles(self, operation: str, resource: Resource, subresource: str) -> bool:
        """Everything but what decides about admission."""
        del operation, subresource
        return not is_exempt(resource)

    async def validate(self, attributes: Attributes) -> None:
        """Evaluate the policies that are for the request; the first denial is told."""
        policies = await self._policies.current()
        if not policies:
            return
        evaluator = self._dispatcher.evaluator(attributes)
        denials: list[Denial] = []
        notes: dict[str, list[str]] = {}
        async for found in self._dispatcher.finder.find(policies, attributes):
            if isinstance(found, Misconfigured):
                if found.policy.fails:
                    denials.append(Denial(found.policy, found.binding, found.problem))
                continue
            await self._apply(found, attributes, evaluator, denials, notes)
        for key, texts in notes.items():
            attributes.annotations[key] = ", ".join(texts)
        if denials:
            raise _refusal(attributes, denials[0])

    async def _apply(
        self,
        found: Invocation,
        attributes: Attributes,
        evaluator: Evaluator,
        denials: list[Denial],
        notes: dict[str, list[str]],
    ) -> None:
        if not found.params:
            return
        policy, binding = found.policy, found.binding
        try:
            view = await self._views.of(attributes, found.resource)
        except APIError as error:
            if policy.fails:
                text = f"failed to configure binding: failed to convert object version: {error}"
                denials.append(Denial(policy, binding, text))
            return
        namespace = await self._dispatcher.namespace(attributes)
        for params in found.params:
            values = values_of(attributes, view, params=params, namespaceObject=namespace)
            outcome = await self._evaluate(policy, values, evaluator, attributes)
            for index, message, reason in outcome.failures:
                self._act(
                    found, attributes, Denial(policy, binding, message, reason), index, denials
                )
            for key, value in outcome.notes:
                texts = notes.setdefault(f"{policy.name}/{key}", [])
                if value not in texts:
                    texts.append(value)
            denials += [Denial(policy, binding, text) for text in outcome.denials]

    def _act(
        self,
        found: Invocation,
        attributes: Attributes,
        denial: Denial,
        index: int,
        denials: list[Denial],
    ) -> None:
        """Do what the binding wants done with a failed validation."""
        policy, binding = found.policy.name, meta.name(found.binding)
        actions = meta.spec(found.binding).get("validationActions") or []
        for action in actions:
            self._dispatcher.metrics.checked(policy, binding, action.lower())
            if action == "Deny":
                denials.append(denial)
            elif action == "Warn":
                attributes.warnings.append(
                    f"Validation failed for ValidatingAdmissionPolicy '{policy}' with binding "
                    f"'{binding}': {denial.message}"
                )
            elif action == "Audit":
                note = {
                    "message": denial.message,
                    "policy": policy,
                    "binding": binding,
                    "expressionIndex": index,
                    "validationActions": actions,
                }
                attributes.annotations[_FAILURE] = json.dumps([note], separators=(",", ":"))

    async def _evaluate(
        self, policy: Policy, values: Obj, evaluator: Evaluator, attributes: Attributes
    ) -> _Outcome:
        outcome, spec = _Outcome(), policy.spec
        match = await self._dispatcher.match(policy, _NAME, values, evaluator, attributes)
        if match.error:
            outcome.failures.append((0, match.error, "Invalid"))
            return outcome
        if not match.is_match:
            return outcome
        scope = Values(evaluator, values, spec.get("variables") or ())
        for index, validation in enumerate(spec.get("validations") or ()):
            try:
                holds = await scope.evaluate(str(validation.get("expression")).strip())
            except ExpressionError as error:
                if policy.fails:
                    outcome.failures.append((index, str(error), "Invalid"))
                continue
            if holds is not True:
                message = await _message(validation, scope)
                outcome.failures.append((index, message, validation.get("reason") or "Invalid"))
        for annotation in spec.get("auditAnnotations") or ():
            await _note(annotation, scope, outcome, fails=policy.fails)
        return outcome


async def _message(validation: Obj, scope: Values) -> str:
    """What to say of a failed validation: what its expression gives, if that is usable, else its text."""
    expression = validation.get("messageExpression")
    if expression:
        try:
            text = await scope.evaluate(str(expression).strip(), has_authorizer=False)
        except ExpressionError:
            text = None
        if isinstance(text, str):
            text = text.strip()
            if text and "\n" not in text and len(text.encode()) <= _MAX_MESSAGE_BYTES:
                return text
    own = str(validation.get("message") or "").strip()
    return own or f"failed expression: {str(validation.get('expression')).strip()}"


async def _note(annotation: Obj, scope: Values, outcome: _Outcome, *, fails: bool) -> None:
    """One audit annotation; null and blank ones are left out."""
    expression = str(annotation.get("valueExpression"))
    try:
        value = await scope.evaluate(expression.strip(), has_authorizer=False)
    except ExpressionError as error:
        if fails:
            outcome.denials.append(str(error))
        return
    if isinstance(value, str):
        text = value.strip().encode()[:_MAX_NOTE_BYTES].decode(errors="ignore")
        if text:
            outcome.notes.append((str(annotation.get("key")), text))
    elif value is not None:
        outcome.denials.append(
            f"valueExpression '{expression}' resulted in unsupported return type: "
            f"{type(value).__name__}. Return type must be either string or null."
        )


def _refusal(attributes: Attributes, denial: Denial) -> APIError:
    """The denial in upstream's form: words of a Forbidden, with the reason and code of the validation."""
    bound = f" with binding '{meta.name(denial.binding)}'" if denial.binding is not None else ""
    text = (
        f"ValidatingAdmissionPolicy '{denial.policy.name}'{bound} denied request: {denial.message}"
    )
    name = attributes.name or str(meta.metadata(attributes.obj or {}).get("generateName") or "")
    shown = errors.Forbidden.of(
        attributes.resource, name, text, causes=[Cause("", text, "")]
    ).status()
    code = _CODES.get(denial.reason, 422)
    error = APIError(shown["message"], code=code)
    error.foreign = {**shown, "reason": denial.reason, "code": code}
    return error
