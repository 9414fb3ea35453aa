"""Which review is answered by what; the only list. They pass admission like any creation, and are not stored."""

from collections.abc import Awaitable, Callable

from controlplane.api import errors, meta
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.apiserver.admission import interface as admission
from controlplane.apiserver.http.messages import Request, Response
from controlplane.apiserver.registry import managed
from controlplane.apiserver.requests import body, render
from controlplane.apiserver.requests import options as writes
from controlplane.apiserver.reviews import access, rules, subject, token
from controlplane.apiserver.served import Server
from controlplane.kinds.authentication.self_subject_review import SELF_SUBJECT_REVIEWS
from controlplane.kinds.authentication.token_review import TOKEN_REVIEWS
from controlplane.kinds.authorization.access import GROUP
from controlplane.kinds.authorization.local_subject_access_review import (
    LOCAL_SUBJECT_ACCESS_REVIEWS,
)
from controlplane.kinds.authorization.self_subject_access_review import (
    SELF_SUBJECT_ACCESS_REVIEWS,
)
from controlplane.kinds.authorization.self_subject_rules_review import (
    SELF_SUBJECT_RULES_REVIEWS,
)
from controlplane.kinds.authorization.subject_access_review import SUBJECT_ACCESS_REVIEWS

Answerer = Callable[[Server, Request, Obj], Awaitable[Obj]]

_ANSWERERS: dict[Resource, Answerer] = {
    LOCAL_SUBJECT_ACCESS_REVIEWS: access.subject,
    SELF_SUBJECT_ACCESS_REVIEWS: access.own,
    SELF_SUBJECT_RULES_REVIEWS: rules.own,
    SUBJECT_ACCESS_REVIEWS: access.subject,
    SELF_SUBJECT_REVIEWS: subject.own,
    TOKEN_REVIEWS: token.review,
}


REVIEWS = tuple(_ANSWERERS)
"""The kinds whose objects are questions."""


async def handle(server: Server, request: Request, resource: Resource) -> Response:
    """POST of a review; 201 with its status."""
    registry, info = server.registries[resource], request.info
    kind = registry.kind
    render.form_of(request, kind, has_table=False)
    review = body.parse_object(request, kind)
    fields = meta.ensure_metadata(review)
    if resource.namespaced and (fields.setdefault("namespace", info.namespace) != info.namespace):
        raise errors.BadRequest(
            "the namespace of the provided object does not match the namespace sent on the request"
        )
    context = writes.context_of(request, resource)
    kind.default(review)
    managed.track(kind, None, review, context, registry.now())
    attributes = registry.attributes(
        admission.CREATE, context, review, namespace=info.namespace, name=meta.name(review)
    )
    await admission.mutate(registry.admission, attributes)
    causes = kind.validate(review)
    if causes:
        # Compat: refusals of reviews of access do not name their kind.
        row = resource
        named = "" if row.group == GROUP else row.kind
        raise errors.Invalid.of(row.group, named, meta.name(review), causes)
    await admission.validate(registry.admission, attributes)
    answer = await _ANSWERERS[resource](server, request, review)
    return render.one(request, kind, answer, server.clock, 201)
