"""Drawings of Matplotlib as inline SVG elements, for the reports.

Figures use the colour variables and the font of the page, so that they adapt to light and dark mode. The same
data give the same bytes. Figures contain no text of the data, such as names of columns or labels, because
Matplotlib parses some characters as formulas and has no glyphs for others. The captions name them.
"""

import io
import re
from collections.abc import Callable
from html import escape
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Matplotlib needs colour values. `_inlined` replaces each of these by a CSS variable of the page.
INK, MUTED, RULE, ACCENT, SECOND, PAPER = "#010101", "#020202", "#030303", "#040404", "#050505", "#060606"
VARIABLES = {INK: "ink", MUTED: "muted", RULE: "rule", ACCENT: "accent", SECOND: "second", PAPER: "paper"}

STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "axes.edgecolor": RULE,
    "axes.facecolor": "none",
    "axes.labelcolor": MUTED,
    "axes.labelsize": 9.5,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.facecolor": "none",
    "legend.fontsize": 9,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "font.size": 9.5,
    "text.color": INK,
    "xtick.color": RULE,
    "xtick.labelcolor": MUTED,
    "xtick.labelsize": 9,
    "ytick.color": RULE,
    "ytick.labelcolor": MUTED,
    "ytick.labelsize": 9,
}


def svg_element(name: str, draw: Callable[[Axes], None], title: str, size: tuple[float, float] = (4.0, 3.8)) -> str:
    """Return a drawing as an SVG element.

    Args:
        name: name of the figure and prefix of its identifiers, which are unique on the page.
        draw: function that draws on axes.
        title: text alternative for screen readers.
        size: width and height in inches.
    """
    with rc_context({**STYLE, "svg.hashsalt": name}):
        figure = Figure(figsize=size, layout="constrained")
        draw(figure.add_subplot())
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return _inlined(buffer.getvalue(), name, title)


def _inlined(document: str, name: str, title: str) -> str:
    """Return an SVG document of Matplotlib as an inline element with unique identifiers and the colours of the page."""
    _, _, body = document.partition("<svg")
    attributes, _, body = body.partition(">")
    view_box = re.search(r'viewBox="[^"]+"', attributes)
    if view_box is None:
        raise ValueError(f"Matplotlib drew {name} without a view box")
    body = re.sub(r"<metadata>.*?</metadata>|<style[^>]*>.*?</style>|<!--.*?-->", "", body, flags=re.DOTALL)
    body = re.sub(r'\bid="', f'id="{name}-', body)
    body = re.sub(r'(?:xlink:)?href="#', f'href="#{name}-', body).replace("url(#", f"url(#{name}-")
    body = re.sub(r"font: ([\d.]+px) [^;\"]*", r"font-size: \1", body)
    for colour, variable in VARIABLES.items():
        body = body.replace(colour, f"var(--{variable})")
    # Two decimals are finer than the pixels of a screen, and make the page much smaller.
    body = re.sub(r'\b([dxy])="([^"]*)"', lambda match: f'{match[1]}="{DECIMALS.sub(_rounded, match[2])}"', body)
    body = re.sub(r"\s*\n\s*", "\n", body)
    body = MARKERS.sub(_grouped, body)
    return f'<svg role="img" aria-label="{escape(title)}" {view_box[0]}>{body}'.strip()


DECIMALS = re.compile(r"-?\d+\.\d+")
MARKERS = re.compile(r'(?:<use [^>]*? style="(?P<style>[^"]*)"/>\n)(?:<use [^>]*? style="(?P=style)"/>\n)+')


def _rounded(number: re.Match[str]) -> str:
    return f"{float(number[0]):.2f}".rstrip("0").rstrip(".")


def _grouped(markers: re.Match[str]) -> str:
    """Return markers of the same style as a group, which has the style once."""
    style = f' style="{markers["style"]}"'
    return f"<g{style}>\n{markers[0].replace(style, '')}</g>\n"
