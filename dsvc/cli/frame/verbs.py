"""The table of verbs: where each is, and its line of help. Nothing is imported until a verb runs."""

from __future__ import annotations

from typing import Final, NamedTuple

from dsvc.cli.language.i18n import N_


class Entry(NamedTuple):
    """A verb: its module under ``dsvc.cli.commands``, one line of help, the section of the overview."""

    module: str
    help: str
    section: str


START, RECORD, LOOK, MOVE, COMBINE, UNDO, PROVE, FEED, CARE = (
    N_("Start"),
    N_("Record changes"),
    N_("Look at versions"),
    N_("Move between versions"),
    N_("Combine versions"),
    N_("Take back"),
    N_("Provenance"),
    N_("Feedback and repair"),
    N_("Care and settings"),
)

VERBS: Final[dict[str, Entry]] = {
    "init": Entry("init", N_("Make a repository"), START),
    "add": Entry("add", N_("Store what changed and stage it for the next commit"), RECORD),
    "status": Entry("status", N_("Show what is staged, changed and untracked"), RECORD),
    "commit": Entry("commit", N_("Record what is staged as a new version"), RECORD),
    "rm": Entry("rm", N_("Remove files, here and from the next commit"), RECORD),
    "normalize": Entry("normalize", N_("Rewrite Parquet files so that versions share bytes"), RECORD),
    "mv": Entry("mv", N_("Move or rename a file or folder"), RECORD),
    "log": Entry("log", N_("Show the history, newest first"), LOOK),
    "show": Entry("show", N_("Show one commit and what it changed"), LOOK),
    "diff": Entry("diff", N_("Compare versions, or the working tree with one"), LOOK),
    "blame": Entry("blame", N_("Show who last changed a file, or a row and each of its cells"), LOOK),
    "cat": Entry("cat", N_("Write a file of any version to standard output"), LOOK),
    "ls": Entry("ls", N_("List the files of any version"), LOOK),
    "sql": Entry("sql", N_("Ask a question of any versions of tables"), LOOK),
    "archive": Entry("archive", N_("Write a version into a tar or zip file"), LOOK),
    "checkout": Entry("checkout", N_("Move the working tree to another version"), MOVE),
    "branch": Entry("branch", N_("List, make, rename or delete branches"), MOVE),
    "tag": Entry("tag", N_("List, make or delete tags"), MOVE),
    "stash": Entry("stash", N_("Put uncommitted work aside, and take it back"), MOVE),
    "merge": Entry("merge", N_("Bring another branch into this one"), COMBINE),
    "conflicts": Entry("conflicts", N_("Show what a merge could not decide"), COMBINE),
    "resolve": Entry("resolve", N_("Settle a conflict"), COMBINE),
    "apply": Entry("apply", N_("Apply a patch to the files here, tables row by row"), COMBINE),
    "cherry-pick": Entry("cherry_pick", N_("Apply what one commit changed"), COMBINE),
    "revert": Entry("revert", N_("Commit the opposite of an earlier commit"), UNDO),
    "restore": Entry("restore", N_("Bring files back as they were"), UNDO),
    "reset": Entry("reset", N_("Move the branch to another commit, or unstage"), UNDO),
    "clean": Entry("clean", N_("Remove untracked files"), UNDO),
    "undo": Entry("undo", N_("Take back the last operation, discarded work included"), UNDO),
    "op": Entry("op", N_("Show the operations that undo can take back"), UNDO),
    "reflog": Entry("reflog", N_("Show where HEAD or a branch was before"), UNDO),
    "source": Entry("source", N_("Record where data came from, by which right"), PROVE),
    "run": Entry("run", N_("Carry out a step and record what it made from what"), PROVE),
    "rerun": Entry("rerun", N_("Do a recorded run again, to check it or because its inputs changed"), PROVE),
    "lineage": Entry("lineage", N_("Draw what came from what, raw to final"), PROVE),
    "trace": Entry("trace", N_("Show where a file or a row came from, back to its sources"), PROVE),
    "impact": Entry("impact", N_("Show what came of a source, a run, a file or a row"), PROVE),
    "check": Entry("check", N_("Judge a version by the rules in force: sources, lineage, policy"), PROVE),
    "request": Entry("request", N_("Record what people ask for: leave out, take back, erase"), PROVE),
    "policy": Entry("policy", N_("Show, explain and test what is in force"), PROVE),
    "hook": Entry("hook", N_("Put the gate before commits and pushes of git"), PROVE),
    "waive": Entry("waive", N_("Let a violation stand, signed by an officer who isn't its author"), PROVE),
    "feedback": Entry("feedback", N_("Bring in what an evaluation found, as a commit"), FEED),
    "defect": Entry("defect", N_("Show and settle what evaluations found wrong"), FEED),
    "repair": Entry("repair", N_("Plan, apply and prove the repair of a defect"), FEED),
    "release": Entry("release", N_("Give out a version that the gate let pass, with its proofs"), FEED),
    "fsck": Entry("fsck", N_("Check that every stored byte is right"), CARE),
    "gc": Entry("gc", N_("Free what no version needs"), CARE),
    "du": Entry("du", N_("Show how much the repository takes"), CARE),
    "config": Entry("config", N_("Read and change settings"), CARE),
    "completion": Entry("completion", N_("Print the completion script of a shell"), CARE),
    "help": Entry("help", N_("Show help for a verb"), CARE),
    "version": Entry("version", N_("Show the version of dsvc"), CARE),
}
