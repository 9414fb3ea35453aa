"""The committed facts of Kubernetes' types are what their generator makes."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "controlplane" / "api" / "data"


def test_kinds_data_is_fresh(tmp_path: Path) -> None:
    command = [sys.executable, str(DATA / "generate.py"), str(tmp_path)]
    subprocess.run(command, check=True, timeout=60)
    made = sorted(path.name for path in tmp_path.iterdir())
    stale = [n for n in made if (tmp_path / n).read_text() != (DATA / n).read_text()]
    assert made
    assert stale == [], "run `make kinds-data` and commit the result"
