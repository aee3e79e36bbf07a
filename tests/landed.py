"""The version that users run today, built from the repository's history: what it and the present one do to each other's
stores can only be found out with both."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COMMIT = "8b454e1"  # version 0.1.0
BUILD_S = 1800
NOT_ITS_OWN = ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "SAN", "DEVELOPER", "B", "CFLAGS", "LDFLAGS")


def missing() -> str:
    """Why it can't be built; empty when it can."""
    found = shutil.which("git") and subprocess.run(
        ["git", "-C", ROOT, "cat-file", "-e", f"{COMMIT}^{{commit}}"], stderr=subprocess.DEVNULL
    )
    return "" if found and found.returncode == 0 else f"the history of this repository does not have {COMMIT}"


def landed_binary() -> Path:
    """Built once for each commit, in build/landed; others wait meanwhile."""
    folder = ROOT / "build" / "landed" / COMMIT
    binary = folder / "build" / "release" / "perdura"
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder.parent / f"{COMMIT}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not binary.exists():
            archive = subprocess.run(["git", "-C", ROOT, "archive", COMMIT], check=True, capture_output=True).stdout
            subprocess.run(["tar", "-x", "-C", folder], input=archive, check=True)
            env = {name: value for name, value in os.environ.items() if name not in NOT_ITS_OWN}
            make = ["make", "-s", f"-j{os.cpu_count()}", "CFLAGS=-O0", "all"]  # no test measures its speed
            built = subprocess.run(make, cwd=folder, env=env, timeout=BUILD_S, capture_output=True, text=True)
            assert built.returncode == 0 and binary.exists(), built.stdout + built.stderr
    return binary
