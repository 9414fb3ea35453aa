"""Whether containers in namespaces work here: tried for a moment, in a process that ends at once."""

import json
import subprocess
import sys
from pathlib import Path

import controlplane

_BOOT = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); "
    "from controlplane.kubelet.runtimes.namespaces.trial_child import main; main()"
)
_SECONDS = 20.0
_FIXES = {
    "platform": "",
    "user namespace": "ordinary users may make no user namespaces here; root allows it by "
    "`sysctl -w kernel.unprivileged_userns_clone=1 user.max_user_namespaces=65536`, and on Ubuntu by "
    "`sysctl -w kernel.apparmor_restrict_unprivileged_userns=0` or a profile for this interpreter",
    "mounts": "mounting is forbidden inside of user namespaces here; in a container it takes a "
    "seccomp and AppArmor profile that allow it (Docker: --security-opt seccomp=unconfined "
    "--security-opt apparmor=unconfined --security-opt systempaths=unconfined)",
    "overlay": "the kernel has no overlay file system for user namespaces (5.11 and later have)",
    "network": "the kernel lacks veth links: `modprobe veth`",
}
"""What helps, by the step that failed."""


def refusal(root: Path) -> str:
    """\"\" if they work, else the step that does not, with the fix."""
    if sys.platform != "linux":
        return f"needs Linux, not {sys.platform}"
    root.mkdir(parents=True, exist_ok=True)
    source = str(Path(controlplane.__file__).resolve().parents[1])
    command = [sys.executable, "-I", "-S", "-c", _BOOT, source, str(root.resolve())]
    try:
        done = subprocess.run(
            command, capture_output=True, timeout=_SECONDS, check=False, stdin=subprocess.DEVNULL
        )
        answer = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        return f"the trial took more than {_SECONDS:g} s"
    except ValueError:
        return f"the trial failed: {done.stderr.decode(errors='replace')[-300:].strip()}"
    if "step" not in answer:
        return ""
    fix = _FIXES.get(answer["step"], "")
    return f"{answer['step']}: {answer['error']}" + (f"; {fix}" if fix else "")
