"""Give each airport the region of its state."""

import csv

with open("raw/states.csv", encoding="utf-8", newline="") as stream:
    states = {row["state"]: row for row in csv.DictReader(stream)}

with (
    open("dedup/airports.csv", encoding="utf-8", newline="") as source,
    open("joined/airports.csv", "w", encoding="utf-8", newline="") as target,
):
    airports = csv.DictReader(source)
    writer = csv.DictWriter(target, [*(airports.fieldnames or ()), "region"], lineterminator="\n")
    writer.writeheader()
    for row in airports:
        writer.writerow({**row, "region": states[row["state"]]["region"]})
