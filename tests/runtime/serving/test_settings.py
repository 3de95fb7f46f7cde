import tempfile
from pathlib import Path

import pytest

from mlops_runtime.serving.settings import Settings, SettingsError


def test_an_empty_environment_gives_the_defaults() -> None:
    assert Settings.from_environment({}) == Settings()
    assert Settings.from_environment({"PORT": "", "VERSION": ""}) == Settings()


def test_each_setting_is_read_from_its_variable(tmp_path: Path) -> None:
    environment = {
        "HOST": "0.0.0.0",
        "PORT": "8080",
        "WORKERS": "2",
        "THREADS": "3",
        "LOG_LEVEL": "debug",
        "VERSION": "1.2.3",
        "MAX_CONTENT_LENGTH": "1000",
        "MAX_RECORDS": "10",
        "MAX_EXPLANATIONS": "5",
        "MAX_TABLE_LENGTH": "2000",
        "MAX_LARGE_REQUESTS": "20",
        "MAX_WAIT": "0.5",
        "BODY_TIMEOUT": "1.5",
        "HANG_TIMEOUT": "2.5",
        "API_KEYS": str(tmp_path / "keys"),
        "RATE_LIMIT": "3.5",
        "ROOT_PATH": "/models/churn/",
        "TRUSTED_PROXIES": "2",
        "CORS_ORIGINS": "https://App.example.org:443, http://127.0.0.1:3000",
        "RELOAD": str(tmp_path / "src"),
        "PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "metrics"),
        "DRAIN_MARKER": str(tmp_path / "marker"),
        "DRAIN_SECONDS": "0.5",
        "HOME": "/nowhere",
    }

    settings = Settings.from_environment(environment)

    assert {name.upper() for name in Settings.model_fields} == set(environment) - {"HOME"}
    assert settings == Settings(
        host="0.0.0.0",
        port=8080,
        workers=2,
        threads=3,
        log_level="debug",
        version="1.2.3",
        max_content_length=1000,
        max_records=10,
        max_explanations=5,
        max_table_length=2000,
        max_large_requests=20,
        max_wait=0.5,
        body_timeout=1.5,
        hang_timeout=2.5,
        api_keys=tmp_path / "keys",
        rate_limit=3.5,
        root_path="/models/churn",
        trusted_proxies=2,
        reload=tmp_path / "src",
        cors_origins=("https://app.example.org", "http://127.0.0.1:3000"),
        prometheus_multiproc_dir=tmp_path / "metrics",
        drain_marker=tmp_path / "marker",
        drain_seconds=0.5,
    )
    assert settings.marker == tmp_path / "marker"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "http"),
        ("PORT", "0"),
        ("PORT", "65536"),
        ("WORKERS", "0"),
        ("THREADS", "-1"),
        ("LOG_LEVEL", "loud"),
        ("DRAIN_SECONDS", "soon"),
        ("RATE_LIMIT", "-1"),
        ("RATE_LIMIT", "nan"),
        ("RATE_LIMIT", "1e-300"),
        ("MAX_RECORDS", "9" * 30),
        ("MAX_EXPLANATIONS", "9" * 30),
        ("MAX_EXPLANATIONS", "0"),
        ("MAX_LARGE_REQUESTS", "0"),
        ("MAX_WAIT", "0"),
        ("BODY_TIMEOUT", "0"),
        # Requests are checked four times a second.
        ("HANG_TIMEOUT", "0.9"),
        ("ROOT_PATH", "models"),
        ("ROOT_PATH", "//elsewhere.example"),
        ("ROOT_PATH", "/a/../b"),
        ("TRUSTED_PROXIES", "-1"),
        ("CORS_ORIGINS", "app.example.org"),
        ("CORS_ORIGINS", "https://app.example.org/"),
        ("CORS_ORIGINS", "null"),
    ],
)
def test_an_unusable_value_is_reported_with_its_variable(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"{name}={value} is not usable"):
        Settings.from_environment({name: value})


@pytest.mark.parametrize("value", ["INFO", "Info", "info"])
def test_a_log_level_may_have_capital_letters(value: str) -> None:
    assert Settings.from_environment({"LOG_LEVEL": value}).log_level == "info"


@pytest.mark.parametrize("file", ["marker", "operator_key"])
def test_services_on_different_ports_do_not_share_a_file(file: str) -> None:
    first, second = (getattr(Settings(port=port), file) for port in (8000, 8001))

    assert first != second
    assert first.parent == second.parent == Path(tempfile.gettempdir())
