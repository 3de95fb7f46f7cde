"""What the reports of every kind of model share: the page around their content, and how names and numbers look."""

from collections.abc import Mapping
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from mlops_runtime.number_format import readable

MAX_NAME_LENGTH = 40
"""Maximum length of a name; a longer name is truncated and has its full text as title."""


def report_environment(folder: Path, metric_names: Mapping[str, str]) -> Environment:
    """Return the environment of a report's template, which extends `shell.html`.

    The template gets `findings` with `passed` and `checks`, `metadata`, `metrics`, `failed`, `key_metrics` and
    `metric_notes`, has the filter `metric`, and fills the blocks `headline` and `content`.

    Args:
        folder: folder of the template.
        metric_names: names of the metrics that have another one than their key.
    """

    def name(metric: str) -> str:
        return metric_names.get(metric, metric.replace("_", " ").capitalize())

    environment = Environment(
        loader=FileSystemLoader((folder, Path(__file__).parent)),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"name": name, "truncated": truncated, "percent": percent, "number": number}
    return environment


def truncated(name: str, max_length: int = MAX_NAME_LENGTH) -> Markup:
    """Return a name as an element that isolates its text direction, truncated if it is long."""
    if len(name) <= max_length:
        return Markup("<bdi>{}</bdi>").format(_breakable(name))
    return Markup('<bdi title="{}">{}…</bdi>').format(name, _breakable(name[: max_length - 1].rstrip()))


def _breakable(name: str) -> Markup:
    """Return a name with an optional line break after each underscore."""
    return Markup("_<wbr>").join(name.split("_"))


def percent(share: float) -> str:
    """Return a share in percent."""
    return f"{100 * share:.1f} %"


def number(value: float, decimals: int = 3) -> str:
    """Return a number with a fixed number of decimals, or with none if it is large."""
    # Adding 0 turns -0.0 into 0.0.
    return f"{round(value, decimals) + 0:.{decimals}f}" if abs(value) < 1000 else readable(value, 3)
