"""`dsvc run`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from dsvc.cli.arguments.named_values import keys, pairs
from dsvc.cli.arguments.paths import tree_path, tree_paths
from dsvc.cli.environment.settings import is_terminal
from dsvc.cli.frame.session import Session
from dsvc.cli.frame.verb import PathWord, after_dashes, verb
from dsvc.cli.language.i18n import _
from dsvc.cli.runs.run_result import report_run
from dsvc.model.errors import UsageError

if TYPE_CHECKING:
    from dsvc.porcelain.repository import Repository
    from dsvc.porcelain.runs.run_spec import RunSpec


@verb(
    "run",
    _(
        "What stands after -- is carried out from the current folder; one word with blanks is a line for sh. "
        "Inputs and outputs are files or folders; of an output folder what was made or changed counts. The "
        "command finds the folder DSVC_RUN_DIR, and may write rowmap.parquet and drops.jsonl into it to say "
        "which rows became which. The run waits for the commit that has its outputs."
    ),
    splits=True,
    greedy=["-i", "--input", "-o", "--output", "--lookup", "--param", "--fact", "--key", "--rename-key"],
)
@click.argument("words", nargs=-1, metavar="-- COMMAND…")
@click.option("--name", metavar="NAME", help=_("name of the step"))
@click.option(
    "-i", "--input", "inputs", multiple=True, metavar="PATH…", type=PathWord(), help=_("what it reads")
)
@click.option(
    "-o", "--output", "outputs", multiple=True, metavar="PATH…", type=PathWord(), help=_("what it makes")
)
@click.option(
    "--lookup",
    "lookups",
    multiple=True,
    metavar="PATH…",
    type=PathWord(),
    help=_("what it looks things up in; its rows are not accounted for"),
)
@click.option(
    "--kind", metavar="KIND", help=_("what it does: filter, dedup, clean, label, …; by default by the name")
)
@click.option(
    "--manual", metavar="TEXT", help=_("record what was done already, in words, in place of a command")
)
@click.option(
    "--param",
    "params",
    multiple=True,
    metavar="K=V…",
    help=_("a parameter; the command finds it in DSVC_PARAM_K"),
)
@click.option(
    "--fact",
    "facts",
    multiple=True,
    metavar="K=V…",
    help=_(
        "what its kind asks for; any: tool, rules, batch, by=human|model, model; label: annotator, "
        "reviewer, qualification, purpose=functional|safety, corrected_from=RUN|FILE, auto_share=0..1, "
        "agreement=-1..1, agreement_metric; review: also review=automatic|cross|expert, "
        "aspect=labels|safety|quality, verdict=pass|fail, sample=ITEMS, passed=ITEMS, precision=0..1, "
        "consistency, timeliness, completeness, neutrality; synthesize, augment: generator, version, "
        "prompt_hash, config_hash, seed_data"
    ),
)
@click.option(
    "--key",
    "key_words",
    multiple=True,
    metavar="[PATH:]COL…",
    help=_("columns that tell a table's rows apart"),
)
@click.option(
    "--rename-key",
    "renamed",
    multiple=True,
    metavar="OLD=NEW",
    help=_("a key column has another name in the outputs"),
)
@click.option(
    "--rowwise", is_flag=True, help=_("each row's result depends on that row only; tested when recorded")
)
@click.option(
    "--seed", metavar="SEED", help=_("seed of its random numbers; the command finds it in DSVC_SEED")
)
@click.option(
    "--drop-reason", metavar="REASON", help=_("why rows are dropped, where the command doesn't say")
)
@click.option("--grade", metavar="GRADE", help=_("classification of the outputs: general, important or core"))
@click.option(
    "--declassify",
    "declassified",
    metavar="REASON",
    help=_("why that may be lower than the inputs', and who approved it"),
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help=_("end the command after this time"),
)
def command(
    session: Session, words: tuple[str, ...], manual: str | None, timeout: float | None, **options: Any
) -> None:
    """Carry out a step and record it."""
    repo = session.repository()
    line = _command_line(words, after_dashes(), manual)
    spec = _spec(repo, "manual" if manual is not None else None, **options)
    environ = session.settings.environ
    if manual is not None:
        report_run(session, repo.run_manual(spec, manual, environ=environ))
        return
    sys.stdout.flush()
    result = repo.run(
        spec,
        line,
        environ=environ,
        folder=tree_path(".", repo.root),
        timeout=timeout,
        output=sys.stderr.fileno() if session.as_json else None,
        interactive=is_terminal(sys.stdin),
    )
    report_run(session, result)


def _spec(
    repo: Repository,
    default: str | None,
    *,
    name: str | None,
    kind: str | None,
    inputs: tuple[str, ...],
    outputs: tuple[str, ...],
    lookups: tuple[str, ...],
    params: tuple[str, ...],
    facts: tuple[str, ...],
    key_words: tuple[str, ...],
    renamed: tuple[str, ...],
    **others: Any,
) -> RunSpec:
    """Return what the options say that the run shall be; `others` stand for themselves."""
    from dsvc.porcelain.runs.run_spec import RunSpec, kind_of

    name = name or kind or default
    if name is None:
        raise UsageError(_("a run needs a name"), hint=_("give one, such as: --name dedup"))
    return RunSpec(
        name=name,
        kind=kind_of(name, kind),
        inputs=tree_paths(inputs, repo.root),
        outputs=tree_paths(outputs, repo.root),
        lookups=tree_paths(lookups, repo.root),
        parameters=pairs("--param", params),
        facts=pairs("--fact", facts),
        keys=keys(key_words, repo.root),
        renamed=pairs("--rename-key", renamed),
        **others,
    )


def _command_line(words: tuple[str, ...], after: list[str] | None, manual: str | None) -> list[str]:
    """Return the words of the command; what stands before ``--`` must be options."""
    if words:
        raise UsageError(
            _("'{word}' is no option; the command stands after --").format(word=words[0][:80]),
            hint=_("dsvc run --name NAME -i PATH -o PATH -- COMMAND"),
        )
    if manual is not None and after:
        raise UsageError(_("--manual records what was done already; there is no command with it"))
    if manual is None and not after:
        raise UsageError(
            _("there is no command to run"),
            hint=_("write it after --, or record what was done already with --manual TEXT"),
        )
    return after or []
