"""What a newer template has beside the runtime: entries of its changelog, and files that it generates otherwise.

Works with the standard library alone, as `upgrade` does.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from mlops_runtime.operations.template_choices import choices_of, completed, derived_answers, left_out, own_files

OF_THE_USER = re.compile(r"(data|vendor)/.*|src/\w+/datamodel\.py|.*\.pyc")
"""Files that follow from the user's table, or that an upgrade replaces."""


def changelog_since(changelog: str, version: str) -> str:
    """Return the sections of a changelog, newest first, that are about versions after this one."""
    sections = []
    for section in re.split(r"^(?=## )", changelog, flags=re.MULTILINE)[1:]:
        match = re.match(r"## \[?(\d+(?:\.\d+)*)", section)
        if match and _numbers(match[1]) <= _numbers(version):
            break
        sections.append(section.strip())
    return "\n\n".join(sections)


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)]


def changed_files(template: Path, project: Path, original: Callable[[str], str | None]) -> str:
    """Return in a sentence which files the template generates otherwise than when the project was made.

    A file that the project has in the form of the template is left out. The sentence is empty without such files.

    Args:
        template: folder of the template.
        project: folder of the project.
        original: returns the text that a file of the project had when it was made; None if there was none.
    """
    folder = _project_folder(template)
    settings = original("project.mk") or _text(project / "project.mk") or ""
    choices = choices_of(folder, project)
    template_settings = completed(folder, choices, "project.mk", _text(folder / "project.mk") or "")
    answers = {**_answers(template_settings, settings), **derived_answers(choices)}
    changed: list[str] = []
    new: list[str] = []
    for name, text in _generated(folder, answers, choices):
        current = _text(project / name)
        if text not in (current, original(name)):
            (new if current is None else changed).append(name)
    if not changed and not new:
        return ""
    kinds = [f"{kind}: {', '.join(names)}" for kind, names in (("changed", changed), ("new", new)) if names]
    return (
        f"other files of the template, {'; '.join(kinds)}. Take over what you need: cruft update in a project that "
        f"cruft made, otherwise compare with git diff --no-index FILE TEMPLATE/{folder.name}/FILE"
    )


def _project_folder(template: Path) -> Path:
    """Return the folder of a template that becomes a project: its name is an expression in two braces."""
    return next(template.glob("{{*}}"), template / "no-project")


def _generated(folder: Path, answers: Mapping[str, str], choices: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield path and text of each file that a template generates for a project, except those of the user."""
    others = [_rendered(name, answers) for name in left_out(folder, choices)]
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    for source, path in sorted((files | own_files(folder, choices)).items()):
        name = _rendered(source, answers)
        if OF_THE_USER.fullmatch(name) or any(name == other or name.startswith(f"{other}/") for other in others):
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        yield name, _rendered(completed(folder, choices, name, text), answers)


def _answers(template: str, project: str) -> dict[str, str]:
    """Return the answers of a project: its project.mk has them where that of the template names them."""
    answers = {}
    settings = re.findall(r"^(\w+ \?= .*?)\{\{cookiecutter\.(\w+)\}\}(.*)$", template, flags=re.MULTILINE)
    for before, name, after in settings:
        match = re.search(f"^{re.escape(before)}(.*){re.escape(after)}$", project, flags=re.MULTILINE)
        if match:
            answers[name] = match[1]
    return answers


def _rendered(text: str, answers: Mapping[str, str]) -> str:
    """Return a text of the template with the answers in it; it has no other Jinja than their names."""
    text = re.sub(r"\{\{cookiecutter\.(\w+)\}\}", lambda match: answers.get(match[1], match[0]), text)
    return re.sub(r"\{%\s(end)?raw\s%\}", "", text)


def _text(path: Path) -> str | None:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else None
