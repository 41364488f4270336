"""Keep one airport for each name and place, through the Python API: rows carry their ids."""

import os

import pyarrow.compute as pc

from dsvc import Repository
from dsvc.porcelain.state.values import Author

repo = Repository.open(".", author=Author("Demo", "demo@example.org"))
os.makedirs("dedup", exist_ok=True)
with repo.transform("dedup", inputs=["clean/airports.csv"], outputs=["dedup/airports.csv"]) as step:
    airports = step.read("clean/airports.csv")
    first: dict[tuple[object, ...], int] = {}
    keep = []
    for number, place in enumerate(airports.select(["name", "city", "state"]).to_pylist()):
        survivor = first.setdefault(tuple(place.values()), number)
        keep.append(survivor == number)
        if survivor != number:
            step.drop("clean/airports.csv", [number], reason="duplicate", survivor=survivor)
    step.write("dedup/airports.csv", airports.filter(keep))
print(f"{pc.sum(keep).as_py():,} of {len(keep):,} rows kept")
