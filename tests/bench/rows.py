"""`make bench`, part `rows`: what status, list and cleanup --dry-run cost at a million rows.

The rows are made in SQL with small payloads. For each query: the server's time (EXPLAIN ANALYZE, median), the plan, and
how many blocks of TOAST it read (none: image_data is never touched); for each command: wall time. Nothing is asserted.

Environment: BENCH_ROWS (1000000), PERDURA_BIN. The report goes to stdout and to build/bench/rows.md.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

TESTS = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TESTS))

from servers import Postgres  # noqa: E402

TOOLS = TESTS.parent / "build" / "bench"
SQL = TESTS.parent / "sql"
PERDURA = Path(os.environ.get("PERDURA_BIN", TESTS.parent / "build" / "release" / "perdura")).resolve()
ROWS = int(os.environ.get("BENCH_ROWS", "1000000"))
TIMES = 5
BUDGET_MS = 50

FILL = """
INSERT INTO image_cache (collection, original_path, content_type, object_id, variant, image_data, file_size,
                         content_type_header, sha256, width, height, last_accessed, access_count, source_mtime)
SELECT CASE WHEN i % 10 = 0 THEN 'avatars' ELSE 'media' END, format('products/%s/%s.jpg', i % 1000, i),
       'loyalty.product', i::text, 'cover', repeat('QUJD', 1000), 3000, 'image/gif', sha256(i::text::bytea), 1, 1,
       now() - random() * interval '180 days', (random() * 1000)::int, now() - interval '1 year'
FROM generate_series(1, ROWS) AS i
"""

# The parameters as the program would send them in the worst place of its range.
QUERIES: dict[str, list[str]] = {
    "status_counts": [],
    "status_server": [],
    "job_recent": [],
    "image_list_path": ["'media'", "'products/500/'", "''", "1000"],
    "image_list_hot": ["'{media,avatars}'", "now() - interval '100 days'", "500", "500000", "1000"],
    "image_list_trash": ["'media'", "now()", "500000", "1000"],
    "cleanup_count": ["90"],
    "trash_count": ["30"],
}
COMMANDS = [["status"], ["list", "--limit", "1000"], ["list", "--hottest", "--limit", "1000"], ["cleanup", "--days", "90", "--dry-run"]]


def toast_blocks(cursor: Any) -> int:
    cursor.execute("SELECT pg_stat_clear_snapshot()")
    cursor.execute("SELECT toast_blks_read + toast_blks_hit FROM pg_statio_user_tables WHERE relname = 'image_cache'")
    return int(cursor.fetchone()[0])


def explain(cursor: Any, name: str, parameters: list[str]) -> tuple[float, str]:
    cursor.execute(f"DEALLOCATE ALL; PREPARE q AS {(SQL / (name + '.sql')).read_text()}")
    call = "EXECUTE q" + (f"({', '.join(parameters)})" if parameters else "")
    times, plan = [], ""
    for _ in range(TIMES):
        cursor.execute("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + call)
        answer = cursor.fetchone()[0][0]
        times.append(answer["Planning Time"] + answer["Execution Time"])
    cursor.execute("EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) " + call)
    plan = "\n".join(row[0] for row in cursor.fetchall())
    return median(times), plan


def measure(server: Postgres, database: str, env: dict[str, str]) -> str:
    lines = [f"{ROWS:,} rows.", "", "| query | server ms | budget |", "| --- | --- | --- |"]
    plans: list[str] = []
    with server.connect(database) as connection, connection.cursor() as cursor:
        before = toast_blocks(cursor)
        for name, parameters in QUERIES.items():
            took_ms, plan = explain(cursor, name, parameters)
            lines.append(f"| {name} | {took_ms:.1f} | < {BUDGET_MS} {'ok' if took_ms < BUDGET_MS else '**MISS**'} |")
            plans.append(f"{name}\n{plan}\n")
    with server.connect(database) as connection, connection.cursor() as cursor:  # a backend reports as it goes
        lines += ["", f"Blocks of TOAST read by all of them: {toast_blocks(cursor) - before}", ""]
    lines += ["| command | wall ms |", "| --- | --- |"]
    for command in COMMANDS:
        times = []
        for _ in range(TIMES):
            start = time.monotonic()
            subprocess.run([PERDURA, *command], env=env, check=True, stdout=subprocess.DEVNULL)
            times.append((time.monotonic() - start) * 1000)
        lines.append(f"| perdura {' '.join(command)} | {median(times):.0f} |")
    return "\n".join(lines) + "\n\n```\n" + "\n".join(plans) + "```\n"


def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="rows-", dir=TOOLS))
    folder.chmod(0o755)  # the server's user passes through
    try:
        with Postgres(folder / "pg", settings=Postgres.BENCH_SETTINGS) as server:
            url = server.create_database("million")
            env = {"PATH": os.environ.get("PATH", os.defpath), "DATABASE_URL": url}
            env["PERDURA_COLLECTIONS"] = "avatars=./avatars"
            subprocess.run([PERDURA, "migrate"], env=env, check=True, stdout=subprocess.DEVNULL)
            server.execute(FILL.replace("ROWS", str(ROWS)), "million")
            server.execute("UPDATE image_cache SET deleted_at = now() WHERE id % 50 = 0", "million")
            server.execute("VACUUM ANALYZE", "million")
            report = measure(server, "million", env)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    (TOOLS / "rows.md").write_text(report)
    print(report, end="")


if __name__ == "__main__":
    main()
