"""PodSecurity: a namespace's labels say which of the Pod Security Standards its pods are held to.

`enforce` refuses pods; `audit` notes and `warn` tells, of pods and of what makes pods. Who labels a namespace is warned
of the pods in it that would not be let in now. Pods of no labelled namespace are privileged.

Source: pod-security-admission/admission.
"""

from collections import Counter
from collections.abc import Iterator

from controlplane.api import errors, meta
from controlplane.api.errors import Cause
from controlplane.api.meta import View
from controlplane.api.resource import Resource
from controlplane.api.validation.causes import show
from controlplane.apiserver.admission.interface import CREATE, UPDATE, Attributes
from controlplane.apiserver.lookup import Lookup
from controlplane.kinds.core.namespace import NAMESPACES
from controlplane.kinds.core.pod.resource import PODS
from controlplane.kinds.core.pod.security import LEVELS, PRIVILEGED, told, violations

_PREFIX = "pod-security.kubernetes.io/"
_MODES = ("enforce", "audit", "warn")
# (group, plural) of what makes pods -> where the pod's template stands.
_TEMPLATES = {
    ("", "podtemplates"): "template",
    ("", "replicationcontrollers"): "spec.template",
    ("apps", "daemonsets"): "spec.template",
    ("apps", "deployments"): "spec.template",
    ("apps", "replicasets"): "spec.template",
    ("apps", "statefulsets"): "spec.template",
    ("batch", "cronjobs"): "spec.jobTemplate.spec.template",
    ("batch", "jobs"): "spec.template",
}
# A namespace with more pods is not looked through whole.
_MAX_PODS = 3000


class PodSecurity:
    """The plugin."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup

    def handles(self, operation: str, resource: Resource, subresource: str) -> bool:
        """Pods, what makes pods, and labels of namespaces."""
        if operation not in (CREATE, UPDATE):
            return False
        if resource == PODS:
            return subresource in ("", "ephemeralcontainers")
        known = (resource.group, resource.plural) in _TEMPLATES or resource == NAMESPACES
        return known and not subresource

    async def validate(self, attributes: Attributes) -> None:
        """Refuse, note and warn."""
        if attributes.resource == NAMESPACES:
            await self._namespace(attributes)
            return
        obj = attributes.require_object()
        if attributes.resource == PODS:
            if attributes.old is not None and obj.get("spec") == attributes.old.get("spec"):
                return
            await self._judge(attributes, meta.metadata(obj), meta.spec(obj), enforces=True)
            return
        path = _TEMPLATES[(attributes.resource.group, attributes.resource.plural)]
        template = meta.get_path(obj, path) or {}
        await self._judge(attributes, meta.metadata(template), meta.spec(template), enforces=False)

    async def _judge(
        self, attributes: Attributes, metadata: View, spec: View, *, enforces: bool
    ) -> None:
        namespace = await self._lookup.find(NAMESPACES, "", attributes.namespace)
        policy = policy_of(meta.labels(namespace or {}))
        if enforces:
            level, version = policy["enforce"]
            attributes.annotations[_PREFIX + "enforce-policy"] = f"{level}:{version}"
            found = violations(level, metadata, spec)
            if found:
                why = f'violates PodSecurity "{level}:{version}": {told(found)}'
                raise errors.Forbidden.of(attributes.resource, attributes.name, why)
        for mode in ("audit", "warn"):
            level, version = policy[mode]
            found = violations(level, metadata, spec)
            if not found:
                continue
            text = f'would violate PodSecurity "{level}:{version}": {told(found)}'
            if mode == "warn":
                attributes.warnings.append(text)
            else:
                attributes.annotations[_PREFIX + "audit-violations"] = text

    async def _namespace(self, attributes: Attributes) -> None:
        new, old = attributes.require_object(), attributes.old
        causes = list(_label_problems(meta.labels(new), meta.labels(old or {})))
        if causes:
            raise errors.Invalid.for_resource(NAMESPACES, attributes.name, causes)
        if old is None:
            return
        level, version = policy_of(meta.labels(new))["enforce"]
        before = policy_of(meta.labels(old))["enforce"]
        if (level, version) == before or level == PRIVILEGED:
            return
        if LEVELS.index(level) <= LEVELS.index(before[0]) and version == before[1]:
            return
        attributes.warnings.extend(await self._existing(attributes.name, level, version))

    async def _existing(self, namespace: str, level: str, version: str) -> list[str]:
        """What to say of the pods that are there: the reasons they share, with the first of them named."""
        reasons: dict[str, list[str]] = {}
        count: Counter[str] = Counter()
        for pod in (await self._lookup.all(PODS, namespace))[:_MAX_PODS]:
            found = violations(level, meta.metadata(pod), meta.spec(pod))
            if found:
                text = ", ".join(reason for reason, _ in found)
                reasons.setdefault(text, []).append(meta.name(pod))
                count[text] += 1
        if not reasons:
            return []
        head = (
            f"existing pods in namespace {show(namespace)} violate the new PodSecurity enforce "
            f"level {show(f'{level}:{version}')}"
        )
        return [head, *(f"{_pods(names)}: {text}" for text, names in sorted(reasons.items()))]


def _pods(names: list[str]) -> str:
    others = len(names) - 1
    if not others:
        return names[0]
    return f"{names[0]} (and {others} other {'pod' if others == 1 else 'pods'})"


def policy_of(labels: dict[str, str]) -> dict[str, tuple[str, str]]:
    """(level, version) by mode. A level that is none counts as the strictest, as upstream's; a version as latest."""
    found = {}
    for mode in _MODES:
        level = labels.get(_PREFIX + mode, PRIVILEGED)
        version = labels.get(f"{_PREFIX}{mode}-version", "latest")
        if level not in LEVELS:
            level = LEVELS[-1] if mode == "enforce" else PRIVILEGED
        found[mode] = (level, version if _is_version(version) else "latest")
    return found


def _is_version(text: str) -> bool:
    if text == "latest":
        return True
    head, dot, minor = text.partition(".")
    return head == "v1" and bool(dot) and minor.isdigit()


def _label_problems(new: dict[str, str], old: dict[str, str]) -> Iterator[Cause]:
    for mode in _MODES:
        key = _PREFIX + mode
        value = new.get(key)
        if value is not None and value not in LEVELS and value != old.get(key):
            text = f"Invalid value: {show(value)}: must be one of {', '.join(LEVELS)}"
            yield Cause(f"metadata.labels[{key}]", text)
        key += "-version"
        value = new.get(key)
        if value is not None and not _is_version(value) and value != old.get(key):
            text = f'Invalid value: {show(value)}: must be "latest" or "v1.x"'
            yield Cause(f"metadata.labels[{key}]", text)
