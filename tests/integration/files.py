"""What the tests put on disk, and how they look at it."""

from __future__ import annotations

import ctypes
import hashlib
import os
import pwd
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import images
import pytest
from conftest import perdura_binary

MIB = 1024 * 1024

_libc = ctypes.CDLL(None, use_errno=True)


class Print(NamedTuple):
    """What must be the same after a restore."""

    sha256: str
    size: int
    mtime_ns: int


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def write(path: Path, data: bytes, mtime_ns: int | None = None) -> Path:
    """A file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    if mtime_ns is not None:
        os.utime(path, ns=(mtime_ns, mtime_ns))
    return path


def exchange(one: Path, other: Path) -> None:
    """renameat2(2) with RENAME_EXCHANGE: at no moment is either name without anything."""
    if _libc.renameat2(-100, os.fsencode(one), -100, os.fsencode(other), 2) != 0:
        raise OSError(ctypes.get_errno(), "renameat2")


def picture(path: Path, seed: object = 1, mtime_ns: int | None = None) -> bytes:
    """A small PNG; returns its bytes."""
    data = images.make("png", seed)
    write(path, data, mtime_ns)
    return data


def fingerprint(root: Path) -> dict[str, Print]:
    """Every file beneath root, by its path; our own temporary files are no exception."""
    found = {}
    for folder, _, names in os.walk(root):
        for name in names:
            path = os.path.join(folder, name)
            with open(path, "rb") as file:
                data = file.read()
                found[os.path.relpath(path, root)] = Print(sha256(data), len(data), os.fstat(file.fileno()).st_mtime_ns)
    return found


def names(root: Path) -> set[str]:
    """Paths of everything beneath root that is no folder."""
    return {os.path.relpath(os.path.join(folder, name), root) for folder, _, found in os.walk(root) for name in found}


def someone_unprivileged() -> dict[str, Any]:
    """Arguments of Perdura.run() for a user whom permissions bind: root reads and writes everything."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    try:
        subprocess.run([perdura_binary(), "version"], check=True, stdout=subprocess.DEVNULL, **user)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("nobody can't run the program where it lies")
    return user


def give(path: Path) -> None:
    """Makes that user the owner."""
    user = someone_unprivileged()
    if user:
        os.chown(path, user["user"], user["group"], follow_symlinks=False)
