"""The sandbox: no way out, nothing left behind, errors that say what happened."""

from __future__ import annotations

import json
import os
import platform
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from glob import glob
from pathlib import Path
from typing import Any

import pytest

from cryptosentinel.errors import ConfigError, DataError, MissingExtraError, SandboxError, SentinelError
from cryptosentinel.models import cache_folder
from cryptosentinel.redteam import sandbox, sandbox_calls
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


def weaken(monkeypatch: pytest.MonkeyPatch, folder: Path, change: str) -> None:
    """Start the sandbox with one of its walls changed."""
    child = folder / "weakened.py"
    child.write_text(
        "import ctypes, runpy\nfrom cryptosentinel.redteam import sandbox_walls as walls\n"
        f"{textwrap.dedent(change)}\nrunpy.run_path({str(sandbox.CHILD)!r}, run_name='__main__')\n"
    )
    monkeypatch.setattr(sandbox, "CHILD", child)


FORBID = """
    class Forbidding:  # what a kernel or a container says that does not allow this
        def __getattr__(self, name, real=walls.libc):
            return (lambda *_: ctypes.set_errno(1) or -1) if name == "{call}" else getattr(real, name)
    walls.libc = Forbidding()
"""


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[dict[str, Any]]:
    """Servers of this host: by address, by a name in the file system, by an abstract one."""
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.socket(socket.AF_UNIX) as named,
        socket.socket(socket.AF_UNIX) as abstract,
    ):
        names = {"unix socket": str(tmp_path / "s"), "abstract unix socket": f"\0cryptosentinel-test-{os.getpid()}"}
        for unix, name in zip((named, abstract), names.values(), strict=True):
            unix.bind(name)
            unix.listen()
        port = server.getsockname()[1]
        hosts = [["127.0.0.1", port], ["::1", port], ["192.0.2.1", 443], ["2001:db8::1", 443]]
        yield {"targets": hosts, "unix": names}


def test_no_socket_can_be_opened(listening: dict[str, Any]) -> None:
    inside = run("reach_out", listening)
    assert inside["walls"]["no_sockets"]
    assert set(inside["reached"].values()) <= {"EACCES", "gaierror", "EAGAIN"}, inside["reached"]
    assert inside["made"].pop("tcp of a new program") == "1"
    assert set(inside["made"].values()) == {"EACCES"}
    # The same function does reach the servers without the walls, so the test can tell the difference.
    outside = run("reach_out", listening | {"targets": listening["targets"][:1]}, isolation="process")
    for way in ("tcp 127.0.0.1", "unix socket", "abstract unix socket"):
        assert outside["reached"][way] == "done"
    assert outside["sandbox"] == "process"


def test_there_is_no_network_even_for_who_can_open_sockets(
    listening: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    weaken(
        monkeypatch,
        tmp_path,
        "from cryptosentinel.redteam import sandbox_calls; sandbox_calls._filtered = lambda: False",
    )
    inside = run("reach_out", listening)
    assert not inside["walls"]["no_sockets"]
    assert inside["reached"].pop("unix socket") == "done"  # such names are files: only the wall that is missing holds
    assert "done" not in inside["reached"].values(), inside["reached"]
    assert inside["reached"]["tcp 127.0.0.1"] == "ENETUNREACH"
    assert inside["interfaces"] in (["lo"], [])
    assert {inside["made"][kind] for kind in ("raw", "packet")} == {"EPERM"}


def test_the_walls_cannot_be_taken_down_from_inside() -> None:
    result = run("raise_the_network")
    assert result["capabilities"] == 0
    assert result["mount"] == "-1"


def test_no_namespace_is_entered_from_inside() -> None:
    result = run("enter_namespaces")
    if not result["walls"]["no_namespaces"]:
        pytest.skip("system calls cannot be refused here, as the result says")
    refused = {"unshare": "EACCES", "setns": "EACCES", "clone": "EACCES", "clone3": "ENOSYS"}
    assert {way: result[way] for way in refused} == refused


WITH_A_KEY = """
    import ctypes, json, platform
    from cryptosentinel.redteam.sandbox import run_sandboxed
    from sandbox_jobs import NUMBERS, call, libc
    _, add, _, control = NUMBERS[platform.machine()]
    libc.syscall(control, 1, None)  # a keyring of its own, gone with this process
    added = call(libc.syscall, add, b"user", b"of-the-parent", b"x", 1, -3)
    result = run_sandboxed("sandbox_jobs:use_keys", {"name": "of-the-parent"})
    left = call(libc.syscall, control, 10, -3, b"user", b"left-behind", 0)
    print(json.dumps(result | {"added": added, "left": left}))
"""


def test_the_keys_of_the_parent_are_neither_read_nor_written() -> None:
    if platform.machine() not in sandbox_calls.CALLS:
        pytest.skip("the numbers of the calls are not known here")
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(HERE), *sys.path])}
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(WITH_A_KEY)], env=env, capture_output=True, timeout=60)
    result = json.loads(done.stdout)
    if result["added"] != "done" or not result["walls"]["no_keys"]:
        pytest.skip("the kernel gives no keys here, or system calls cannot be refused, as the result says")
    assert {result[act] for act in ("add", "request", "search")} == {"EACCES"}
    assert result["left"] == "ENOKEY"


def test_environment_is_scrubbed_and_the_host_is_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "AWS_SECRET_ACCESS_KEY", "HTTPS_PROXY", "LD_PRELOAD"):
        monkeypatch.setenv(name, "secret")
    result = run("look_around")
    assert "secret" not in result["environment"].values()
    assert result["environment"]["HOME"] == result["environment"]["TMPDIR"] == result["cwd"]
    assert result["marked"]
    assert (result["random"], result["quiet"]) == (8, 0)
    if result["walls"]["own_proc"]:
        assert len(result["processes"]) == 2
    if result["walls"]["own_devices"]:
        computing = {"null", "zero", "full", "random", "urandom"}
        assert {d for d in result["devices"] if not d.startswith(("nvidia", "card", "render", "kfd"))} <= computing
    if result["walls"]["no_run"]:
        assert result["run"] == []


def test_nothing_is_written_outside_its_folder(tmp_path: Path, own_temporary_folder: Path) -> None:
    victims = [tmp_path / "victim", own_temporary_folder / "victim"]
    for victim in victims:
        victim.write_text("as it was")
        victim.chmod(0o666)
    before = [(v.stat().st_mode, v.stat().st_mtime_ns, v.stat().st_nlink) for v in victims]
    tmp_path.chmod(0o777)
    places: list[str | Path] = [tmp_path, own_temporary_folder, HERE, HERE.parents[1], Path.home(), cache_folder()]
    places += ["/", "/etc", "/proc", "/run", "/tmp", "/var/tmp", "/dev", "/sys", os.getcwd()]
    # What changes the whole machine, if root started the sandbox and its walls had a hole.
    opened = ["/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", *glob("/sys/kernel/uevent_helper")]
    opened += [str(p) for p in Path("/dev").iterdir() if p.is_block_device()]
    shared = set(os.listdir("/dev/shm")) if os.path.isdir("/dev/shm") else set()
    job = {"places": [str(p) for p in places], "victims": [str(v) for v in victims], "opened": opened}
    result = run("write_everywhere", job)
    if result["walls"]["no_run"]:  # its own, and empty
        result["done"] = [what for what in result["done"] if not what.endswith(" in /run")]
    assert result["done"] == []
    assert [v.read_text() for v in victims] == ["as it was"] * 2
    assert [(v.stat().st_mode, v.stat().st_mtime_ns, v.stat().st_nlink) for v in victims] == before
    assert not any(list(Path(p).glob("sandboxed*")) for p in places)
    assert "sandboxed" not in (set(os.listdir("/dev/shm")) - shared if os.path.isdir("/dev/shm") else ())
    assert [p.name for p in own_temporary_folder.iterdir()] == ["victim"]


def test_every_mount_but_its_own_is_read_only() -> None:
    result = run("look_at_mounts")
    assert result["count"] > 2
    assert set(result["writable"]) <= {result["folder"], "/dev/shm", "/run"}


SPIED_ON = """
    import json, os
    from cryptosentinel.redteam.sandbox import run_sandboxed
    print(json.dumps(run_sandboxed("sandbox_jobs:spy", {"secret": "opensesame"[::-1], "parent": os.getpid()})))
"""


def test_the_environment_of_the_parent_cannot_be_read() -> None:
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(HERE), *sys.path]), "API_KEY": "opensesame"[::-1]}
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(SPIED_ON)], env=env, capture_output=True, timeout=60)
    result = json.loads(done.stdout)
    assert result["found"] == []
    if result["walls"]["own_proc"]:
        assert result["signalled"] == "ESRCH"


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
    ("name", "limits", "message"),
    [
        ("eat_shared_memory", Limits(memory_bytes=256 << 20, wall_s=60.0), "more than 0.25 GiB of memory"),
        ("eat_together", Limits(memory_bytes=256 << 20, wall_s=60.0), "more than 0.25 GiB of memory"),
        ("fork_bomb", Limits(processes=48, wall_s=60.0), "more than 48 processes|Resource temporarily unavailable"),
        ("grow_a_file", Limits(file_bytes=8 << 20, wall_s=60.0), "File too large"),
    ],
)
def test_limits_hold_for_all_processes_together(
    name: str, limits: Limits, message: str, own_temporary_folder: Path
) -> None:
    if not run("behave")["walls"]["own_proc"] and name != "grow_a_file":
        pytest.skip("the kernel gives no /proc of its own here, as the result says")
    with pytest.raises(SandboxError, match=message):
        run(name, {"most": 400}, limits=limits)
    assert left(own_temporary_folder) == []


def test_files_in_memory_count(own_temporary_folder: Path) -> None:
    walls = run("behave")["walls"]
    if not walls["own_proc"] or not walls["own_shm"]:
        pytest.skip("the kernel gives no /proc or /dev/shm of its own here, as the result says")
    for files, message in ((1, "more than 0.25 GiB of memory"), (4, "more than 0.25 GiB of memory|No space left")):
        with pytest.raises(SandboxError, match=message):
            run("eat_files_in_memory", {"files": files}, limits=Limits(memory_bytes=256 << 20, wall_s=60.0))
    assert left(own_temporary_folder) == []


def test_no_memory_is_made_that_no_process_maps() -> None:
    result = run("hide_memory", limits=Limits(memory_bytes=256 << 20, wall_s=60.0))
    if result["walls"]["no_hidden_memory"]:
        assert set(result["made"].values()) == {"EACCES"}, result["made"]
    if result["walls"]["own_shm"]:
        assert result["shm"] <= 256 << 20


def test_memory_that_processes_share_is_counted_once() -> None:
    assert run("share_memory", limits=Limits(memory_bytes=256 << 20, wall_s=60.0))["kept"] == 120 << 20


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


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (FORBID.format(call="unshare"), "Operation not permitted"),
        (FORBID.format(call="syscall"), "the file system cannot be made read-only"),
        ("walls.open_ways = lambda: ['interface eth0']", "the network namespace is not empty: interface eth0"),
    ],
)
def test_it_refuses_where_it_cannot_isolate(
    change: str, message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, own_temporary_folder: Path
) -> None:
    weaken(monkeypatch, tmp_path, change)
    with pytest.raises(SandboxError, match=rf"cannot isolate \(.*{message}.*--sandbox process"):
        run("behave")
    assert run("behave", isolation="process")["sandbox"] == "process"
    assert left(own_temporary_folder) == []


def test_a_folder_that_cannot_be_made_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    weaken(monkeypatch, tmp_path, "import os; os.mkdir = lambda *_: (_ for _ in ()).throw(OSError(28, 'disk full'))")
    with pytest.raises(SandboxError, match=r"cannot make its folder .*disk full"):
        run("behave")
