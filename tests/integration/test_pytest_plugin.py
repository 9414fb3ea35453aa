"""The pytest plugin as users have it: pytest runs of their own, in processes of their own."""

import re
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[2]
OWN = ("-p", "kvstore.testing.plugin", "-p", "no:cacheprovider")


@pytest.fixture
def run(pytester, monkeypatch):
    """Runs pytest on files with our plugin and no other."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    pytester.makefile(".ini", pytest="[pytest]\n")

    def start(*args, **files):
        if files:
            pytester.makepyfile(**files)
        return pytester.runpytest_subprocess(*OWN, *args, timeout=100)

    return start


def gone(pids, deadline_seconds=20.0):
    deadline = time.perf_counter() + deadline_seconds
    while time.perf_counter() < deadline:
        if not any(Path(f"/proc/{pid}").exists() for pid in pids):
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize(
    ("name", "module"),
    [("quorate", "kvstore.testing.plugin"), ("quorate-kubernetes", "controlplane.testing.plugin")],
)
def test_pytest_finds_it_by_its_entry_point_and_imports_nothing_heavy(name, module):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["pytest11"][name] == module
    heavy = (
        "[m for m in ('grpc','pysyncobj','kvstore.node','msgspec','aiohttp') if m in sys.modules]"
    )
    code = f"import sys, {module}; print({heavy})"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_a_store_is_used_again_but_empty_and_scopes_keep_their_data(run):
    result = run(
        "-v",
        test_it="""
            import pytest

            seen = []

            def test_one(quorate_store):
                seen.append(quorate_store)
                with quorate_store.client() as client:
                    lease = client.lease_grant(60).id
                    client.put("a", "1", lease=lease)
                    client.user_add("somebody", "secret")
                assert len(quorate_store.history.operations) == 2

            def test_two(quorate_store):
                assert quorate_store is seen[0]
                with quorate_store.client() as client:
                    assert client.get("a").kvs == ()
                    assert client.lease_list().ids == ()
                    assert client.user_list().users == ()
                    client.put("a", "2")
                quorate_store.assert_linearizable()
                quorate_store.assert_sound()

            @pytest.mark.quorate(fresh=True)
            def test_three(quorate_store):
                assert quorate_store is not seen[0]

            def test_four(quorate_store_module):
                assert quorate_store_module.members == ("m1",)
                quorate_store_module.client().put("kept", "yes")

            def test_five(quorate_store_module, quorate_store):
                assert quorate_store_module.client().get("kept").count == 1
                assert quorate_store.client().get("kept").count == 0

            @pytest.mark.quorate(members=2)
            def test_six(quorate_cluster):
                assert quorate_cluster.members == ("m1", "m2")
                assert len(quorate_cluster.followers) == 1

            def test_seven(quorate_store_session):
                assert quorate_store_session.client().get("kept").count in (0, 1)
        """,
    )
    result.assert_outcomes(passed=7)


def test_the_example_finds_the_bug_of_the_naive_lock(run, pytester, tmp_path):
    for one in sorted((ROOT / "examples" / "testing").glob("*.py")):
        pytester.makepyfile(**{one.stem: one.read_text()})
    result = run("--quorate-report-dir", str(tmp_path))
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        ["*slow was here*", "*quorate_cluster: what happened*", "*FAILED*test_naive_lock*"]
    )
    (page,) = tmp_path.rglob("timeline.html")
    (lines,) = tmp_path.rglob("history.jsonl")
    assert "test_naive_lock" in page.read_text()
    assert '"type":"fault"' in lines.read_text()


def test_a_violation_and_the_logs_of_processes_are_shown(run):
    result = run(
        test_it="""
            import pytest
            from kvstore.testing.history.history import Ok, Operation, Put, PutReply

            @pytest.mark.quorate(mode="process")
            def test_lies(quorate_store):
                client = quorate_store.client()
                revision = client.put("a", "1").revision
                now = quorate_store.history.operations[-1].returned
                lie = Operation(99, "liar", Put(b"a", b"2"), now, now + 1, Ok(revision, PutReply()))
                quorate_store.history.append(lie)
                quorate_store.assert_linearizable()
        """
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*two writes were acknowledged with revision*", "*log of m1*", "*timeline: *"]
    )


@pytest.mark.parametrize("end", ["os.kill(os.getpid(), signal.SIGKILL)", "raise KeyboardInterrupt"])
def test_nothing_is_left_when_pytest_is_killed_or_interrupted(run, pytester, end):
    run(
        test_it=f"""
            import os, pathlib, signal
            import pytest

            @pytest.mark.quorate(mode="process", members=2)
            def test_ends(quorate_cluster):
                processes = [quorate_cluster.pid(name) for name in quorate_cluster.members]
                pathlib.Path("pids").write_text(" ".join(map(str, processes)))
                {end}
        """
    )
    pids = [int(one) for one in (pytester.path / "pids").read_text().split()]
    assert len(pids) == 2
    assert gone(pids)


def test_workers_of_xdist_have_stores_of_their_own(run):
    pytest.importorskip("xdist")
    result = run(
        "-p", "xdist.plugin", "-n", "2", "--dist", "each",
        test_it="""
            def test_alone(quorate_store):
                with quorate_store.client() as client:
                    assert client.put("a", "1").revision == 2
        """,
    )  # fmt: skip
    result.assert_outcomes(passed=2)


def test_wrong_markers_and_options_are_told(run):
    result = run(
        test_it="""
            import pytest

            @pytest.mark.quorate(mode="cloud")
            def test_mode(quorate_store):
                pass

            @pytest.mark.quorate(5)
            def test_position(quorate_store):
                pass

            @pytest.mark.quorate(no_such_setting=1)
            def test_setting(quorate_store):
                pass
        """
    )
    result.assert_outcomes(errors=3)
    text = result.stdout.str()
    assert "one of inprocess, process" in text
    assert "named arguments only" in text
    assert re.search("no_such_setting", text)
    assert run("--quorate-mode", "cloud").ret == pytest.ExitCode.USAGE_ERROR
