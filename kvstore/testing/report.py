"""x"""
from pathlib import Path
from collections.abc import Sequence
from kvstore.testing.check.violation import Violation
from kvstore.testing.history import History
def write_report(path: Path, history: History, violations: Sequence[Violation], *, title: str) -> None:
    """x"""
