"""One step of Oxen in the current directory; run by the interpreter of Oxen's own virtual environment.

The package's `__init__` also imports pandas and more (0.4 s), which no step needs: only its compiled module,
where all of the work is done, is loaded.
"""

import importlib.util
import os
import sys
import sysconfig
from pathlib import Path
from typing import Any


def _compiled_module() -> Any:
    (path,) = (Path(sysconfig.get_path("platlib")) / "oxen").glob("oxen_py*.so")
    spec = importlib.util.spec_from_file_location("oxen_py", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main(step: str, *words: str) -> None:
    oxen = _compiled_module()
    tree = os.getcwd()
    data = os.path.join(tree, "data")
    if step == "init":
        settings = Path(str(oxen.util.get_oxen_config_dir())) / "user_config.toml"
        oxen.user.config_user("Bench", "bench@example.org", str(settings))
    repository = oxen.PyRepo(tree)
    if step == "init":
        repository.init()
    elif step == "add":
        repository.add(data)
    elif step == "commit":
        repository.commit(*words)
    elif step == "status":
        print(repository.status())
    elif step == "branch":
        current = repository.current_branch().name
        repository.checkout(words[0], True)
        repository.checkout(current, False)
    elif step == "checkout":
        repository.checkout(words[0], False)
    elif step == "restore":
        repository.restore("data", False, None)
    else:
        raise SystemExit(f"no such step: {step}")


if __name__ == "__main__":
    main(*sys.argv[1:])
