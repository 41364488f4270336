"""A repair whose result is not what its plan said: what is told of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Final

import msgspec

from dsvc.model.errors import DsvcError
from dsvc.model.paths import display_path
from dsvc.model.repair_proof import ArtifactProof, Proof
from dsvc.porcelain.records.repair_chain import RepairState

_NAMED: Final = 10


class RepairNotProvedError(DsvcError):
    """What a repair made is not what its plan said; nothing was committed, and it is planned as before."""

    code: ClassVar[str] = "repair-not-proved"
    exit_code: ClassVar[int] = 1


def not_proved(state: RepairState, proof: Proof) -> RepairNotProvedError:
    """The error that says what a proof found."""
    found = {
        "repair": state.id,
        "others_changed": proof.others_changed,
        "not_as_asked": proof.not_as_asked,
        "conserved": proof.conserved,
        "artifacts": [_named(each) for each in proof.artifacts if each.others_changed],
        "flaws": list(proof.flaws[:_NAMED]),
    }
    if proof.others_changed:
        named = _list(_first_rows(each) for each in proof.artifacts if each.others_changed)
        count = "1 row" if proof.others_changed == 1 else f"{proof.others_changed} rows"
        message = f"repair {state.id} would change {count} that the plan doesn't have: {named}"
        hint = (
            "dsvc rerun --check RUN says whether a step makes the same twice; --scope cause takes more rows"
        )
    elif proof.not_as_asked:
        message = f"repair {state.id}: {proof.not_as_asked} rows are not as the action says"
        hint = f"plan again: dsvc repair plan {state.plan.defect}"
    elif not proof.conserved:
        message = f"repair {state.id}: not all rows are accounted for: {_list(proof.flaws)}"
        hint = "run that step again with --key, or with a row map; then plan again"
    else:
        message = f"repair {state.id} changes nothing: every file comes out as it was"
        hint = "plan another action"
    return RepairNotProvedError(message, hint=hint, details=msgspec.to_builtins(found))


def _named(proof: ArtifactProof) -> dict[str, object]:
    return {
        "path": display_path(proof.path),
        "others_changed": proof.others_changed,
        "rows": list(proof.others),
        "new_rows": list(proof.strange),
    }


def _first_rows(proof: ArtifactProof) -> str:
    rows = proof.others[:3] or proof.strange[:3]
    name = display_path(proof.path)
    return ", ".join(f"{name}#@{row}" for row in rows) if rows else name


def _list(texts: Iterable[str]) -> str:
    found = list(texts)
    more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    return "; ".join(found[:_NAMED]) + more
