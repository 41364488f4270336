"""Rules of the state machine for where data came from and what was found in it, from sources to releases.

What these verbs record is checked by what can be told from outside: which refs they move (theirs only, all or
none), what is listed afterwards, which rows a repair changes. Any may be refused; then nothing changed.
"""

from __future__ import annotations

import json
from dataclasses import replace

from hypothesis import strategies as st
from hypothesis.stateful import rule

from dsvc.model.errors import DsvcError
from dsvc.porcelain.repository import Repository
from dsvc.porcelain.runs.rerun import Carrier
from dsvc.porcelain.runs.run_spec import RunSpec
from tests.machine_files import HEADS, TABLES, TAGS, many
from tests.machine_joins import Joins
from tests.plain_contents import table_of
from tests.plain_repository import Expected, becomes

ANY = frozenset({"*"})
OWN = ("refs/dsvc/",)
FIELDS = {
    "title": "评论",
    "acquisition": "self_generated",
    "legal_basis": "contract",
    "license_expression": "CC-BY-4.0",
    "rights_status": "clear",
    "contains_pi": "none",
    "rightsholders": ["某公司"],
    "synthetic": "no",
    "modality": ["text"],
}
tables = st.sampled_from(TABLES)


class Provenance(Joins):
    """Sources, runs, evaluations, defects, repairs and releases."""

    @rule(path=tables, withdraw=st.booleans())
    def source(self, path: bytes, withdraw: bool) -> None:
        world, state = self.world, self.world.state
        name = "words" if path == TABLES[0] else "数据"
        known = {each.record.source_id: each.record.status.value for each in world.repo.sources()}
        if name not in known:
            evidence = [f"{kind}={world.evidence(kind)}" for kind in ("collection_record", "licence_text")]
            verb, status = f"source add {name}", "active"

            def call(repo: Repository) -> object:
                return repo.source_add(name, [path], fields=FIELDS, evidence=evidence)
        elif withdraw:
            verb, status = f"source withdraw {name}", "withdrawn"

            def call(repo: Repository) -> object:
                return repo.source_withdraw(name, "权利已撤回")
        else:
            verb, status = f"source update {name}", known[name]

            def call(repo: Repository) -> object:
                return repo.source_update(name)

        there = path in state.tree and path in state.staged
        sure = verb.startswith("source add") and there and state.tree[path] == state.staged[path]
        codes = frozenset() if sure and state.holds(path) else ANY
        done = world.do(verb, Expected((state,), codes), call, already=["source-exists"], free=OWN)
        now = {each.record.source_id: each.record.status.value for each in world.repo.sources()}
        if now != {**known, name: status} and (done or now != known):
            raise world.broken(f"sources are {now}")

    @rule()
    def run_by_hand(self) -> None:
        world, state = self.world, self.world.state
        spec = RunSpec(name="整理", inputs=[TABLES[0]], outputs=[TABLES[1]])
        waiting = {each.id for each in world.repo.status().pending_runs}
        world.do(
            "run --manual",
            Expected((state,), ANY),
            lambda repo: repo.run_manual(spec, "手工整理"),
        )
        now = {each.id for each in world.repo.status().pending_runs}
        if not waiting <= now or len(now - waiting) > 2:
            raise world.broken(f"{len(waiting)} runs waited, now {len(now)} do")

    @rule()
    def check(self) -> None:
        world = self.world
        world.do("check", becomes(world.state, unless=ANY), lambda repo: repo.check())

    # What was found

    @rule(
        path=tables,
        symptom=st.sampled_from(["wrong-label", "乱码"]),
        bad=st.sets(st.integers(0, 3), max_size=3),
    )
    def feedback(self, path: bytes, symptom: str, bad: set[int]) -> None:
        world, state = self.world, self.world.state
        rows = table_of(path, world.head.get(path)) or {}
        lines: list[dict[str, object]] = [{"suite": "试点", "model": "m"}]
        for key in sorted(rows):
            verdict = {"symptom": symptom, "severity": "P2"} if key in bad else {"passed": True}
            lines.append({"row": {"id": key}, "metric": "accuracy", "value": int(key not in bad), **verdict})
        file = world.result("".join(json.dumps(line) + "\n" for line in lines))
        subject = f"HEAD:{path.decode()}"
        done = world.do(
            f"feedback {subject} {symptom} {sorted(bad & rows.keys())}",
            Expected((state,), frozenset() if bad & rows.keys() else ANY),
            lambda repo: repo.feedback_import(file, subject=subject),
            free=OWN,
        )
        told = {(each.path, each.symptom) for each in world.repo.defects()}
        if done and bad & rows.keys() and (path, symptom) not in told:
            raise world.broken(f"no defect {symptom} of {path.decode()} in {told}")

    @rule(number=many, verb=st.sampled_from(["confirm", "reject", "comment"]))
    def defect_step(self, number: int, verb: str) -> None:
        world = self.world
        known = sorted(world.repo.defects(), key=lambda each: (each.path, each.symptom))
        if not known:
            return
        chosen = known[number % len(known)]

        def call(repo: Repository) -> object:
            if verb == "confirm":
                return repo.defect_confirm(chosen.id)
            return (repo.defect_reject if verb == "reject" else repo.defect_comment)(chosen.id, "看过了")

        done = world.do(f"defect {verb}", Expected((world.state,), ANY), call, free=OWN)
        status = world.repo.defect(chosen.id).status.value
        if done and verb != "comment" and not status.startswith(verb):
            raise world.broken(f"the defect is {status} after {verb}")

    @rule(number=many)
    def repair(self, number: int) -> None:
        """Plan a repair, and carry it out: it changes the rows that were flagged and no others."""
        world, state = self.world, self.world.state
        known = sorted(world.repo.defects(), key=lambda each: (each.path, each.symptom))
        if not known:
            return
        defect = known[number % len(known)]
        expected = Expected((state,), ANY)
        if not world.do(
            "repair plan",
            expected,
            lambda r: r.repair_plan(defect.id, values={"v": "9"}),
            free=OWN,
        ):
            return
        plans = [
            each.id for each in world.repo.repairs() if each.plan.defect == defect.id and each.proof is None
        ]
        heads = {n for n in world.state.refs if n.startswith(HEADS)}
        carrier = Carrier(environ={"PATH": "/usr/bin:/bin"})
        if not plans or not world.do(
            "repair apply",
            Expected((world.state,), ANY),
            lambda repo: repo.repair_apply(plans[-1], carrier),
            free=(*OWN, HEADS + "repair/"),
        ):
            return
        for name in world.state.refs.keys() - heads:
            if name.startswith(HEADS + "repair/"):
                self.compare_repair(world.state.refs[name], defect.path)

    def compare_repair(self, commit: str, path: bytes) -> None:
        made = self.world.history.commits[commit]
        before = self.world.history.tree(made.parents[0])
        others = {
            p for p in before.keys() | made.tree.keys() if p != path and before.get(p) != made.tree.get(p)
        }
        old, new = table_of(path, before.get(path)) or {}, table_of(path, made.tree.get(path)) or {}
        wrong = {key for key in old if new.get(key) not in (old[key], (9, old[key][1]))}
        if others or wrong or old.keys() != new.keys():
            raise self.world.broken(f"a repair changes {others} and rows {wrong} of {old}: {new}")

    # What is given out

    @rule(number=st.integers(0, 1), path=tables, withdraw=st.booleans())
    def release(self, number: int, path: bytes, withdraw: bool) -> None:
        world, state = self.world, self.world.state
        name = f"r{number}"
        known = {each.name: each.status.value for each in world.repo.releases()}
        if name not in known:
            tagged = replace(state, refs={**state.refs, TAGS + name: state.commit})
            done = world.do(
                f"release create {name}",
                Expected((tagged,), ANY),
                lambda repo: repo.release_create(name, paths=[path], consumers=["某公司"]),
                free=OWN,
            )
            sources = {each.record.source_id: each.record.status.value for each in world.repo.sources()}
            if done and "active" not in sources.values():
                raise world.broken(f"a release without a source in force: {sources}")
            return
        if withdraw:
            world.do(
                f"release withdraw {name}",
                Expected((state,), ANY),
                lambda repo: repo.release_end(name, "withdraw", "权利"),
                free=OWN,
            )
            return
        try:
            found = world.repo.release_verify(name)
        except DsvcError as error:
            raise world.broken(f"release verify: {error.code}: {error}") from error
        if found.findings:
            raise world.broken(f"release verify finds {found.findings}")
