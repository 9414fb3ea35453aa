"""The tests of containers in namespaces once more, as a user who is not root and has no subordinate ids."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
USER = 54321
"""Nobody's: no line in /etc/passwd, /etc/subuid or any group."""
SUITES = (
    "tests/contract/test_container_runtimes.py",
    "tests/integration/test_namespaces_runtime.py",
)


def interpreter() -> str:
    """One like this that others may run too; an interpreter below /root is not."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    for candidate in (os.path.realpath(sys.executable), f"/usr/bin/python{version}"):
        try:
            subprocess.run(
                [candidate, "-c", ""], check=True, user=USER, group=USER, extra_groups=[]
            )
        except (OSError, subprocess.CalledProcessError):
            continue
        return candidate
    pytest.skip(f"no python{version} that an ordinary user may run")


def test_as_an_ordinary_user() -> None:
    if os.geteuid() != 0:
        pytest.skip("this is an ordinary user already")
    python = interpreter()
    packages = [entry for entry in sys.path if entry.endswith("site-packages")]
    folder = tempfile.mkdtemp(prefix="quorate-user-")
    try:
        os.chown(folder, USER, USER)
        done = subprocess.run(
            [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--basetemp={folder}/t", *SUITES],
            cwd=ROOT, user=USER, group=USER, extra_groups=[], capture_output=True, text=True,
            env={
                "PATH": os.environ["PATH"], "HOME": folder, "PYTHONDONTWRITEBYTECODE": "1",
                "PYTHONPATH": os.pathsep.join((str(ROOT), *packages)),
            },
        )  # fmt: skip
        if "PermissionError" in done.stderr and "passed" not in done.stdout:
            pytest.skip("an ordinary user cannot read this source folder")
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
        assert " passed" in done.stdout
    finally:
        shutil.rmtree(folder, ignore_errors=True)
