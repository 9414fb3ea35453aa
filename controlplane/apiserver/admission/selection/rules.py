"""Rules of webhooks and policies over one request. Pure.

Source: apiserver/pkg/admission/plugin/webhook/predicates/rules/rules.go.
"""

from __future__ import annotations

from collections.abc import Iterable

from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.apiserver.admission.interface import Attributes
from controlplane.kinds.core.namespace import NAMESPACES

_ALL = "*"
_GROUP = "admissionregistration.k8s.io"
_EXEMPT = (
    "MutatingAdmissionPolicy",
    "MutatingAdmissionPolicyBinding",
    "MutatingWebhookConfiguration",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
    "ValidatingWebhookConfiguration",
)


def is_exempt(resource: Resource) -> bool:
    """Whether the objects are those that decide about admission: nothing may lock its own repair out."""
    return resource.group == _GROUP and resource.kind in _EXEMPT


def namespace_of(attributes: Attributes) -> str:
    """The namespace as hooks are told it: a namespace is in itself."""
    return attributes.name if attributes.resource == NAMESPACES else attributes.namespace


def matches(rule: Obj, resource: Resource, attributes: Attributes) -> bool:
    """Whether the rule is for the request, were it one for `resource`; `resourceNames` is heeded where there is one."""
    names = rule.get("resourceNames")
    return (
        _is_in(rule.get("operations"), attributes.operation)
        and _is_in(rule.get("apiGroups"), resource.group)
        and _is_in(rule.get("apiVersions"), resource.version)
        and _names(rule.get("resources"), resource.plural, attributes.subresource)
        and _is_in_scope(rule.get("scope"), resource, namespace_of(attributes))
        and (not names or attributes.name in names)
    )


def _is_in(words: Iterable[str] | None, wanted: str) -> bool:
    return any(word in (_ALL, wanted) for word in words or ())


def _names(texts: Iterable[str] | None, plural: str, subresource: str) -> bool:
    for text in texts or ():
        resource, _, sub = text.partition("/")
        if resource in (_ALL, plural) and sub in (_ALL, subresource):
            return True
    return False


def _is_in_scope(scope: str | None, resource: Resource, namespace: str) -> bool:
    if scope in (None, "", _ALL):
        return True
    # Compat: a namespace is no part of itself, whatever the attributes say.
    is_namespaced = bool(namespace) and resource != NAMESPACES
    return is_namespaced == (scope == "Namespaced")
