"""When a toleration covers a taint: the scheduler, the evicting controllers and the kubelet ask."""

from collections.abc import Iterable

from controlplane.api.meta import View


def tolerates(toleration: View, taint: View) -> bool:
    """Empty effect covers all effects, empty key with Exists covers all keys."""
    if toleration.get("effect") and toleration["effect"] != taint.get("effect"):
        return False
    if toleration.get("key") and toleration["key"] != taint.get("key"):
        return False
    if toleration.get("operator") == "Exists":
        return True
    if not toleration.get("key"):
        return False
    return (toleration.get("value") or "") == (taint.get("value") or "")


def tolerated(taint: View, tolerations: Iterable[View] | None) -> bool:
    """Whether any of the tolerations covers the taint."""
    return any(tolerates(toleration, taint) for toleration in tolerations or ())
