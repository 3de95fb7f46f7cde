"""What people have written into a contract, and is kept when it is written anew."""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

GENERATED = "In the table: "
"""How a column's description starts that nobody has written."""

LABEL_DESCRIPTIONS = {"binary": "The more probable label", "multiclass": "The most probable label"}
"""Descriptions of a prediction's label that nobody has written, by task."""


class ExistingError(ValueError):
    """The contract that is there is no Python; the message is a sentence that says what to do next."""


@dataclass(frozen=True, slots=True)
class ExistingEnum:
    """A class of values.

    Attributes:
        name: of the class.
        docstring: as it stands in the code, or None.
        members: their names by value.
    """

    name: str
    docstring: str | None
    members: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ExistingField:
    """A field of the record.

    Attributes:
        attribute: its name in Python.
        description: the argument as it stands in the code, or None where it is generated.
        enum: class of its values, if they are a choice.
    """

    attribute: str
    description: str | None
    enum: ExistingEnum | None


@dataclass(frozen=True, slots=True)
class Existing:
    """What is kept of a contract: docstrings and descriptions as they stand in the code, names.

    Attributes:
        docstrings: of the module, by "", and of its classes, by their names.
        target: docstring of TARGET, or None.
        fields: of the record, by the column's name.
        label: class of the labels, or None.
        label_description: of the field `label` of a prediction, the argument as it stands in the
            code, or None where it is generated.
        target_name: the target's column, or None.
        task: what is predicted, such as "binary", or None.
    """

    docstrings: Mapping[str, str] = field(default_factory=dict)
    target: str | None = None
    fields: Mapping[str, ExistingField] = field(default_factory=dict)
    label: ExistingEnum | None = None
    label_description: str | None = None
    target_name: str | None = None
    task: str | None = None


def read_existing(code: str | None) -> Existing:
    """Return what is kept of a contract; nothing if there is none.

    Raises:
        ExistingError: if the code is not valid.
    """
    if code is None:
        return Existing()
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError) as error:
        raise ExistingError(f"the contract that is there is not valid Python, {error}: mend it or remove it") from error
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    enums = {name: _enum(code, node) for name, node in classes.items() if _members(node)}
    docstrings = {"": _docstring(code, tree)} | {name: _docstring(code, node) for name, node in classes.items()}
    record = classes.get("Record")
    return Existing(
        docstrings={name: docstring for name, docstring in docstrings.items() if docstring is not None},
        target=_target_docstring(code, tree),
        fields=dict(_fields(code, record, enums)) if record is not None else {},
        label=enums.get("Label"),
        label_description=_label_description(code, classes.get("Prediction")),
        target_name=_assigned(tree, "TARGET"),
        task=_assigned(tree, "TASK"),
    )


def _assigned(tree: ast.Module, name: str) -> str | None:
    """Return the string that a name stands for, or the member of an enum, in lower case."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            if isinstance(node.value, ast.Constant):
                return str(node.value.value)
            if isinstance(node.value, ast.Attribute):
                return node.value.attr.lower()
    return None


def _docstring(code: str, node: ast.Module | ast.ClassDef) -> str | None:
    return _constant(code, node.body[0]) if node.body else None


def _constant(code: str, node: ast.stmt) -> str | None:
    """Return a string that stands by itself, as it is written."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
        return ast.get_source_segment(code, node.value)
    return None


def _target_docstring(code: str, tree: ast.Module) -> str | None:
    for node, after in zip(tree.body, tree.body[1:], strict=False):
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "TARGET":
            return _constant(code, after)
    return None


def _members(node: ast.ClassDef) -> dict[str, str]:
    return {
        part.value.value: part.targets[0].id
        for part in node.body
        if isinstance(part, ast.Assign)
        and isinstance(part.targets[0], ast.Name)
        and isinstance(part.value, ast.Constant)
        and isinstance(part.value.value, str)
    }


def _enum(code: str, node: ast.ClassDef) -> ExistingEnum:
    return ExistingEnum(node.name, _docstring(code, node), _members(node))


def _fields(code: str, record: ast.ClassDef, enums: Mapping[str, ExistingEnum]) -> Iterator[tuple[str, ExistingField]]:
    for node in record.body:
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
            continue
        keywords = node.value.keywords if isinstance(node.value, ast.Call) else []
        arguments = {keyword.arg: keyword for keyword in keywords}
        names = {name.id for name in ast.walk(node.annotation) if isinstance(name, ast.Name)}
        enum = next((enums[name] for name in sorted(names) if name in enums), None)
        description = arguments.get("description")
        kept = None
        if description is not None and not _is_generated(description.value):
            kept = ast.get_source_segment(code, description)
        alias = arguments.get("alias")
        column = alias.value.value if alias and isinstance(alias.value, ast.Constant) else node.target.id
        yield str(column), ExistingField(node.target.id, kept, enum)


def _label_description(code: str, prediction: ast.ClassDef | None) -> str | None:
    fields = dict(_fields(code, prediction, {})) if prediction is not None else {}
    return fields["label"].description if "label" in fields else None


def _is_generated(value: ast.expr) -> bool:
    if not isinstance(value, ast.Constant):
        return False
    text = str(value.value)
    return text.startswith(GENERATED) or text in LABEL_DESCRIPTIONS.values()
