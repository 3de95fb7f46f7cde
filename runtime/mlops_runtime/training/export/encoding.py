"""The encoding as part of a graph: converts numeric and string inputs to a matrix."""

from onnx import TensorProto

from mlops_runtime.model.encoding import Encoding
from mlops_runtime.training.export.graph import ML, Graph


def encode(graph: Graph, encoding: Encoding) -> str:
    """Add the inputs of the model and return the matrix, which equals that of `Encoding.matrix`."""
    parts = []
    if encoding.layout.numbers:
        parts.append(graph.input("numbers", TensorProto.DOUBLE, len(encoding.layout.numbers)))
    if encoding.values:
        categories = graph.input("categories", TensorProto.STRING, len(encoding.values))
        parts += [_indices(graph, categories, column, values) for column, values in enumerate(encoding.values)]
    for index, terms in enumerate(encoding.terms):
        words = graph.input(f"text_{index}", TensorProto.STRING, None)
        if terms:
            parts.append(_counts(graph, words, terms))
    return graph.joined(parts)


def _indices(graph: Graph, categories: str, column: int, values: tuple[str, ...]) -> str:
    # The operator needs at least one key: a category without values gets the empty string.
    known = values or ("",)
    indices = graph.add(
        "LabelEncoder",
        graph.columns(categories, [column]),
        domain=ML,
        keys_strings=list(known),
        values_floats=[float(index) if values else -1.0 for index in range(len(known))],
        default_float=-1.0,
    )
    return graph.double(indices)


def _counts(graph: Graph, words: str, terms: tuple[str, ...]) -> str:
    counts = graph.add(
        "TfIdfVectorizer",
        words,
        mode="TF",
        min_gram_length=1,
        max_gram_length=1,
        max_skip_count=0,
        ngram_counts=[0],
        ngram_indexes=list(range(len(terms))),
        pool_strings=list(terms),
    )
    return graph.double(counts)
