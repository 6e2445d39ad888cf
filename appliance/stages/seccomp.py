"""Which system calls a process may make from now on: a seccomp filter, built here and installed.

    program = build(Policy(allow=("read", "write"), rules={"mmap": [[(2, PROT_EXEC, 0)]]}))
    install(program)                    every thread of this process, and for good

The filter is classic BPF over struct seccomp_data (seccomp(2)): the number of the call, the
architecture, six arguments. A call by another architecture's numbers ends the process. Numbers are
those of Linux on x86-64 and arm64; a test compares them with the kernel's headers.
"""

import ctypes
import errno
import os
import platform
import struct
from dataclasses import dataclass, field

NO = -1                       # this architecture has no such call
NUMBERS = {
    "accept": (43, 202), "accept4": (288, 242), "adjtimex": (159, 171), "bind": (49, 200),
    "bpf": (321, 280), "clock_adjtime": (305, 266),
    "brk": (12, 214), "capset": (126, 91), "clock_getres": (229, 114), "clock_gettime": (228, 113),
    "clock_nanosleep": (230, 115), "clone": (56, 220), "clone3": (435, 435), "close": (3, 57),
    "connect": (42, 203), "dup": (32, 23), "dup2": (33, NO), "dup3": (292, 24),
    "epoll_create1": (291, 20), "epoll_ctl": (233, 21), "epoll_pwait": (281, 22),
    "epoll_wait": (232, NO), "execve": (59, 221), "execveat": (322, 281), "exit": (60, 93),
    "exit_group": (231, 94), "faccessat": (269, 48), "faccessat2": (439, 439),
    "fadvise64": (221, 223), "fallocate": (285, 47), "fchmod": (91, 52), "fchown": (93, 55),
    "fcntl": (72, 25), "fdatasync": (75, 83), "finit_module": (313, 273), "flock": (73, 32),
    "fstat": (5, 80), "fstatfs": (138, 44), "fsync": (74, 82), "ftruncate": (77, 46),
    "futex": (202, 98), "getcwd": (79, 17), "getdents64": (217, 61), "getegid": (108, 177),
    "geteuid": (107, 175), "getgid": (104, 176), "getpeername": (52, 205), "getpid": (39, 172),
    "getppid": (110, 173), "getrandom": (318, 278), "getrusage": (98, 165),
    "getsockname": (51, 204), "getsockopt": (55, 209), "gettid": (186, 178),
    "gettimeofday": (96, 169), "getuid": (102, 174), "init_module": (175, 105),
    "io_uring_setup": (425, 425), "ioctl": (16, 29), "kexec_load": (246, 104),
    "keyctl": (250, 219), "kill": (62, 129), "landlock_add_rule": (445, 445),
    "landlock_create_ruleset": (444, 444), "landlock_restrict_self": (446, 446), "lseek": (8, 62),
    "lstat": (6, NO), "madvise": (28, 233), "membarrier": (324, 283), "memfd_create": (319, 279),
    "mkdirat": (258, 34), "mmap": (9, 222), "mount": (165, 40), "mprotect": (10, 226),
    "mremap": (25, 216), "msync": (26, 227), "munmap": (11, 215), "nanosleep": (35, 101),
    "newfstatat": (262, 79), "open": (2, NO), "open_by_handle_at": (304, 265), "openat": (257, 56),
    "openat2": (437, 437), "perf_event_open": (298, 241), "personality": (135, 92),
    "pidfd_getfd": (438, 438), "pivot_root": (155, 41), "pkey_mprotect": (329, 288),
    "poll": (7, NO), "ppoll": (271, 73), "prctl": (157, 167), "pread64": (17, 67),
    "preadv": (295, 69), "preadv2": (327, 286), "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271), "pselect6": (270, 72), "ptrace": (101, 117),
    "pwrite64": (18, 68), "pwritev": (296, 70), "pwritev2": (328, 287), "read": (0, 63),
    "readlink": (89, NO), "readlinkat": (267, 78), "readv": (19, 65), "recvfrom": (45, 207),
    "recvmmsg": (299, 243), "recvmsg": (47, 212), "rename": (82, NO), "renameat": (264, 38),
    "renameat2": (316, 276), "restart_syscall": (219, 128), "rseq": (334, 293),
    "rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139),
    "sched_getaffinity": (204, 123), "sched_getparam": (143, 121),
    "sched_getscheduler": (145, 120), "sched_setaffinity": (203, 122),
    "sched_setscheduler": (144, 119), "sched_yield": (24, 124), "seccomp": (317, 277),
    "select": (23, NO), "sendmmsg": (307, 269), "sendmsg": (46, 211), "sendto": (44, 206),
    "set_robust_list": (273, 99), "set_tid_address": (218, 96), "setns": (308, 268),
    "setsockopt": (54, 208), "shutdown": (48, 210), "sigaltstack": (131, 132), "socket": (41, 198),
    "socketpair": (53, 199), "stat": (4, NO), "statfs": (137, 43), "statx": (332, 291),
    "sysinfo": (99, 179), "tgkill": (234, 131), "umount2": (166, 39), "uname": (63, 160),
    "unlink": (87, NO), "unlinkat": (263, 35), "unshare": (272, 97), "userfaultfd": (323, 282),
    "write": (1, 64), "writev": (20, 66),
}
MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}   # column, AUDIT_ARCH
PROT_EXEC, CLONE_THREAD = 4, 0x10000
WHOLE = 0xFFFFFFFF

ALLOW, KILL = 0x7FFF0000, 0x80000000                      # SECCOMP_RET_
REFUSE, ABSENT = 0x00050000 | errno.EPERM, 0x00050000 | errno.ENOSYS
_LOAD, _AND, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x06
_X32 = 0x40000000             # x86-64 numbers of its 32-bit twin begin here
_SET_FILTER, _ACTION_AVAILABLE = 1, 2
_TSYNC, _LOG, _SPEC_ALLOW = 1, 2, 4
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Policy:
    """allow: calls of any arguments. rules: calls of some: alternatives, each a list of (argument's
    index, mask, value) that must all hold; 32 bits of an argument count. kill: calls that end the
    process. absent: calls said to be unknown, for which libc has an older one. All else gets
    `otherwise`."""

    allow: tuple[str, ...] = ()
    rules: dict = field(default_factory=dict)
    kill: tuple[str, ...] = ()
    absent: tuple[str, ...] = ("clone3",)          # its flags lie in memory, where no filter looks
    otherwise: int = REFUSE


def build(policy: Policy, machine: str = "") -> bytes:
    """The filter's instructions. OSError on a machine whose numbers are not known."""
    machine = machine or platform.machine()
    if machine not in MACHINES:
        raise OSError(errno.ENOSYS, f"no system call numbers are known on {machine}")
    column, architecture = MACHINES[machine]
    code = [_step(_LOAD, 4), _step(_EQUAL, architecture, 1, 0), _step(_RETURN, KILL),
            _step(_LOAD, 0)]
    if machine == "x86_64":
        code += [_step(_AT_LEAST, _X32, 0, 1), _step(_RETURN, KILL)]
    for names, answer in ((policy.kill, KILL), (policy.absent, ABSENT), (policy.allow, ALLOW)):
        for number in filter(lambda known: known != NO, (NUMBERS[name][column] for name in names)):
            code += [_step(_EQUAL, number, 0, 1), _step(_RETURN, answer)]
    for name, alternatives in policy.rules.items():
        if NUMBERS[name][column] != NO:
            block = _rule(alternatives)
            code += [_step(_EQUAL, NUMBERS[name][column], 0, len(block)), *block]
    return b"".join([*code, _step(_RETURN, policy.otherwise)])


def _step(operation, value, if_true=0, if_false=0) -> bytes:
    return struct.pack("=HBBI", operation, if_true, if_false, value)


def _rule(alternatives):
    """Instructions that end with the call's verdict, whichever way they are gone."""
    code = []
    for conditions in alternatives:
        part = []
        for i, (index, mask, value) in enumerate(conditions):
            left = 3 * (len(conditions) - i - 1) + 1             # to the next alternative
            part += [_step(_LOAD, 16 + 8 * index), _step(_AND, mask),
                     _step(_EQUAL, value, 0, left)]
        code += [*part, _step(_RETURN, ALLOW)]
    return [*code, _step(_RETURN, REFUSE)]


class _Program(ctypes.Structure):
    _fields_ = [("count", ctypes.c_ushort), ("code", ctypes.c_char_p)]


def install(program: bytes) -> None:
    """Binds every thread of this process and what it starts; no_new_privs must be set. OSError.

    The kernel logs what is refused where its kernel.seccomp.actions_logged says so. The
    mitigation that older kernels put on every store of a filtered process stays off: the process
    runs no code of others.
    """
    filled = _Program(len(program) // 8, program)
    for flags in (_TSYNC | _LOG | _SPEC_ALLOW, _TSYNC):
        result = _call("seccomp", _SET_FILTER, flags, ctypes.byref(filled))
        if result == 0:
            return
        if ctypes.get_errno() != errno.EINVAL:
            break
    number = errno.ESRCH if result > 0 else ctypes.get_errno()
    raise OSError(number, f"seccomp: {os.strerror(number)}")


def is_available() -> bool:
    """Whether this kernel filters calls and can end a process for one; changes nothing."""
    if platform.machine() not in MACHINES:
        return False
    action = ctypes.c_uint32(KILL)
    return _call("seccomp", _ACTION_AVAILABLE, 0, ctypes.byref(action)) == 0


def _call(name, *arguments):
    column = MACHINES[platform.machine()][0]
    return _libc.syscall(ctypes.c_long(NUMBERS[name][column]), *(
        ctypes.c_long(each) if isinstance(each, int) else each for each in arguments))


def call(name: str, *arguments) -> int:
    """A system call by its name in NUMBERS; its result, or OSError."""
    result = _call(name, *arguments)
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
    return result
