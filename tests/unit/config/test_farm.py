"""farm.toml: defaults, flavours, limits, secrets, and the checks across its keys."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from pybots.config.errors import ConfigErrors
from pybots.config.farm import FarmConfig, built_in_projects, examine_farm, load_farm
from pybots.config.limits import MIB
from pybots.core.model import IndexSource, Project
from pybots_worker import contract


def load(folder: Path, text: str) -> FarmConfig:
    (folder / "farm.toml").write_text(text)
    return load_farm(folder / "farm.toml")


def make_project(**changes: object) -> Project:
    values: dict[str, object] = {
        "name": "x",
        "title": "X",
        "sources": {"release": IndexSource(name="x")},
        "install": contract.Install(),
        "test": contract.Test(runner="pytest"),
        **changes,
    }
    return Project(**values)  # type: ignore[arg-type]


def test_a_missing_file_means_all_defaults(tmp_path: Path) -> None:
    config = load_farm(tmp_path / "farm.toml")
    assert config == FarmConfig()
    assert config.url == "http://127.0.0.1:8010/"
    assert config.cpython.repository == "https://github.com/python/cpython"
    assert (config.flavour_names(), config.platforms) == (("release",), ("linux-x86_64",))


def test_an_empty_file_means_all_defaults_too(tmp_path: Path) -> None:
    assert load(tmp_path, "# nothing\n") == FarmConfig()


def test_settings_are_frozen(tmp_path: Path) -> None:
    config = load(tmp_path, 'name = "A"')
    with pytest.raises(ValidationError):
        config.name = "B"  # type: ignore[misc]


def test_the_address_follows_the_port_when_none_is_given(tmp_path: Path) -> None:
    assert load(tmp_path, "[web]\nport = 8123").url == "http://127.0.0.1:8123/"
    assert load(tmp_path, '[web]\nlisten = "0.0.0.0"\nport = 80').url == "http://127.0.0.1:80/"
    assert load(tmp_path, '[web]\nlisten = "::1"').url == "http://[::1]:8010/"
    assert load(tmp_path, 'url = "https://bots.example.org/py"').url == (
        "https://bots.example.org/py/"
    )


def test_all_four_flavours_are_known_and_one_is_built(tmp_path: Path) -> None:
    config = load(tmp_path, "")
    assert set(config.flavours()) == {"release", "debug", "freethreaded", "jit"}
    assert config.flavours()["debug"].recipe().configure == ("--with-pydebug",)
    assert config.flavours()["release"].recipe() == contract.Recipe()


def test_flavours_are_composed_of_others(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        'flavours = ["freethreaded-debug"]\n[flavour.freethreaded-debug]\n'
        'of = ["freethreaded", "debug"]\nconfigure = ["--with-assertions"]\ncflags = "-O0"',
    )
    made = config.flavours()["freethreaded-debug"]
    assert made.configure == ("--disable-gil", "--with-pydebug", "--with-assertions")
    assert (made.since, made.cflags) == ((3, 13), "-O0")


def test_a_built_in_flavour_can_be_extended_under_its_own_name(tmp_path: Path) -> None:
    config = load(tmp_path, '[flavour.debug]\nof = ["debug"]\ncflags = "-O0"')
    assert config.flavours()["debug"].configure == ("--with-pydebug",)
    assert config.flavours()["debug"].cflags == "-O0"


def test_tags_alone_are_enough_to_watch(tmp_path: Path) -> None:
    config = load(tmp_path, '[cpython]\nbranches = []\ntags = ["v3.14.0"]')
    assert config.cpython.tags == ("v3.14.0",)


def test_every_phase_has_limits() -> None:
    for phase in {*contract.INTERPRETER_PHASES, *contract.PROJECT_PHASES}:
        limits = FarmConfig().limits(phase, None)
        assert limits.wall_seconds > 0 and limits.cpu_seconds >= limits.wall_seconds


def test_a_project_says_how_long_its_tests_run() -> None:
    project = make_project(timeout_minutes=90, memory_mb=8192)
    assert FarmConfig().limits("test", project).wall_seconds == 5400
    assert FarmConfig().limits("test", project).memory_bytes == 8192 * MIB
    assert FarmConfig().limits("install", project).memory_bytes == 8192 * MIB
    assert FarmConfig().limits("install", project).wall_seconds != 5400


def test_the_farm_caps_what_a_project_asks_for(tmp_path: Path) -> None:
    config = load(tmp_path, "[limits.test]\nwall_minutes = 10\nmemory_mb = 1024\nlog_mb = 1")
    asked = config.limits("test", make_project(timeout_minutes=90, memory_mb=512))
    assert (asked.wall_seconds, asked.memory_bytes, asked.log_bytes) == (600, 512 * MIB, MIB)


def test_a_limit_of_another_phase_replaces_the_built_in_one(tmp_path: Path) -> None:
    config = load(tmp_path, "[limits.compile]\nwall_minutes = 300")
    assert config.limits("compile").wall_seconds == 18_000


def test_project_folders_are_the_ones_that_exist(tmp_path: Path) -> None:
    (tmp_path / "projects").mkdir()
    (tmp_path / "more").mkdir()
    config = load(tmp_path, f'folders = ["{tmp_path}/more", "{tmp_path}/none"]')
    assert config.project_folders(tmp_path) == [
        built_in_projects(),
        tmp_path / "projects",
        tmp_path / "more",
    ]


def test_a_secret_is_read_from_its_file(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "hook").write_text("s3cret\n")
    (tmp_path / "secrets" / "hook").chmod(0o600)
    config = load(tmp_path, 'webhook_secret = "hook"')
    assert config.secret(tmp_path, config.webhook_secret) == "s3cret"


def test_a_secret_others_can_read_is_a_warning_that_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "hook").write_text("s3cret\n")
    (tmp_path / "secrets" / "hook").chmod(0o644)
    load(tmp_path, 'webhook_secret = "hook"')
    _, problems = examine_farm(tmp_path / "farm.toml")
    assert [(problem.level, problem.key) for problem in problems] == [("warning", "webhook_secret")]
    assert "s3cret" not in str(problems)


def test_an_empty_secret_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "hook").write_text("\n")
    with pytest.raises(ConfigErrors, match="is empty"):
        load(tmp_path, 'webhook_secret = "hook"')


def test_the_smtp_password_is_wanted_only_when_smtp_is_used(tmp_path: Path) -> None:
    smtp = '[mail.smtp]\nusername = "u"\npassword_secret = "smtp"'
    load(tmp_path, smtp)
    with pytest.raises(ConfigErrors, match=r"mail\.smtp\.password_secret: secret"):
        load(tmp_path, f'[mail]\ntransport = "smtp"\n{smtp}')


def test_a_password_is_never_repeated_in_a_message(tmp_path: Path) -> None:
    with pytest.raises(ConfigErrors) as refused:
        load(tmp_path, 'url = "https://me:hunter2@example.org/"')
    assert "hunter2" not in str(refused.value)


def test_a_long_value_is_shown_in_part(tmp_path: Path) -> None:
    with pytest.raises(ConfigErrors) as refused:
        load(tmp_path, f'platforms = ["{"x" * 5000}"]')
    assert len(str(refused.value)) < 400


def test_names_of_fields_are_no_settings(tmp_path: Path) -> None:
    """`flavours` and `limits` are methods too, so their fields have other names inside: those are not keys."""
    for key in ("selected = []", "[caps.test]"):
        with pytest.raises(ConfigErrors, match="unknown key"):
            load(tmp_path, key)


def test_infinity_is_no_limit(tmp_path: Path) -> None:
    for number in ("inf", "nan"):
        with pytest.raises(ConfigErrors):
            load(tmp_path, f"[limits.test]\nwall_minutes = {number}")


def test_a_folder_in_the_files_place_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "farm.toml").mkdir()
    with pytest.raises(ConfigErrors, match="cannot be read"):
        load_farm(tmp_path / "farm.toml")
