"""Which FlowSchema a request belongs to: the first, by precedence, one of whose rules has the user and the request.

Source: apiserver/pkg/util/flowcontrol/rule.go.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from controlplane.api import meta
from controlplane.api.meta import Obj
from controlplane.apiserver.http.info import RequestInfo
from controlplane.apiserver.http.messages import User

_ALL = "*"
_ACCOUNT = "system:serviceaccount:"

_UserTest = Callable[[User], bool]
_InfoTest = Callable[[RequestInfo], bool]


@dataclass(frozen=True, slots=True)
class Schema:
    """A FlowSchema made ready; `distinguisher` is ByUser, ByNamespace or empty."""

    name: str
    uid: str
    precedence: int
    level: str
    distinguisher: str
    rules: tuple[tuple[tuple[_UserTest, ...], tuple[_InfoTest, ...], tuple[_InfoTest, ...]], ...]

    @classmethod
    def of(cls, obj: Obj) -> "Schema":
        """From the object."""
        spec = meta.spec(obj)
        return cls(
            name=meta.name(obj),
            uid=meta.uid(obj),
            precedence=int(spec.get("matchingPrecedence") or 0),
            level=(spec.get("priorityLevelConfiguration") or {}).get("name") or "",
            distinguisher=(spec.get("distinguisherMethod") or {}).get("type") or "",
            rules=tuple(_rule(rule) for rule in spec.get("rules") or ()),
        )

    @property
    def order(self) -> tuple[int, str]:
        """The place among others."""
        return self.precedence, self.name

    def matches(self, user: User, info: RequestInfo) -> bool:
        """Whether the request is one of this schema's."""
        for subjects, resources, others in self.rules:
            if any(test(user) for test in subjects) and any(
                test(info) for test in (resources if info.is_resource else others)
            ):
                return True
        return False

    def flow_of(self, user: User, info: RequestInfo) -> str:
        """What tells this request's flow from others of the schema."""
        if self.distinguisher == "ByUser":
            return user.name
        if self.distinguisher == "ByNamespace":
            return info.namespace
        return ""


def _rule(
    rule: Obj,
) -> tuple[tuple[_UserTest, ...], tuple[_InfoTest, ...], tuple[_InfoTest, ...]]:
    return (
        tuple(_subject(one) for one in rule.get("subjects") or ()),
        tuple(_resource_rule(one) for one in rule.get("resourceRules") or ()),
        tuple(_other_rule(one) for one in rule.get("nonResourceRules") or ()),
    )


def _subject(subject: Obj) -> _UserTest:
    kind = subject.get("kind")
    if kind == "User":
        name = (subject.get("user") or {}).get("name")
        return lambda user: name in (_ALL, user.name)
    if kind == "Group":
        group = (subject.get("group") or {}).get("name")
        return lambda user: group == _ALL or group in user.groups
    account = subject.get("serviceAccount")
    if kind != "ServiceAccount" or account is None:
        return lambda user: False
    prefix = f"{_ACCOUNT}{account.get('namespace') or ''}:"
    if account.get("name") == _ALL:
        return lambda user: user.name.startswith(prefix)
    whole = prefix + (account.get("name") or "")
    return lambda user: user.name == whole


class _Words:
    """A list of words of a rule, in which one `*` alone stands for all."""

    __slots__ = ("_all", "_words")

    def __init__(self, words: Iterable[str] | None) -> None:
        self._words = frozenset(words or ())
        self._all = self._words == {_ALL}

    def __contains__(self, word: str) -> bool:
        return self._all or word in self._words


def _resource_rule(rule: Obj) -> _InfoTest:
    verbs, groups = _Words(rule.get("verbs")), _Words(rule.get("apiGroups"))
    resources, namespaces = _Words(rule.get("resources")), _Words(rule.get("namespaces"))
    has_cluster_scope = bool(rule.get("clusterScope"))

    def test(info: RequestInfo) -> bool:
        resource = f"{info.resource}/{info.subresource}" if info.subresource else info.resource
        if info.verb not in verbs or resource not in resources or info.group not in groups:
            return False
        return info.namespace in namespaces if info.namespace else has_cluster_scope

    return test


def _other_rule(rule: Obj) -> _InfoTest:
    verbs, urls = _Words(rule.get("verbs")), tuple(rule.get("nonResourceURLs") or ())
    # A URL stands for all below it, with or without its asterisk.
    prefixes = tuple(_as_folder(url.removesuffix(_ALL)) for url in urls)

    def test(info: RequestInfo) -> bool:
        if info.verb not in verbs:
            return False
        return _ALL in urls or info.path in urls or info.path.startswith(prefixes)

    return test


def _as_folder(path: str) -> str:
    return path if path.endswith("/") else path + "/"
