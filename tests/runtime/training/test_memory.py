import subprocess
import sys
from pathlib import Path
from random import Random

from tests.runtime.conftest import LOCK, TEMPLATE

ROWS = 6_000
WORDS = 3_000

TRAINING = """
import resource, sys
from pathlib import Path
from mlops_runtime.contract import Contract, Integer, RecordModel, Task, Text, ValuePrediction
from pydantic import Field
from mlops_runtime.training import Settings, importance, parity, train
from mlops_runtime.training.candidates import default_candidates

class Record(RecordModel):
    title: Text = Field(alias="title")
    items: Integer = Field(alias="items")

class Prediction(ValuePrediction):
    pass

folder, data, lock = map(Path, sys.argv[1:])
settings = Settings(
    data=data, artefact=folder / "artefact", report=folder / "report.html", metrics=folder / "metrics.json",
    lock=lock, floors={"skill": -1e9}, seed=0, test_share=0.25, budget=0, version="1", commit="0",
)
contract = Contract(Record, Prediction, Task.REGRESSION, "price")
# Time, not memory, grows with these.
importance.MAX_REPEATS = importance.MIN_REPEATS = 1
parity.DRAWN_ROWS = 100
train(contract, settings, default_candidates(contract)[:1])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def test_a_small_table_with_many_words_needs_little_memory(tmp_path: Path) -> None:
    # given: 200 KB of text whose dense matrix of words has 18 million cells
    draw = Random(0)
    data = tmp_path / "titles.csv"
    with data.open("w") as file:
        file.write("title,items,price\n")
        for row in range(ROWS):
            title = " ".join(f"w{draw.randrange(WORDS)}" for _ in range(4))
            file.write(f"{title},{row % 7},{row % 7 + draw.random():.3f}\n")
    # when
    command = [sys.executable, "-c", TRAINING, str(tmp_path), str(data), str(LOCK)]
    environment = {"PYTHONPATH": str(TEMPLATE / "runtime"), "MPLCONFIGDIR": str(tmp_path)}
    trained = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert trained.returncode == 0, trained.stderr
    # then: of which the libraries take more than half
    assert int(trained.stdout) < 600
