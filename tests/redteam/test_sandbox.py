"""The sandbox: no way out, nothing left behind, errors that say what happened."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cryptosentinel.errors import ConfigError, DataError, MissingExtraError, SandboxError, SentinelError
from cryptosentinel.redteam import sandbox
from cryptosentinel.redteam.sandbox import Limits, run_sandboxed

HERE = Path(__file__).parent
SMALL = Limits(memory_bytes=1 << 30, cpu_s=60, wall_s=60.0)


@pytest.fixture(autouse=True)
def own_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Sandboxes are made under the test's folder, where their absence can be seen."""
    root = tmp_path / "tmp"
    root.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(root))
    monkeypatch.setenv("TMPDIR", str(root))
    monkeypatch.syspath_prepend(str(HERE))
    return root


def run(name: str, job: dict[str, Any] | None = None, **options: Any) -> dict[str, Any]:
    return run_sandboxed(f"sandbox_jobs:{name}", job or {}, limits=options.pop("limits", SMALL), **options)


def left(root: Path) -> list[str]:
    return [p.name for p in root.glob(f"{sandbox.PREFIX}*")]


def wait_until(true: Callable[[], bool], seconds: float = 20.0) -> bool:
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def test_result_progress_and_reports_come_back_and_nothing_stays(own_temporary_folder: Path, tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    out = tmp_path / "out"
    result = run("behave", {"x": [1, "ü", None]}, folder_out=out, on_progress=lambda *step: seen.append(step))
    assert result["echo"] == {"x": [1, "ü", None]}
    assert (result["sandbox"], result["files"]) == ("namespace", ["report.json"])
    assert seen == [("train", 1, 3), ("train", 2, 3), ("train", 3, 3)]
    assert [p.name for p in out.iterdir()] == ["report.json"]
    assert left(own_temporary_folder) == []


def test_there_is_no_network() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as abstract:
        port = server.getsockname()[1]
        name = f"cryptosentinel-test-{os.getpid()}"
        abstract.bind("\0" + name)
        abstract.listen()
        targets = [["127.0.0.1", port], ["::1", port], ["192.0.2.1", 443], ["2001:db8::1", 443]]
        inside = run("reach_out", {"targets": targets, "abstract": name})
        assert inside["interfaces"] == ["lo"]
        assert "reached" not in inside["reached"].values(), inside["reached"]
        assert inside["reached"]["tcp 127.0.0.1"] == "ENETUNREACH"
        # The same function does reach the server without namespaces, so the test can tell the difference.
        outside = run("reach_out", {"targets": targets[:1], "abstract": name}, isolation="process")
        assert outside["reached"]["tcp 127.0.0.1"] == "reached"
        assert outside["reached"]["abstract unix socket"] == "reached"
        assert outside["sandbox"] == "process"


def test_the_walls_cannot_be_taken_down_from_inside() -> None:
    result = run("raise_the_network")
    assert result["capabilities"] == 0
    assert result["mount"] == "-1"


def test_environment_is_scrubbed_and_only_its_own_folder_is_writable(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("OPENAI_API_KEY", "AWS_SECRET_ACCESS_KEY", "HTTPS_PROXY", "LD_PRELOAD"):
        monkeypatch.setenv(name, "secret")
    result = run("look_around", {"places": [str(tmp_path), str(HERE), "/tmp", "/var/tmp", str(Path.home())]})
    assert "secret" not in result["environment"].values()
    assert result["environment"]["HOME"] == result["environment"]["TMPDIR"] == result["cwd"]
    assert result["marked"]
    if result["walls"]["read_only"]:
        assert result["writable"] == []
    if result["walls"]["own_proc"]:
        assert len(result["processes"]) == 2


@pytest.mark.parametrize("isolation", ["namespace", "process"])
@pytest.mark.parametrize(
    ("name", "limits", "message"),
    [
        ("eat_memory", Limits(memory_bytes=256 << 20, wall_s=60.0), "more than 0.25 GiB of memory"),
        ("spin", Limits(cpu_s=1, wall_s=60.0), "more than 1 s of processor time"),
        ("sleep", Limits(wall_s=1.5), "longer than 1.5 s"),
    ],
)
def test_limits_stop_it(name: str, limits: Limits, message: str, isolation: str, own_temporary_folder: Path) -> None:
    with pytest.raises(SandboxError, match=message):
        run(name, {"same_session": isolation == "process"}, limits=limits, isolation=isolation)
    assert left(own_temporary_folder) == []


@pytest.mark.parametrize(
    ("kind", "error", "message"),
    [
        ("config", ConfigError, "^rows must be at least 10, got 3$"),
        ("data", DataError, "^row 7 has no answer$"),
        ("extra", MissingExtraError, r"^fine-tuning a model needs torch: pip install 'cryptosentinel\[redteam\]'$"),
        ("other", SandboxError, "KeyError: 'no such thing'"),
        ("die", SandboxError, "ended without a result"),
        ("bad-result", SandboxError, "must return a dict"),
        ("exit", SandboxError, "SystemExit: left early"),
    ],
)
def test_what_fails_inside_says_so(kind: str, error: type[SentinelError], message: str) -> None:
    with pytest.raises(SentinelError, match=message) as raised:
        run("fail", {"kind": kind})
    assert type(raised.value) is error
    if isinstance(raised.value, MissingExtraError):
        assert raised.value.extra == "redteam"


def test_unknown_entry_isolation_and_limits() -> None:
    with pytest.raises(SandboxError, match="no_such_module"):
        run_sandboxed("no_such_module:f", {}, limits=SMALL)
    with pytest.raises(ConfigError, match="unknown isolation 'none'"):
        run("behave", isolation="none")
    with pytest.raises(ConfigError, match="wall_s must be positive, got 0"):
        Limits(wall_s=0)


@pytest.mark.parametrize(
    "name", ["weights.safetensors", "weights.json", "weights.parquet", "link.json", "../log.json", "absent.json"]
)
def test_only_plain_reports_leave(name: str, tmp_path: Path, own_temporary_folder: Path) -> None:
    with pytest.raises(SandboxError, match="refused to take"):
        run("smuggle", {"name": name}, folder_out=tmp_path / "out")
    assert not (tmp_path / "out").exists() or list((tmp_path / "out").iterdir()) == []
    assert left(own_temporary_folder) == []


@pytest.mark.parametrize("isolation", ["namespace", "process"])
def test_it_is_wiped_even_without_permissions(isolation: str, own_temporary_folder: Path) -> None:
    run("lock_up", isolation=isolation)
    assert left(own_temporary_folder) == []


def test_an_interrupt_in_the_parent_wipes(own_temporary_folder: Path) -> None:
    def interrupt(stage: str, done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run("sleep", on_progress=interrupt)
    assert left(own_temporary_folder) == []


def processes_in(folder: str) -> list[int]:
    found = []
    for process in Path("/proc").iterdir():
        try:
            if process.name.isdigit() and os.readlink(process / "cwd").startswith(folder):
                found.append(int(process.name))
        except OSError:
            continue
    return found


def test_kill_9_of_the_child_leaves_nothing(own_temporary_folder: Path) -> None:
    inside: list[str] = []

    def kill(stage: str, done: int, total: int) -> None:
        inside.append(stage)
        os.kill(min(processes_in(str(own_temporary_folder))), signal.SIGKILL)

    with pytest.raises(SandboxError, match="ended without a result"):
        run("sleep", on_progress=kill)
    assert left(own_temporary_folder) == []
    assert wait_until(lambda: processes_in(inside[0]) == [])


PARENT = """
    from cryptosentinel.redteam.sandbox import run_sandboxed
    run_sandboxed("sandbox_jobs:sleep", {}, on_progress=lambda stage, done, total: print(stage, flush=True))
"""


def start_parent() -> tuple[subprocess.Popen[str], str]:
    path = os.pathsep.join([str(HERE), *sys.path])
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PARENT)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert parent.stdout is not None
    return parent, parent.stdout.readline().strip()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_the_end_of_the_parent_leaves_nothing(how: signal.Signals, own_temporary_folder: Path) -> None:
    parent, inside = start_parent()
    with parent:
        assert Path(inside, "adapter.safetensors").is_file()
        parent.send_signal(how)
        parent.wait(20)
    assert wait_until(lambda: left(own_temporary_folder) == [])
    assert wait_until(lambda: processes_in(inside) == [])


def test_the_next_start_wipes_what_nobody_could(own_temporary_folder: Path) -> None:
    parent, inside = start_parent()
    with parent:
        keeper = min(set(processes_in(inside)) - {parent.pid})
        os.kill(keeper, signal.SIGSTOP)  # it can neither notice nor wipe
        parent.kill()
        parent.wait(20)
    assert len(left(own_temporary_folder)) == 1
    assert sandbox.wipe_stale() == []  # still alive: its lock is held
    os.kill(keeper, signal.SIGKILL)
    assert wait_until(lambda: processes_in(inside) == [])
    assert [p.name for p in sandbox.wipe_stale()] == [Path(inside).parent.name]
    assert left(own_temporary_folder) == []


def test_it_refuses_where_namespaces_are_forbidden(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, own_temporary_folder: Path
) -> None:
    forbidding = tmp_path / "child.py"
    text = sandbox.CHILD.read_text("utf-8")
    forbidding.write_text(text.replace("libc.unshare(CLONE_NEWUSER", "libc.unshare(-1 * CLONE_NEWUSER"), "utf-8")
    monkeypatch.setattr(sandbox, "CHILD", forbidding)
    with pytest.raises(SandboxError, match=r"cannot isolate .*--sandbox process"):
        run("behave")
    assert run("behave", isolation="process")["sandbox"] == "process"
    assert left(own_temporary_folder) == []
