"""What a Job's pod failure policy and success policy say: pure. Messages are upstream's."""

from collections.abc import Iterable
from dataclasses import dataclass

from controlplane.api import meta
from controlplane.api.meta import Obj
from controlplane.controllers.job import indexes


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a failed Pod means: `message` fails the whole Job, `action` is the rule's, empty when none matched."""

    is_counted: bool = True
    action: str = ""
    message: str = ""


def judge(job: Obj, pod: Obj) -> Verdict:
    """The first rule of the pod failure policy that matches the failed Pod."""
    for number, rule in enumerate(
        (meta.spec(job).get("podFailurePolicy") or {}).get("rules") or ()
    ):
        why = _why(rule, pod)
        if not why:
            continue
        action = str(rule.get("action"))
        message = f"{why} matching {action} rule at index {number}" if action == "FailJob" else ""
        return Verdict(action != "Ignore", action, message)
    return Verdict()


def _why(rule: Obj, pod: Obj) -> str:
    name = f"{meta.namespace(pod)}/{meta.name(pod)}"
    status = meta.status(pod)
    wanted = rule.get("onExitCodes")
    if wanted is not None:
        for field in ("containerStatuses", "initContainerStatuses"):
            for container in status.get(field) or ():
                code = ((container.get("state") or {}).get("terminated") or {}).get("exitCode")
                if _matches_code(wanted, container, code):
                    return (
                        f"Container {container['name']} for pod {name} failed with exit code {code}"
                    )
        return ""
    for condition in status.get("conditions") or ():
        for pattern in rule.get("onPodConditions") or ():
            expected = (pattern.get("type"), pattern.get("status") or "True")
            if (condition.get("type"), condition.get("status")) == expected:
                return f"Pod {name} has condition {condition['type']}"
    return ""


def _matches_code(wanted: Obj, container: Obj, code: int | None) -> bool:
    if not code or wanted.get("containerName") not in (None, "", container.get("name")):
        return False
    return (code in (wanted.get("values") or ())) is (wanted.get("operator") == "In")


def success_message(job: Obj, succeeded: Iterable[int]) -> str:
    """Why the succeeded indexes suffice by the success policy; empty when they do not."""
    spec, done = meta.spec(job), frozenset(succeeded)
    if not done:
        return ""
    for number, rule in enumerate((spec.get("successPolicy") or {}).get("rules") or ()):
        count = rule.get("succeededCount")
        if rule.get("succeededIndexes") is not None:
            required = indexes.parse(rule["succeededIndexes"], int(spec["completions"]))
            have = len(required & done)
            met = bool(required) and (
                have == len(required) or (count is not None and have >= int(count))
            )
        else:
            met = count is not None and len(done) >= int(count)
        if met:
            return f"Matched rules at index {number}"
    return ""
