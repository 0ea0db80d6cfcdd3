"""Restricts the files a process may read, and its memory. Linux only; does nothing elsewhere."""

import ctypes
import os
import resource
import sys
from collections.abc import Iterable
from pathlib import Path

# Linux, include/uapi/linux/landlock.h; the numbers are the same on every architecture.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_RULE_PATH_BENEATH = 1
_EXECUTE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 2, 1 << 3
# All access rights of Landlock ABI 1: read, write, execute, create and remove.
_HANDLED = (1 << 13) - 1
_NO_NEW_PRIVS = 38
# Read by Python and its libraries: code, certificates, host names, time zones.
_SYSTEM: tuple[str, ...] = ("/usr", "/lib", "/lib64", "/opt", "/etc/ssl", "/etc/pki", "/etc/ld.so.cache", "/etc/hosts")
_SYSTEM += ("/etc/resolv.conf", "/etc/nsswitch.conf", "/etc/gai.conf", "/etc/localtime", "/dev", "/proc", "/sys")


def limit_memory(size: int) -> None:
    """Limit the address space, so that a large allocation fails instead of exhausting the machine."""
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_AS, (size, size))


def read_only(roots: Iterable[str | Path]) -> bool:
    """Restrict this process to reading below the roots and its own code, and to no writing.

    Call this before starting threads.

    Returns:
        Whether the system supports this (Linux with Landlock).
    """
    if sys.platform != "linux":
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    handled = ctypes.c_uint64(_HANDLED)
    ruleset = libc.syscall(_CREATE_RULESET, ctypes.byref(handled), ctypes.c_size_t(8), 0)
    if ruleset < 0:
        return False
    code = [sys.prefix, sys.base_prefix, *(entry for entry in sys.path if entry)]
    for path in {*_SYSTEM, *code, *_packages(), *(str(root) for root in roots)}:
        _allow(libc, ruleset, path)
    libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0)
    done = bool(libc.syscall(_RESTRICT_SELF, ruleset, 0) == 0)
    os.close(ruleset)
    return done


def _packages() -> set[str]:
    """Return the folders of loaded packages, because editable installs are outside `sys.path`."""
    top_level = [module for name, module in list(sys.modules.items()) if "." not in name]
    return {str(path) for module in top_level for path in getattr(module, "__path__", ())}


def _allow(libc: ctypes.CDLL, ruleset: int, path: str) -> None:
    try:
        file = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        # Missing paths need no rule.
        return
    rights = _READ_FILE | _EXECUTE | (_READ_DIR if Path(path).is_dir() else 0)
    # struct landlock_path_beneath_attr is packed: 64 bits of rights, 32 bits of file descriptor.
    rule = rights.to_bytes(8, sys.byteorder) + file.to_bytes(4, sys.byteorder)
    libc.syscall(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, rule, 0)
    os.close(file)
