"""A project with a dashboard: its own checks, in the environment of these tests."""

import sys
from pathlib import Path

import pytest

from tests.conftest import bake
from tests.test_project import make


@pytest.fixture(autouse=True)
def streamlit() -> None:
    """Skip the tests where Streamlit is not installed."""
    pytest.importorskip("streamlit", reason="needs Streamlit, which `make test` installs: pip install streamlit")


def test_a_project_with_a_dashboard_passes_its_own_checks(tmp_path: Path) -> None:
    project = bake(tmp_path, dashboard="streamlit")

    result = make(project, "lint", "type-check", "unittest", "ENV=", f"PYTHON={sys.executable}")

    assert result.returncode == 0, result.stdout + result.stderr
    assert len((project / "src/dashboard/app.py").read_text().splitlines()) <= 80
