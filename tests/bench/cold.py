"""`make bench PARTS=cold`: images that are not on disk, over HTTP: from PostgreSQL and from Redis, beside bare loops.

Each turn of ours starts a service on an empty folder, as after a deploy, and asks for every image once, in random
order. The yardsticks do the same number of reads on as many connections to PostgreSQL (prepared SELECT, libpq) or Redis
(pipelined HGETALL) as ours may hold, and throw away what comes. A ratio is ours over the yardstick's, images a second;
the median over the rounds of each round's own ratio. Where X-Cache-Tier says another tier than the row is about, there
is no verdict. Nothing is asserted.

Environment: BENCH_SCALE (1: multiplies the numbers of images), BENCH_ROUNDS (5), BENCH_CONNECTIONS (3; to PostgreSQL
and Redis), BENCH_CLIENTS (32; over HTTP), BENCH_ONLY (comma list of "20 KB", "200 KB", "5 MB"), PERDURA_BIN. The report
goes to stdout and build/bench/cold.md.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import web_servers
from web_servers import TOOLS, Perdura, Postgres, Redis, spread, table, verdict

SCALE = float(os.environ.get("BENCH_SCALE", "1"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))
CONNECTIONS = int(os.environ.get("BENCH_CONNECTIONS", "3"))
CLIENTS = int(os.environ.get("BENCH_CLIENTS", "32"))
ONLY = [name.strip() for name in os.environ.get("BENCH_ONLY", "").split(",") if name.strip()]
# Bytes, images, and how many HGETALLs are under way on a connection: what served Redis best.
CASES = {"20 KB": (20_000, 10_000, 16), "200 KB": (200_000, 2000, 16), "5 MB": (5_000_000, 100, 1)}
WARM_UP = 2 * CLIENTS  # images that are asked for before the clock starts: connections are made with the first ones
BUDGET = 0.9


@dataclass(frozen=True)
class Turn:
    rate: float
    said: Counter[str]


class Bench:
    def __init__(self, folder: Path, server: Postgres, redis: Redis, case: str) -> None:
        self.folder = folder
        self.server = server
        self.redis = redis
        self.case = case
        nbytes, count, self.pipelined = CASES[case]
        self.count = max(1, round(count * SCALE))
        self.turns = 0
        folder.mkdir()
        media = folder / "media"
        web_servers.make_files(media, self.count + WARM_UP, nbytes)
        self.database = folder.name
        self.url = web_servers.stored(server, self.database, media)
        self.paths = ["/media/" + web_servers.name_of(number) for number in range(self.count + WARM_UP)]
        random.Random(1).shuffle(self.paths)

    def settle(self) -> None:
        self.server.execute("CHECKPOINT")
        os.sync()

    def ours(self, **settings: Any) -> Turn:
        """On a folder that was never used: ext4 is slow for a while where files were deleted."""
        self.turns += 1
        place = self.folder / f"turn-{self.turns}"
        place.mkdir()
        media = place / "media"
        media.mkdir()
        self.settle()
        settings = {"PERDURA_RESTORE": "lazy", "PERDURA_DB_POOL": CONNECTIONS + 1, **settings}  # one is LISTEN's
        with Perdura(place / "serve", self.url, media, **settings) as serve:
            web_servers.ask_all(place, serve, self.paths[:WARM_UP], CLIENTS)
            rate, tiers = web_servers.ask_all(place, serve, self.paths[WARM_UP:], CLIENTS)
        return Turn(rate, Counter(tiers))

    def ours_with_redis(self) -> Turn:
        return self.ours(
            REDIS_URL=f"redis://127.0.0.1:{self.redis.port}/0", REDIS_MAX_CONNECTIONS=CONNECTIONS,
            PERDURA_REDIS_MAX_BYTES=8 << 20, CACHE_TTL=86400,
        )  # fmt: skip

    def select(self) -> float:
        self.settle()
        return web_servers.run_tool("yardstick", "select", "-c", CONNECTIONS, self.url)

    def hgetall(self) -> float:
        keys = self.folder / "keys"
        self.settle()
        return web_servers.run_tool("ask_all", "-c", CONNECTIONS, "-d", self.pipelined, "redis", self.redis.port, keys)

    def row(self, tier: str, yardstick: str, ours: list[Turn], yard: list[float]) -> list[str]:
        said: Counter[str] = sum((turn.said for turn in ours), Counter())
        share = said[tier] / said.total()
        ratios = [turn.rate / rate for turn, rate in zip(ours, yard)]
        cells = [f"{tier} / {yardstick}", f"{self.count:,} x {self.case}"]
        cells += [", ".join(f"{name} {count / said.total():.1%}" for name, count in said.most_common())]
        cells += [f"{median(yard):,.0f}", f"{median(turn.rate for turn in ours):,.0f}", spread(ratios)]
        return [*cells, f">= {BUDGET} {verdict(median(ratios) >= BUDGET) if share > 0.99 else 'no verdict'}"]

    def from_postgres(self) -> list[str]:
        ours, yard = web_servers.in_turns([self.ours, self.select], ROUNDS)
        return self.row("db", "SELECT", ours, yard)

    def from_redis(self) -> list[str]:
        """The first pass, from PostgreSQL, fills Redis."""
        self.redis.ask("flushall")
        first = self.ours_with_redis()
        keys = self.redis.ask("--scan", "--pattern", "image:*")
        (self.folder / "keys").write_text(keys)
        if not keys:
            said = ", ".join(first.said)
            return ["redis / HGETALL", f"{self.count:,} x {self.case}", said, "", "", "", "no such tier"]
        ours, yard = web_servers.in_turns([self.ours_with_redis, self.hgetall], ROUNDS)
        return self.row("redis", "HGETALL", ours, yard)


def main() -> None:
    head = ["from / yardstick", "images", "X-Cache-Tier", "yardstick images/s", "ours images/s", "ratio (range)"]
    head += ["budget"]
    rows = []
    for tool in ("yardstick", "ask_all"):
        if not (TOOLS / tool).exists():
            raise SystemExit(f"cold: {TOOLS / tool} is missing: run it as `make bench PARTS=cold`")
    with web_servers.workplace("cold") as (folder, server), Redis(folder / "redis") as redis:
        for number, case in enumerate(CASES):
            if ONLY and case not in ONLY:
                continue
            bench = Bench(folder / f"cold{number}", server, redis, case)
            for part in (bench.from_postgres, bench.from_redis):
                rows.append(part())
                web_servers.say(" | ".join(rows[-1]))
            server.drop_database(bench.database)
        text = f"Medians of {ROUNDS} rounds, {CLIENTS} HTTP connections, {CONNECTIONS} to PostgreSQL or Redis on both "
        text += f"sides, {os.cpu_count()} cores, scale {SCALE:g}.\n\n"
        web_servers.report("cold", text + table(head, rows))


if __name__ == "__main__":
    main()
