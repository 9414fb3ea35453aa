"""Generate kvstore/pb from the .proto files beside this script: `python protos/generate.py TARGET_FOLDER`.

protoc's Python code registers its messages in a pool that the whole process shares, where another library's copy of the
same protocol (every etcd client has one) would collide with ours; and it refuses any other release of protobuf than its
own and the next. So two things are changed in what it makes: messages live in a pool of our own
(`kvstore.pb.pool`), and the check of the release is left to the dependency's range, which is tested.
"""

import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
_RELEASE_CHECK = re.compile(
    r"^from google\.protobuf import runtime_version as _runtime_version\n"
    r"|^_runtime_version\.ValidateProtobufRuntimeVersion\(.*?^\)\n",
    re.MULTILINE | re.DOTALL,
)
_POOL_IMPORT = "from google.protobuf import descriptor_pool as _descriptor_pool\n"
_OUR_POOL_IMPORT = "from kvstore.pb.pool import POOL as _POOL\n"


def with_own_pool(code: str) -> str:
    """The module `code` with its messages in our pool, and without the check of protobuf's release."""
    code = _RELEASE_CHECK.sub("", code)
    changed = code.replace(_POOL_IMPORT, _OUR_POOL_IMPORT)
    changed = changed.replace("_descriptor_pool.Default()", "_POOL")
    if "_descriptor_pool" in changed or "_POOL.AddSerializedFile" not in changed:
        raise SystemExit("protoc's Python code has changed its shape: look at protos/generate.py")
    return changed


def main(target: Path) -> None:
    """Write the modules and their type stubs under `target`."""
    protos = sorted(HERE.rglob("*.proto"))
    subprocess.run(
        [
            *(sys.executable, "-m", "grpc_tools.protoc", "-I", str(HERE)),
            *(f"--python_out={target}", f"--pyi_out={target}"),
            *map(str, protos),
        ],
        check=True,
        timeout=60,
    )
    for proto in protos:
        module = target / proto.relative_to(HERE).with_name(f"{proto.stem}_pb2.py")
        module.write_text(with_own_pool(module.read_text()))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
