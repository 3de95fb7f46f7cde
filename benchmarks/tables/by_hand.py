"""Fit models by hand on the rows of a project. Usage: by_hand.py NAME FOLDER TASK SPLIT

Two models with the default settings of scikit-learn: histogram gradient boosting with native categories and
missing values, and a linear model on imputed, scaled and one-hot encoded columns with TF-IDF weights of words.
The better of the two on the held-out rows is compared, which favours the models by hand. Prints JSON.
"""

import argparse
import json
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from catalogue import TABLES, Table
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, r2_score, roc_auc_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

MAX_CATEGORIES = 255
"""Maximum number of values of a categorical column of the booster."""

METRICS = {"binary": "roc_auc", "multiclass": "accuracy", "regression": "r2"}


def frame_of(table: Table, path: Path) -> tuple[pd.DataFrame, list[str]]:
    """Return the features by column, and the cells of the target."""
    header, *rows = table.rows(path)
    columns = dict(enumerate(map(list, zip(*rows, strict=True))))
    target = columns.pop(header.index(table.target))
    series: dict[str, Any] = {}
    for index, cells in columns.items():
        name = header[index]
        if name not in table.identifiers:
            # Two columns may have the same name; the index makes it unique.
            series |= {f"{index} {part}": values for part, values in columns_of(table, name, cells).items()}
    return pd.DataFrame(series), target


def columns_of(table: Table, name: str, cells: list[str]) -> dict[str, Any]:
    """Return the columns that a person derives from a column: several numbers from a date."""
    if name in table.dates:
        moments = pd.Series(pd.to_datetime(pd.Series(cells), format=table.dates[name]))
        return {
            f"{name} in days": (moments - pd.Timestamp(0)).dt.days,
            f"{name} year": moments.dt.year,
            f"{name} month": moments.dt.month,
            f"{name} day": moments.dt.day,
            f"{name} weekday": moments.dt.weekday,
            f"{name} hour": moments.dt.hour + moments.dt.minute / 60,
        }
    if name in table.texts:
        return {f"{name} (text)": pd.Series(cells, dtype=object)}
    decimal = table.dialect.decimal
    try:
        return {name: pd.Series([float(cell.replace(decimal, ".")) if cell else np.nan for cell in cells])}
    except ValueError:
        return {name: pd.Series([cell or None for cell in cells], dtype=object)}


def booster(features: pd.DataFrame, *, labels: bool) -> Pipeline:
    """Return the histogram gradient booster."""
    words = [name for name in features if name.endswith(" (text)")]
    categories = [name for name in features if features[name].dtype == object and name not in words]
    numbers = [name for name in features if name not in (*words, *categories)]
    few = [name for name in categories if features[name].nunique() <= MAX_CATEGORIES]
    many = [name for name in categories if name not in few]
    codes = OrdinalEncoder(
        handle_unknown="use_encoded_value", unknown_value=np.nan, encoded_missing_value=np.nan, dtype=np.float64
    )
    encoder = ColumnTransformer([("few", codes, few), ("many", codes, many), ("numbers", "passthrough", numbers)])
    kind = HistGradientBoostingClassifier if labels else HistGradientBoostingRegressor
    return make_pipeline(encoder, kind(categorical_features=list(range(len(few))), random_state=0))


def linear(features: pd.DataFrame, *, labels: bool) -> Pipeline:
    """Return the linear model."""
    words = [name for name in features if name.endswith(" (text)")]
    categories = [name for name in features if features[name].dtype == object and name not in words]
    numbers = [name for name in features if name not in (*words, *categories)]
    scaled = make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler())
    encoder = ColumnTransformer(
        [("numbers", scaled, numbers), ("categories", OneHotEncoder(handle_unknown="ignore"), categories)]
        + [(name, TfidfVectorizer(min_df=2), name) for name in words]
    )
    return make_pipeline(encoder, LogisticRegression(max_iter=1000) if labels else Ridge())


def quality(task: str, model: Pipeline, features: pd.DataFrame, truth: Any) -> float:
    """Return the metric of the task on these rows."""
    if task == "binary":
        return float(roc_auc_score(truth == model.classes_[1], model.predict_proba(features)[:, 1]))
    return float((accuracy_score if task == "multiclass" else r2_score)(truth, model.predict(features)))


def judged(table: Table, path: Path, task: str, split: dict[str, Any]) -> dict[str, Any]:
    """Fit both models on the training rows and evaluate them on the held-out rows.

    Raises:
        ValueError: if the rows of the file differ from those of the split.
    """
    features, cells = frame_of(table, path)
    labels = task != "regression"
    if labels:
        known = set(split["target"])
        rows = [row for row, cell in enumerate(cells) if cell in known]
        target = np.array([cells[row] for row in rows], dtype=object)
    else:
        rows = [row for row, cell in enumerate(cells) if cell]
        target = np.array([float(cells[row].replace(table.dialect.decimal, ".")) for row in rows])
    if target.tolist() != split["target"]:
        raise ValueError(f"the project split {len(split['target'])} other rows than the {len(rows)} of {path}")
    features = features.iloc[rows]
    training, held_out = split["training"], split["held_out"]
    models = {}
    for name, make in (("booster", booster), ("linear", linear)):
        if name == "booster" and all(column.endswith(" (text)") for column in features):
            continue
        started = time.perf_counter()
        model = make(features, labels=labels)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(features.iloc[training], target[training])
        value = quality(task, model, features.iloc[held_out], target[held_out])
        models[name] = {"value": value, "seconds": time.perf_counter() - started}
    return {"metric": METRICS[task], "models": models}


def main() -> None:
    """Print the results for a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name")
    parser.add_argument("folder", type=Path)
    parser.add_argument("task", choices=METRICS)
    parser.add_argument("split", type=Path, help="output of split.py")
    arguments = parser.parse_args()
    table = next(table for table in TABLES if table.name == arguments.name)
    split = json.loads(arguments.split.read_text())
    print(json.dumps(judged(table, table.path(arguments.folder), arguments.task, split)))


if __name__ == "__main__":
    main()
