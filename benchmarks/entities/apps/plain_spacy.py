"""Flask around a pipeline of spaCy, in a few lines: no validation, no limits, no log."""

import os
from typing import Any

import spacy
from flask import Flask, Response, jsonify, request

nlp = spacy.load(os.environ["PIPELINE"])
app = Flask(__name__)


@app.post("/predictions")
def predict() -> Response:
    """Answer a text or a list of texts."""
    body = request.get_json()
    if isinstance(body, dict):
        return jsonify(entities(nlp(body["text"])))
    return jsonify([entities(document) for document in nlp.pipe(record["text"] for record in body)])


def entities(document: Any) -> dict[str, Any]:
    """Return the entities of a document."""
    return {
        "entities": [
            {"text": span.text, "label": span.label_, "start": span.start_char, "end": span.end_char}
            for span in document.ents
        ]
    }
