"""Settings: documented in one table, and checked together before anything is loaded."""

from pathlib import Path

import pytest

from bandsight.errors import SettingsError
from docs.settings_reference import PAGE, reference
from search_api.settings import CONCERNS, ApiSettings, check_settings, load_settings
from tests.commands import run_command

OUTSIDE = "0.0.0.0"  # noqa: S104


def test_the_page_of_settings_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == reference(), "run: python -m docs.settings_reference"
    assert set(ApiSettings.model_fields) == {name for concern in CONCERNS for name in concern.model_fields}
    for name in ApiSettings.model_fields:
        assert f"`BANDSIGHT_{name.upper()}` |" in reference()


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"host": OUTSIDE}, ["host 0.0.0.0", "BANDSIGHT_KEY", "bandsight keys add", "BANDSIGHT_ALLOW_ANONYMOUS"]),
        ({"key": "short"}, ["key: 5 characters", "at least 16"]),
        ({"trusted_proxies": ("proxy",)}, ["BANDSIGHT_TRUSTED_PROXIES", "'proxy'"]),
        ({"public_url": "example.org"}, ["BANDSIGHT_PUBLIC_URL", "https://example.org"]),
        ({"cors_origins": ("browser",)}, ["BANDSIGHT_CORS_ORIGINS", "'browser'"]),
        ({"memory_mb": 10}, ["BANDSIGHT_MEMORY_MB: found 10", "256 or more"]),
        ({"max_upload_bytes": 200 * 2**20}, ["BANDSIGHT_BODY_MEMORY_MB: found 256", "404 or more"]),
        ({"max_waiting": 3}, ["BANDSIGHT_MAX_WAITING_PER_CLIENT: found 64", "BANDSIGHT_MAX_WAITING=3"]),
        ({"max_connections": 10**9}, ["BANDSIGHT_MAX_CONNECTIONS", "ulimit -n"]),
        ({"drain_s": 1000}, ["BANDSIGHT_DRAIN_S: found 1000", "BANDSIGHT_SHUTDOWN_S=30"]),
        ({"audit_file": Path("/nowhere/audit.log")}, ["BANDSIGHT_AUDIT_FILE", "create it first"]),
        ({"basemap_url": "ftp://x"}, ["BANDSIGHT_BASEMAP_URL"]),
        ({"port": 70_000}, ["BANDSIGHT_PORT: found 70000", "65535"]),
        ({"log_level": "loud"}, ["BANDSIGHT_LOG_LEVEL: found 'loud'", "'warning'"]),
    ],
)
def test_invalid_settings_are_named_with_advice(values: dict[str, object], words: list[str]) -> None:
    with pytest.raises(SettingsError) as refused:
        load_settings(**values)
    for word in words:
        assert word in str(refused.value)


def test_all_problems_are_named_together_without_secrets() -> None:
    with pytest.raises(SettingsError) as refused:
        check_settings(ApiSettings(key="hidden", memory_mb=1, public_url="x"))  # type: ignore[arg-type]
    for word in ("key:", "BANDSIGHT_MEMORY_MB", "BANDSIGHT_PUBLIC_URL"):
        assert word in str(refused.value)
    assert "hidden" not in str(refused.value)


def test_a_server_without_keys_needs_an_explicit_setting(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    check_settings(ApiSettings(host=OUTSIDE, allow_anonymous=True))
    monkeypatch.setenv("BANDSIGHT_MAX_CONNECTIONS", "many")
    code, _, error = run_command(capsys, monkeypatch, "serve", "--archive", str(tmp_path))
    assert code == 1
    assert "BANDSIGHT_MAX_CONNECTIONS: found 'many'" in error
    assert error.count("\n") == 1


def test_limits_of_rates_are_off_on_this_machine_and_on_elsewhere() -> None:
    assert ApiSettings().rate == 0
    assert ApiSettings(host=OUTSIDE).rate == 6000
    assert ApiSettings(rate_per_minute=7).rate == 7
    assert ApiSettings(host=OUTSIDE, rate_per_minute=0).rate == 0
