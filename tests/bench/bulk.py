"""`make bench`, part `bulk`: cache-all, restore --all and single reads beside bare libpq doing the same, in one run.

The two sides take turns, and change who is first; each starts from a checkpoint and synced disks. A ratio is ours over
the yardstick's, the median over the rounds of each round's own ratio. Nothing is asserted: numbers are to be read.

Environment: BENCH_SCALE (1: multiplies the numbers of images), BENCH_ROUNDS (3), BENCH_CONNECTIONS (3),
BENCH_ONLY (comma list of "20 KB", "200 KB", "5 MB", "unchanged"), BENCH_DIR (build/bench: where database and files
lie), PERDURA_BIN. The table goes to stdout and to
build/bench/bulk.md, progress to stderr.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

TESTS = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TESTS))

import images  # noqa: E402
from servers import Postgres, dies_with_us  # noqa: E402

BUILD = TESTS.parent / "build"
TOOLS = BUILD / "bench"
PERDURA = Path(os.environ.get("PERDURA_BIN", BUILD / "release" / "perdura")).resolve()
SCALE = float(os.environ.get("BENCH_SCALE", "1"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
CONNECTIONS = int(os.environ.get("BENCH_CONNECTIONS", "3"))
ONLY = [name.strip() for name in os.environ.get("BENCH_ONLY", "").split(",") if name.strip()]
RSS_BUDGET = 128_000_000
FILES_A_FOLDER = 1000


@dataclass(frozen=True)
class Case:
    name: str
    nbytes: int
    count: int
    rows_per_transaction: int  # of the yardstick: what served it best
    restore_budget: float

    @property
    def images(self) -> int:
        return max(1, round(self.count * SCALE))


CASES = [
    Case("20 KB", 20_000, 10000, 64, 0.75),
    Case("200 KB", 200_000, 2000, 16, 0.9),
    Case("5 MB", 5_000_000, 100, 2, 0.9),
]
UNCHANGED = Case("unchanged", 2_000, 100_000, 256, 0)


@dataclass(frozen=True)
class Run:
    images: int
    seconds: float
    cpu_s: float
    rss: int

    @property
    def rate(self) -> float:
        return self.images / self.seconds


@dataclass(frozen=True)
class Row:
    """One line of the table; `ours` is empty when the program was not there."""

    work: str
    case: Case
    yard: list[Run]
    ours: list[Run]
    budget: float | None  # None: for information
    rss_budget: int | None = None

    def markdown(self) -> str:
        yard_rate, yard_cpu = median(run.rate for run in self.yard), median(run.cpu_s for run in self.yard)
        cells = [self.work, f"{self.case.images} x {self.case.name}", f"{yard_rate:,.0f}"]
        if self.ours:
            ratios = [ours.rate / yard.rate for ours, yard in zip(self.ours, self.yard)]
            ratio, rss = median(ratios), max(run.rss for run in self.ours)
            cells += [f"{median(run.rate for run in self.ours):,.0f}"]
            cells += [f"{ratio:.2f} ({min(ratios):.2f} to {max(ratios):.2f})"]
            cells += [f">= {self.budget} {verdict(ratio >= self.budget)}" if self.budget else ""]
            cells += [f"{rss / 1e6:.0f} MB {verdict(rss < self.rss_budget) if self.rss_budget else ''}".strip()]
            cells += [f"{median(run.cpu_s for run in self.ours):.2f} / {yard_cpu:.2f}"]
        else:
            cells += ["not built", "", f">= {self.budget}", "", f"/ {yard_cpu:.2f}"]
        return "| " + " | ".join(cells) + " |"


def verdict(kept: bool) -> str:
    return "ok" if kept else "**MISS**"


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def wanted(case: Case) -> bool:
    return not ONLY or case.name in ONLY


class Bench:
    def __init__(self, server: Postgres, folder: Path) -> None:
        self.server = server
        self.folder = folder
        self.folders = 0
        self.fresh_media()
        server.create_database("migrated")
        self.perdura("migrated", "migrate")

    # Running things

    def run(self, argv: list[Any], env: dict[str, str]) -> tuple[dict[str, Any], Run]:
        """What it printed (JSON, or nothing) and what it took; `images` of the Run is 0."""
        usage, errors = self.folder / "usage.json", self.folder / "stderr"
        with open(errors, "wb") as stderr:
            done = subprocess.run(
                dies_with_us([TOOLS / "measure", usage, *argv]),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                cwd=self.folder,
                env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8", **env},
            )
        if done.returncode != 0:
            tail = "\n".join(errors.read_text(errors="replace").splitlines()[-20:])
            sys.exit(f"bulk: {' '.join(map(str, argv))}: exit {done.returncode}\n{tail}")
        took = json.loads(usage.read_text())
        answer = json.loads(done.stdout) if done.stdout.startswith(b"{") else {}
        return answer, Run(0, took["seconds"], took["cpu_user"] + took["cpu_sys"], took["maxrss"])

    def environment(self, database: str) -> dict[str, str]:
        return {
            "HOME": str(self.folder),
            "DATABASE_URL": self.server.url(database),
            "PERDURA_MEDIA_ROOT": str(self.media),
            "PERDURA_CACHE_DIR": str(self.folder / "cache"),
            "PERDURA_DB_POOL": str(CONNECTIONS + 1),  # one is LISTEN's
        }

    def perdura(self, database: str, *args: str, counted: str = "", images_wanted: int = 0) -> Run:
        """Wall time of the whole process. With `counted`, the JSON answer must say that all images were done."""
        answer, run = self.run([PERDURA, *args], self.environment(database))
        if counted and (answer.get(counted) != images_wanted or answer.get("failed") != 0):
            sys.exit(f"bulk: perdura {' '.join(args)}: {images_wanted} {counted} expected: {answer}")
        return Run(images_wanted, run.seconds, run.cpu_s, run.rss)

    def tool(self, *argv: Any, database: str) -> Run:
        """yardstick or single_get: they connect first and count only what follows."""
        answer, run = self.run([*argv, self.server.url(database)], self.environment(database))
        return Run(answer["images"], answer["seconds"], answer["cpu_user"] + answer["cpu_sys"], run.rss)

    def settle(self) -> None:
        self.server.execute("CHECKPOINT")
        os.sync()

    def rounds(self, *sides: Callable[[], Run], times: int = ROUNDS) -> list[list[Run]]:
        """Each side `times` times, in turns; results in the order of the sides."""
        results: list[list[Run]] = [[] for _ in sides]
        for number in range(times):
            order = list(range(len(sides)))
            for index in order if number % 2 == 0 else reversed(order):
                results[index].append(sides[index]())
        return results

    # Preparing

    def fresh_database(self, name: str) -> str:
        self.server.drop_database(name)
        self.server.create_database(name, "migrated")
        self.settle()
        return name

    def make_files(self, case: Case) -> None:
        say(f"{case.name}: making {case.images} files")
        for number in range(case.images):
            folder = self.media / f"{number // FILES_A_FOLDER:03}"
            if number % FILES_A_FOLDER == 0:
                folder.mkdir()
            (folder / f"{number:06}.jpg").write_bytes(images.sized("jpeg", case.nbytes, number))

    def fresh_media(self) -> None:
        """An empty folder, as after a deploy. The old one stays to the end: for a minute or so ext4 passes over inodes
        that were just freed, one by one, and would be what is measured."""
        self.folders += 1
        self.media = self.folder / f"media-{self.folders}"
        self.media.mkdir()

    # Measuring

    def cache_all(self, case: Case) -> list[Row]:
        insert = [TOOLS / "yardstick", "insert", "-c", CONNECTIONS, "-n", case.images, "-s", case.nbytes]
        argv = [str(arg) for arg in [*insert, "-k", case.rows_per_transaction]]

        def yard() -> Run:
            return self.tool(*argv, database=self.fresh_database("yard"))

        def ours() -> Run:
            database = self.fresh_database("ours")
            return self.perdura(database, "cache-all", "--json", counted="cached", images_wanted=case.images)

        yard_runs, our_runs = self.rounds(yard, ours)
        self.server.drop_database("yard")
        return [Row("cache-all / INSERT", case, yard_runs, our_runs, 0.9, RSS_BUDGET)]

    def restore(self, case: Case) -> list[Row]:
        def copy(connections: int) -> Run:
            self.settle()
            return self.tool(TOOLS / "yardstick", "copy", "-c", str(connections), database="ours")

        def ours() -> Run:
            self.fresh_media()
            self.settle()
            run = self.perdura("ours", "restore", "--all", "--json", counted="restored", images_wanted=case.images)
            there = sum(1 for path in self.media.rglob("*.jpg") if path.stat().st_size == case.nbytes)
            if there != case.images:
                sys.exit(f"bulk: restore: {there} of {case.images} files are there")
            return run

        one, our_runs, all_of_them = self.rounds(lambda: copy(1), ours, lambda: copy(CONNECTIONS))
        return [
            Row("restore --all / COPY", case, one, our_runs, case.restore_budget, RSS_BUDGET),
            Row(f"restore --all / COPY x {CONNECTIONS}", case, all_of_them, our_runs, None),
        ]

    def single_get(self, case: Case) -> list[Row]:
        """Reads that wait for each other, and reads of which eight at a time wait for one connection."""

        def side(*argv: Any) -> Callable[[], Run]:
            def measured() -> Run:
                self.settle()
                return self.tool(*argv, "-c", str(CONNECTIONS), database="ours")

            return measured

        self.fresh_media()
        sides = [side(TOOLS / "yardstick", "select")]
        sides += [side(TOOLS / "single_get", "-w", waiting) for waiting in ("8", "1")]
        yard, together, alone = self.rounds(*sides, times=3 * ROUNDS)  # each takes but a fraction of a second
        return [
            Row("single get, 8 waiting / SELECT", case, yard, together, 0.9),
            Row("single get, 1 waiting / SELECT", case, yard, alone, None),
        ]

    def case(self, case: Case) -> list[Row]:
        self.make_files(case)
        rows: list[Row] = []
        for part in (self.cache_all, self.restore, self.single_get):
            for row in part(case):
                say(row.markdown())
                rows.append(row)
        self.fresh_media()
        return rows

    def unchanged(self) -> str:
        case = UNCHANGED
        self.make_files(case)
        database = self.fresh_database("ours")
        first = self.perdura(database, "cache-all", "--json", counted="cached", images_wanted=case.images)

        def again() -> Run:
            self.settle()
            return self.perdura(database, "cache-all", "--json", counted="unchanged", images_wanted=case.images)

        (runs,) = self.rounds(again)
        self.fresh_media()
        rss = max(run.rss for run in [first, *runs])
        return (
            f"{case.images:,} files of 2 KB: first cache-all {first.rate:,.0f} files/s; nothing changed since: "
            f"**{median(run.rate for run in runs):,.0f} files/s**, {median(run.seconds for run in runs):.2f} s, "
            f"CPU {median(run.cpu_s for run in runs):.2f} s; peak RSS {rss / 1e6:.0f} MB {verdict(rss < RSS_BUDGET)}.\n"
        )


def table(rows: list[Row]) -> str:
    head = ["work", "images", "yardstick images/s", "ours images/s", "ratio (range)", "budget", "our peak RSS"]
    head.append("CPU s, ours / yardstick")
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    return "\n".join([*lines, *(row.markdown() for row in rows)]) + "\n"


def main() -> None:
    for program in (PERDURA, TOOLS / "yardstick", TOOLS / "measure"):
        if not program.exists():
            sys.exit(f"bulk: {program} is missing: run it as `make bench`")
    folder = Path(tempfile.mkdtemp(prefix="bulk-", dir=os.environ.get("BENCH_DIR", TOOLS)))
    folder.chmod(0o755)  # the server's user passes through
    try:
        with Postgres(folder / "pg", settings=Postgres.BENCH_SETTINGS) as server:
            bench = Bench(server, folder)
            rows = [row for case in CASES if wanted(case) for row in bench.case(case)]
            report = f"Medians of {ROUNDS} rounds (single get: {3 * ROUNDS}), {CONNECTIONS} connections, "
            report += f"{os.cpu_count()} cores, scale {SCALE:g}.\n"
            if rows:
                report += "\n" + table(rows)
            if wanted(UNCHANGED):
                report += "\n" + bench.unchanged()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    (TOOLS / "bulk.md").write_text(report)
    print(report, end="")


if __name__ == "__main__":
    main()
