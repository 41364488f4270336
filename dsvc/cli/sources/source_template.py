"""Templates: a record to fill in, for each kind of acquisition, with what each field means."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dsvc.cli.language.i18n import _
from dsvc.cli.sources.source_fields_text import MEANINGS

if TYPE_CHECKING:
    from dsvc.lineage.source_fields import Field
    from dsvc.model.source_record import Acquisition


def template(kind: Acquisition) -> str:
    """Return a commented TOML record; what is optional is commented out."""
    from dsvc.lineage.evidence import evidence_needed
    from dsvc.lineage.source_fields import FIELDS, FieldKind, asked_of

    lines = [
        "# " + _("A source of the kind {kind}. Fill it in, then:").format(kind=kind),
        "#   dsvc source add ID --path PATH --from FILE.toml",
        "",
        "# " + _("Every source has these."),
        *_field(FIELDS["title"], '""'),
        f'acquisition = "{kind}"',
        *_field(FIELDS["legal_basis"], '"undetermined"'),
        *_field(FIELDS["license_expression"], '"undetermined"'),
        "",
        "# " + _("The rest is asked of this kind; take the # away where you know it."),
    ]
    asked = asked_of(kind)
    for each in asked:
        if each.kind is not FieldKind.RECORD:
            lines += _field(each, _example(each), mark="# ")
    for each in asked:
        if each.kind is FieldKind.RECORD:
            lines += ["", f"# {_(MEANINGS[each.name])}", f"# [{each.name}]"]
            lines += [f"# {part.name} = {_example(part)}" for part in each.parts.values()]
    for group in evidence_needed(kind):
        words = _(" or ").join(group)
        lines += ["", "# " + _("Evidence: {types}").format(types=words)]
        lines += ["# [[evidence]]", f'# type = "{group[0]}"', '# file = ""']
    return "\n".join(lines) + "\n"


def _field(field: Field, value: str, mark: str = "") -> list[str]:
    values = f" ({' | '.join(field.values)})" if field.values else ""
    return [f"# {_(MEANINGS[field.name])}{values}", f"{mark}{field.name} = {value}"]


def _example(field: Field) -> str:
    from dsvc.lineage.source_fields import FieldKind

    if field.kind is FieldKind.LIST:
        return f'["{field.values[0]}"]' if field.values else '[""]'
    if field.kind is FieldKind.DATE:
        return "2026-01-31"
    if field.kind is FieldKind.NUMBER:
        return "0"
    return f'"{field.values[0]}"' if field.values and "unknown" not in field.values else _unknown(field)


def _unknown(field: Field) -> str:
    return '"unknown"' if field.values else '""'
