import re
from html.parser import HTMLParser

import pytest

from trainer.evaluation import METRICS
from trainer.report import METRIC_NOTES

from {{cookiecutter.__package}}_model.datamodel import FEATURES, Label
from {{cookiecutter.__package}}_model.metadata import read_metadata

VOID = {"meta", "br", "hr", "img", "link", "input"}


class Page(HTMLParser):
    """Collects the tags, the attributes and the visible text; refuses tags that are not closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data) -> None:
        if self.open and self.open[-1] != "style":
            self.text += data

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def html(run) -> str:
    return run.report.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


def test_the_report_is_one_file_that_loads_nothing(html: str, page: Page) -> None:
    tags = {name for name, _ in page.tags}
    assert not tags & {"script", "link", "img", "iframe", "object", "embed"}
    assert not re.search(r"https?://|@import|url\((?!#)", html)
    links = [value for _, attributes in page.tags for name, value in attributes.items() if name in ("href", "src")]
    assert all(value.startswith("#") for value in links)


def test_the_verdict_is_the_headline(page: Page) -> None:
    assert len(page.named("h1")) == 1
    assert "Accepted." in page.text


def test_every_metric_label_field_and_setting_is_there(page: Page, artefact) -> None:
    metadata = read_metadata(artefact)
    for note in METRIC_NOTES.values():
        assert note in page.text
    for word in [*Label, *(name.replace("_", " ") for name in FEATURES), *metadata.cross_validation]:
        assert word in page.text
    for estimate in metadata.metrics.values():
        assert f"{estimate.low:.3f} to {estimate.high:.3f}" in page.text


def test_every_metric_has_its_note() -> None:
    assert set(METRIC_NOTES) == set(METRICS)


def test_provenance_is_there(page: Page, artefact) -> None:
    metadata = read_metadata(artefact)
    for fact in (metadata.version, metadata.git_commit, metadata.data_sha256, metadata.lock_sha256):
        assert fact in page.text


def test_names_are_unique_and_what_they_label_is_there(page: Page) -> None:
    names = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(names) == len(set(names))
    labelled = {attributes["aria-labelledby"] for _, attributes in page.tags if "aria-labelledby" in attributes}
    assert labelled <= set(names)


def test_figures_and_tables_can_be_read_aloud(page: Page) -> None:
    assert len(page.named("figure")) == len(page.named("figcaption")) == 5
    assert all(svg.get("role") == "img" and svg.get("aria-label") for svg in page.named("svg"))
    assert all(header.get("scope") in ("col", "row") for header in page.named("th"))


def test_the_page_follows_the_reader_from_light_to_dark_and_to_a_phone(html: str) -> None:
    assert "prefers-color-scheme: dark" in html
    assert 'name="viewport"' in html
    variables = set(re.findall(r"var\((--[a-z]+)\)", html))
    for block in re.findall(r":root \{(.*?)\}", html, flags=re.DOTALL):
        assert variables <= set(re.findall(r"(--[a-z]+):", block))
