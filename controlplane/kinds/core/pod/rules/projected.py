"""Rules of projected volumes: several sources that become files of one folder."""

from __future__ import annotations

from controlplane.api import names
from controlplane.api.errors import Cause
from controlplane.api.meta import View
from controlplane.api.validation import causes as fields
from controlplane.api.validation.selector import validate_selector
from controlplane.api.validation.signers import signer_name, trust_bundle_name
from controlplane.kinds.core.pod.rules import downward, paths

_KEY_TYPES = ("RSA3072", "RSA4096", "ECDSAP256", "ECDSAP384", "ECDSAP521", "ED25519")
_MAX_SECONDS = 91 * 24 * 3600
_MAX_KUBERNETES_SECONDS = 24 * 3600


def validate_projected(source: View, path: str) -> list[Cause]:
    """Causes in a projected volume."""
    causes = paths.file_mode(source.get("defaultMode"), f"{path}.defaultMode")
    taken = _Paths(path)
    for index, row in enumerate(source.get("sources") or ()):
        where = f"{path}.sources[{index}]"
        chosen = [key for key in _RULES if row.get(key) is not None]
        for key in chosen:
            causes += _RULES[key](row[key], f"{where}.{key}", taken)
        if len(chosen) > 1:
            detail = "may not specify more than 1 volume type per source"
            causes.append(fields.forbidden(where, detail))
    return causes


class _Paths:
    """The files made so far: no two sources make the same."""

    def __init__(self, volume: str) -> None:
        self.volume = volume
        self._seen: set[str] = set()

    def take(self, path: str, shown: str) -> list[Cause]:
        if path in self._seen:
            return [fields.invalid(self.volume, shown, "conflicting duplicate paths")]
        self._seen.add(path)
        return []


def _keys(source: View, path: str, taken: _Paths) -> list[Cause]:
    name = source.get("name") or ""
    causes = [] if name else [fields.required(f"{path}.name")]
    for index, row in enumerate(source.get("items") or ()):
        causes += paths.key_to_path(row, f"{path}.items[{index}]")
        if row.get("path"):
            causes += taken.take(row["path"], name)
    return causes


def _downward(source: View, path: str, taken: _Paths) -> list[Cause]:
    causes: list[Cause] = []
    for row in source.get("items") or ():
        causes += downward.downward_file(row, path)
        if row.get("path"):
            causes += taken.take(row["path"], row["path"])
    return causes


def _token(source: View, path: str, taken: _Paths) -> list[Cause]:
    causes = []
    seconds, target = source.get("expirationSeconds") or 0, source.get("path") or ""
    if seconds < 600:
        detail = "may not specify a duration less than 10 minutes"
        causes.append(fields.invalid(f"{path}.expirationSeconds", seconds, detail))
    if seconds > 1 << 32:
        detail = "may not specify a duration larger than 2^32 seconds"
        causes.append(fields.invalid(f"{path}.expirationSeconds", seconds, detail))
    # Compat: upstream names the volume here, not the source.
    where = f"{taken.volume}.path"
    return causes + (paths.local(target, where) if target else [fields.required(where)])


def _trust_bundle(source: View, path: str, taken: _Paths) -> list[Cause]:
    name, signer = source.get("name"), source.get("signerName")
    causes: list[Cause] = []
    if name is not None and signer is not None:
        detail = "only one of name and signerName may be used"
        causes.append(fields.invalid(path, source, detail))
    elif name is not None:
        if name == "":
            causes.append(fields.required(f"{path}.name", "must be a valid object name"))
        prefix = name.rpartition(":")[0].replace(":", "/")
        problems = trust_bundle_name(name, prefix)
        shown = [f"not a valid clustertrustbundlename: {problem}" for problem in problems]
        causes += fields.each(f"{path}.name", name, shown)
        if source.get("labelSelector") is not None:
            detail = "labelSelector must be unset if name is specified"
            selector = source["labelSelector"]
            causes.append(fields.invalid(f"{path}.labelSelector", selector, detail))
    elif signer is not None:
        if signer == "":
            causes.append(fields.required(f"{path}.signerName", "must be a valid signer name"))
        causes += signer_name(f"{path}.signerName", signer)
        causes += validate_selector(source.get("labelSelector"), f"{path}.labelSelector")
    else:
        causes.append(fields.required(path, "either name or signerName must be specified"))
    target = source.get("path") or ""
    if not target:
        causes.append(fields.required(f"{path}.path"))
    return causes + paths.local(target, f"{path}.path") + taken.take(target, target)


def _certificate(source: View, path: str, taken: _Paths) -> list[Cause]:
    signer = source.get("signerName") or ""
    causes = signer_name(f"{path}.signerName", signer)
    for key in source.get("userAnnotations") or ():
        causes += domain_key(f"{path}.userAnnotations", key.lower())
    if source.get("keyType") not in _KEY_TYPES:
        where = f"{path}.keyType"
        causes.append(fields.not_supported(where, source.get("keyType") or "", _KEY_TYPES))
    seconds = source.get("maxExpirationSeconds")
    if seconds is not None:
        where = f"{path}.maxExpirationSeconds"
        is_ours = signer.startswith("kubernetes.io/")
        most = _MAX_KUBERNETES_SECONDS if is_ours else _MAX_SECONDS
        if seconds < 3600:
            detail = "if provided, maxExpirationSeconds must be >= 3600"
            causes.append(fields.invalid(where, seconds, detail))
        if seconds > most:
            detail = f"if provided, maxExpirationSeconds must be <= {most}"
            causes.append(fields.invalid(where, seconds, detail))
    places = ("credentialBundlePath", "keyPath", "certificateChainPath")
    chosen = [key for key in places if source.get(key)]
    for key in chosen:
        causes += paths.local(source[key], f"{path}.{key}")
        causes += taken.take(source[key], source[key])
    if not chosen:
        detail = "specify at least one of credentialBundlePath, keyPath, and certificateChainPath"
        causes.append(fields.required(path, detail))
    return causes


def domain_key(where: str, key: str) -> list[Cause]:
    """Causes in a key that must have a domain before its slash."""
    if not key:
        return [fields.required(where)]
    causes = fields.each(where, key, names.qualified_name(key))
    if not causes and "/" not in key:
        detail = 'must be a domain-prefixed key (such as "acme.io/foo")'
        causes.append(fields.invalid(where, key, detail))
    return causes


_RULES = {
    "secret": _keys,
    "configMap": _keys,
    "downwardAPI": _downward,
    "serviceAccountToken": _token,
    "clusterTrustBundle": _trust_bundle,
    "podCertificate": _certificate,
}
