"""A second opinion on RBAC, from the documentation alone: slow, without indexes, sharing no code with the server.

Source: the page "Using RBAC Authorization" of the Kubernetes documentation. A world is four plain lists; questions are
plain tuples. The server must agree with `may` on every question of every world.
"""

from dataclasses import dataclass, field
from typing import Any


@dataclass
class World:
    roles: dict[tuple[str, str], list[dict[str, Any]]] = field(default_factory=dict)
    cluster_roles: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    # (namespace, name) -> (role kind, role name, subjects)
    bindings: dict[tuple[str, str], tuple[str, str, list[tuple[str, str, str]]]] = field(
        default_factory=dict
    )
    cluster_bindings: dict[str, tuple[str, list[tuple[str, str, str]]]] = field(
        default_factory=dict
    )


@dataclass(frozen=True)
class Question:
    user: str
    groups: tuple[str, ...]
    verb: str
    # Resource questions.
    group: str = ""
    resource: str = ""
    subresource: str = ""
    name: str = ""
    namespace: str = ""
    # Path questions.
    path: str = ""


def may(world: World, question: Question) -> bool:
    """Some rule of some role that is bound to the user allows it."""
    return any(_rule_allows(rule, question) for rule in _rules_of(world, question))


def _rules_of(world: World, question: Question) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for role_name, subjects in world.cluster_bindings.values():
        if any(_is_subject(one, question, "") for one in subjects):
            found += world.cluster_roles.get(role_name, [])
    # A question without a namespace is about the cluster: no RoleBinding can answer it.
    for (namespace, _), (role_kind, role_name, subjects) in world.bindings.items():
        if namespace != question.namespace or question.path:
            continue
        if any(_is_subject(one, question, namespace) for one in subjects):
            if role_kind == "Role":
                found += world.roles.get((namespace, role_name), [])
            else:
                found += world.cluster_roles.get(role_name, [])
    return found


def _is_subject(subject: tuple[str, str, str], question: Question, binding_namespace: str) -> bool:
    kind, name, namespace = subject
    if kind == "User":
        return question.user == name
    if kind == "Group":
        return name in question.groups
    if kind == "ServiceAccount":
        place = namespace if namespace else binding_namespace
        return place != "" and question.user == "system:serviceaccount:" + place + ":" + name
    return False


def _rule_allows(rule: dict[str, Any], question: Question) -> bool:
    if not ("*" in rule["verbs"] or question.verb in rule["verbs"]):
        return False
    if question.path:
        for url in rule.get("nonResourceURLs", []):
            if url == "*" or url == question.path:
                return True
            if url.endswith("*") and question.path[: len(url) - 1] == url[:-1]:
                return True
        return False
    if not ("*" in rule.get("apiGroups", []) or question.group in rule.get("apiGroups", [])):
        return False
    names = rule.get("resourceNames", [])
    if names and question.name not in names:
        return False
    wanted = question.resource + ("/" + question.subresource if question.subresource else "")
    for resource in rule.get("resources", []):
        if resource == "*" or resource == wanted:
            return True
        if question.subresource and resource == "*/" + question.subresource:
            return True
    return False


def covers(owned: list[dict[str, Any]], wanted: list[dict[str, Any]], universe: "Universe") -> bool:
    """Whether who has `owned` may do everything that `wanted` allows, by trying everything there is."""
    for question in universe.questions():
        if any(_rule_allows(rule, question) for rule in wanted) and not any(
            _rule_allows(rule, question) for rule in owned
        ):
            return False
    return True


@dataclass(frozen=True)
class Universe:
    """All that can be asked in a small world; each list must hold something that no rule names."""

    verbs: tuple[str, ...]
    groups: tuple[str, ...]
    resources: tuple[str, ...]
    subresources: tuple[str, ...]
    names: tuple[str, ...]
    paths: tuple[str, ...]

    def questions(self) -> list[Question]:
        found = []
        for verb in self.verbs:
            for path in self.paths:
                found.append(Question("u", (), verb, path=path))
            for group in self.groups:
                for resource in self.resources:
                    for subresource in self.subresources:
                        for name in self.names:
                            found.append(
                                Question("u", (), verb, group, resource, subresource, name)
                            )
        return found
