"""Acting as somebody else: `Impersonate-User` and its like, for those who may impersonate each part of it.

From here on the request is the other's, in authorization as in admission; the audit log has both.

Source: apiserver/pkg/endpoints/filters/impersonation.
"""

import json
from urllib.parse import unquote

from controlplane.api import errors
from controlplane.apiserver.authn.tokens import claims
from controlplane.apiserver.authz.interface import Attributes, Authorizer
from controlplane.apiserver.filters.authorization import forbidden
from controlplane.apiserver.filters.interface import Next
from controlplane.apiserver.http.messages import ANONYMOUS, Answer, Request, User

_USER, _GROUP, _UID = "impersonate-user", "impersonate-group", "impersonate-uid"
_EXTRA = "impersonate-extra-"
_AUTHENTICATED, _UNAUTHENTICATED = "system:authenticated", "system:unauthenticated"
_REVIEWS = "authentication.k8s.io"


class Impersonation:
    """The filter."""

    def __init__(self, authorizer: Authorizer) -> None:
        self._authorizer = authorizer

    async def __call__(self, request: Request, proceed: Next) -> Answer:
        """Exchange the user where that is asked for and allowed."""
        if not any(name.startswith("impersonate-") for name in request.headers):
            return await proceed(request)
        wanted = _wanted(request)
        if wanted is None:
            return await proceed(request)
        for attributes in _questions(request.user, wanted):
            verdict = await self._authorizer.authorize(attributes)
            if not verdict.is_allowed:
                raise forbidden(attributes, verdict.reason)
        request.impersonator = request.user
        request.user = _completed(wanted)
        return await proceed(request)


def _wanted(request: Request) -> User | None:
    """Who is to be acted as, as the headers say it; BadRequest when they do not say who."""
    name, uid = "", ""
    groups: list[str] = []
    extra: dict[str, tuple[str, ...]] = {}
    for key, value in request.incoming.all_headers:
        if key == _USER:
            name = name or value
        elif key == _UID:
            uid = uid or value
        elif key == _GROUP:
            groups.append(value)
        elif key.startswith(_EXTRA):
            word = unquote(key.removeprefix(_EXTRA))
            extra[word] = (*extra.get(word, ()), value)
    if not name and not uid and not groups and not extra:
        return None
    wanted = User(name, tuple(groups), uid, extra)
    if not name:
        raise errors.BadRequest(f"requested {_go_form(wanted)} without impersonating a user name")
    return wanted


def _questions(asker: User, wanted: User) -> list[Attributes]:
    """What the asker must be allowed, each by itself."""
    account = claims.split_user_name(wanted.name)
    if account is not None:
        namespace, name = account
        first = _question(asker, "", "serviceaccounts", name, namespace=namespace)
    else:
        first = _question(asker, "", "users", wanted.name)
    found = [first]
    found += [_question(asker, "", "groups", group) for group in wanted.groups]
    for key, values in wanted.extra.items():
        found += [
            _question(asker, _REVIEWS, "userextras", value, subresource=key) for value in values
        ]
    if wanted.uid:
        found.append(_question(asker, _REVIEWS, "uids", wanted.uid))
    return found


def _question(
    asker: User, group: str, resource: str, name: str, *, namespace: str = "", subresource: str = ""
) -> Attributes:
    return Attributes(
        asker,
        "impersonate",
        group=group,
        version="v1",
        resource=resource,
        subresource=subresource,
        namespace=namespace,
        name=name,
    )


def _completed(wanted: User) -> User:
    """The user with the groups that follow from who it is."""
    groups = list(wanted.groups)
    account = claims.split_user_name(wanted.name)
    if account is not None and not groups:
        groups = list(claims.groups(account[0]))
    if wanted.name == ANONYMOUS.name:
        if _UNAUTHENTICATED not in groups:
            groups.append(_UNAUTHENTICATED)
    elif _AUTHENTICATED not in groups and _UNAUTHENTICATED not in groups:
        groups.append(_AUTHENTICATED)
    return User(wanted.name, tuple(groups), wanted.uid, wanted.extra)


def _go_form(user: User) -> str:
    """The user as the original's message shows it."""
    groups = "nil"
    extra = "nil"
    if user.groups:
        groups = "{" + ", ".join(json.dumps(one) for one in user.groups) + "}"
    if user.extra:
        shown = [
            f"{json.dumps(key)}:[]string{{{', '.join(json.dumps(one) for one in values)}}}"
            for key, values in sorted(user.extra.items())
        ]
        extra = "{" + ", ".join(shown) + "}"
    groups_form = f"[]string{groups}" if user.groups else "[]string(nil)"
    extra_form = f"map[string][]string{extra}" if user.extra else "map[string][]string(nil)"
    return (
        f"&user.DefaultInfo{{Name:{json.dumps(user.name)}, UID:{json.dumps(user.uid)}, "
        f"Groups:{groups_form}, Extra:{extra_form}}}"
    )
