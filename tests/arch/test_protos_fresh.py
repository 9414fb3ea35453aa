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
    for pattern in ("*_pb2.py", "*_pb2.pyi")
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
    generate = [sys.executable, str(ROOT / "protos" / "generate.py"), str(tmp_path)]
    subprocess.run(generate, check=True, timeout=60)

    probe = PACKAGE / "rpc_pb2.py"
    made_by = generator_version((tmp_path / probe).read_text())
    if made_by != generator_version((ROOT / probe).read_text()):
        pytest.skip(f"committed code was made by another compiler version than {made_by!r}")
    fresh = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file())
    assert fresh == GENERATED
    stale = [str(p) for p in fresh if (tmp_path / p).read_text() != (ROOT / p).read_text()]
    assert stale == [], "run `make protos` and commit the result"
