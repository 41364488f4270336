"""Verbs on hooks: what stands before a commit and a push."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from dsvc.porcelain.state.workspace import Workspace

if TYPE_CHECKING:
    from dsvc.porcelain.hooks.hook_install import HookPlace, InstalledHook
    from dsvc.porcelain.hooks.hook_run import HookVerdict


class HookVerbs(Workspace):
    """The part of `dsvc.Repository` that knows hooks."""

    def install_hook(
        self,
        name: str,
        place: HookPlace | None = None,
        *,
        environ: Mapping[str, str],
        program: Sequence[str] = ("dsvc",),
        force: bool = False,
    ) -> InstalledHook:
        """Put a hook where git looks for it; see `hook_install.install_hook`."""
        from dsvc.porcelain.hooks.hook_install import install_hook

        return install_hook(self, name, place, environ=environ, program=program, force=force)

    def hooks(self, environ: Mapping[str, str]) -> list[InstalledHook]:
        """What stands where git looks for hooks; see `hook_install.list_hooks`."""
        from dsvc.porcelain.hooks.hook_install import list_hooks

        return list_hooks(self, environ)

    def run_hook(
        self, name: str, folder: str, environ: Mapping[str, str], data: bytes = b""
    ) -> list[HookVerdict]:
        """Judge what a hook is for; see `hook_run.run_hook`."""
        from dsvc.porcelain.hooks.hook_run import run_hook

        return run_hook(self, name, folder, environ, data)
