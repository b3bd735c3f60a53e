"""Which system calls are refused inside the sandbox? The standard library only, as for the other walls."""

from __future__ import annotations

import ctypes
import errno
import platform
import struct

PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 22, 2
X32_BIT = 0x40000000
LOAD, EQUAL, AT_LEAST, ANY_BIT, GIVE = 0x20, 0x15, 0x35, 0x45, 0x06  # of classic BPF
NUMBER, MACHINE, FIRST_ARGUMENT = 0, 4, 16  # where a filter finds them
ALLOW, ERROR = 0x7FFF0000, 0x00050000
CLONE_NEW = 0x7E020000  # any namespace that clone can make
CLONE3 = 435
# By machine: the kernel's name of it, the number of clone, and the numbers of what is refused.
CALLS = {
    "x86_64": (
        0xC000003E,
        56,
        {
            **{"socket": 41, "io_uring_setup": 425},
            **{"memfd_create": 319, "memfd_secret": 447, "shmget": 29},
            **{"add_key": 248, "request_key": 249, "keyctl": 250},
            **{"unshare": 272, "setns": 308},
        },
    ),
    "aarch64": (
        0xC00000B7,
        220,
        {
            **{"socket": 198, "io_uring_setup": 425},
            **{"memfd_create": 279, "memfd_secret": 447, "shmget": 194},
            **{"add_key": 217, "request_key": 218, "keyctl": 219},
            **{"unshare": 97, "setns": 268},
        },
    ),
}
WALLS = ("no_sockets", "no_hidden_memory", "no_keys", "no_namespaces")

libc = ctypes.CDLL(None, use_errno=True)


def forbid_calls() -> dict[str, bool]:
    """Refuse them from now on, here and in every descendant; which walls stand: all, or none where it cannot be done.

    No call makes a socket: whatever lies outside the network namespace (unix sockets with a name in the file system,
    vsock) is closed by this alone. A pair of sockets, both ends of which are ours, can still be made. No call makes
    memory that is held by a descriptor or a number: where it is not mapped, nobody sees who has it. None touches the
    kernel's keys, which are those of whoever started us, and none enters a namespace: one of users would give back the
    capabilities to mount.
    """
    return dict.fromkeys(WALLS, _filtered())


def _filtered() -> bool:
    if platform.machine() not in CALLS or not hasattr(libc, "prctl"):
        return False
    rows = _rows(*CALLS[platform.machine()])
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *row) for row in rows))
    header = struct.pack("HP", len(rows), ctypes.addressof(program))
    return bool(libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, header, 0, 0) == 0)


def _rows(machine: int, clone: int, refused: dict[str, int]) -> list[tuple[int, int, int, int]]:
    """The filter: (what, rows to skip if so, if not, value) each."""
    refuse, missing = (GIVE, 0, 0, ERROR | errno.EACCES), (GIVE, 0, 0, ERROR | errno.ENOSYS)
    rows = [(LOAD, 0, 0, MACHINE), (EQUAL, 1, 0, machine), refuse, (LOAD, 0, 0, NUMBER)]
    for call in refused.values():
        rows += [(EQUAL, 0, 1, call), refuse]
    rows += [(AT_LEAST, 0, 1, X32_BIT), refuse]
    rows += [(EQUAL, 0, 1, CLONE3), missing]  # its flags are out of a filter's sight; the C library then takes clone
    rows += [(EQUAL, 0, 3, clone), (LOAD, 0, 0, FIRST_ARGUMENT), (ANY_BIT, 0, 1, CLONE_NEW), refuse]
    return [*rows, (GIVE, 0, 0, ALLOW)]
