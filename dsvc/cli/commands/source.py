"""`dsvc source`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from dsvc.cli.arguments.paths import tree_paths
from dsvc.cli.frame.named_files import read_file
from dsvc.cli.frame.session import Session
from dsvc.cli.frame.verb import PathWord, complete_chains, with_options
from dsvc.cli.frame.verb_group import VerbGroup
from dsvc.cli.language.i18n import _
from dsvc.cli.sources.source_text import list_groups, list_sources, report_changed, show_size, show_source
from dsvc.cli.writing.names import path_fields, show_name
from dsvc.model.errors import UsageError
from dsvc.model.source_record import Acquisition, LegalBasis

if TYPE_CHECKING:
    from dsvc.lineage.source_document import SourceDocument

F = TypeVar("F", bound=Callable[..., Any])
KINDS = [kind.value for kind in Acquisition]
FORMATS = ("toml", "dps")
_MAX_DOCUMENT = 16 << 20

command = VerbGroup(
    "source",
    default="list",
    details=_(
        "Data that no run made needs one: what it is, how it was acquired, by which right, with which proof."
    ),
)


_ID = click.argument("source_id", metavar="ID", shell_complete=complete_chains("sources"))


def _record_options(function: F) -> F:
    options = [
        click.option("--title", metavar="T", help=_("a name for people")),
        click.option(
            "--license",
            "license_expression",
            metavar="SPDX",
            help=_("the licence, as in CC-BY-4.0; LicenseRef-NAME, or undetermined"),
        ),
        click.option(
            "--acquisition",
            metavar="KIND",
            help=_("how it was acquired: {kinds}").format(kinds=", ".join(KINDS)),
        ),
        click.option(
            "--legal-basis",
            metavar="KIND",
            help=_("by which right: {kinds}").format(kinds=", ".join(basis.value for basis in LegalBasis)),
        ),
        click.option(
            "--field",
            "fields",
            multiple=True,
            metavar="K=V…",
            help=_("other fields of the record; lists with commas, K= removes one"),
        ),
        click.option(
            "--evidence",
            multiple=True,
            metavar="FILE…",
            type=PathWord(),
            help=_("files that prove it: FILE, or TYPE=FILE@FROM..TO; they are stored and hashed"),
        ),
        click.option(
            "--from",
            "document",
            metavar="FILE",
            type=PathWord(),
            help=_("a record in TOML, or in JSON by the Data & Trust Alliance; options count more"),
        ),
    ]
    return with_options(options)(function)


_PATHS = click.option(
    "--path", "paths", multiple=True, metavar="PATH…", type=PathWord(), help=_("files and folders it covers")
)
_WHERE = click.option(
    "--where",
    metavar="EXPR",
    help=_("only the rows of the tables there for which this is true: lang == 'zh'"),
)
_OUTPUT = click.option(
    "-o", "--output", metavar="FILE", type=PathWord(), help=_("write it there, not to standard output")
)


def _fields(pairs: Iterable[str], **named: str | None) -> dict[str, object]:
    found: dict[str, object] = {name: value for name, value in named.items() if value is not None}
    lists: dict[str, list[str]] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise UsageError(
                _("'{pair}' is no field with a value").format(pair=pair), hint=_("--field NAME=VALUE")
            )
        lists.setdefault(name.strip(), []).append(value)
    for name, values in lists.items():
        if name in found or (len(values) > 1 and not all(_is_list(name) for _value in values)):
            raise UsageError(_("{name} is given twice").format(name=name))
        found[name] = values[0] if len(values) == 1 else ",".join(values)
    return found


def _is_list(name: str) -> bool:
    from dsvc.lineage.source_fields import FIELDS, FieldKind

    return name not in FIELDS or FIELDS[name].kind is FieldKind.LIST


def _evidence(words: Iterable[str]) -> list[Any]:
    from dsvc.lineage.evidence import EvidenceOption, parse_option

    found: list[Any] = []
    for word in words:
        # A file of that very name is meant, whatever else the name could say.
        option = EvidenceOption(word) if os.path.lexists(word) else parse_option(word)
        found.append(option._replace(file=os.path.abspath(option.file)))
    return found


def _document(file: str | None) -> SourceDocument | None:
    if file is None:
        return None
    name = show_name(os.fsencode(file))
    data = read_file(file, _MAX_DOCUMENT)
    if data.lstrip()[:1] == b"{" or file.endswith(".json"):
        from dsvc.lineage.provenance_standard import parse_dps

        return parse_dps(data, name)
    from dsvc.lineage.source_document import parse_toml

    return parse_toml(data, name, os.path.dirname(os.path.abspath(file)))


@command.verb(
    "add",
    _("Record where data came from, and attest the files there now"),
    _("dsvc source template KIND shows what a kind of acquisition is asked for."),
    greedy=("--path", "--field", "--evidence"),
)
@_ID
@_PATHS
@_WHERE
@_record_options
def add(
    session: Session,
    source_id: str,
    paths: tuple[str, ...],
    where: str | None,
    title: str | None,
    license_expression: str | None,
    acquisition: str | None,
    legal_basis: str | None,
    fields: tuple[str, ...],
    evidence: tuple[str, ...],
    document: str | None,
) -> None:
    """Record a source."""
    repo = session.repository()
    given = _fields(
        fields,
        title=title,
        license_expression=license_expression,
        acquisition=acquisition,
        legal_basis=legal_basis,
    )
    with session.progress() as progress:
        made = repo.source_add(
            source_id,
            tree_paths(paths, repo.root),
            fields=given,
            evidence=_evidence(evidence),
            where=where,
            document=_document(document),
            progress=progress,
        )
    report_changed(
        session, made, _("recorded source {id}: {size}").format(id=source_id, size=show_size(made))
    )
    session.advise_identity()


@command.verb(
    "update",
    _("Attest the files there now"),
    _("With --path the source covers these paths from now on, else those that it covered."),
    greedy=("--path",),
)
@_ID
@_PATHS
@_WHERE
def update(session: Session, source_id: str, paths: tuple[str, ...], where: str | None) -> None:
    """Attest again."""
    repo = session.repository()
    with session.progress() as progress:
        made = repo.source_update(source_id, tree_paths(paths, repo.root), where=where, progress=progress)
    report_changed(
        session, made, _("source {id} attests {size} now").format(id=source_id, size=show_size(made))
    )


@command.verb("list", _("List the sources"))
@click.option(
    "--by",
    metavar="FIELD",
    help=_("in groups: supply_type, acquisition, license_expression, grade, status or another field"),
)
def list_(session: Session, by: str | None) -> None:
    """List all sources."""
    repo = session.repository()
    if by is None:
        list_sources(session, repo.sources())
    else:
        list_groups(session, repo.source_groups(by))


@command.verb("show", _("Show the record of a source, its evidence and its history"))
@_ID
def show(session: Session, source_id: str) -> None:
    """Show one source."""
    show_source(session, session.repository().source(source_id))


@command.verb(
    "set",
    _("Change the record of a source, or add evidence to it"),
    _("--field blacklisted=REASON blacklists it. The attested files stay as they are."),
    greedy=("--field", "--evidence", "--drop-evidence"),
)
@_ID
@_record_options
@click.option("--drop-evidence", "dropped", multiple=True, metavar="NAME…", help=_("evidence to take out"))
def set_(
    session: Session,
    source_id: str,
    title: str | None,
    license_expression: str | None,
    acquisition: str | None,
    legal_basis: str | None,
    fields: tuple[str, ...],
    evidence: tuple[str, ...],
    document: str | None,
    dropped: tuple[str, ...],
) -> None:
    """Change a record."""
    given = _fields(
        fields,
        title=title,
        license_expression=license_expression,
        acquisition=acquisition,
        legal_basis=legal_basis,
    )
    if not (given or evidence or dropped or document):
        raise UsageError(_("nothing to set was given"), hint=_("dsvc source set ID --field NAME=VALUE"))
    made = session.repository().source_set(
        source_id,
        fields=given,
        evidence=_evidence(evidence),
        dropped_evidence=dropped,
        document=_document(document),
    )
    done = _("changed source {id}") if made.changed else _("source {id} has all of this already")
    report_changed(session, made, done.format(id=source_id))


@command.verb(
    "withdraw",
    _("Withdraw a source: what descends from it may not be used any more"),
    _("Its record and the attested files stay. dsvc impact source:ID shows what it reaches."),
)
@_ID
@click.option("--reason", required=True, metavar="TEXT", help=_("why"))
def withdraw(session: Session, source_id: str, reason: str) -> None:
    """Withdraw a source."""
    made = session.repository().source_withdraw(source_id, reason)
    report_changed(session, made, _("withdrew source {id}; undo with: dsvc undo").format(id=source_id))


@command.verb("template", _("Print a record to fill in, for a kind of acquisition"))
@click.argument("kind", type=click.Choice(KINDS), metavar="KIND")
@_OUTPUT
def template(session: Session, kind: str, output: str | None) -> None:
    """Print a template."""
    from dsvc.cli.sources.source_template import template as make

    _give(session, make(Acquisition(kind)), output)


@command.verb("export", _("Write the record of a source as TOML, or by the Data & Trust Alliance"))
@_ID
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    default="toml",
    show_default=True,
    help=_("toml, or dps: Data Provenance Standards 1.0.0"),
)
@_OUTPUT
def export(session: Session, source_id: str, form: str, output: str | None) -> None:
    """Export a record."""
    record = session.repository().source(source_id).record
    if form == "toml":
        from dsvc.lineage.source_document import render_toml

        _give(session, render_toml(record), output)
        return
    from dsvc.lineage.provenance_standard import render_dps

    _give(session, render_dps(record), output)


def _give(session: Session, text: str, output: str | None) -> None:
    if output is None:
        session.output.json({"text": text})
        session.output.exact(text.rstrip("\n"))
        return
    from dsvc.porcelain.state.output_file import write_output

    write_output(session.repository(), output, lambda stream: _fill(stream, text))
    session.output.json(path_fields(os.fsencode(output)))
    session.output.line(_("wrote {file}").format(file=show_name(os.fsencode(output))))


def _fill(stream: Any, text: str) -> None:
    stream.write(text.encode("utf-8", "surrogateescape"))
