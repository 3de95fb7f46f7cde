from collections import Counter

from mlops_runtime.contract import Entity
from mlops_runtime.entities.dataset import AnnotatedText
from mlops_runtime.entities.split import split_texts


def text(content: str, label: str | None = None, line: int = 1) -> AnnotatedText:
    entities = (Entity(text=content[:1], label=label, start=0, end=1),) if label else ()
    return AnnotatedText(content, entities, line)


TEXTS = tuple(
    text(f"{number} words", label, number)
    for number, label in enumerate(["ORG"] * 60 + ["PERSON"] * 20 + [None] * 16 + ["RARE"] * 4)
)


def test_each_label_has_its_share_in_both_parts() -> None:
    training, held_out = split_texts(TEXTS, 0.25, 0)

    assert {*training, *held_out} == set(TEXTS)
    assert (len(training), len(held_out)) == (75, 25)
    counts = Counter(each.entities[0].label if each.entities else None for each in held_out)
    assert all(abs(counts[label] - expected) <= 1 for label, expected in (("ORG", 15), ("PERSON", 5), (None, 4)))
    assert counts["RARE"] == 1


def test_the_split_depends_on_the_seed_alone() -> None:
    assert split_texts(TEXTS, 0.25, 3) == split_texts(TEXTS, 0.25, 3)
    assert split_texts(TEXTS, 0.25, 3) != split_texts(TEXTS, 0.25, 4)


def test_copies_that_differ_in_case_and_white_space_stay_together() -> None:
    texts = [text(copy, "ORG", number) for number in range(40) for copy in (f"Call {number}", f"CALL  {number}")]

    for seed in range(5):
        _, held_out = split_texts(texts, 0.3, seed)

        assert set(Counter(each.line for each in held_out).values()) == {2}


def test_a_text_is_in_the_stratum_of_its_rarest_label() -> None:
    # given: each text of the rare label has the common one as well
    both = [
        AnnotatedText(f"ab {n}", (*text("a", "ORG").entities, Entity(text="b", label="RARE", start=1, end=2)), n)
        for n in range(4)
    ]
    texts = [*(text(f"c {number}", "ORG", number) for number in range(36)), *both]
    # then
    for seed in range(5):
        assert sum(each in both for each in split_texts(texts, 0.25, seed)[1]) == 1
