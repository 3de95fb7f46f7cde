"""Edits of the user in an existing datamodel.py, which rendering keeps: names, docstrings and descriptions."""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from mlops_runtime.profiling.markers import Named

GENERATED = "In the table: "
"""Start of a generated description of a column."""

LABEL_DESCRIPTIONS = {"binary": "The more probable label", "multiclass": "The most probable label"}
"""Generated descriptions of a prediction's label, by task."""


class InvalidContractError(ValueError):
    """The existing contract is not valid Python; the message says what to do next."""


@dataclass(frozen=True, slots=True)
class EnumEdits:
    """The enum of a choice or of the labels.

    Attributes:
        name: name of the class.
        docstring: source code of the docstring, or None.
        members: name of the member for each value.
    """

    name: str
    docstring: str | None
    members: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class FieldEdits:
    """A field of the record.

    Attributes:
        attribute: name of the attribute.
        description: source code of the argument `description`, or None if it is generated.
        enum: enum of a choice, or None.
        missing: words that mean a missing value in this column as well.
        values: words that are values in this column.
    """

    attribute: str
    description: str | None
    enum: EnumEdits | None
    missing: tuple[str, ...] = ()
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class UserEdits:
    """Parts of an existing contract that rendering keeps.

    Attributes:
        docstrings: source code of the docstring of each class, by name, and of the module, by "".
        target_docstring: source code of the docstring of TARGET, or None.
        fields: fields of the record, by the name of the column.
        label: enum of the labels, or None.
        label_description: source code of the argument `description` of a prediction's label, or None if it is
            generated.
        target: name of the target column, or None.
        task: binary, multiclass or regression, or None.
        missing: words that mean a missing value in columns of words, or None.
        key: column that identifies a record, or None.
    """

    docstrings: Mapping[str, str] = field(default_factory=dict)
    target_docstring: str | None = None
    fields: Mapping[str, FieldEdits] = field(default_factory=dict)
    label: EnumEdits | None = None
    label_description: str | None = None
    target: str | None = None
    task: str | None = None
    missing: tuple[str, ...] | None = None

    def named(self) -> Named:
        """Return the words for a missing value that the contract names."""
        return Named(
            words=self.missing,
            missing={name: edit.missing for name, edit in self.fields.items() if edit.missing},
            values={name: edit.values for name, edit in self.fields.items() if edit.values},
        )

    key: str | None = None


def read_edits(code: str | None) -> UserEdits:
    """Return the edits in the source code of a contract; no edits if the code is None.

    Raises:
        InvalidContractError: if the code is not valid Python.
    """
    if code is None:
        return UserEdits()
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError) as error:
        raise InvalidContractError(
            f"the existing contract is not valid Python, {error}: correct or remove it"
        ) from error
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    enums = {name: _enum(code, node) for name, node in classes.items() if _members(node)}
    docstrings = {"": _docstring(code, tree)} | {name: _docstring(code, node) for name, node in classes.items()}
    record = classes.get("Record")
    return UserEdits(
        docstrings={name: docstring for name, docstring in docstrings.items() if docstring is not None},
        target_docstring=_target_docstring(code, tree),
        fields=dict(_fields(code, record, enums)) if record is not None else {},
        label=enums.get("Label"),
        label_description=_label_description(code, classes.get("Prediction")),
        target=_assigned(tree, "TARGET"),
        task=_assigned(tree, "TASK"),
        missing=_assigned_words(tree, "MISSING"),
        key=_assigned(tree, "KEY"),
    )


def _assigned_words(tree: ast.Module, name: str) -> tuple[str, ...] | None:
    """Return the strings of the tuple that is assigned to a name, or None."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            return tuple(_strings(node.value))
    return None


def _strings(node: ast.expr) -> Iterator[str]:
    for each in ast.walk(node):
        if isinstance(each, ast.Constant) and isinstance(each.value, str):
            yield each.value


def _words(annotation: ast.expr, mark: str) -> tuple[str, ...]:
    """Return the arguments of a mark such as `Missing("-")` in the annotation of a field."""
    calls = [node for node in ast.walk(annotation) if isinstance(node, ast.Call) and ast.unparse(node.func) == mark]
    return tuple(word for call in calls for argument in call.args for word in _strings(argument))


def _assigned(tree: ast.Module, name: str) -> str | None:
    """Return the string assigned to a name, or the name of the assigned enum member in lower case."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            if isinstance(node.value, ast.Constant):
                return str(node.value.value)
            if isinstance(node.value, ast.Attribute):
                return node.value.attr.lower()
    return None


def _docstring(code: str, node: ast.Module | ast.ClassDef) -> str | None:
    return _string_statement(code, node.body[0]) if node.body else None


def _string_statement(code: str, node: ast.stmt) -> str | None:
    """Return the source code of a statement that is a string, or None."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
        return ast.get_source_segment(code, node.value)
    return None


def _target_docstring(code: str, tree: ast.Module) -> str | None:
    for node, after in zip(tree.body, tree.body[1:], strict=False):
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "TARGET":
            return _string_statement(code, after)
    return None


def _members(node: ast.ClassDef) -> dict[str, str]:
    return {
        statement.value.value: statement.targets[0].id
        for statement in node.body
        if isinstance(statement, ast.Assign)
        and isinstance(statement.targets[0], ast.Name)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    }


def _enum(code: str, node: ast.ClassDef) -> EnumEdits:
    return EnumEdits(node.name, _docstring(code, node), _members(node))


def _fields(code: str, record: ast.ClassDef, enums: Mapping[str, EnumEdits]) -> Iterator[tuple[str, FieldEdits]]:
    for node in record.body:
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
            continue
        keywords = node.value.keywords if isinstance(node.value, ast.Call) else []
        arguments = {keyword.arg: keyword for keyword in keywords}
        names = {name.id for name in ast.walk(node.annotation) if isinstance(name, ast.Name)}
        enum = next((enums[name] for name in sorted(names) if name in enums), None)
        description = None
        if (argument := arguments.get("description")) is not None and not _is_generated(argument.value):
            description = ast.get_source_segment(code, argument)
        alias = arguments.get("alias")
        column = alias.value.value if alias and isinstance(alias.value, ast.Constant) else node.target.id
        missing, values = _words(node.annotation, "Missing"), _words(node.annotation, "Values")
        yield str(column), FieldEdits(node.target.id, description, enum, missing, values)


def _label_description(code: str, prediction: ast.ClassDef | None) -> str | None:
    fields = dict(_fields(code, prediction, {})) if prediction is not None else {}
    return fields["label"].description if "label" in fields else None


def _is_generated(value: ast.expr) -> bool:
    if not isinstance(value, ast.Constant):
        return False
    text = str(value.value)
    return text.startswith(GENERATED) or text in LABEL_DESCRIPTIONS.values()
