"""What a browser knows of the page."""

from html.parser import HTMLParser
from urllib.parse import urljoin

ADDRESSES = frozenset({"href", "src", "action"})


def _resolved(address: str | None) -> str | None:
    """Return the path to which a link on the page at `/` leads."""
    return address if address is None or address.startswith("#") else urljoin("/", address)


class Page(HTMLParser):
    """The elements of a page, and what a browser would send of its form.

    Attributes:
        elements: the attributes of each element, by tag.
        controls: the inputs of the form for a record, by the name under which they are sent.
        sent: their texts.
        links: where each link leads, by its text.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: dict[str, list[dict[str, str | None]]] = {}
        self.controls: dict[str, dict[str, str | None]] = {}
        self.sent: dict[str, str] = {}
        self.links: dict[str, str] = {}
        self._posts = False
        self._inside: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: _resolved(value) if name in ADDRESSES else value for name, value in attrs}
        self.elements.setdefault(tag, []).append(attributes)
        self._inside.append((tag, attributes))
        if tag == "form":
            self._posts = attributes.get("class") == "record"
        if self._posts and tag in {"input", "select", "textarea"}:
            self.controls[attributes["name"] or ""] = attributes
            self.sent[attributes["name"] or ""] = attributes.get("value") or ""
        if self._posts and tag == "option" and "selected" in attributes:
            self.sent[list(self.sent)[-1]] = attributes["value"] or ""

    def handle_data(self, data: str) -> None:
        tag, attributes = self._inside[-1] if self._inside else ("", {})
        if tag == "textarea":
            # A browser drops the line end right after the tag.
            self.sent[attributes["name"] or ""] = data.removeprefix("\n")
        if tag == "a":
            self.links[data] = attributes["href"] or ""

    def handle_endtag(self, tag: str) -> None:
        while self._inside and self._inside.pop()[0] != tag:
            pass

    @property
    def ids(self) -> list[str | None]:
        """The ids of all elements."""
        return [element["id"] for elements in self.elements.values() for element in elements if "id" in element]

    @property
    def probabilities(self) -> list[str | None]:
        """The probabilities that are drawn."""
        bars = self.elements.get("progress", [])
        return [bar["value"] for bar in bars if (bar["aria-label"] or "").startswith("Probability")]

    @property
    def invalid(self) -> list[str]:
        """The names of those controls that are marked as wrong."""
        return [name for name, element in self.controls.items() if element.get("aria-invalid") == "true"]
