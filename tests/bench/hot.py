"""`make bench PARTS=hot`: what a hit costs, beside nginx and Varnish serving the same files in the same run.

All servers run at the same time and take turns under wrk: server CPU time per request (user and system time of all its
processes, over the requests that wrk counted) and requests a second. A ratio is ours over the yardstick's, the median
over the rounds of each round's own ratio. Which tier answered is what X-Cache-Tier said before and after each turn;
where it is another than the row is about, there is no verdict. Nothing is asserted.

Environment: BENCH_ROUNDS (5), BENCH_SECONDS (3; a turn), BENCH_ONLY (comma list of hits, connections, known),
BENCH_SIZES ("16 100": KiB an image, of hits; connections takes the first), BENCH_LONG (1: 1,000,000 known images instead
of 100,000), PERDURA_BIN. The report goes to stdout and to build/bench/hot.md.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import web_servers
from web_servers import ANY_OF, LONG, Load, Nginx, Perdura, Postgres, Server, Varnish, spread, table, verdict

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))
SECONDS = int(os.environ.get("BENCH_SECONDS", "3"))
ONLY = [name.strip() for name in os.environ.get("BENCH_ONLY", "").split(",") if name.strip()]
SIZES = {f"{n} KiB": int(n) << 10 for n in os.environ.get("BENCH_SIZES", "16 100").split()}
CONNECTIONS = 32
CONNECTION_COUNTS = [1, 32, 1000]
KNOWN = [100, 1_000_000 if LONG else 100_000]
KNOWN_BYTES = 2000
WARM_UP = 3  # requests for each of the known images before the turns: memory keeps what is asked for again

# The tier that a row is about, and the settings under which it is the one that answers.
TIERS = {"memory": {"PERDURA_MEMORY_TTL": 3600}, "disk": {"PERDURA_MEMORY_BYTES": 0}}


class Side:
    """A server under one kind of load, and all its turns."""

    def __init__(self, server: Server, path: str, connections: int = CONNECTIONS, *script: str | Path) -> None:
        self.server = server
        self.path = path
        self.connections = connections
        self.script = script
        self.loads: list[Load] = []
        self.said: set[str] = set()

    def load(self, seconds: int, *more: str) -> Load:
        return web_servers.wrk(self.server, self.path, self.connections, seconds, *self.script, *more)

    def turn(self) -> None:
        self.said.add(self.server.says(self.path))
        self.loads.append(self.load(SECONDS))
        self.said.add(self.server.says(self.path))

    @property
    def cpu_us(self) -> list[float]:
        return [load.cpu_us for load in self.loads]

    @property
    def tier(self) -> str:
        return " and ".join(sorted(self.said))


def ratios(side: Side, yard: Side, figure: Callable[[Load], float]) -> list[float]:
    return [figure(ours) / figure(theirs) for ours, theirs in zip(side.loads, yard.loads)]


def run(sides: list[Side]) -> None:
    for side in sides:
        side.load(1)  # until everything is where it stays
    web_servers.in_turns([side.turn for side in sides], ROUNDS)


def hits(servers: dict[str, Server]) -> str:
    head = ["hit", "size", "X-Cache-Tier", "yardstick", "its CPU us", "our CPU us", "ratio (range)", "budget"]
    head += ["requests/s, ratio (range)"]
    rows = []
    for size in SIZES:
        sides = {name: Side(server, path_of(size)) for name, server in servers.items()}
        run(list(sides.values()))
        if sides["Varnish"].said != {"hit"}:
            raise SystemExit(f"hot: Varnish said {sides['Varnish'].tier}, and only hits can be compared")
        for tier, yard, budget in [("memory", "nginx", 1.0), ("memory", "Varnish", 0.5), ("disk", "nginx", 1.3)]:
            ours, theirs = sides[tier], sides[yard]
            cpu = ratios(ours, theirs, lambda load: load.cpu_us)
            kept = verdict(median(cpu) <= budget) if ours.said == {tier} else "no verdict: another tier"
            cells = [tier, size, ours.tier, yard, spread(theirs.cpu_us, 1), spread(ours.cpu_us, 1), spread(cpu)]
            cells += [f"<= {budget} {kept}", spread(ratios(ours, theirs, lambda load: load.rate))]
            rows.append(cells)
    return table(head, rows)


def growth(
    name: str, kinds: dict[str, list[Side]], counts: list[int], base: int, yards: dict[str, list[Side]]
) -> str:
    """A row for each kind of server and each count; `base`: the index of the count that the others are held against;
    `yards`: what of nginx's stands beside each."""
    head = ["hit", name, "X-Cache-Tier", "CPU us (range)", f"against {counts[base]:,}", "beside nginx's", "requests/s"]
    rows = []
    for kind, sides in kinds.items():
        for side, yard, count in zip(sides, yards.get(kind, sides), counts):
            cells = [kind, f"{count:,}", side.tier, spread(side.cpu_us, 1)]
            cells += [f"{median(ratios(side, sides[base], lambda load: load.cpu_us)):.2f}"]
            cells += [f"{median(ratios(side, yard, lambda load: load.cpu_us)):.2f}" if side is not yard else ""]
            rows.append([*cells, f"{median(load.rate for load in side.loads):,.0f}"])
    return table(head, rows)


def connections(servers: dict[str, Server]) -> str:
    path = path_of(next(iter(SIZES)))
    kinds = {name: [Side(servers[name], path, count) for count in CONNECTION_COUNTS] for name in [*TIERS, "nginx"]}
    run([side for sides in kinds.values() for side in sides])
    yards = {tier: kinds["nginx"] for tier in TIERS}
    return growth("connections", kinds, CONNECTION_COUNTS, CONNECTION_COUNTS.index(CONNECTIONS), yards)


def known(folder: Path, server: Postgres, stack: ExitStack) -> str:
    """Requests for all of the images, at random; where memory answers, for as many as it surely holds."""
    script = folder / "any_of.lua"
    script.write_text(ANY_OF)
    kinds: dict[str, list[Side]] = {name: [] for name in [*TIERS, "nginx"]}
    for count in KNOWN:
        place = folder / f"known-{count}"
        media = place / "media"
        web_servers.make_files(media, count, KNOWN_BYTES)
        url = web_servers.stored(server, f"known_{count}", media)
        servers: dict[str, Server] = {
            tier: Perdura(place / tier, url, media, **settings) for tier, settings in TIERS.items()
        }
        servers["nginx"] = Nginx(place / "nginx", place)
        for name, one in servers.items():
            stack.enter_context(one)
            wanted = KNOWN[0] if name == "memory" else count
            side = Side(one, "/media/" + web_servers.name_of(wanted - 1), CONNECTIONS, script, str(wanted))
            asked = 0
            while asked < WARM_UP * wanted:
                asked += side.load(SECONDS, "in_turns").requests
            kinds[name].append(side)
    run([side for sides in kinds.values() for side in sides])
    few = kinds["nginx"][0]
    return growth("images known", kinds, KNOWN, 0, {"memory": [few, few], "disk": kinds["nginx"]})


def path_of(size: str) -> str:
    return f"/media/{size.split()[0]}.jpg"


def start(folder: Path, server: Postgres, stack: ExitStack) -> dict[str, Server]:
    media = folder / "media"
    media.mkdir()
    for size, nbytes in SIZES.items():
        (folder / path_of(size)[1:]).write_bytes(web_servers.images.sized("jpeg", nbytes, size))
    url = web_servers.stored(server, "hot", media)
    servers: dict[str, Server] = {
        tier: stack.enter_context(Perdura(folder / tier, url, media, **settings)) for tier, settings in TIERS.items()
    }
    nginx = servers["nginx"] = stack.enter_context(Nginx(folder / "nginx", folder))
    servers["Varnish"] = stack.enter_context(Varnish(folder / "varnish", nginx))
    for size in SIZES:
        want = (folder / path_of(size)[1:]).read_bytes()
        for name, one in servers.items():
            if one.get(path_of(size)).body != want:
                raise SystemExit(f"hot: {name} serves other bytes than the file's")
    return servers


def main() -> None:
    wanted = ONLY or ["hits", "connections", "known"]
    text = [f"Medians of {ROUNDS} rounds of {SECONDS} s, wrk with 1 thread and {CONNECTIONS} connections unless it "
            f"says otherwise, {os.cpu_count()} cores. CPU: the server's, microseconds a request.\n"]  # fmt: skip
    with web_servers.workplace("hot") as (folder, server), ExitStack() as stack:
        if "hits" in wanted or "connections" in wanted:
            servers = start(folder, server, stack)
        for name, part in [("hits", hits), ("connections", connections)]:
            if name in wanted:
                text.append(part(servers))
                web_servers.say(text[-1])
        if "known" in wanted:
            text.append(known(folder, server, stack))
        web_servers.report("hot", "\n".join(text))


if __name__ == "__main__":
    main()
