"""What is left to a stage that touches what participants send: its sandbox, one policy a stage.

    rights.drop(...); notify.ready(sandbox.text(...)); sandbox.enter("matcher", wanted)

entered after warm-up, when everything is open and compiled:

    seccomp     only the calls of the stage's loop. Starting a program, looking into a process,
                changing namespaces and the like end the process; every other call is refused with
                EPERM, so that a message about something unforeseen still comes out
    landlock    no file is opened any more; journal and shadow: only in their day's folder
    memory      nothing executable is mapped or made so (beside PR_SET_MDWE, and in its place
                before Linux 6.3)

What a matcher can still do: use the descriptors that it has, start threads, and ask portd for a new
port by a UNIX socket of that one kind (SOCK_SEQPACKET). A DPDK device belongs to a driver that
opens files and devices as it likes: there only the calls that end the process are kept from it.
"""

import os
import socket
from dataclasses import replace

from appliance.stages import landlock, seccomp
from appliance.stages.seccomp import ALLOW, CLONE_THREAD, PROT_EXEC, WHOLE, Policy

AUTO, OFF = "auto", "off"
DEADLY = ("execve", "execveat", "ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd",
          "setns", "unshare", "mount", "umount2", "pivot_root", "open_by_handle_at", "bpf",
          "perf_event_open", "userfaultfd", "io_uring_setup", "keyctl", "kexec_load",
          "init_module", "finit_module")
ALWAYS = (
    "read", "readv", "write", "writev", "close", "fstat", "newfstatat", "lseek", "fcntl", "dup",
    "munmap", "mremap", "madvise", "brk", "futex", "membarrier", "sched_yield", "nanosleep",
    "clock_nanosleep", "clock_gettime", "clock_getres", "gettimeofday", "poll", "ppoll", "select",
    "pselect6", "restart_syscall", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack",
    "set_robust_list", "rseq", "exit", "exit_group", "getpid", "gettid", "getppid", "getuid",
    "geteuid", "getgid", "getegid", "getrandom", "getrusage", "sched_getaffinity",
    "sched_setaffinity", "sched_getscheduler", "sched_setscheduler", "sched_getparam", "uname",
    "sysinfo")
TALK = ("sendto", "sendmsg", "sendmmsg", "recvfrom", "recvmsg", "recvmmsg", "getsockopt",
        "setsockopt", "getsockname", "getpeername", "shutdown")
FILES = ("open", "openat", "pread64", "pwrite64", "preadv", "pwritev", "preadv2", "pwritev2",
         "fadvise64", "fsync", "fdatasync", "ftruncate", "fallocate", "rename", "renameat",
         "renameat2", "unlink", "unlinkat", "getdents64", "stat", "lstat", "statx", "faccessat",
         "faccessat2", "readlink", "readlinkat", "fchmod", "fchown", "flock", "getcwd", "statfs",
         "fstatfs", "msync")
CLOCK = ("adjtimex", "clock_adjtime")       # to read its state; to set it is a capability
_FIONBIO, _FIOCLEX = 0x5421, 0x5451
NO_CODE = [[(2, PROT_EXEC, 0)]]
PORTD = [[(0, WHOLE, socket.AF_UNIX), (1, 0xF, socket.SOCK_SEQPACKET)]]


def _rules(pid):
    """Calls that depend on what they are given; signals go to process `pid` alone."""
    me = [[(0, WHOLE, pid)]]
    return {"mmap": NO_CODE, "mprotect": NO_CODE, "pkey_mprotect": NO_CODE,
            "clone": [[(0, CLONE_THREAD, CLONE_THREAD)]], "kill": me, "tgkill": me,
            "ioctl": [[(1, WHOLE, _FIONBIO)], [(1, WHOLE, _FIOCLEX)]]}


def policy(stage: str, pid: int = 0) -> Policy:
    """The system calls of a stage: "matcher", "driver" (a matcher of a DPDK device), "journal",
    "shadow" or "recovery". pid: the process, this one by default."""
    if stage == "driver":
        return Policy(kill=DEADLY, absent=(), otherwise=ALLOW)
    common = Policy(allow=ALWAYS, rules=_rules(pid or os.getpid()), kill=DEADLY)
    if stage == "matcher":
        return replace(common, allow=(*ALWAYS, *TALK, "connect", "statfs"),
                       rules=common.rules | {"socket": PORTD})
    if stage == "recovery":
        return replace(common, allow=(*ALWAYS, *TALK, "accept", "accept4", "epoll_create1",
                                      "epoll_ctl", "epoll_wait", "epoll_pwait"))
    return replace(common, allow=(*ALWAYS, *FILES, *CLOCK))


def text(stage: str, wanted: str = AUTO) -> str:
    """What `enter` will hold a stage to on this kernel, in words; changes nothing."""
    if wanted == OFF:
        return "sandbox off by configuration"
    abi, filtered = landlock.version(), seccomp.is_available()
    files = "" if stage == "driver" else f"landlock {abi}" if abi else "no landlock in this kernel"
    return "sandbox: " + ", ".join(filter(None, [
        files, "seccomp" if filtered else "no seccomp in this kernel",
        "" if stage != "driver" else "a DPDK driver opens what it likes"]))


def enter(stage: str, wanted: str = AUTO, folder=None) -> None:
    """Into the sandbox of a stage, for good; needs no_new_privs (rights.drop). folder: the one
    that it still works in. What the kernel does not have is left out, as `text` says. OSError when
    it has it and refuses."""
    if wanted == OFF:
        return
    program = seccomp.build(policy(stage)) if seccomp.is_available() else b""
    if stage != "driver":
        landlock.restrict([folder] if folder is not None else [])
    if program:
        seccomp.install(program)
