import bz2
import gzip
import io
import json
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlops_runtime.entities.documents import DatasetError, Documents, Span, read_documents
from mlops_runtime.tables.problems import MAX_LISTED

TEXT = "Ada joined Acme"
ADA, ACME = Span(0, 3, "PERSON"), Span(11, 15, "ORG")
SPANS = [{"start": 0, "end": 3, "label": "PERSON"}, {"start": 11, "end": 15, "label": "ORG"}]
EMOJI = "😀 Ada"


def label_studio(*results: dict[str, Any], text: str = TEXT, **annotation: Any) -> dict[str, Any]:
    values = [{"type": "labels", "from_name": "label", "to_name": "text", "value": result} for result in results]
    return {"id": 1, "data": {"text": text}, "annotations": [{"result": values, **annotation}]}


def written(folder: Path, *records: Any) -> Path:
    path = folder / "data.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def read(folder: Path, *records: Any) -> Documents:
    return read_documents(written(folder, *records))


def problems_of(folder: Path, *records: Any, labels: tuple[str, ...] | None = None) -> list[str]:
    with pytest.raises(DatasetError) as caught:
        read_documents(written(folder, *records), labels)
    return list(map(str, caught.value.problems))


@pytest.mark.parametrize(
    "record",
    [
        pytest.param({"text": TEXT, "entities": SPANS}, id="native"),
        pytest.param({"text": TEXT, "entities": SPANS[::-1], "source": "mail"}, id="native, unordered, another key"),
        pytest.param({"id": 7, "text": TEXT, "label": [[0, 3, "PERSON"], [11, 15, "ORG"]]}, id="doccano"),
        pytest.param({"id": 7, "data": TEXT, "labels": [[0, 3, "PERSON"], [11, 15, "ORG"]]}, id="an older doccano"),
        pytest.param(
            {
                "text": TEXT,
                "entities": [
                    {"id": 1, "label": "PERSON", "start_offset": 0, "end_offset": 3},
                    {"id": 2, "label": "ORG", "start_offset": 11, "end_offset": 15},
                ],
                "relations": [],
            },
            id="doccano with relations",
        ),
        pytest.param(
            {"text": TEXT, "spans": [{**span, "token_start": 0} for span in SPANS], "tokens": [], "answer": "accept"},
            id="Prodigy",
        ),
        pytest.param(
            label_studio(
                {"start": 0, "end": 3, "text": "Ada", "labels": ["PERSON"]},
                {"start": 11, "end": 15, "text": "Acme", "labels": ["ORG"]},
            ),
            id="Label Studio",
        ),
        pytest.param(
            {
                "id": 1,
                "text": TEXT,
                "label": [
                    {"start": 0, "end": 3, "text": "Ada", "labels": ["PERSON"]},
                    {"start": 11, "end": 15, "text": "Acme", "labels": ["ORG"]},
                ],
            },
            id="short form of Label Studio",
        ),
    ],
)
@pytest.mark.parametrize("array", [False, True], ids=["lines", "array"])
def test_each_export_is_told_by_its_content(tmp_path: Path, record: dict[str, Any], array: bool) -> None:
    path = written(tmp_path, *([[record]] if array else [record]))

    documents = read_documents(path)

    (document,) = documents.texts
    assert (document.text, document.spans, document.line) == (TEXT, (ADA, ACME), 1)
    assert documents.notes == ()


def test_a_text_of_label_studio_may_have_any_key(tmp_path: Path) -> None:
    task = label_studio({"start": 0, "end": 3, "text": "Ada", "labels": ["PERSON"]})
    task["data"] = {"message": TEXT, "number": 3}

    assert read(tmp_path, [task]).texts[0].spans == (ADA,)


def test_results_that_are_no_labels_are_ignored(tmp_path: Path) -> None:
    task = label_studio({"start": 0, "end": 3, "labels": ["PERSON"]})
    task["annotations"][0]["result"].append({"type": "choices", "value": {"choices": ["spam"]}})

    assert read(tmp_path, [task]).texts[0].spans == (ADA,)


@pytest.mark.parametrize(
    ("record", "note"),
    [
        pytest.param(
            {"text": "No", "spans": [], "answer": "reject"}, "rejected or ignored by the annotator", id="rejected"
        ),
        pytest.param({"data": {"text": "No"}, "annotations": []}, "without an annotation", id="not annotated"),
        pytest.param(label_studio(text="No", was_cancelled=True), "without an annotation", id="skipped"),
        pytest.param({"text": TEXT, "entities": SPANS}, "equal to an earlier one", id="repeated"),
    ],
)
def test_records_that_are_left_out_are_counted(tmp_path: Path, record: dict[str, Any], note: str) -> None:
    documents = read(tmp_path, {"text": TEXT, "entities": SPANS}, record)

    assert [document.text for document in documents.texts] == [TEXT]
    assert [each.startswith(f"1 text {note}") for each in documents.notes] == [True]


def test_the_annotation_that_is_ground_truth_is_taken(tmp_path: Path) -> None:
    task = label_studio({"start": 0, "end": 3, "labels": ["ORG"]})
    other = label_studio({"start": 0, "end": 3, "labels": ["PERSON"]}, ground_truth=True)
    task["annotations"] += other["annotations"]

    documents = read(tmp_path, [task])

    assert documents.texts[0].spans == (ADA,)
    assert "1 text with several annotations" in documents.notes[0]


def test_a_text_without_entities_is_one(tmp_path: Path) -> None:
    assert read(tmp_path, {"text": "Nobody.", "entities": []}).texts[0].spans == ()


def test_positions_in_units_of_utf_16_are_converted(tmp_path: Path) -> None:
    task = label_studio({"start": 3, "end": 6, "text": "Ada", "labels": ["PERSON"]}, text=EMOJI)

    documents = read(tmp_path, [task])

    assert documents.texts[0].spans == (Span(2, 5, "PERSON"),)
    assert documents.notes == ("1 entity counted in units of UTF-16: converted to characters",)


def test_white_space_at_an_end_is_no_part_of_an_entity(tmp_path: Path) -> None:
    documents = read(tmp_path, {"text": TEXT, "entities": [[0, 4, "PERSON"], [10, 15, "ORG"]]})

    assert documents.texts[0].spans == (ADA, ACME)
    assert documents.notes == ("2 entities with white space at an end: it is left out of the entity",)


@pytest.mark.parametrize(
    ("span", "message"),
    [
        pytest.param([3, 3, "ORG"], "the entity 3 to 3, ORG, is empty", id="empty"),
        pytest.param([5, 3, "ORG"], "is empty", id="backwards"),
        pytest.param([11, 16, "ORG"], "is outside the text, which has 15 characters", id="after the end"),
        pytest.param([-3, 3, "ORG"], "is outside the text", id="before the start"),
        pytest.param([3, 4, "ORG"], "is white space alone", id="white space"),
        pytest.param([0, 3, ""], "has no label", id="without a label"),
        pytest.param([0, 3, None], "has no label", id="label that is none"),
        pytest.param([0, 2.5, "ORG"], "write integers", id="fraction"),
        pytest.param([True, 3, "ORG"], "write integers", id="boolean"),
        pytest.param(["0", "3", "ORG"], "write integers", id="text"),
        pytest.param([0, 3], "is no entity", id="without an end"),
        pytest.param({"start": 0, "end": 3, "labels": ["A", "B"]}, "2 labels", id="two labels"),
        pytest.param(
            {"start": 0, "end": 3, "text": "Bob", "label": "A"}, 'is "Ada" in the text, not "Bob"', id="other"
        ),
        pytest.param([13, 15, "ORG"], "13 to 15, ORG, overlaps that of 11 to 15, ORG", id="overlap"),
    ],
)
def test_a_span_that_is_none_is_refused_with_line_and_text(tmp_path: Path, span: Any, message: str) -> None:
    good = {"text": "Nobody.", "entities": []}

    (problem,) = problems_of(tmp_path, good, {"text": TEXT, "entities": [[11, 15, "ORG"], span]})

    assert problem.startswith(f'line 2, "{TEXT}": ')
    assert message in problem


@pytest.mark.parametrize(
    ("record", "message"),
    [
        pytest.param({"text": "", "entities": []}, "the text is empty", id="empty text"),
        pytest.param({"text": 5, "entities": []}, "it has no text", id="number for a text"),
        pytest.param({"entities": []}, "it has no text", id="no text"),
        pytest.param({"text": TEXT}, "no list of entities", id="no entities"),
        pytest.param("Ada", "it is no object", id="no object"),
        pytest.param({"text": "\ud83d", "entities": []}, "half of a character", id="half of a pair"),
        pytest.param({"data": {"a": "x", "b": "y"}, "annotations": [{"result": []}]}, "2 texts", id="two texts"),
    ],
)
def test_a_record_that_is_no_annotated_text_is_refused(tmp_path: Path, record: Any, message: str) -> None:
    (problem,) = problems_of(tmp_path, [record])

    assert problem.startswith("record 1")
    assert message in problem


def test_the_same_text_with_other_entities_is_refused(tmp_path: Path) -> None:
    records = [{"text": TEXT, "entities": SPANS}, {"text": TEXT, "entities": SPANS[:1]}]

    (problem,) = problems_of(tmp_path, *records)

    assert problem == f'line 2, "{TEXT}": line 1 has the same text with other entities: keep one of them'


def test_a_label_that_is_not_in_the_contract_is_refused(tmp_path: Path) -> None:
    record = {"text": TEXT, "entities": [[0, 3, "PERSN"]]}

    (problem,) = problems_of(tmp_path, record, labels=("PERSON", "ORG"))

    assert "has an unknown label (did you mean PERSON?)" in problem


def test_many_problems_are_listed_at_once(tmp_path: Path) -> None:
    records = [{"text": f"{TEXT} {number}", "entities": [[3, 3, "ORG"], [2, 1, "ORG"]]} for number in range(20)]

    with pytest.raises(DatasetError) as caught:
        read_documents(written(tmp_path, *records))

    assert len(caught.value.problems) == 40
    assert "has 40 problems:" in str(caught.value)
    assert len(str(caught.value).splitlines()) == MAX_LISTED + 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"", "the file is empty", id="empty"),
        pytest.param(b"text,entities\n", "is not JSON: write JSON Lines", id="CSV"),
        pytest.param(b'{"text": "a", "entities": []}\n{"text": \n', "line 2 is not valid JSON", id="cut"),
        pytest.param(b'[{"text": "a"\n', "line 2 is not valid JSON", id="array that is cut"),
        pytest.param(b"[]", "it has no annotated text", id="empty array"),
        pytest.param(b"\x00\x01\x02\x00" * 500, "text", id="binary"),
        pytest.param(gzip.compress(b'{"text": "a"}')[:-9], "can't be read", id="gzip that is cut"),
    ],
)
def test_a_file_that_is_no_dataset_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "data.jsonl"
    path.write_bytes(content)

    with pytest.raises(DatasetError, match=message):
        read_documents(path)


def test_a_file_that_is_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="there is no such file"):
        read_documents(tmp_path / "data.jsonl")


def zipped(content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("all.jsonl", content)
    return file.getvalue()


@pytest.mark.parametrize("compressed", [bytes, gzip.compress, bz2.compress, lzma.compress, zipped])
def test_a_compressed_file_is_read(tmp_path: Path, compressed: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "data"
    path.write_bytes(compressed(json.dumps({"text": TEXT, "entities": SPANS}).encode()))

    assert read_documents(path).texts[0].spans == (ADA, ACME)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_a_file_in_another_encoding_is_read(tmp_path: Path, encoding: str) -> None:
    text = "Zoë und Jürgen in Köln"
    path = tmp_path / "data.jsonl"
    path.write_bytes(json.dumps({"text": text, "entities": [[0, 3, "P"]]}, ensure_ascii=False).encode(encoding))

    assert read_documents(path).texts[0].text == text


def test_a_line_separator_within_a_text_ends_no_record(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text('{"text": "Ada\u2028joined", "entities": []}\r\n\r\n{"text": "b", "entities": []}\r\n')

    assert [document.line for document in read_documents(path).texts] == [1, 3]
