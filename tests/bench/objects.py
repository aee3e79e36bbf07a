"""`make bench PARTS=objects`: large images to object storage and back, beside curl moving the same bytes.

s3rver on this machine is the storage of both, 8 transfers at a time. Ours is `cache-all` and `restore --all`, whole:
each image is hashed, what is stored is compared, rows are committed, files are synced. curl's is `curl --parallel` doing
the same transfers, signed, hashing nothing: a PUT for an object of up to 16 MiB; for a larger one a PUT for each part
of 16 MiB, cut before the clock starts, and a POST that completes it; a GET for each. The two take turns; a ratio is ours
over curl's in bytes a second, the median of each round's own. Nothing is asserted.

Environment: BENCH_IMAGES (40, from 5 MiB + 1 byte to 50 MiB), BENCH_ROUNDS (3), PERDURA_BIN. The table goes to stdout
and build/bench/objects.md.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

import bulk
import images
from bulk import TOOLS, Bench, Postgres, Run, say
from servers import dies_with_us
from storage_servers import S3rver

COUNT = int(os.environ.get("BENCH_IMAGES", "40"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
AT_ONCE = 8
MIB = 1 << 20
PART_BYTES = 16 * MIB  # of an upload in parts, as in src/client/s3.h
SIZES = [5 * MIB + 1 + number * 45 * MIB // max(1, COUNT - 1) for number in range(COUNT)]
SIZES[-1] = min(SIZES[-1], 50 * MIB)


class Transfers(Bench):
    def __init__(self, server: Postgres, folder: Path, storage: S3rver) -> None:
        self.storage = storage
        self.buckets = 0
        super().__init__(server, folder)

    def environment(self, database: str) -> dict[str, str]:
        bucket = f"bench-{self.buckets}"
        more = {"PERDURA_ALLOW_PRIVATE_SOURCES": "on", "PERDURA_DB_POOL": str(AT_ONCE)}
        return super().environment(database) | self.storage.settings(bucket) | more

    def fresh_bucket(self) -> str:
        """The old one goes, or the disk would fill."""
        shutil.rmtree(self.storage.folder / "data" / f"bench-{self.buckets}", ignore_errors=True)
        self.buckets += 1
        return self.storage.make_bucket(f"bench-{self.buckets}")

    def curl_options(self) -> list[str]:
        user = f"{self.storage.key}:{self.storage.secret}"
        signed = ["--aws-sigv4", f"aws:amz:{self.storage.region}:s3", "--user", user]
        return ["-sS", "--fail", *signed, "-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD"]

    def curl(self, groups: list[list[str]]) -> Run:
        """The transfers of all groups at the same time, AT_ONCE of them; each group has options of its own."""
        argv = ["curl", "--parallel", "--parallel-max", str(AT_ONCE)]
        for number, group in enumerate(groups):
            argv += [*(["--next"] if number else []), *self.curl_options(), *group]
        return self.run(argv, {"HOME": str(self.folder)})[1]

    def start_parts(self, url: str) -> str:
        argv = ["curl", *self.curl_options(), "-X", "POST", f"{url}?uploads="]
        answer = subprocess.run(dies_with_us(argv), capture_output=True, text=True, check=True).stdout
        return re.findall("<UploadId>([^<]+)</UploadId>", answer)[0]

    def puts(self, cut: Path, bucket: str) -> tuple[list[str], list[list[str]]]:
        """What curl has to send, and after that to complete."""
        sent: list[str] = []
        completed: list[list[str]] = []
        for file in sorted(self.media.rglob("*.jpg")):
            url = f"{self.storage.endpoint}/{bucket}/{file.name}"
            data = file.read_bytes()
            if len(data) <= PART_BYTES:
                sent += ["-T", str(file), url]
                continue
            upload, listed = self.start_parts(url), ""
            for number, start in enumerate(range(0, len(data), PART_BYTES), 1):
                part = cut / f"{file.name}.{number}"
                part.write_bytes(data[start : start + PART_BYTES])
                sent += ["-T", str(part), f"{url}?partNumber={number}&uploadId={upload}"]
                etag = hashlib.md5(part.read_bytes()).hexdigest()
                listed += f'<Part><PartNumber>{number}</PartNumber><ETag>"{etag}"</ETag></Part>'
            body = f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>"
            answer = ["-o", os.devnull, "-H", "Content-Type: application/xml"]
            completed.append([*answer, "--data-binary", body, f"{url}?uploadId={upload}"])
        return sent, completed

    def upload(self) -> list[list[Run]]:
        def yard() -> Run:
            bucket = self.fresh_bucket()
            with tempfile.TemporaryDirectory(dir=self.folder) as cut:
                sent, completed = self.puts(Path(cut), bucket)
                self.settle()
                runs = [self.curl([sent]), self.curl(completed)]
            return Run(COUNT, sum(run.seconds for run in runs), sum(run.cpu_s for run in runs), runs[0].rss)

        def ours() -> Run:
            self.fresh_bucket()
            database = self.fresh_database("ours")
            return self.perdura(database, "cache-all", "--json", counted="cached", images_wanted=COUNT)

        return self.rounds(yard, ours, times=ROUNDS)

    def download(self) -> list[list[Run]]:
        """Of what ours has stored last."""
        bucket = self.fresh_bucket()
        database = self.fresh_database("ours")
        self.perdura(database, "cache-all", "--json", counted="cached", images_wanted=COUNT)
        keys = sorted(self.storage.objects(bucket))

        def yard() -> Run:
            folder = Path(tempfile.mkdtemp(dir=self.folder))
            urls = [arg for key in keys for arg in ("-o", str(folder / key), f"{self.storage.endpoint}/{bucket}/{key}")]
            run = self.curl([urls])
            shutil.rmtree(folder)
            return run

        def ours() -> Run:
            old = self.media
            self.fresh_media()
            run = self.perdura(database, "restore", "--all", "--json", counted="restored", images_wanted=COUNT)
            shutil.rmtree(old)
            return run

        return self.rounds(yard, ours, times=ROUNDS)


def line(work: str, yard: list[Run], ours: list[Run]) -> str:
    total = sum(SIZES)
    ratios = [theirs.seconds / own.seconds for theirs, own in zip(yard, ours)]
    speeds = [f"{total / 1e6 / median(run.seconds for run in runs):,.0f}" for runs in (yard, ours)]
    cpu = [f"{median(run.cpu_s for run in runs):.2f}" for runs in (ours, yard)]
    cells = [work, f"{COUNT}, {total / 1e6:,.0f} MB", *speeds]
    ratio = median(ratios)
    cells += [f"{ratio:.2f} ({min(ratios):.2f} to {max(ratios):.2f})", f">= 0.9 {bulk.verdict(ratio >= 0.9)}"]
    rss = max(run.rss for run in ours)
    cells += [f"{rss / 1e6:.0f} MB {bulk.verdict(rss < bulk.RSS_BUDGET)}", " / ".join(cpu)]
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    missing = S3rver.missing() or ("no curl" if not shutil.which("curl") else None)
    if missing:
        sys.exit(f"objects: {missing}")
    folder = Path(tempfile.mkdtemp(prefix="objects-", dir=os.environ.get("BENCH_DIR", TOOLS)))
    folder.chmod(0o755)  # the server's user passes through
    head = ["work", "images", "curl MB/s", "ours MB/s", "ratio (range)", "budget", "our peak RSS", "CPU s, ours / curl"]
    report = "| " + " | ".join(head) + " |\n|" + " --- |" * len(head) + "\n"
    try:
        with Postgres(folder / "pg", settings=Postgres.BENCH_SETTINGS) as server, S3rver(folder / "s3") as storage:
            bench = Transfers(server, folder, storage)
            for number, nbytes in enumerate(SIZES):
                (bench.media / f"{number:03}.jpg").write_bytes(images.sized("jpeg", nbytes, number))
            for work, part in (("cache-all / curl PUT", bench.upload), ("restore --all / curl GET", bench.download)):
                yard, ours = part()
                report += line(work, yard, ours) + "\n"
                say(report.splitlines()[-1])
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    (TOOLS / "objects.md").write_text(report)
    print(report, end="")


if __name__ == "__main__":
    main()
