"""What protects a cluster of this machine beside certificates and roles: files made at its first start.

The operator may change them; a file that is there is left as it is.
"""

import base64
import os
import secrets
from importlib import resources
from pathlib import Path

_KEY_BYTES = 32
_PRIVATE_FILE, _PRIVATE_FOLDER = 0o600, 0o700


def audit_policy(state_dir: Path) -> Path:
    """The audit policy's file."""
    return _kept(state_dir / "audit-policy.yaml", _shipped("audit-policy.yaml"))


def audit_log(state_dir: Path, name: str) -> Path:
    """The audit log of one API server; only its owner reads it."""
    folder = state_dir / "audit"
    folder.mkdir(mode=_PRIVATE_FOLDER, exist_ok=True)
    return folder / f"{name}.log"


def encryption_config(state_dir: Path) -> Path:
    """Which kinds are encrypted in the store, and by which key: one made by chance at the first start."""
    path = state_dir / "encryption.yaml"
    if path.exists():
        return path
    key = base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode()
    return _kept(path, _shipped("encryption.yaml").replace("<key>", key))


def _shipped(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _kept(path: Path, text: str) -> Path:
    """`path`, made with `text` where it is missing."""
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _PRIVATE_FILE)
    except FileExistsError:
        return path
    with os.fdopen(file, "w", encoding="utf-8") as target:
        target.write(text)
    return path
