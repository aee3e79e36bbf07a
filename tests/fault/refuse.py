#!/usr/bin/python3
"""Runs a program under a seccomp filter that refuses some system calls, as container runtimes do.

    refuse.py openat2=ENOSYS renameat2=EPERM -- PROGRAM ARGUMENT...
"""

import ctypes
import errno
import os
import platform
import struct
import sys

NUMBERS = {
    "x86_64": {"openat2": 437, "renameat2": 316, "syncfs": 306},
    "aarch64": {"openat2": 437, "renameat2": 276, "syncfs": 267},
}[platform.machine()]

PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, SECCOMP_MODE_FILTER = 22, 38, 2
LOAD_NUMBER, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, REFUSE = 0x7FFF0000, 0x00050000

libc = ctypes.CDLL(None, use_errno=True)


class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("code", ctypes.c_char_p)]


def install(refused: dict[str, int]) -> None:
    code = struct.pack("=HBBI", LOAD_NUMBER, 0, 0, 0)
    for name, code_of_errno in refused.items():
        code += struct.pack("=HBBI", JUMP_IF_EQUAL, 0, 1, NUMBERS[name])
        code += struct.pack("=HBBI", RETURN, 0, 0, REFUSE | code_of_errno)
    code += struct.pack("=HBBI", RETURN, 0, 0, ALLOW)
    program = Program(len(code) // 8, code)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(
        PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0
    ):
        sys.exit(f"the filter can't be installed: {os.strerror(ctypes.get_errno())}")


def main() -> None:
    split = sys.argv.index("--")
    refused = {name: getattr(errno, code) for name, code in (word.split("=") for word in sys.argv[1:split])}
    install(refused)
    for name, code in refused.items():
        if libc.syscall(NUMBERS[name], -1, 0, 0, 0, 0) != -1 or ctypes.get_errno() != code:
            sys.exit(f"{name} is not refused")
    os.execv(sys.argv[split + 1], sys.argv[split + 1 :])


main()
