"""`make bench PARTS=upload`: from close(2) of an upload by another process to its commit, beside one committed INSERT.

Uploads and INSERTs of the same bytes take turns. A commit is seen by asking for the row again and again, so the figures
hold the asking's own time, which is also printed. BENCH_UPLOADS (2000), PERDURA_BIN.
"""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

TESTS = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TESTS))

import images  # noqa: E402
from servers import Postgres, dies_with_us, wait_until  # noqa: E402

BUILD = TESTS.parent / "build"
PERDURA = Path(os.environ.get("PERDURA_BIN", BUILD / "release" / "perdura")).resolve()
UPLOADS = int(os.environ.get("BENCH_UPLOADS", "2000"))
NBYTES = 100_000
BUDGET = 3.0

# Writes each file that it is told, as an app does, and answers when the close had returned.
WRITER = """
import sys, time
data = bytearray(open(sys.argv[1], "rb").read())
for line in sys.stdin:
    path, n = line.split()
    data[-12:-4] = int(n).to_bytes(8, "big")
    with open(path, "wb") as file:
        file.write(data)
    print(time.clock_gettime_ns(time.CLOCK_MONOTONIC), flush=True)
"""


def now_ns() -> int:
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC)


def figures(name: str, ns: list[int]) -> str:
    ordered = sorted(ns)
    at = [ordered[len(ordered) * part // 1000] / 1e6 for part in (500, 900, 990)]
    return f"| {name} | {at[0]:.2f} | {at[1]:.2f} | {at[2]:.2f} | {ordered[-1] / 1e6:.2f} |"


def bench(server: Postgres, folder: Path) -> None:
    url = server.create_database("upload")
    media = folder / "media"
    media.mkdir()
    seed = folder / "seed.png"
    seed.write_bytes(images.sized("png", NBYTES, 1))
    env = {"PATH": os.defpath, "LC_ALL": "C.UTF-8", "DATABASE_URL": url, "PERDURA_MEDIA_ROOT": str(media),
           "PERDURA_PORT": "0"}  # fmt: skip
    subprocess.run([PERDURA, "migrate"], env=env, check=True, stdout=subprocess.DEVNULL)
    log = folder / "serve.log"
    with log.open("wb") as out:
        serve = subprocess.Popen(dies_with_us([PERDURA, "serve"]), env=env, cwd=folder, stdout=out, stderr=out)
    writer = subprocess.Popen(dies_with_us([sys.executable, "-c", WRITER, seed]), stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True, bufsize=1)  # fmt: skip
    assert writer.stdin and writer.stdout
    connection = server.connect("upload")
    cursor = connection.cursor()
    cursor.execute("CREATE TABLE yard (path text PRIMARY KEY, image_data text)")
    cursor.execute("ALTER TABLE yard ALTER image_data SET STORAGE EXTERNAL")
    cursor.execute("PREPARE look (text) AS SELECT 1 FROM image_cache WHERE collection = 'media' AND original_path = $1")
    cursor.execute("PREPARE yard (text, text) AS INSERT INTO yard VALUES ($1, $2)")
    text = base64.b64encode(seed.read_bytes()).decode()
    wait_until(lambda: "event=listening" in log.read_text(), 30, "start")
    time.sleep(1)

    uploads, inserts, looks = [], [], []
    for n in range(UPLOADS):
        begin = now_ns()
        cursor.execute("EXECUTE yard (%s, %s)", (f"{n}", text))
        inserts.append(now_ns() - begin)

        name = f"{n % 100}/{n}.png"
        (media / f"{n % 100}").mkdir(exist_ok=True)
        if n < 100:
            time.sleep(0.01)  # the folder is new
        writer.stdin.write(f"{media / name} {n}\n")
        closed = int(writer.stdout.readline())
        while True:
            begin = now_ns()
            cursor.execute("EXECUTE look (%s)", (name,))
            found = cursor.fetchone()
            end = now_ns()
            looks.append(end - begin)
            if found:
                break
            if end - closed > 30e9:
                raise TimeoutError(f"{name} is not stored after 30 s\n{log.read_text()}")
        uploads.append(end - closed)

    ratio = median(uploads) / median(inserts)
    lines = [
        f"{UPLOADS} uploads of {NBYTES} bytes, milliseconds",
        "",
        "| | median | 90 % | 99 % | most |",
        "| --- | --- | --- | --- | --- |",
        figures("close to commit", uploads),
        figures("one committed INSERT", inserts),
        figures("one look at the row", looks),
        "",
        f"close to commit / INSERT: {ratio:.2f}, budget <= {BUDGET:.0f}: {'ok' if ratio <= BUDGET else '**MISS**'}",
    ]
    report = "\n".join(lines) + "\n"
    print(report)
    (BUILD / "bench").mkdir(parents=True, exist_ok=True)
    (BUILD / "bench" / "upload.md").write_text(report)
    writer.stdin.close()
    writer.wait(10)
    serve.terminate()
    serve.wait(60)
    connection.close()


def main() -> None:
    parent = BUILD / "bench"
    parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=parent))
    folder.chmod(0o755)
    try:
        with Postgres(folder / "pg", settings=Postgres.BENCH_SETTINGS) as server:
            bench(server, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
