"""The environment and command of a container, and the contents of its pod's volumes, from spec and API objects."""

import base64
import os
import re
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from controlplane.api import quantity
from controlplane.kubelet.images.catalog import Image
from controlplane.kubelet.runtimes.interface import Mount

Object = Mapping[str, Any]
Fetch = Callable[[str, str, str], Awaitable[dict[str, Any] | None]]
"""Kind, namespace, name -> the object, None if it does not exist."""

_REFERENCE = re.compile(r"\$\$|\$\(([^()]+)\)")


class ConfigError(Exception):
    """The pod refers to something that is not there; shown as CreateContainerConfigError."""


def expand(text: str, env: Mapping[str, str]) -> str:
    """Replace `$(NAME)`; `$$` is a dollar; unknown names stay as they are."""

    def value(match: re.Match[str]) -> str:
        name = match.group(1)
        return "$" if name is None else env.get(name, match.group(0))

    return _REFERENCE.sub(value, text)


def command_line(container: Object, image: Image, env: Mapping[str, str]) -> list[str]:
    """What to run: the pod's command replaces the image's entry and arguments, args only those."""
    command = list(container.get("command") or ())
    arguments = list(container.get("args") or ())
    if command:
        words = command + arguments
    else:
        words = [*image.entrypoint, *(arguments or image.arguments)]
    return [expand(word, env) for word in words]


async def container_env(
    pod: Object, container: Object, image: Image, facts: Mapping[str, str], fetch: Fetch
) -> dict[str, str]:
    """All variables but those of the runtime. Raises ConfigError."""
    meta = pod["metadata"]
    namespace = str(meta.get("namespace", ""))
    env: dict[str, str] = {
        "HOSTNAME": pod["spec"].get("hostname") or meta["name"],
        "POD_NAME": meta["name"],
        "POD_NAMESPACE": namespace,
        **{key: value for key, value in facts.items() if key.isupper()},
        **image.env,
    }
    ports = container.get("ports") or ()
    if ports:
        env["PORT"] = str(ports[0]["containerPort"])
    for source in container.get("envFrom") or ():
        prefix = source.get("prefix") or ""
        for kind, key in (("ConfigMap", "configMapRef"), ("Secret", "secretRef")):
            if source.get(key):
                data = await _data(kind, namespace, source[key], fetch)
                env.update({prefix + k: v.decode(errors="replace") for k, v in data.items()})
    for entry in container.get("env") or ():
        if entry.get("valueFrom"):
            value = await _value_from(pod, container, entry["valueFrom"], facts, fetch)
            if value is not None:
                env[entry["name"]] = value
        else:
            env[entry["name"]] = expand(entry.get("value") or "", env)
    return env


async def _value_from(
    pod: Object, container: Object, source: Object, facts: Mapping[str, str], fetch: Fetch
) -> str | None:
    if source.get("fieldRef"):
        return field_value(pod, source["fieldRef"].get("fieldPath", ""), facts)
    if source.get("resourceFieldRef"):
        return _resource(pod, container, source["resourceFieldRef"])
    namespace = str(pod["metadata"].get("namespace", ""))
    for kind, key in (("ConfigMap", "configMapKeyRef"), ("Secret", "secretKeyRef")):
        reference = source.get(key)
        if not reference:
            continue
        data = await _data(kind, namespace, reference, fetch)
        if reference["key"] in data:
            return data[reference["key"]].decode(errors="replace")
        if not reference.get("optional"):
            raise ConfigError(
                f"couldn't find key {reference['key']} in {kind} {namespace}/{reference.get('name')}"
            )
    return None


async def _data(kind: str, namespace: str, reference: Object, fetch: Fetch) -> dict[str, bytes]:
    name = str(reference.get("name", ""))
    found = await fetch(kind, namespace, name)
    if found is None:
        if reference.get("optional"):
            return {}
        raise ConfigError(f'{kind.lower()} "{name}" not found')
    if kind == "Secret":
        return {k: base64.b64decode(v or "") for k, v in (found.get("data") or {}).items()}
    data = {k: str(v).encode() for k, v in (found.get("data") or {}).items()}
    data.update({k: base64.b64decode(v) for k, v in (found.get("binaryData") or {}).items()})
    return data


def field_value(pod: Object, path: str, facts: Mapping[str, str]) -> str:
    """A downward API field; `facts` holds what the status does not show yet."""
    meta = pod["metadata"]
    subscript = re.fullmatch(r"metadata\.(labels|annotations)\['([^']*)'\]", path)
    if subscript:
        return str((meta.get(subscript.group(1)) or {}).get(subscript.group(2), ""))
    if path in ("metadata.labels", "metadata.annotations"):
        entries = meta.get(path.partition(".")[2]) or {}
        return "\n".join(f'{key}="{value}"' for key, value in sorted(entries.items()))
    known = {
        "metadata.name": meta["name"],
        "metadata.namespace": meta.get("namespace", ""),
        "metadata.uid": meta.get("uid", ""),
        "spec.nodeName": pod["spec"].get("nodeName", ""),
        "spec.serviceAccountName": pod["spec"].get("serviceAccountName", ""),
        "status.podIP": facts.get("POD_IP", ""),
        "status.podIPs": facts.get("POD_IP", ""),
        "status.hostIP": facts.get("HOST_IP", ""),
        "status.hostIPs": facts.get("HOST_IP", ""),
    }
    if path not in known:
        raise ConfigError(f"unsupported fieldPath: {path}")
    return str(known[path])


def _resource(pod: Object, container: Object, reference: Object) -> str:
    wanted = reference.get("containerName") or container["name"]
    every = [*pod["spec"]["containers"], *(pod["spec"].get("initContainers") or ())]
    holder: Object = next((c for c in every if c["name"] == wanted), {})
    kind, _, name = str(reference.get("resource", "")).partition(".")
    amount = ((holder.get("resources") or {}).get(kind) or {}).get(name, "0")
    exact = quantity.parse(amount) / quantity.parse(reference.get("divisor") or "1")
    return str(-(-exact.numerator // exact.denominator))


def container_mounts(container: Object, volumes: Mapping[str, str]) -> tuple[Mount, ...]:
    """The mounts of a container; raises ConfigError for a volume the pod does not have."""
    mounts = []
    for entry in container.get("volumeMounts") or ():
        if entry["name"] not in volumes:
            raise ConfigError(f'volume "{entry["name"]}" is not available')
        source = volumes[entry["name"]]
        if entry.get("subPath"):
            source = os.path.join(source, entry["subPath"])
        mounts.append(Mount(entry["name"], source, entry["mountPath"]))
    return tuple(mounts)


async def fill_volume(
    pod: Object, volume: Object, directory: str, facts: Mapping[str, str], fetch: Fetch
) -> str:
    """Write a volume's contents into `directory`; returns where they are. Raises ConfigError."""
    if "hostPath" in volume:
        return _host_path(volume["hostPath"] or {})
    if "emptyDir" in volume:
        return directory
    if "projected" in volume:
        for source in (volume["projected"] or {}).get("sources") or ():
            await _fill(pod, source, Path(directory), facts, fetch)
        return directory
    await _fill(pod, volume, Path(directory), facts, fetch)
    return directory


async def _fill(
    pod: Object, source: Object, directory: Path, facts: Mapping[str, str], fetch: Fetch
) -> None:
    namespace = str(pod["metadata"].get("namespace", ""))
    for kind, key in (("ConfigMap", "configMap"), ("Secret", "secret")):
        reference = source.get(key)
        if reference is not None:
            named = {**reference, "name": reference.get("name") or reference.get("secretName")}
            data = await _data(kind, namespace, named, fetch)
            _write_items(directory, data, reference.get("items"))
            return
    if source.get("downwardAPI") is not None:
        for item in source["downwardAPI"].get("items") or ():
            path = (item.get("fieldRef") or {}).get("fieldPath", "")
            _write(directory, item["path"], field_value(pod, path, facts).encode())
        return
    if source.get("serviceAccountToken") is not None:
        account = pod["spec"].get("serviceAccountName") or "default"
        token = await fetch("ServiceAccountToken", namespace, account)
        if token is not None:  # A server that issues none leaves the pod without.
            _write(directory, source["serviceAccountToken"]["path"], token["token"].encode())
        return
    kinds = sorted(set(source) - {"name"})
    raise ConfigError(f"volume type {', '.join(kinds) or 'none'} is not supported on this node")


def _write_items(directory: Path, data: Mapping[str, bytes], items: Any) -> None:
    if not items:
        for key, value in data.items():
            _write(directory, key, value)
        return
    for item in items:
        if item["key"] not in data:
            raise ConfigError(f"references non-existent config key: {item['key']}")
        _write(directory, item["path"], data[item["key"]])


def _write(directory: Path, path: str, value: bytes) -> None:
    if path.startswith("/") or ".." in Path(path).parts:
        raise ConfigError(f"invalid path {path!r} in a volume")
    file = directory / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(value)
    file.chmod(0o600)


def _host_path(source: Object) -> str:
    path, kind = str(source.get("path", "")), source.get("type") or ""
    if kind == "DirectoryOrCreate":
        os.makedirs(path, exist_ok=True)
    elif kind == "FileOrCreate":
        Path(path).touch()
    elif kind == "Directory" and not os.path.isdir(path):
        raise ConfigError(f"hostPath type check failed: {path} is not a directory")
    elif kind == "File" and not os.path.isfile(path):
        raise ConfigError(f"hostPath type check failed: {path} is not a file")
    return path
