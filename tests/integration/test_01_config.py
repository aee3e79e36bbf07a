"""Settings, help and exit codes: nothing here needs a database."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import Perdura

COMMANDS = (
    "run serve migrate cache-all restore warmup status list info get put rm check fsck cleanup config version".split()
)
NEEDS_DATABASE = [
    ("migrate",),
    ("cache-all",),
    ("restore", "--all"),
    ("status",),
    ("list",),
    ("info", "a.png"),
    ("get", "a.png"),
    ("put", "a.png"),
    ("rm", "a.png"),
    ("check",),
    ("fsck",),
    ("cleanup", "--days", "90"),
    ("sync-temp-images", "--stats"),
]
SECRET = "hunter2-Sesam"


def settings(offline: Perdura, *args: str, **run) -> dict[str, dict]:
    return {entry["name"]: entry for entry in offline.run("config", "--json", *args, **run).json}


def test_help_names_every_command(offline: Perdura) -> None:
    text = offline.run("help").stdout
    for command in COMMANDS:
        assert f"\n  {command} " in text
        assert f"Usage: perdura {command} " in offline.run(command, "--help").stdout


def test_version(offline: Perdura) -> None:
    version = offline.run("version", "--json").json["version"]
    assert offline.run("version").stdout.startswith(f"perdura {version}")
    assert offline.run("--version").stdout.startswith(f"perdura {version}")


@pytest.mark.parametrize(
    "args, told",
    [
        ((), "Usage: perdura COMMAND"),
        (("frobnicate",), 'no command "frobnicate"'),
        (("list", "--frobnicate"), "unknown option --frobnicate"),
        (("list", "-x"), "unknown option -x"),
        (("list", "--limit"), "--limit needs a value"),
        (("list", "--limit", "many"), '"many" is not a number from 1'),
        (("list", "--limit", "0"), '"0" is not a number from 1'),
        (("list", "--json=no"), "--json takes no value"),
        (("list", "a", "b"), "at most one prefix"),
        (("list", "a", "--trash"), "a prefix goes with the order of paths only"),
        (("info",), "takes one path"),
        (("get",), "takes one path"),
        (("put",), "takes a file"),
        (("put", "a.png", "--variant", "cover"), "go together"),
        (("rm",), "name the images"),
        (("restore",), "say --all"),
        (("restore", "a.png", "--all"), "say --all"),
        (("cache-all", "media"), "takes no arguments"),
        (("cleanup",), "needs --days N, because PERDURA_CLEANUP_DAYS is off"),
        (("cleanup", "--days", "0"), '"0" is not a number from 1'),
        (("cleanup", "--collection", "media"), "takes no --collection"),
        (("fsck", "--collection", "media"), "takes no --collection"),
        (("get", "a.png", "--dry-run"), "takes no --dry-run"),
        (("get", "a.png", "--json"), "takes no --json"),
        (("status", "--collection", "media"), "takes no --collection"),
        (("list", "--hottest", "--trash"), "one of --hottest, --trash"),
        (("version", "2"), "takes no arguments"),
        (("migrate", "sideways"), '"sideways" is none of up, down, status'),
        (("migrate", "down"), "needs the number of migrations"),
        (("migrate", "down", "two"), "needs the number of migrations"),
        (("list", "--collection", "nowhere"), 'no collection "nowhere"'),
    ],
)
def test_wrong_usage_exits_2_and_says_what_is_wrong(offline: Perdura, args: tuple[str, ...], told: str) -> None:
    result = offline.run(*args, check=False)
    assert result.code == 2
    assert told in result.stdout + result.stderr


def test_help_names_what_a_command_takes(offline: Perdura) -> None:
    """And what it does not name is refused."""
    for command in COMMANDS:
        told = offline.run(command, "--help").stdout
        for option in ("--json", "--dry-run", "--collection"):
            value = ["media"] if option == "--collection" else []
            refused = offline.run(command, option, *value, "--help", check=False)
            assert (f"takes no {option}" in refused.stderr) != (f"  {option} " in told), (command, option)


@pytest.mark.parametrize(
    "name, value, accepted",
    [
        ("PERDURA_DB_POOL", "1", "2 to 100"),
        ("PERDURA_DB_POOL", "four", "2 to 100"),
        ("PERDURA_DB_PREPARED", "maybe", "on or off"),
        ("PERDURA_INLINE_MAX", "1 parsec", "1 KiB to 50 MiB"),
        ("PERDURA_CLEANUP_DAYS", "-1", "1 to 36500"),
        ("PERDURA_CLEANUP_AT", "2 am", "00:00 to 23:59"),
        ("PERDURA_ORIGINS", "mascotas", "name=s3://bucket"),
        ("PERDURA_CONFLICT", "oldest", "newest, disk or store"),
        ("PERDURA_COLLECTIONS", "avatars", "name=folder"),
        ("PERDURA_MEDIA_URL", "media", "/media"),
        ("LOG_LEVEL", "loud", "error, warn, info or debug"),
    ],
)
def test_wrong_value_exits_2_and_names_setting_value_and_what_is_accepted(
    offline: Perdura, name: str, value: str, accepted: str
) -> None:
    result = offline.run("version", check=False, env={name: value})
    assert result.code == 2
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert name in line and value in line and accepted in line


@pytest.mark.parametrize("args", NEEDS_DATABASE, ids=lambda args: args[0])
def test_without_database_url_exits_2(offline: Perdura, args: tuple[str, ...]) -> None:
    del offline.env["DATABASE_URL"]
    result = offline.run(*args, check=False)
    assert result.code == 2
    assert "DATABASE_URL is not set" in result.stderr


@pytest.mark.parametrize("args", NEEDS_DATABASE, ids=lambda args: args[0])
def test_without_a_server_exits_3(offline: Perdura, args: tuple[str, ...]) -> None:
    (offline.folder / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\0\0\0\0")
    url = f"postgresql://app:{SECRET}@/shop?host={offline.folder}"  # no socket in there
    result = offline.run(*args, check=False, env={"DATABASE_URL": url})
    assert result.code == 3
    assert "cannot reach the database" in result.stderr
    assert SECRET not in result.stderr


def test_flag_before_environment_before_file_before_default(offline: Perdura) -> None:
    file = offline.folder / "settings.env"
    file.write_text("PERDURA_CLEANUP_DAYS=10\nPERDURA_DB_POOL=10\nPERDURA_CONFLICT='store'  # ours\n")
    env = {"PERDURA_CLEANUP_DAYS": "20", "PERDURA_DB_POOL": "20"}
    found = settings(offline, "--config", str(file), "--cleanup-days", "30", env=env)
    got = {name: (found[name]["value"], found[name]["source"]) for name in found}
    assert got["PERDURA_CLEANUP_DAYS"] == ("30", "flag")
    assert got["PERDURA_DB_POOL"] == ("20", "environment")
    assert got["PERDURA_CONFLICT"] == ("store", f"file {file}")
    assert got["PERDURA_MEDIA_URL"] == ("/media", "default")


def test_settings_in_a_file_are_used(perdura: Perdura) -> None:
    file = perdura.folder / "settings.env"
    file.write_text(f'export DATABASE_URL="{perdura.env.pop("DATABASE_URL")}"\n')
    assert perdura.run("status", "--json", "--config", file).json["images"] == 0


@pytest.mark.parametrize(
    "text, told",
    [
        ("PERDURA_CLEANUPDAYS=3\n", "did you mean PERDURA_CLEANUP_DAYS?"),
        ("\nPERDURA_DB_POOL=0\n", "line 2"),
        ("what is this\n", "line 1"),
    ],
)
def test_wrong_line_in_a_file_exits_2_and_is_named(offline: Perdura, text: str, told: str) -> None:
    file = offline.folder / "settings.env"
    file.write_text(text)
    result = offline.run("version", "--config", file, check=False)
    assert result.code == 2
    assert str(file) in result.stderr and told in result.stderr


def test_missing_file_of_settings_exits_2(offline: Perdura) -> None:
    result = offline.run("version", "--config", offline.folder / "nowhere.env", check=False)
    assert result.code == 2
    assert "nowhere.env" in result.stderr


def test_misspelt_name_in_the_environment_warns_only(offline: Perdura) -> None:
    result = offline.run("version", env={"PERDURA_DBPOOL": "9"})
    assert "warning" in result.stderr and "did you mean PERDURA_DB_POOL?" in result.stderr


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://app:{SECRET}@127.0.0.1:1/shop",
        f"postgresql://app@127.0.0.1:1/shop?password={SECRET}",
        f"host=127.0.0.1 port=1 dbname=shop user=app password={SECRET}",
        f"host=127.0.0.1 port=1 dbname=shop user=app password = '{SECRET}'",
        f"postgresql://app:{SECRET}@127.0.0.1:1/shop?nonsense=1",
        f"postgresql://app:{SECRET}@[::1/shop",
        f"postgres//app:{SECRET}@127.0.0.1/shop",
    ],
)
def test_password_is_never_printed(offline: Perdura, url: str) -> None:
    for args in (("config",), ("config", "--json"), ("status",), ("status", "--db-pool", "0"), ("migrate",)):
        for result in (
            offline.run(*args, check=False, env={"DATABASE_URL": url, "LOG_LEVEL": "debug"}),
            offline.run(*args, "--database-url", url, check=False, env={"LOG_LEVEL": "debug"}),
        ):
            assert SECRET not in result.stdout + result.stderr


def test_config_prints_a_file_that_config_reads(offline: Perdura) -> None:
    file = offline.folder / "settings.env"
    env = {"DATABASE_URL": "", "PERDURA_MEDIA_ROOT": "/srv/it's \"here\" # $HOME\\", "PERDURA_CLEANUP_DAYS": "7"}
    file.write_text(offline.run("config", env=env).stdout)
    again = settings(offline, "--config", str(file), env=dict.fromkeys(offline.env.keys() & settings(offline), ""))
    assert again["PERDURA_MEDIA_ROOT"]["value"] == env["PERDURA_MEDIA_ROOT"]
    assert again["PERDURA_CLEANUP_DAYS"]["value"] == "7"


def test_json_of_config_names_every_setting_with_its_help(offline: Perdura) -> None:
    found = json.loads(offline.run("config", "--json").stdout)
    assert {"DATABASE_URL", "PERDURA_MEDIA_ROOT", "PERDURA_COLLECTIONS"} <= {entry["name"] for entry in found}
    assert all(entry["help"] for entry in found)


def test_the_page_of_settings_is_what_the_program_prints(offline: Perdura) -> None:
    page = Path(__file__).resolve().parents[2] / "docs" / "settings.md"
    assert offline.run("config", "--markdown").stdout == page.read_text(), "run `perdura config --markdown`"
