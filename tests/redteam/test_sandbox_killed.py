"""Whichever process of a sandbox is killed, and whenever: no process, file or mount is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest

from cryptosentinel.redteam import sandbox

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes in /proc")

HERE = Path(__file__).parent
PATIENCE_S = 30.0  # how long a loaded machine may take; nothing waits that long where all is well
PARENT = """
    import sys
    from cryptosentinel.redteam.sandbox import run_sandboxed
    print("ready", flush=True)
    sys.stdin.readline()
    entry, isolation = f"sandbox_jobs:{sys.argv[1]}", sys.argv[2]
    told = lambda *_: print("in", flush=True)
    run_sandboxed(entry, {"same_session": True}, isolation=isolation, on_progress=told)
    print("over", flush=True)
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the sandboxes of this test are made; its name is in the arguments and the environment of all in them."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


@pytest.fixture
def start(root: Path) -> Iterator[Callable[[str, str], subprocess.Popen[str]]]:
    """Start a parent that has imported everything and waits for a line to begin."""
    started: list[subprocess.Popen[str]] = []

    def begin(job: str, isolation: str = "namespace") -> subprocess.Popen[str]:
        parent = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(PARENT), job, isolation],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), *sys.path])},
        )
        started.append(parent)
        assert parent.stdout and parent.stdin
        assert parent.stdout.readline() == "ready\n"
        parent.stdin.write("\n")
        parent.stdin.flush()
        return parent

    yield begin
    for parent in started:
        parent.kill()
        parent.communicate(timeout=PATIENCE_S)


def processes(root: Path) -> dict[int, int]:
    """The processes that have this folder in their arguments, environment or place, each with its parent's id."""
    found = {}
    for process in Path("/proc").iterdir():
        if not process.name.isdigit() or int(process.name) == os.getpid():
            continue
        with suppress(OSError):
            told = (process / "cmdline").read_bytes()
            with suppress(OSError):
                told += (process / "environ").read_bytes() + os.readlink(process / "cwd").encode()
            if f"{root}/{sandbox.PREFIX}".encode() in told:
                found[int(process.name)] = int((process / "stat").read_text().rpartition(")")[2].split()[1])
    return found


def family(root: Path, parent: int) -> list[int]:
    """Keeper, first process and worker, as far as they are there."""
    known, line = processes(root), [parent]
    while children := sorted(pid for pid, above in known.items() if above == line[-1]):
        line.append(children[0])
    return line[1:4]


def wait_until(true: Callable[[], bool]) -> bool:
    end = time.monotonic() + PATIENCE_S
    while not true():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def assert_nothing_is_left(root: Path) -> None:
    assert wait_until(lambda: processes(root) == {}), processes(root)
    assert wait_until(lambda: list(root.iterdir()) == []), [str(p) for p in root.rglob("*")]
    assert str(root) not in Path("/proc/self/mountinfo").read_text()


def moments(seed: int, count: int, longest_s: float) -> list[float]:
    """Seeded waits: before the child runs, while the walls are built, while it works."""
    rng = Random(seed)
    return [0.0] + [round(rng.uniform(0.0, longest_s), 3) for _ in range(count - 1)]


@pytest.mark.parametrize("wait_s", moments(seed=0, count=8, longest_s=0.6))
def test_killing_the_parent(wait_s: float, start: Callable[..., subprocess.Popen[str]], root: Path) -> None:
    parent = start("sleep")
    time.sleep(wait_s)
    parent.kill()
    parent.wait(PATIENCE_S)
    assert_nothing_is_left(root)


@pytest.mark.parametrize("wait_s", moments(seed=1, count=3, longest_s=0.6))
def test_killing_the_parent_without_namespaces(
    wait_s: float, start: Callable[..., subprocess.Popen[str]], root: Path
) -> None:
    parent = start("sleep", "process")
    time.sleep(wait_s)
    parent.kill()
    parent.wait(PATIENCE_S)
    assert_nothing_is_left(root)


@pytest.mark.parametrize("isolation", ["namespace", "process"])
@pytest.mark.parametrize("wait_s", moments(seed=2, count=3, longest_s=0.1))
def test_killing_the_parent_while_it_cleans_up(
    wait_s: float, isolation: str, start: Callable[..., subprocess.Popen[str]], root: Path
) -> None:
    parent = start("litter", isolation)
    assert parent.stdout and parent.stdout.readline() == "in\n"
    time.sleep(wait_s)
    parent.kill()
    parent.wait(PATIENCE_S)
    assert_nothing_is_left(root)


@pytest.mark.parametrize("isolation", ["namespace", "process"])
@pytest.mark.parametrize("victim", ["keeper", "first", "worker"])
@pytest.mark.parametrize("wait_s", [0.0, Random(3).uniform(0.1, 0.4)])
def test_killing_a_child(
    victim: str, wait_s: float, isolation: str, start: Callable[..., subprocess.Popen[str]], root: Path
) -> None:
    parent = start("sleep", isolation)
    place = ["keeper", "first", "worker"].index(victim)
    assert wait_until(lambda: len(family(root, parent.pid)) > place)  # killed as soon as it is there, or later
    time.sleep(wait_s)
    with suppress(ProcessLookupError):
        os.kill(family(root, parent.pid)[place], signal.SIGKILL)
    assert parent.wait(PATIENCE_S) == 1  # it is told, and says so
    assert_nothing_is_left(root)


@pytest.mark.parametrize("isolation", ["namespace", "process"])
def test_killing_the_first_process_before_the_worker_can_ask_to_die_with_it(
    isolation: str,
    start: Callable[..., subprocess.Popen[str]],
    root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slow = "import os, time\nos.register_at_fork(after_in_child=lambda: time.sleep(1.0))\n"
    (tmp_path / "sitecustomize.py").write_text(slow)
    monkeypatch.syspath_prepend(tmp_path)
    parent = start("sleep", isolation)
    assert wait_until(lambda: len(family(root, parent.pid)) == 3)
    os.kill(family(root, parent.pid)[1], signal.SIGKILL)
    assert parent.wait(PATIENCE_S) == 1
    assert_nothing_is_left(root)


@pytest.mark.parametrize("wait_s", moments(seed=4, count=3, longest_s=0.1))
def test_killing_the_keeper_while_it_cleans_up(
    wait_s: float, start: Callable[..., subprocess.Popen[str]], root: Path
) -> None:
    parent = start("litter")
    keeper = family(root, parent.pid)[0] if wait_until(lambda: family(root, parent.pid) != []) else 0
    assert parent.stdout and parent.stdout.readline() == "in\n"
    time.sleep(wait_s)
    with suppress(ProcessLookupError):
        os.kill(keeper, signal.SIGKILL)
    parent.wait(PATIENCE_S)
    assert_nothing_is_left(root)


def test_left_alone_it_ends_and_leaves_nothing(start: Callable[..., subprocess.Popen[str]], root: Path) -> None:
    parent = start("litter")
    assert parent.wait(PATIENCE_S) == 0
    assert parent.stdout and parent.stdout.read() == "in\nover\n"
    assert processes(root) == {}
    assert list(root.iterdir()) == []
