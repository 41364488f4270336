"""Write a snapshot of evidently over the reviews: python write.py FILE; see README.md."""

import json
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import pandas  # noqa: E402
from evidently import BinaryClassification, DataDefinition, Dataset, Report  # noqa: E402
from evidently.metrics import (  # noqa: E402
    Accuracy,
    CategoryCount,
    InListValueCount,
    MaxValue,
    MissingValueCount,
    RowCount,
    UniqueValueCount,
)
from evidently.presets import DataDriftPreset  # noqa: E402
from evidently.tests import eq, gte, lte  # noqa: E402
from predict import predict  # noqa: E402

rows = [json.loads(line) for line in (HERE.parent / "reviews.jsonl").read_text("utf-8").splitlines()]
table = pandas.DataFrame(rows)
table["length"] = table["text"].str.len()
table["prediction"] = [predict(text) for text in table["text"]]
table["评分"] = [5, 1, 5, None, 2, 3, 2, 5]
definition = DataDefinition(
    text_columns=["text"],
    numerical_columns=["length", "评分"],
    categorical_columns=["lang", "label", "prediction"],
    classification=[
        BinaryClassification(target="label", prediction_labels="prediction", pos_label="positive")
    ],
)
current = Dataset.from_pandas(table, data_definition=definition)
reference = Dataset.from_pandas(table.iloc[::-1].reset_index(drop=True).head(6), data_definition=definition)
metrics = [
    RowCount(tests=[eq(8)]),
    MissingValueCount(column="评分", tests=[eq(0)]),
    MaxValue(column="length", tests=[lte(30)]),
    UniqueValueCount(column="lang"),
    CategoryCount(column="label", category="negative", tests=[gte(3)]),
    InListValueCount(column="lang", values=["zh", "en"]),
    Accuracy(tests=[gte(0.9)]),
]
if "--drift" in sys.argv:
    metrics = [DataDriftPreset(columns=["length", "lang"])]
snapshot = Report(metrics, metadata={"dsvc": "reviews.jsonl"}, tags=["情感"], include_tests=False).run(
    current, reference if "--drift" in sys.argv else None
)
Path(sys.argv[1]).write_text(snapshot.json(), encoding="utf-8")
