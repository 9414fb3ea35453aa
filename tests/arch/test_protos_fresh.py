"""The committed protobuf code is what the .proto files generate."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = Path("kvstore/pb")
GENERATED = sorted(
    path.relative_to(ROOT)
    for pattern in ("*_pb2.py", "*_pb2.pyi", "*_pb2_grpc.py")
    for path in (ROOT / PACKAGE).glob(pattern)
)


def generator_version(text: str) -> str:
    """The line by which the compiler tells its version, or "" if there is none."""
    for line in text.splitlines():
        if line.startswith("# Protobuf Python Version:"):
            return line
    return ""


def test_generated_code_is_fresh(tmp_path: Path) -> None:
    if importlib.util.find_spec("grpc_tools") is None:
        pytest.skip("grpcio-tools is not installed")
    protos = sorted((ROOT / "protos" / PACKAGE).glob("*.proto"))
    assert protos
    base = [sys.executable, "-m", "grpc_tools.protoc", "-I", str(ROOT / "protos")]
    plain = [f"--python_out={tmp_path}", f"--pyi_out={tmp_path}"]
    subprocess.run([*base, *plain, *map(str, protos)], check=True, timeout=60)
    services = [str(ROOT / "protos" / PACKAGE / "rpc.proto")]
    subprocess.run([*base, f"--grpc_python_out={tmp_path}", *services], check=True, timeout=60)

    probe = PACKAGE / "rpc_pb2.py"
    made_by = generator_version((tmp_path / probe).read_text())
    if made_by != generator_version((ROOT / probe).read_text()):
        pytest.skip(f"committed code was made by another compiler version than {made_by!r}")
    fresh = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file())
    assert fresh == GENERATED
    stale = [str(p) for p in fresh if (tmp_path / p).read_text() != (ROOT / p).read_text()]
    assert stale == [], "run `make protos` and commit the result"
