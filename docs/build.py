"""Write the pages of the site into a folder: those of the repository, and those that follow from its source.

Run by `make docs`, before Zensical. The README is the home page and an example the tutorial. How-to pages are the
paragraphs of a project's README, the pages of a project are those of its docs/, and the references are read from make
files and modules, so that none of them is older than the source.
"""

import argparse
import ast
import posixpath
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

TEMPLATE = Path(__file__).parents[1]
PROJECT = TEMPLATE / "{{cookiecutter.project_slug}}"
RUNTIME = TEMPLATE / "runtime/mlops_runtime"
# The template's filters, and the runtime with the fragments of answers.
sys.path[:0] = [str(TEMPLATE), str(TEMPLATE / "runtime")]

from cookiecutter.generate import generate_context  # noqa: E402
from cookiecutter.prompt import prompt_for_config  # noqa: E402
from cookiecutter.utils import create_env_with_context  # noqa: E402

from mlops_runtime.operations.template_choices import completed, left_out, own_files  # noqa: E402

REPOSITORY_PAGES = {
    "README.md": "index.md",
    "examples/insurance/README.md": "tutorial.md",
    "runtime/reading.md": "reading.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    **{f"docs/{page.name}": page.name for page in (TEMPLATE / "docs").glob("*.md")},
}
"""Pages of the repository, by their path, with their path in the site."""

PROJECT_PAGES = {
    "account.md": {},
    "azure-web-app.md": {"platform": "azure-web-app"},
    "azure.md": {"platform": "azure-container-apps"},
    "dashboard.md": {"dashboard": "streamlit"},
    "deploys.md": {},
    "development.md": {},
    "docker-host.md": {"platform": "docker-host"},
    "monitoring.md": {},
    "pipeline.md": {},
    "registries.md": {},
}
"""Pages in the docs/ of a project, with the answers that give them, where these are not the default ones."""

HOW_TO = {
    "field": ("Change a field", "A field"),
    "estimator": ("Add an estimator", "An estimator"),
    "route": ("Add a route", "A route, with a setting of its own"),
    "page": ("Change a page", "A page"),
    "predictor": ("Serve a model that is not an ONNX graph", "A model that is not an ONNX graph"),
    "kubernetes": ("Change a Kubernetes setting", "A Kubernetes setting"),
    "dependency": ("Add a dependency", "A dependency"),
    "runtime": ("Upgrade the runtime", "The runtime"),
    "data": ("Keep data that are too large for git", "Data that are too large for git"),
}
"""How-to pages: title, and the words in bold with which their paragraph begins in the README of a project."""

QUESTIONS: dict[str, tuple[str, ...]] = {
    "kind": ("table", "entities"),
    "platform": ("eks", "docker-host", "azure-container-apps", "azure-web-app"),
    "dashboard": ("none", "streamlit"),
    "ci": ("github",),
}
"""Answers that decide which files a project has; the default one is first."""

MAX_HEADING = 40
"""Characters of the longest line of a make file that is read as a heading."""
METRIC_SUFFIXES = {"Counter": "_total", "Gauge": "", "Histogram": "", "Info": "_info"}
LINK = re.compile(r"\[([^\]]*)\]\(([^)\s]+)\)")
MERMAID = re.compile(r"^```mermaid\n.*?^```\n\n?", re.DOTALL | re.MULTILINE)
FENCE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)


class Project:
    """The text files of a project with given answers, as the template's hook would leave them."""

    def __init__(self, **answers: str) -> None:
        """Take the default for each question that is not answered."""
        self.answers = {question: answers.get(question, values[0]) for question, values in QUESTIONS.items()}
        self._own = own_files(PROJECT, self.answers)
        self._left_out = tuple(left_out(PROJECT, self.answers))

    def names(self, pattern: str) -> list[str]:
        """Return the files that match a pattern."""
        there = {path.relative_to(PROJECT).as_posix() for path in PROJECT.glob(pattern)}
        there = {name for name in there if name not in self._left_out}
        return sorted(there | {name for name in self._own if Path(name).match(pattern)})

    def text(self, name: str) -> str:
        """Return a file, with the default answers to the other questions."""
        source = self._own.get(name, PROJECT / name)
        text = completed(PROJECT, self.answers, name, source.read_text(encoding="utf-8"))
        # Make files are copied as they are.
        return text if name.startswith("make") else rendered(text, self.answers["kind"])


@cache
def _environment(kind: str) -> tuple[Any, dict[str, Any]]:
    context = generate_context(str(TEMPLATE / "cookiecutter.json"), extra_context={"kind": kind})
    answers = prompt_for_config(context, no_input=True)
    return create_env_with_context(context), answers


def rendered(text: str, kind: str) -> str:
    """Return a text of the template with the default answers."""
    environment, answers = _environment(kind)
    result: str = environment.from_string(text).render(cookiecutter=answers)
    return result


def outside_code(text: str, change: Callable[[str], str]) -> str:
    """Apply a function to what is outside of code blocks."""
    parts, position = [], 0
    for block in FENCE.finditer(text):
        parts += [change(text[position : block.start()]), block.group()]
        position = block.end()
    return "".join([*parts, change(text[position:])])


def relinked(text: str, source: str) -> str:
    """Return a page of the repository with links to where its targets are in the site.

    A link to a file of the repository that is no page becomes its text: the site does not know where a reader has the
    repository. A link to a file that does not exist stays, and the build fails.
    """
    folder, site_folder = posixpath.dirname(source), posixpath.dirname(REPOSITORY_PAGES[source])

    def link(match: re.Match[str]) -> str:
        words, address = match.groups()
        path, hash_sign, anchor = address.partition("#")
        target = posixpath.normpath(posixpath.join(folder, path))
        if not path or "://" in path or path.startswith("mailto:"):
            return match.group()
        if target in REPOSITORY_PAGES:
            return f"[{words}]({posixpath.relpath(REPOSITORY_PAGES[target], site_folder or '.')}{hash_sign}{anchor})"
        return words if (TEMPLATE / target).exists() else match.group()

    return outside_code(text, lambda part: LINK.sub(link, part).replace('="docs/', '="'))


def repository_pages() -> Iterator[tuple[str, str]]:
    """Yield path and text of the pages of the repository.

    Diagrams are left out: to draw them, a browser would load a script from another host.
    """
    for source, name in REPOSITORY_PAGES.items():
        text = MERMAID.sub("", (TEMPLATE / source).read_text(encoding="utf-8"))
        yield name, relinked(text, source)


def project_pages() -> Iterator[tuple[str, str]]:
    """Yield path and text of the pages of a project, and of the files that they link to."""
    for name, answers in PROJECT_PAGES.items():
        yield f"project/{name}", Project(**answers).text(f"docs/{name}")
    yield "project/alerts.yaml", Project().text("docs/alerts.yaml")


def paragraphs(readme: str) -> dict[str, str]:
    """Return what the README of a project says below each line that begins with words in bold, by these words."""
    pieces = re.split(r"^\*\*(.+?)\.\*\* |^## .*$", readme, flags=re.MULTILINE)
    # The words are None where a heading ended the piece before.
    return {words: text.strip() for words, text in zip(pieces[1::2], pieces[2::2], strict=True) if words}


def how_to_pages() -> Iterator[tuple[str, str]]:
    """Yield path and text of a page for each extension point."""
    readme = Project().text("README.md")
    found = paragraphs(readme)
    preface = readme.partition("## Change it\n\n")[2].partition("\n")[0]
    for name, (title, words) in HOW_TO.items():
        yield f"how-to/{name}.md", f"# {title}\n\nThe README of a project says:\n\n{found[words]}\n\n{preface}\n"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [head, ["---" for _ in head], *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def code(text: str) -> str:
    """Return a text as code, or nothing for an empty one."""
    return f"`{text}`" if text else ""


@cache
def every_project() -> tuple[Project, ...]:
    """Return a project for each combination of answers; a dashboard is for tables alone."""
    combinations = (dict(zip(QUESTIONS, values, strict=True)) for values in product(*QUESTIONS.values()))
    return tuple(Project(**each) for each in combinations if each["kind"] == "table" or each["dashboard"] == "none")


@cache
def condition(having: tuple[Project, ...]) -> str:
    """Return the answers that the projects which have something share, as text; empty if it is in all of them."""
    parts = []
    for question in QUESTIONS:
        answers = dict.fromkeys(project.answers[question] for project in having)
        # A dashboard is for tables alone: that a project with one has a table is not worth saying.
        possible = {each.answers[question] for each in every_project() if _like(each, having, question)}
        if set(answers) != possible:
            parts.append(" or ".join(f"`{question}={answer}`" for answer in answers))
    return ", ".join(parts)


def _like(project: Project, others: tuple[Project, ...], question: str) -> bool:
    """Return whether others have each answer of a project, to all questions but one."""
    asked = (each for each in QUESTIONS if each != question)
    return all(project.answers[each] in {other.answers[each] for other in others} for each in asked)


def settings_of(text: str) -> Iterator[tuple[str, str, str]]:
    """Yield name, value and comment of the settings in a make file; a comment is that of the setting below it."""
    comment: list[str] = []
    for line in text.splitlines():
        if match := re.match(r"(\w+) \?=(.*)", line):
            yield match.group(1), match.group(2).strip(), " ".join(comment)
            comment = []
        elif line.startswith("#"):
            # A short line without a full stop is a heading.
            heading = not comment and len(line) < MAX_HEADING and not line.endswith(".")
            comment = [] if heading and line[2:3].isupper() else [*comment, line[1:].strip()]
        else:
            comment = []


def make_files(project: Project) -> list[str]:
    """Return the make files of a project in the order in which its makefile includes them."""
    text = project.text("makefile")
    last = re.findall(r"make/[\w-]+\.mk", "".join(re.findall(r"^LAST := .*", text, flags=re.MULTILINE)))
    first = [name for name in re.findall(r"make/[\w-]+\.mk", text) if name not in last]
    there = project.names("make/*.mk")
    between = [name for name in there if name not in (*first, *last)]
    return [name for name in ("makefile", *dict.fromkeys([*first, *between, *last])) if name in ("makefile", *there)]


def targets_of(text: str) -> Iterator[tuple[str, str, str]]:
    """Yield group, name and help of the targets in a make file."""
    group, *_, storage = "", "", *re.findall(r"^STORAGE := (.*)", text, flags=re.MULTILINE)
    for line in text.splitlines():
        if line.startswith("##@ "):
            group = line[4:]
        elif match := re.match(r"([a-zA-Z.-]+):.*?## (.*)", line):
            yield group, match.group(1), match.group(2).replace("STORAGE", storage)


def by_condition(rows_of: Callable[[Project], Iterator[tuple[str, ...]]]) -> dict[tuple[str, ...], str]:
    """Return the rows of all projects, in order, with the answers that give each of them."""
    having: dict[tuple[str, ...], list[Project]] = {}
    for project in every_project():
        for row in rows_of(project):
            having.setdefault(row, []).append(project)
    return {row: condition(tuple(projects)) for row, projects in having.items()}


def settings_page() -> str:
    """Return the reference of settings."""

    def rows_of(project: Project) -> Iterator[tuple[str, ...]]:
        for name in ("project.mk", *project.names("environments/*.mk")):
            for setting, value, comment in settings_of(project.text(name)):
                yield name, setting, value, comment

    rows = by_condition(rows_of)
    text = (
        "# Settings\n\nEach setting is in a project's `project.mk`, or in `environments/` where it differs by "
        "`ENVIRONMENT`. `make COMMAND NAME=value` changes one for a run, `MLOPS_NAME` in the environment for a "
        "pipeline. Values are those of the example, comments those of the files.\n"
    )
    for name in dict.fromkeys(row[0] for row in rows):
        own = {row: answers for row, answers in rows.items() if row[0] == name}
        # Those of every project come first.
        for answers in sorted(dict.fromkeys(own.values()), key=bool):
            text += f"\n## {name}{f', with {answers}' if answers else ''}\n\n"
            lines = [(code(row[1]), code(row[2]), row[3]) for row, each in own.items() if each == answers]
            text += table(("setting", "value", "comment"), lines)
    return text


def targets_page() -> str:
    """Return the reference of make targets."""

    def rows_of(project: Project) -> Iterator[tuple[str, ...]]:
        yield from targets_of("".join(map(project.text, make_files(project))))

    rows = by_condition(rows_of)
    text = "# Make targets\n\n`make` lists those of a project. Which ones it has depends on the answers.\n"
    for group in dict.fromkeys(row[0] for row in rows):
        text += f"\n## {group}\n\n"
        lines = [(code(row[1]), row[2], answers) for row, answers in rows.items() if row[0] == group]
        text += table(("make …", "what it does", "in projects with"), lines)
    return text


def metrics_of(source: str) -> Iterator[tuple[str, str, str, str]]:
    """Yield name, kind, labels and meaning of the metrics that a module defines."""
    calls = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    for call in sorted(calls, key=lambda node: node.lineno):
        kind = call.func.id.removesuffix("MetricFamily") if isinstance(call.func, ast.Name) else ""
        match call.args:
            case [ast.Constant(value=str(name)), ast.Constant(value=str(meaning)), *rest] if kind in METRIC_SUFFIXES:
                given = [*rest[:1], *(each.value for each in call.keywords if each.arg == "labels")]
                labels = [ast.literal_eval(each) for each in given if isinstance(each, ast.Tuple)]
                yield name + METRIC_SUFFIXES[kind], kind.lower(), ", ".join(*labels) if labels else "", meaning


def metrics_page() -> str:
    """Return the reference of metrics."""
    sources = sorted((RUNTIME / "serving/telemetry").glob("*.py"), reverse=True)
    rows = [row for source in sources for row in metrics_of(source.read_text(encoding="utf-8"))]
    text = "# Metrics\n\nWhat `/metrics` has; [Monitoring](../project/monitoring.md) says what it is good for.\n\n"
    lines = [(code(name), kind, labels, meaning) for name, kind, labels, meaning in dict.fromkeys(rows)]
    return text + table(("metric", "type", "labels", "meaning"), lines)


def plain(docstring: str) -> tuple[str, dict[str, str]]:
    """Return a docstring without its list of attributes, and the meanings of these by name."""
    text, _, attributes = docstring.partition("\nAttributes:\n")
    meanings: dict[str, str] = {}
    for line in attributes.splitlines():
        if match := re.match(r" {4}(\w+): (.*)", line):
            meanings[match.group(1)] = match.group(2)
        elif line.strip() and meanings:
            meanings[next(reversed(meanings))] += " " + line.strip()
    return text.strip(), meanings


def artefact_page() -> str:
    """Return the reference of the artefact's format."""
    module = ast.parse((RUNTIME / "model/artefact.py").read_text(encoding="utf-8"))
    files = {
        name.id: str(ast.literal_eval(value))
        for statement in module.body
        if isinstance(statement, ast.Assign)
        for name, value in [(statement.targets[0], statement.value)]
        if isinstance(name, ast.Name) and isinstance(value, ast.Constant)
    }
    names = ", ".join(code(name) for key, name in files.items() if key.endswith("_FILE"))
    text = (
        f"# Format of the artefact\n\n{ast.get_docstring(module)}\n\nThe files are {names}. "
        "A predictor of your own has files of its own in the place of the graph.\n"
    )
    for key, source in (("METADATA_FILE", "metadata"), ("BASELINE_FILE", "baseline"), ("GOLDEN_FILE", "golden")):
        parsed = ast.parse((RUNTIME / f"model/{source}.py").read_text(encoding="utf-8"))
        text += f"\n## {files[key]}\n\n{ast.get_docstring(parsed)}\n"
        for each in reversed([node for node in parsed.body if isinstance(node, ast.ClassDef)]):
            words, meanings = plain(ast.get_docstring(each) or "")
            fields = [
                (code(field.target.id), code(ast.unparse(field.annotation)), meanings.get(field.target.id, ""))
                for field in each.body
                if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
            ]
            text += f"\n### {each.name}\n\n{words}\n\n{table(('key', 'type', 'meaning'), fields)}"
    return text


def write_pages(folder: Path) -> None:
    """Write all pages, pictures and styles into a folder."""
    pages = dict([*repository_pages(), *project_pages(), *how_to_pages()])
    pages |= {
        "reference/settings.md": settings_page(),
        "reference/targets.md": targets_page(),
        "reference/metrics.md": metrics_page(),
        "reference/artefact.md": artefact_page(),
    }
    for name, text in pages.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    for file in [*(TEMPLATE / "docs").glob("pictures/*.png"), TEMPLATE / "docs/site.css"]:
        path = folder / file.relative_to(TEMPLATE / "docs")
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(file.read_bytes())


def main() -> int:
    """Write the pages, and return the exit status."""
    parser = argparse.ArgumentParser(description="Write the pages of the site.")
    parser.add_argument("folder", type=Path, help="folder to write them into")
    write_pages(parser.parse_args().folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
