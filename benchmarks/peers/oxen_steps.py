"""One step of Oxen in the current directory; run by the interpreter of Oxen's own virtual environment.

`python oxen_steps.py package add` goes through the package's documented interface, `oxen.Repo`. With `bare`
in place of `package` only its compiled module is loaded, which does all of the work: the package's `__init__`
also imports pandas and more, 0.3 s that no step needs. `diff OLD NEW` needs no repository: it compares two
files by their column `id` and prints how many rows of each status there are.
"""

import json
import os
import sys
import sysconfig
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any


def _compiled_module() -> Any:
    (path,) = (Path(sysconfig.get_path("platlib")) / "oxen").glob("oxen_py*.so")
    spec = spec_from_file_location("oxen_py", path)
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _repository(way: str, tree: str) -> Any:
    if way == "bare":
        return _compiled_module().PyRepo(tree)
    return import_module("oxen").Repo(tree)


def _diff(way: str, old: str, new: str) -> None:
    if way == "bare":
        found = _compiled_module().diff.diff_paths(old, ["id"], new, None, None, None).tabular.data
    else:
        found = import_module("oxen").diff(old, new, keys=["id"]).get().data
    print(json.dumps(dict(found["_oxen_diff_status"].value_counts().iter_rows())))


def main(way: str, step: str, *words: str) -> None:
    if step == "diff":
        _diff(way, *words)
        return
    tree = os.getcwd()
    repository = _repository(way, tree)
    if step == "init":
        repository.init()
    elif step == "add":
        repository.add(os.path.join(tree, "data"))
    elif step == "commit":
        repository.commit(*words)
    elif step == "status":
        print(repository.status())
    elif step == "branch":
        repository.checkout(words[0], True)
        repository.checkout("main", False)
    elif step == "checkout":
        repository.checkout(words[0], False)
    elif step == "restore":
        repository.restore("data", False, None)
    else:
        raise SystemExit(f"no such step: {step}")


if __name__ == "__main__":
    main(*sys.argv[1:])
