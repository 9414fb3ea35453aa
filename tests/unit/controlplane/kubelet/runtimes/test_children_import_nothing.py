"""What runs inside a container's file system has all its modules before: there are none of ours to import from."""

import ast
import inspect
from types import ModuleType

import pytest

from controlplane.kubelet.runtimes.namespaces import containers, process, rootfs, streams


@pytest.mark.parametrize("module", [containers, process, rootfs, streams], ids=lambda m: m.__name__)
def test_nothing_is_imported_late(module: ModuleType) -> None:
    tree = ast.parse(inspect.getsource(module))
    late = [
        ast.unparse(part)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef)
        for part in ast.walk(function)
        if isinstance(part, ast.Import | ast.ImportFrom)
    ]
    assert late == []
