"""The pictures of the README: small, light and dark, and of this version."""

import json
import re
import shutil
from pathlib import Path

import pytest

from docs import pictures
from tests.conftest import TEMPLATE

MAX_SIZE = 150_000
"""Bytes of a picture."""


def test_the_pictures_are_of_this_version(fresh: Path) -> None:
    assert json.loads(pictures.SOURCES.read_text()) == pictures.sources(fresh), "run `make pictures`"


@pytest.mark.parametrize("file", ["serving/static/page.css", "serving/ui/result.py", "training/report/report.html"])
def test_a_change_of_what_is_shown_is_found(
    file: str, fresh: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = pictures.sources(fresh)
    for folder in ("serving", "training/report"):
        shutil.copytree(pictures.RUNTIME / folder, tmp_path / folder)
    monkeypatch.setattr(pictures, "RUNTIME", tmp_path)
    assert pictures.sources(fresh) == before

    (tmp_path / file).write_text((tmp_path / file).read_text() + "\n")

    assert pictures.sources(fresh) != before


def test_the_readme_shows_each_picture_light_and_dark() -> None:
    shown = re.findall(r'="(docs/pictures/[^"]+)"', (TEMPLATE / "README.md").read_text())

    assert sorted(shown) == sorted(f"docs/pictures/{path.name}" for path in pictures.PICTURES.glob("*.png"))
    assert len(shown) == len(pictures.HEIGHTS) * len(pictures.SCHEMES)
    for name in shown:
        assert 5_000 < (TEMPLATE / name).stat().st_size < MAX_SIZE, name
