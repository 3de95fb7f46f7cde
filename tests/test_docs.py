"""The site of the documentation: it builds without warnings, its links lead somewhere, its references are complete."""

import math
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag

import pytest

from docs.build import write_pages
from tests.conftest import TEMPLATE, Bakery

if shutil.which("zensical") is None:
    pytest.skip("needs Zensical: pip install --group docs", allow_module_level=True)

CONFIGURATION = TEMPLATE / "zensical.toml"


class Page(HTMLParser):
    """Anchors and addresses of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = {name: value for name, value in attributes if value}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        addresses = [given[name] for name in ("href", "src", "srcset") if name in given]
        (self.links if tag == "a" else self.loaded).extend(addresses)


def build(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["zensical", "build", "--strict"], cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the pages and the site in build/."""
    folder = tmp_path_factory.mktemp("documentation")
    shutil.copy(CONFIGURATION, folder)
    write_pages(folder / "build/docs")
    result = build(folder)
    assert result.returncode == 0, result.stdout + result.stderr
    return folder


@pytest.fixture(scope="module")
def pages(folder: Path) -> dict[Path, Page]:
    return {path.resolve(): Page(path) for path in (folder / "build/site").rglob("*.html")}


def inside(addresses: list[str]) -> Iterator[str]:
    """Yield the addresses that lead to the site itself."""
    return (each for each in addresses if not re.match(r"[a-z]+:|//", each))


def test_each_link_leads_to_a_page_and_an_anchor(pages: dict[Path, Page]) -> None:
    assert len(pages) > 30
    for path, page in pages.items():
        # The page for an unknown address has absolute links.
        if path.name == "404.html":
            continue
        for address in inside([*page.links, *page.loaded]):
            file, anchor = urldefrag(unquote(address))
            target = (path.parent / file).resolve() if file else path
            target = target / "index.html" if target.is_dir() else target
            assert target.is_file(), f"{path.name}: {address}"
            assert not anchor or anchor in pages[target].anchors, f"{path.name}: {address}"


def test_a_page_loads_nothing_from_another_host(pages: dict[Path, Page]) -> None:
    for path, page in pages.items():
        assert page.loaded
        assert list(inside(page.loaded)) == page.loaded, path


def test_a_broken_link_fails_the_build(tmp_path: Path) -> None:
    # Given the configuration without its list of pages, and a page
    text = re.sub(r"^nav = \[.*?^\]\n", "", CONFIGURATION.read_text(), flags=re.DOTALL | re.MULTILINE)
    (tmp_path / CONFIGURATION.name).write_text(text)
    page = tmp_path / "build/docs/index.md"
    page.parent.mkdir(parents=True)
    page.write_text("# Home\n\n[home](index.md#home)\n")
    assert build(tmp_path).returncode == 0

    for link in ("missing.md", "index.md#missing"):
        page.write_text(f"# Home\n\n[home]({link})\n")
        result = build(tmp_path)

        assert result.returncode != 0, link
        assert "does not exist" in result.stdout + result.stderr


def test_each_page_is_in_the_navigation(folder: Path) -> None:
    def listed(entry: Any) -> Iterator[str]:
        if isinstance(entry, str):
            yield entry
        else:
            for each in entry.values() if isinstance(entry, dict) else entry:
                yield from listed(each)

    navigation = tomllib.loads(CONFIGURATION.read_text())["project"]["nav"]
    there = [path.relative_to(folder / "build/docs").as_posix() for path in (folder / "build/docs").rglob("*.md")]

    assert sorted(listed(navigation)) == sorted(there)


def first_cells(folder: Path, page: str) -> set[str]:
    """Return what stands as code in the first cells of the tables of a page."""
    return set(re.findall(r"^\| `([^`]+)` \|", (folder / "build/docs" / page).read_text(), flags=re.MULTILINE))


@pytest.mark.parametrize("answers", [{}, {"platform": "docker-host"}, {"kind": "entities"}])
def test_settings_and_targets_of_a_project_are_in_the_references(
    answers: dict[str, str], folder: Path, bakery: Bakery
) -> None:
    project = bakery.project(**answers)

    settings = re.findall(r"^(\w+) \?=", (project / "project.mk").read_text(), flags=re.MULTILINE)
    listed = subprocess.run(["make"], cwd=project, capture_output=True, text=True, check=True).stdout
    targets = re.findall(r"^  ([\w.-]+) ", listed, flags=re.MULTILINE)

    assert len(settings) > 30
    assert set(settings) <= first_cells(folder, "reference/settings.md")
    assert len(targets) > 20
    assert set(targets) <= first_cells(folder, "reference/targets.md")


def test_what_only_some_projects_have_is_said(folder: Path) -> None:
    targets = (folder / "build/docs/reference/targets.md").read_text()
    settings = (folder / "build/docs/reference/settings.md").read_text()

    assert re.search(r"^\| `train` \| .* \|  \|$", targets, flags=re.MULTILINE)
    assert re.search(r"^\| `train.job` \| .* \| `platform=eks` \|$", targets, flags=re.MULTILINE)
    assert "## project.mk, with `platform=docker-host`" in settings


def test_the_metrics_that_rules_and_pages_name_are_in_the_reference(folder: Path, fresh: Path) -> None:
    text = (fresh / "docs/alerts.yaml").read_text() + (fresh / "docs/monitoring.md").read_text()
    # Of a recording rule, the name begins in the same way after a colon.
    named = {re.sub("_(bucket|sum|count)$", "", name) for name in re.findall(r"(?<![\w:])webservice_\w+", text)}

    assert len(named) > 15
    assert named <= first_cells(folder, "reference/metrics.md")


def test_each_key_of_the_artefact_has_a_meaning(folder: Path) -> None:
    text = (folder / "build/docs/reference/artefact.md").read_text()

    assert {"data_sha256", "half_widths", "bin_edges", "prediction"} <= first_cells(folder, "reference/artefact.md")
    assert not re.findall(r"^\| .*\|  \|$", text, flags=re.MULTILINE)


def test_the_costs_are_the_products_and_sums_that_the_page_shows() -> None:
    text = (TEMPLATE / "docs/costs.md").read_text()
    prices = {float(each) for each in re.findall(r"\b0\.\d+\b", text.partition("## Prices")[2])}
    tables = re.findall(r"^\| what \|.*?\n\n", text, flags=re.MULTILINE | re.DOTALL)

    assert len(tables) == 2
    for each in tables:
        rows = re.findall(r"\| ([\d.]+(?: × [\d.]+)+) \| ([\d.]+) \|$", each, flags=re.MULTILINE)
        assert len(rows) > 10
        for product, amount in rows:
            factors = [float(factor) for factor in product.split(" × ")]
            assert math.prod(factors) == pytest.approx(float(amount), abs=0.0051), product
            assert prices & set(factors), product
        (total,) = re.findall(r"\*\*([\d.]+)\*\*", each)
        assert sum(float(amount) for _, amount in rows) == pytest.approx(float(total))
