"""Put a fifth of the airports aside for validation; which ones follows from their codes alone."""

import csv
import hashlib

with open("labelled/机场.csv", encoding="utf-8", newline="") as stream:
    airports = csv.DictReader(stream)
    names = list(airports.fieldnames or ())
    parts: dict[str, list[dict[str, str]]] = {"train": [], "valid": []}
    for row in airports:
        aside = hashlib.sha256(row["iata"].encode()).digest()[0] < 51
        parts["valid" if aside else "train"].append(row)

for part, rows in parts.items():
    with open(f"split/{part}.csv", "w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
