"""Prometheus itself looks at what /metrics says, and at the alert rules and the dashboard that come with Perdura."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import images
import pytest
from conftest import Served

ROOT = Path(__file__).resolve().parents[2]
ALERTS = ROOT / "docs" / "deploy" / "alerts.yml"
DASHBOARD = ROOT / "docs" / "deploy" / "grafana.json"
METRIC = re.compile(r'^METRIC\(\w+,\s*(COUNTER|GAUGE|HISTOGRAM),\s*\w+,\s*"(\w+)"', re.MULTILINE)
NAME = re.compile(r"\bperdura_\w+")


@pytest.fixture(scope="module")
def promtool() -> str:
    found = shutil.which("promtool")
    if not found:
        pytest.skip("promtool is missing: it is in Debian's package prometheus")
    return found


def run(promtool: str, *arguments: str | Path, input: bytes = b"") -> None:
    done = subprocess.run(
        [promtool, *arguments], input=input, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60
    )
    assert done.returncode == 0, done.stdout.decode()


def series() -> set[str]:
    """The names of all series that there can be."""
    names = set()
    for kind, name in METRIC.findall((ROOT / "src" / "base" / "metrics.def").read_text()):
        endings = ("_bucket", "_count", "_sum") if kind == "HISTOGRAM" else ("",)
        names.update(name + ending for ending in endings)
    assert len(names) > 30
    return names


def panels() -> Iterator[dict[str, Any]]:
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        if panel["type"] != "row":
            yield panel


def queries() -> list[str]:
    return [target["expr"] for panel in panels() for target in panel["targets"]]


def test_prometheus_finds_no_fault_with_a_scrape(promtool: str, http: Served) -> None:
    http.put("/media/a.png", images.make("png", 1))
    http.get("/media/a.png")
    http.get("/media/none.png").problem(404)
    http.post("/image-cache/cache-all")
    scrape = http.get("/metrics")
    assert scrape.status == 200
    done = subprocess.run([promtool, "check", "metrics"], input=scrape.body, capture_output=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_a_scrape_asks_nobody(http: Served) -> None:
    """One that did would wait for a database that hangs."""
    http.perdura.database.server.sigstop()
    answers = [http.get("/metrics") for _ in range(20)]
    http.perdura.database.server.sigcont()
    assert {answer.status for answer in answers} == {200}
    assert sorted(answer.seconds for answer in answers)[10] < 1  # a busy machine may be slow now and then


def test_the_alert_rules_are_valid(promtool: str) -> None:
    run(promtool, "check", "rules", "--lint-fatal", ALERTS)


def test_alerts_ask_for_what_there_is() -> None:
    asked = set(NAME.findall(ALERTS.read_text()))
    assert asked and asked <= series(), asked - series()


def test_the_dashboard_asks_for_what_there_is() -> None:
    asked = {name for query in queries() for name in NAME.findall(query)}
    assert asked and asked <= series(), asked - series()


def test_the_queries_of_the_dashboard_are_valid(promtool: str, folder: Path) -> None:
    """As the expressions of rules, which are the ones that promtool reads."""
    rules = [
        {"record": f"panel:{n}", "expr": query.replace("$instance", ".*").replace("$__rate_interval", "5m")}
        for n, query in enumerate(queries())
    ]
    assert not any("$" in rule["expr"] for rule in rules)
    (folder / "rules.yml").write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))  # JSON is YAML
    run(promtool, "check", "rules", folder / "rules.yml")


def test_the_dashboard_is_laid_out() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken and max(x for x, _ in cells) < 24, panel["title"]
        taken |= cells
    ids = [panel["id"] for panel in panels()]
    assert len(ids) == len(set(ids))


# What has to have happened for each alert, and what must not set it off: values a minute apart, in promtool's notation.
HAPPENED = [
    ("PerduraDown", {'up{job="perdura"}': "1 0x9"}, True),
    ("PerduraRestarts", {"perdura_start_time_seconds": "1 1 2 2 3 3 4 4 5 5"}, True),
    ("PerduraRestarts", {"perdura_start_time_seconds": "1x5 2x20"}, False),
    ("PerduraOldestPending", {"perdura_oldest_pending_seconds": "0+60x20"}, True),
    ("PerduraOldestPending", {"perdura_oldest_pending_seconds": "0 90 0 90 0 90 0x20"}, False),
    ("PerduraFailedFiles", {"perdura_failed_files": "1x30"}, True),
    ("PerduraNotKeptFiles", {"perdura_not_kept_files": "2x30"}, True),
    ("PerduraNotKeptFiles", {"perdura_not_kept_files": "2x5 0x30"}, False),
    ("PerduraCleanupAnnounced", {"perdura_cleanup_announced_images": "3x30"}, True),
    ("PerduraCleanupAnnounced", {"perdura_cleanup_announced_images": "0x30"}, False),
    ("PerduraCleanupRefused", {"perdura_cleanup_refused": "1x30"}, True),
    ("PerduraCleanupRefused", {"perdura_cleanup_refused": "1x5 0x30"}, False),
    ("PerduraCleanedUpUndecided", {"perdura_cleaned_up_undecided_images": "3x30"}, True),
    ("PerduraCleanedUpUndecided", {"perdura_cleaned_up_undecided_images": "0x30"}, False),
    ("PerduraPersistSlow", {'perdura_persist_seconds_bucket{le="5"}': "0+1x40",
                            'perdura_persist_seconds_bucket{le="10"}': "0+60x40",
                            'perdura_persist_seconds_bucket{le="+Inf"}': "0+60x40"}, True),
    ("PerduraUploadsWait", {"perdura_oldest_upload_seconds": "3000+60x40"}, True),
    ("PerduraUploadsWait", {"perdura_oldest_upload_seconds": "0+60x40"}, False),
    ("PerduraUploadsFailed", {"perdura_uploads_failed": "1x30"}, True),
    ("PerduraUploadsFailed", {"perdura_uploads_failed": "1x5 0x30"}, False),
    ("PerduraJobsFailed", {'perdura_jobs_failed_total{kind="restore"}': "0x5 1x20"}, True),
    ("PerduraJobsFailed", {'perdura_jobs_failed_total{kind="restore"}': "3x30"}, False),
    ("PerduraJobsFailed", {'perdura_jobs_incomplete_total{kind="sync"}': "0x5 1x20"}, True),
    ("PerduraMissRate", {'perdura_reads_total{tier="disk"}': "0+40x40",
                         'perdura_reads_total{tier="db"}': "0+60x40"}, True),
    ("PerduraMissRate", {'perdura_reads_total{tier="memory"}': "0+60x40",
                         'perdura_reads_total{tier="redis"}': "0+40x40"}, False),
    ("PerduraMissRate", {'perdura_reads_total{tier="disk"}': "0+1x40",
                         'perdura_reads_total{tier="db"}': "0+2x40"}, False),  # too few to tell
    ("PerduraErrors", {'perdura_http_requests_total{code="2xx"}': "0+90x40",
                       'perdura_http_requests_total{code="5xx"}': "0+10x40"}, True),
    ("PerduraErrors", {'perdura_http_requests_total{code="2xx"}': "0+99x40",
                       'perdura_http_requests_total{code="5xx"}': "0+1x40"}, False),
    ("PerduraRefuses", {"perdura_http_refused_total": "0+10x40"}, True),
    ("PerduraSlow", {'perdura_http_request_seconds_bucket{le="1"}': "0+1x40",
                     'perdura_http_request_seconds_bucket{le="5"}': "0+60x40",
                     'perdura_http_request_seconds_bucket{le="+Inf"}': "0+60x40"}, True),
    ("PerduraDatabaseUnreachable", {"perdura_db_unreachable_total": "0+5x20"}, True),
    ("PerduraDatabaseUnreachable", {"perdura_db_unreachable_total": "7x20"}, False),
    ("PerduraTierDown", {'perdura_tier_up{tier="db"}': "0x30"}, True),
    ("PerduraDatabasePoolShort", {'perdura_db_wait_seconds_bucket{le="1"}': "0+1x40",
                                  'perdura_db_wait_seconds_bucket{le="5"}': "0+60x40",
                                  'perdura_db_wait_seconds_bucket{le="+Inf"}': "0+60x40"}, True),
    ("PerduraRedisLeftAlone", {"perdura_redis_breaker_open": "1x20"}, True),
    ("PerduraRedisLeftAlone", {"perdura_redis_breaker_open": "1 0 1 0 1 0x20"}, False),
    ("PerduraRedisRefusesWrites", {"perdura_redis_writes_refused": "1x40"}, True),
    ("PerduraRedisRefusesWrites", {"perdura_redis_writes_refused": "1x5 0x40"}, False),
    ("PerduraFeedLags", {"perdura_feed_lag_seconds": "0+30x20"}, True),
    ("PerduraFeedLags", {"perdura_feed_lag_seconds": "2x20"}, False),
    ("PerduraStaleFiles", {"perdura_feed_stale_files": "3x30"}, True),
]


def names_of_alerts() -> set[str]:
    return set(re.findall(r"alert: (\w+)", ALERTS.read_text()))


def test_each_alert_goes_off_when_it_should(promtool: str, folder: Path) -> None:
    assert {name for name, _, fires in HAPPENED if fires} == names_of_alerts()
    faults = []
    for alert, values, fires in HAPPENED:
        text = json.dumps({
            "rule_files": [str(ALERTS)],
            "evaluation_interval": "1m",
            "tests": [{
                "interval": "1m",
                "input_series": [
                    {"series": with_instance(name), "values": value} for name, value in values.items()
                ],
                "promql_expr_test": [{
                    "expr": f'max by (alertname) (max_over_time(ALERTS{{alertname="{alert}", alertstate="firing"}}[40m]))',
                    "eval_time": "40m",
                    "exp_samples": [{"labels": f'{{alertname="{alert}"}}', "value": 1}] if fires else [],
                }],
            }],
        })
        (folder / "test.yml").write_text(text)
        done = subprocess.run([promtool, "test", "rules", folder / "test.yml"], capture_output=True, timeout=60)
        if done.returncode:
            faults.append(f"{alert} {values}:\n{done.stdout.decode()}{done.stderr.decode()}")
    assert not faults, "\n".join(faults)


def with_instance(name: str) -> str:
    return name.replace("{", '{instance="app",', 1) if "{" in name else name + '{instance="app"}'
