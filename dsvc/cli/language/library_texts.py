"""Texts of the library that people see, named here so that the catalogues have them.

The library speaks English and knows no catalogue; `dsvc.cli.frame.boundary` looks its messages and hints up.
A text that is missing here is shown in English, after a translated title.
"""

from __future__ import annotations

from typing import Final

from dsvc.cli.language.i18n import N_

MESSAGES: Final = (
    N_("nothing to commit"),
    N_("there is nothing to undo"),
    N_("HEAD has no commit yet"),
    N_("HEAD has moved since"),
    N_("a merge is in progress"),
    N_("no merge is in progress"),
    N_("there is no commit to amend"),
    N_("there is no commit to revert on this branch"),
    N_("the message of a tag is empty"),
    N_("what is staged is compared with one revision"),
    N_("a diff to a revision needs one to begin from"),
    N_("'...' takes two commits"),
    N_("paths don't go with -b or --sparse"),
    N_("there is no run of gc left in the trash to undo"),
)
HINTS: Final = (
    N_("put git on the PATH"),
    N_("dsvc hook install pre-receive puts it there"),
    N_("fetch it first, then add to it"),
    N_("there are pre-commit, pre-push and pre-receive"),
    N_("dsvc commit asks the policy by itself; a program of your own goes into .dsvc/hooks"),
    N_("it judges what comes into the history of dsvc: leave --git out"),
    N_("--dsvc puts pre-push and pre-receive into dsvc's own history"),
    N_("add a line there: dsvc hook run NAME"),
    N_("put one there that can be executed (chmod +x)"),
    N_("copy the folder .dsvc/git as it is, or take git clone --mirror"),
    N_("--no-verify commits all the same, and the commit says so"),
    N_("dsvc init makes one here"),
    N_("dsvc init --nested makes a repository of its own here"),
    N_("dsvc add stages changes, dsvc status shows them"),
    N_("dsvc log, dsvc branch and dsvc tag list what there is"),
    N_("dsvc op log lists what was done"),
    N_("dsvc op log lists them"),
    N_("dsvc reflog lists them"),
    N_("dsvc tag lists what there is"),
    N_("dsvc ls lists it"),
    N_("dsvc conflicts lists them, dsvc resolve settles one"),
    N_("dsvc conflicts lists those that are"),
    N_("dsvc conflicts lists them"),
    N_("settle it with --with FILE"),
    N_("dsvc restore brings it back; --with FILE settles it as a whole"),
    N_("name columns that together are unique: --key A,B"),
    N_("tables are Parquet, Arrow, CSV, TSV, JSON lines and JSON arrays of objects"),
    N_("a row is #COLUMN=VALUE, #A=1,B=2 or #@N; where '#' belongs to a name, write %23"),
    N_("dsvc commit finishes it, dsvc merge --abort gives it up"),
    N_("commit it, dsvc stash puts it away, --force stores and overwrites it"),
    N_("make one: dsvc add -A, then dsvc commit -m MESSAGE"),
    N_("move to another one first: dsvc checkout BRANCH"),
    N_("--force moves it"),
    N_("--cached keeps the files, --force removes them and undo brings them back"),
    N_("dsvc clean removes untracked files"),
    N_("dsvc rm -r removes folders"),
    N_("dsvc restore brings it back"),
    N_("undo the later operations first"),
    N_("after a name come ~N, ^N or @{N}"),
    N_("two dots compare with STAGED or WORKTREE"),
    N_("two dots compare them"),
    N_("wait until the other command ends, or raise core.lockTimeout"),
    N_("the two places are on different file systems: copy instead; .dsvc must lie on one"),
    N_("dsvc config hook.timeout SECONDS gives it more time"),
    N_("look at what is there now (dsvc log), then run the command again"),
    N_("run the command again"),
    N_("install a newer dsvc"),
    N_("run dsvc fsck"),
    N_("run dsvc fsck --read-data --repair"),
    N_("run dsvc fsck --repair to look for it in the working tree and in other packs"),
    N_("free some space, then run the same command again; nothing that was stored is lost"),
    N_("check the owner and the permissions"),
    N_("the file system is mounted read-only"),
)
REASONS: Final = (
    N_("it changed while it was read"),
    N_("it changed while it was read, three times"),
    N_("it changed meanwhile"),
)
CONFLICT_KINDS: Final = (
    N_("content"),
    N_("add/add"),
    N_("delete/modify"),
    N_("modify/delete"),
    N_("file/folder"),
    N_("folder/file"),
    N_("rename/delete"),
    N_("delete/rename"),
    N_("rename/rename"),
    N_("type"),
    N_("mode"),
)
OPERATIONS: Final = (N_("merge"), N_("revert"), N_("cherry-pick"), N_("stash pop"))
