"""Writes the pipeline of a project's model as spaCy does, and the texts of its training data, into a folder.

Runs in the environment of the project. Arguments: folder of the artefact, file of the data, folder to write to.
"""

import json
import sys
from pathlib import Path

from mlops_runtime.entities.dataset import read_dataset
from mlops_runtime.entities.predictor import CONFIG_FILE, PIPELINE_FILE, loaded_pipeline

artefact, data, folder = map(Path, sys.argv[1:])
files = {name: (artefact / name).read_bytes() for name in (CONFIG_FILE, PIPELINE_FILE)}
loaded_pipeline(files).to_disk(folder / "pipeline")
(folder / "texts.json").write_text(json.dumps([annotated.text for annotated in read_dataset(data).texts]))
