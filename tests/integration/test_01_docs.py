"""The documentation names what the program has."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "http-api.md").read_text()
METHODS = {"GET", "HEAD", "PUT", "POST", "DELETE", "PATCH", "PURGE"}


def served() -> dict[str, set[str]]:
    """The methods of each path in the table of routes; what a path leaves open is {}."""
    table: dict[str, set[str]] = {}
    source = " ".join((ROOT / "src" / "api" / "routes.c").read_text().split())
    for pattern, methods in re.findall(r'\{METRIC_route_\w+, (NULL|"[^"]*"), ([A-Z_| ]+),', source):
        path = "/media/{}" if pattern == "NULL" else pattern.strip('"').replace("*", "{}")
        table.setdefault(path, set()).update(re.findall(r"HTTP_([A-Z]+)", methods))
    return table


def documented() -> list[tuple[set[str], set[str]]]:
    """Paths and methods of each row of the overview, where `restore` behind `/image-cache/cache-all` is its sibling."""
    rows = []
    overview = PAGE[PAGE.index("| route | methods | token |") :]
    for row in overview[: overview.index("\n\n")].splitlines()[2:]:
        paths, methods = row.split("|")[1:3]
        names = re.findall(r"`([^`]+)`", paths)
        full = {name if name.startswith("/") else names[0].rpartition("/")[0] + "/" + name for name in names}
        rows.append(({re.sub(r"\{\w+\}", "{}", path) for path in full}, METHODS & set(re.findall(r"\w+", methods))))
    return rows


def test_the_overview_of_the_api_is_the_table_of_routes() -> None:
    routes = served()
    assert len(routes) > 30
    routes["/admin/"] = routes.pop("/admin") | routes.pop("/admin/{}")  # the page and its files
    named: set[str] = set()
    for paths, methods in documented():
        assert methods == set().union(*(routes.get(path, set()) for path in paths)), paths
        named |= paths
    assert named == set(routes)


def made_by(tool: str) -> str:
    return subprocess.run([ROOT / "src" / "tools" / tool], stdout=subprocess.PIPE, text=True, check=True).stdout


def test_the_page_of_metrics_is_that_of_the_table() -> None:
    assert (ROOT / "docs" / "metrics.md").read_text() == made_by("list-metrics"), "run `make docs`"


def without_numbers(table: str) -> list[str]:
    """Layers, folders, and what each one uses; how many lines and includes change every day."""
    rows = re.findall(r"^\| (\d) \| `src/(\w+)` \| \d+ \| \d+ \| (.*) \|$", table, re.MULTILINE)
    return [f"{layer} {folder}: {sorted(re.findall('`([a-z]+)`', uses))}" for layer, folder, uses in rows]


def test_the_table_of_layers_is_that_of_the_source() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    drawn = without_numbers(made_by("draw-layers"))
    assert len(drawn) > 10 and without_numbers(page) == drawn, "run `make docs`"


def test_the_table_of_locks_is_that_of_the_source() -> None:
    assert made_by("list-locks") in (ROOT / "docs" / "architecture.md").read_text(), "run `make docs`"


def test_metrics_that_are_documented_exist() -> None:
    exist = set(re.findall(r'"(perdura_\w+)"', (ROOT / "src" / "base" / "metrics.def").read_text()))
    named = set(re.findall(r"`(perdura_\w+)", PAGE))
    assert len(exist) > 50 and len(named) > 5
    assert not {name for name in named - exist if not name.endswith("_")}


# The log


def logged() -> dict[str, set[str]]:
    """Each event in the sources, and its levels; those that depend on the database's failure are warn or error."""
    events: dict[str, set[str]] = {}
    for source in sorted((ROOT / "src").glob("*/*.c")):
        text = source.read_text()
        for call in re.finditer(r"\blog_(?:event|fields)\((?!enum)", text):
            head = re.split(r"\bLOG_(?:STR|INT)\(|, NULL|\);", text[call.end() : call.end() + 600])[0]
            levels = {level.lower() for level in re.findall(r"LOG_(DEBUG|INFO|WARN|ERROR)\b", head)}
            for literals in re.findall(r'(?:"(?:[^"\\]|\\.)*"\s*)+', head):
                event = "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', literals))
                events.setdefault(event, set()).update(levels or {"warn", "error"})
    return events


def test_each_event_is_documented_with_its_level() -> None:
    page = (ROOT / "docs" / "logging.md").read_text()
    rows = re.findall(r"^\| `([^`]+)` \| ([a-z, ]+) \|", page, re.MULTILINE)
    assert len(rows) == len({event for event, _ in rows}) > 70
    assert {event: set(levels.split(", ")) for event, levels in rows} == logged()


def test_events_that_other_pages_quote_exist() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    quoted = {event for page in pages for event in re.findall(r'event="([^"]+)"', page.read_text())}
    assert quoted and quoted <= set(logged()), quoted - set(logged())


def test_a_reason_has_one_key() -> None:
    for source in (ROOT / "src").glob("*/*.c"):
        assert not re.search(r'LOG_STR\("(why|reason|text|says|what)"', source.read_text()), source
