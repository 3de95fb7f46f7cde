from mlops_runtime.contract import Entity
from mlops_runtime.entities.dataset import AnnotatedText
from mlops_runtime.entities.dictionary import Dictionary


def annotated(*names: tuple[str, str]) -> AnnotatedText:
    """Return a text that consists of names and their labels."""
    text, entities = "", []
    for name, label in names:
        entities.append(Entity(text=name, label=label, start=len(text), end=len(text) + len(name)))
        text += f"{name} "
    return AnnotatedText(text, tuple(entities), 1)


def found(dictionary: Dictionary, text: str) -> list[tuple[str, str, int]]:
    return [(entity.text, entity.label, entity.start) for entity in dictionary.entities(text)]


def test_names_are_found_as_whole_words_in_their_case() -> None:
    dictionary = Dictionary([annotated(("Ray", "PERSON"), ("C++ (UK)", "ORG"))])

    assert len(dictionary) == 2
    assert found(dictionary, "Ray, X-Ray, Rays and ray use C++ (UK).") == [
        ("Ray", "PERSON", 0),
        ("Ray", "PERSON", 7),
        ("C++ (UK)", "ORG", 29),
    ]


def test_the_longest_name_and_the_most_common_label_win() -> None:
    texts = [annotated(("Jan", "PERSON"), ("Jan", "DATE"), ("Jan", "DATE"), ("Jan Roy", "PERSON"))]

    assert found(Dictionary(texts), "Jan Roy in Jan") == [("Jan Roy", "PERSON", 0), ("Jan", "DATE", 11)]


def test_without_names_nothing_is_found() -> None:
    assert Dictionary([AnnotatedText("no names", (), 1)]).entities("no names") == ()
