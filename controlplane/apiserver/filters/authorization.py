"""May the user do this: 403 in upstream's words when nobody says yes."""

from controlplane.api import errors
from controlplane.apiserver.authz.interface import Attributes, Authorizer, selected
from controlplane.apiserver.filters.interface import Next
from controlplane.apiserver.http.messages import Answer, Request


class Authorization:
    """The filter."""

    def __init__(self, authorizer: Authorizer) -> None:
        self._authorizer = authorizer

    async def __call__(self, request: Request, proceed: Next) -> Answer:
        """Let through what is allowed."""
        attributes = attributes_of(request)
        verdict = await self._authorizer.authorize(attributes)
        request.annotations["authorization.k8s.io/decision"] = (
            "allow" if verdict.is_allowed else "forbid"
        )
        request.annotations["authorization.k8s.io/reason"] = verdict.reason
        if not verdict.is_allowed:
            raise forbidden(attributes, verdict.reason)
        return await proceed(request)


def attributes_of(request: Request) -> Attributes:
    """What a request is, to an authorizer."""
    info = request.info
    if not info.is_resource:
        return Attributes(request.user, info.verb, request.path, is_resource=False)
    has_selectors = info.verb in ("list", "watch", "deletecollection")
    field_selector = request.option("fieldSelector") if has_selectors else ""
    return Attributes(
        request.user,
        info.verb,
        request.path,
        group=info.group,
        version=info.version,
        resource=info.resource,
        subresource=info.subresource,
        namespace=info.namespace,
        name=info.name or selected_name(field_selector),
        label_selector=request.option("labelSelector") if has_selectors else "",
        field_selector=field_selector,
    )


def selected_name(field_selector: str) -> str:
    """The one name that a field selector leaves; empty when it leaves several, or cannot be read."""
    return selected(field_selector, "metadata.name")


def forbidden(attributes: Attributes, reason: str) -> errors.Forbidden:
    """The refusal, with the words that kubectl shows and people search for.

    Source: apiserver/pkg/endpoints/handlers/responsewriters/errors.go.
    """
    user = attributes.user.name
    if not attributes.is_resource:
        text = f'User "{user}" cannot {attributes.verb} path "{attributes.path}"'
    else:
        resource = attributes.resource
        if attributes.subresource:
            resource += "/" + attributes.subresource
        where = (
            f'in the namespace "{attributes.namespace}"'
            if attributes.namespace
            else "at the cluster scope"
        )
        text = (
            f'User "{user}" cannot {attributes.verb} resource "{resource}" in API group '
            f'"{attributes.group}" {where}'
        )
    if reason:
        text += f": {reason}"
    subject = attributes.resource
    if attributes.group:
        subject += f".{attributes.group}"
    if attributes.name:
        subject += f' "{attributes.name}"'
    return errors.Forbidden(
        f"{subject} is forbidden: {text}" if subject else f"forbidden: {text}",
        name=attributes.name,
        group=attributes.group,
        kind=attributes.resource,
    )
