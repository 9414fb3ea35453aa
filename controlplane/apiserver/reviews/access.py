"""SubjectAccessReview, its local form and SelfSubjectAccessReview: the authorizers' verdict on what is asked."""

from controlplane.api import meta
from controlplane.api.meta import Obj
from controlplane.apiserver.authz.interface import Attributes, Decision
from controlplane.apiserver.http.messages import Request, User
from controlplane.apiserver.served import Server


async def subject(server: Server, request: Request, review: Obj) -> Obj:
    """May the user that the review names do it?"""
    del request
    spec = review.get("spec") or {}
    extra = {key.lower(): tuple(values or ()) for key, values in (spec.get("extra") or {}).items()}
    user = User(
        str(spec.get("user") or ""),
        tuple(spec.get("groups") or ()),
        str(spec.get("uid") or ""),
        extra,
    )
    return await _answered(server, user, review)


async def own(server: Server, request: Request, review: Obj) -> Obj:
    """May the caller do it?"""
    return await _answered(server, request.user, review)


async def _answered(server: Server, user: User, review: Obj) -> Obj:
    verdict = await server.authorizer.authorize(attributes_of(user, meta.spec(review)))
    status: Obj = {"allowed": verdict.is_allowed}
    if verdict.decision is Decision.DENY:
        status["denied"] = True
    if verdict.reason:
        status["reason"] = verdict.reason
    return {**review, "status": status}


def attributes_of(user: User, spec: Obj) -> Attributes:
    """What is asked, as authorizers are asked it."""
    other = spec.get("nonResourceAttributes")
    if other is not None:
        return Attributes(
            user,
            str(other.get("verb") or ""),
            str(other.get("path") or ""),
            is_resource=False,
        )
    given = spec.get("resourceAttributes") or {}

    def text(field: str) -> str:
        return str(given.get(field) or "")

    return Attributes(
        user,
        text("verb"),
        group=text("group"),
        version=text("version"),
        resource=text("resource"),
        subresource=text("subresource"),
        namespace=text("namespace"),
        name=text("name"),
        label_selector=_selector(given.get("labelSelector")),
        field_selector=_selector(given.get("fieldSelector")),
    )


def _selector(given: Obj | None) -> str:
    """A selector attribute as text; requirements that cannot be said in text are left out, which only widens it."""
    if not given:
        return ""
    if given.get("rawSelector"):
        return str(given["rawSelector"])
    texts = []
    for row in given.get("requirements") or ():
        key, values = row.get("key", ""), list(row.get("values") or ())
        operator = row.get("operator")
        if operator == "In" and len(values) == 1:
            texts.append(f"{key}={values[0]}")
        elif operator == "NotIn" and len(values) == 1:
            texts.append(f"{key}!={values[0]}")
    return ",".join(texts)
