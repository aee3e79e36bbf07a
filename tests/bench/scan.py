"""`make bench PARTS=scan`: whether 400 hot images stay in memory (500 items) while all the others are asked for once.

The same requests are run through a plain LRU of 500 items, in the same order. Three spells: `before`, hot images alone,
until memory knows them; `during`, one request of the scan to each of a hot image; `after`, hot images alone. Counted
are requests for hot images, and of ours those of which X-Cache-Tier said memory. Nothing is asserted.

Environment: BENCH_LONG (1: 100,000 scanned images instead of 5,000), PERDURA_BIN. The report goes to stdout and
build/bench/scan.md.
"""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import web_servers
from web_servers import LONG, Perdura, table

HOT = 400
ITEMS = 500
SCANNED = 100_000 if LONG else 5000
NBYTES = 2000
CLIENTS = 4  # what is asked for at the same time may arrive in another order than the list's
ALONE = 8000  # requests of a spell without the scan; the first half of `before` is not counted


@dataclass(frozen=True)
class Request:
    image: int  # hot: below HOT
    spell: str  # in which it counts; empty: in none


def requests(choose: Callable[[], int]) -> list[Request]:
    made = [Request(choose(), "") for _ in range(ALONE // 2)]
    made += [Request(choose(), "before") for _ in range(ALONE // 2)]
    for scanned in range(HOT, HOT + SCANNED):
        made += [Request(scanned, ""), Request(choose(), "during")]
    return made + [Request(choose(), "after") for _ in range(ALONE)]


def plain_lru(wanted: list[Request]) -> list[bool]:
    held: OrderedDict[int, None] = OrderedDict()
    hits = []
    for request in wanted:
        hits.append(request.image in held)
        held[request.image] = None
        held.move_to_end(request.image)
        if len(held) > ITEMS:
            held.popitem(last=False)
    return hits


def rates(wanted: list[Request], hits: list[bool]) -> list[str]:
    shown = []
    for spell in ("before", "during", "after"):
        counted = [hit for request, hit in zip(wanted, hits) if request.spell == spell]
        shown.append(f"{sum(counted) / len(counted):.1%}")
    return shown


def choices() -> dict[str, Callable[[], int]]:
    chance = random.Random(1)
    zipf = list(accumulate(1 / rank for rank in range(1, HOT + 1)))
    return {
        "all alike": lambda: chance.randrange(HOT),
        "Zipf": lambda: chance.choices(range(HOT), cum_weights=zipf)[0],
    }


def measure(folder: Path, url: str, media: Path, wanted: list[Request]) -> list[str]:
    with Perdura(folder / "serve", url, media, PERDURA_MEMORY_ITEMS=ITEMS, PERDURA_MEMORY_TTL=3600) as serve:
        paths = ["/media/" + web_servers.name_of(request.image) for request in wanted]
        _, tiers = web_servers.ask_all(folder, serve, paths, CLIENTS)
    if "memory" not in tiers:
        return ["no such tier"] * 3
    return rates(wanted, [tier == "memory" for tier in tiers])


def main() -> None:
    rows = []
    with web_servers.workplace("scan") as (folder, server):
        media = folder / "media"
        web_servers.make_files(media, HOT + SCANNED, NBYTES)
        url = web_servers.stored(server, "scan", media)
        for name, choose in choices().items():
            wanted = requests(choose)
            place = folder / name.replace(" ", "-")
            place.mkdir()
            rows.append([name, "memory tier", *measure(place, url, media, wanted)])
            rows.append([name, "plain LRU", *rates(wanted, plain_lru(wanted))])
        text = f"{HOT} hot images, {ITEMS} items in memory, {SCANNED:,} other images asked for once each.\n\n"
        web_servers.report("scan", text + table(["hot requests", "hit rate of", "before", "during", "after"], rows))


if __name__ == "__main__":
    main()
