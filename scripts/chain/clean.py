"""Correct coordinates whose sign is wrong, and leave out airports without a state."""

import csv
import json
import os
from pathlib import Path

NORTH_WEST = {"GRO", "GSN", "GUM", "TNI", "TT01"}  # Guam and the Northern Marianas lie in the east
SOUTH = {"FAQ", "PPG", "Z08"}  # American Samoa lies in the south

with open("raw/airports.csv", encoding="utf-8", newline="") as stream:
    rows = list(csv.DictReader(stream))

kept = []
with Path(os.environ["DSVC_RUN_DIR"], "drops.jsonl").open("w", encoding="utf-8") as drops:
    for number, row in enumerate(rows):
        if row["state"] == "NA":
            reason = "no state" if row["country"] == "USA" else "not in the USA"
            drops.write(json.dumps({"input": "raw/airports.csv", "row": number, "reason": reason}) + "\n")
            continue
        if row["iata"] in NORTH_WEST:
            row["longitude"] = row["longitude"].removeprefix("-")
        if row["iata"] in SOUTH:
            row["latitude"] = "-" + row["latitude"]
        kept.append(row)

with open("clean/airports.csv", "w", encoding="utf-8", newline="") as stream:
    writer = csv.DictWriter(stream, rows[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(kept)
