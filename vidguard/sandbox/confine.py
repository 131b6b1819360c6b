"""What a process gives up before it reads a file that may be hostile: Linux only, and never to be had back.

Each layer stands alone: a kernel without one still has the others, and `confine` names those that hold.
"""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from struct import pack
from typing import Final

# Of linux/prctl.h, linux/landlock.h, linux/capability.h.
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NAME, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 1, 4, 15, 22, 38
_PR_SET_VMA: Final = 0x53564D41  # glibc names its memory with it
_SECCOMP_MODE_FILTER: Final = 2
_LANDLOCK_CREATE, _LANDLOCK_RESTRICT, _LANDLOCK_VERSION = 444, 446, 1
_CAPABILITY_VERSION_3: Final = 0x20080522

_MAX_DESCRIPTORS: Final = 32
"""Standard streams, the channel, the source and one batch's memory; the rest is room for libraries."""


def confine(*, memory_bytes: int, cpu_seconds: int) -> tuple[str, ...]:
    """Confine this process, which must have one thread only, and name the layers that hold.

    memory_bytes: address space that may be taken beyond what is taken now. From here on no file can be opened, nor any
    created, no socket, no process, and no code but what is loaded: import and open before. The process ends with its
    parent.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)  # no core, not even where cores are piped to a program
    _limit(memory_bytes, cpu_seconds)
    _drop_capabilities(libc)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    layers = [f"memory limit {memory_bytes / 2**30:g} GiB"]
    if _landlock(libc):
        layers.append("landlock")
    if _seccomp(libc):
        layers.append("seccomp")
    return tuple(reversed(layers))


def _limit(memory_bytes: int, cpu_seconds: int) -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    for what, most in (
        (resource.RLIMIT_AS, pages * os.sysconf("SC_PAGE_SIZE") + memory_bytes),
        (resource.RLIMIT_CPU, cpu_seconds),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, _MAX_DESCRIPTORS),
        (resource.RLIMIT_MEMLOCK, 0),
    ):
        # a second between, so that the end by CPU time has its own signal
        wanted = (most, most + (what == resource.RLIMIT_CPU))
        hard = resource.getrlimit(what)[1]  # may only be lowered
        if hard != resource.RLIM_INFINITY:
            wanted = (min(wanted[0], hard), min(wanted[1], hard))
        resource.setrlimit(what, wanted)


def _drop_capabilities(libc: ctypes.CDLL) -> None:
    """Root's powers, where this is root: raising limits again is one of them."""
    libc.capset(pack("=Ii", _CAPABILITY_VERSION_3, 0), pack("=6I", *[0] * 6))


def _landlock(libc: ctypes.CDLL) -> bool:
    """Handle every access that this kernel's Landlock knows, and grant none."""
    version = libc.syscall(_LANDLOCK_CREATE, None, ctypes.c_size_t(0), _LANDLOCK_VERSION)
    if version < 1:
        return False
    files = (1 << (13 + (version >= 2) + (version >= 3) + (version >= 5))) - 1
    network = 0b11 if version >= 4 else 0
    scopes = 0b11 if version >= 6 else 0
    attributes = pack("=QQQ", files, network, scopes)[: 24 if scopes else 16 if network else 8]
    rules = libc.syscall(_LANDLOCK_CREATE, attributes, ctypes.c_size_t(len(attributes)), 0)
    if rules < 0:
        return False
    try:
        return bool(libc.syscall(_LANDLOCK_RESTRICT, rules, 0) == 0)
    finally:
        os.close(rules)


# ---- seccomp: which system calls are left ----

_MACHINES: Final = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
"""AUDIT_ARCH_* of linux/audit.h, and which column of the tables below holds."""
# (x86-64, aarch64); None where a machine has no such call. Reading and writing what is open, memory, threads, time.
_ALLOWED: Final[dict[str, tuple[int | None, int | None]]] = {
    "read": (0, 63),
    "readv": (19, 65),
    "write": (1, 64),
    "writev": (20, 66),
    "pread64": (17, 67),
    "lseek": (8, 62),
    "close": (3, 57),
    "fstat": (5, 80),
    "newfstatat": (262, 79),
    "munmap": (11, 215),
    "mremap": (25, 216),
    "madvise": (28, 233),
    "brk": (12, 214),
    "futex": (202, 98),
    "sched_yield": (24, 124),
    "sched_getaffinity": (204, 123),
    "sched_getparam": (143, 121),
    "sched_getscheduler": (145, 120),
    "sched_get_priority_max": (146, 125),
    "sched_get_priority_min": (147, 126),
    "getpid": (39, 172),
    "gettid": (186, 178),
    "getppid": (110, 173),
    "clock_gettime": (228, 113),
    "clock_getres": (229, 114),
    "clock_nanosleep": (230, 115),
    "nanosleep": (35, 101),
    "gettimeofday": (96, 169),
    "time": (201, None),
    "getcpu": (309, 168),
    "getrandom": (318, 278),
    "getrusage": (98, 165),
    "times": (100, 153),
    "uname": (63, 160),
    "sysinfo": (99, 179),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "sigaltstack": (131, 132),
    "restart_syscall": (219, 128),
    "exit": (60, 93),
    "exit_group": (231, 94),
    "set_robust_list": (273, 99),
    "rseq": (334, 293),
    "set_tid_address": (218, 96),
    "membarrier": (324, 283),
    "poll": (7, None),
    "ppoll": (271, 73),
    "recvfrom": (45, 207),
    "recvmsg": (47, 212),
    "sendto": (44, 206),
    "sendmsg": (46, 211),
    "shutdown": (48, 210),
}
_MMAP, _MPROTECT, _CLONE = (9, 222), (10, 226), (56, 220)
_CLONE3, _PRCTL, _TGKILL, _PRLIMIT, _FCNTL = (435, 435), (157, 167), (234, 131), (302, 261), (72, 25)
_PROT_EXEC, _CLONE_THREAD = 4, 0x10000
_HARMLESS_FCNTL: Final = (1, 2, 3, 1030)  # F_GETFD, F_SETFD, F_GETFL, F_DUPFD_CLOEXEC

_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000  # SECCOMP_RET_*
_EPERM, _ENOSYS = 1, 38
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06  # BPF_LD|W|ABS, BPF_JMP|*|K, BPF_RET|K
_NUMBER_AT, _MACHINE_AT, _ARGUMENTS_AT = 0, 4, 16  # of struct seccomp_data; arguments have 8 bytes each
_X32: Final = 0x40000000  # x86-64's other calling convention has the same machine and numbers of its own

_Instruction = tuple[int, int, int, int]


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def _seccomp(libc: ctypes.CDLL) -> bool:
    if platform.machine() not in _MACHINES or sys.maxsize < 2**32:  # a 32-bit Python makes other calls
        return False
    instructions = _filter(*_MACHINES[platform.machine()])
    program = _Program(len(instructions), b"".join(pack("=HBBI", *one) for one in instructions))
    return bool(libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0) == 0)


def _filter(machine: int, column: int) -> list[_Instruction]:
    """A list of what is allowed; all else is refused (EPERM), so that libraries go on without it."""
    allow, refuse = (_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _ERRNO | _EPERM)
    program: list[_Instruction] = [
        (_LOAD, 0, 0, _MACHINE_AT),
        (_EQUAL, 1, 0, machine),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER_AT),
        (_AT_LEAST, 0, 1, _X32),
        (_RETURN, 0, 0, _KILL),
    ]

    def rule(call: Sequence[int | None], *body: _Instruction) -> None:
        number = call[column]
        if number is not None:
            program.extend([(_EQUAL, 0, len(body), number), *body])

    for call in _ALLOWED.values():
        rule(call, allow)
    # no memory that is code: what is to run was loaded before
    for call in (_MMAP, _MPROTECT):
        rule(call, _argument(2), (_ANY_BIT, 0, 1, _PROT_EXEC), refuse, allow)
    rule(_CLONE, _argument(0), (_ANY_BIT, 1, 0, _CLONE_THREAD), refuse, allow)  # threads, no processes
    rule(_CLONE3, (_RETURN, 0, 0, _ERRNO | _ENOSYS))  # its flags can't be seen here; glibc then takes clone
    rule(_TGKILL, _argument(0), (_EQUAL, 1, 0, os.getpid()), refuse, allow)
    rule(_PRCTL, _argument(0), *_one_of((_PR_SET_NAME, _PR_SET_VMA), allow, refuse))
    rule(_FCNTL, _argument(1), *_one_of(_HARMLESS_FCNTL, allow, refuse))
    # limits may be asked for, not set: the new ones' address, in two halves, is null
    zero = (_EQUAL, 1, 0, 0)
    rule(_PRLIMIT, _argument(2), zero, refuse, (_LOAD, 0, 0, _ARGUMENTS_AT + 8 * 2 + 4), zero, refuse, allow)
    return [*program, refuse]


def _argument(index: int) -> _Instruction:
    """Load an argument's lower half; both machines are little-endian."""
    return _LOAD, 0, 0, _ARGUMENTS_AT + 8 * index


def _one_of(values: Sequence[int], allow: _Instruction, refuse: _Instruction) -> list[_Instruction]:
    return [one for value in values for one in ((_EQUAL, 0, 1, value), allow)] + [refuse]
