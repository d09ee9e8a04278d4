"""What an extension can do, and how extensions are found, called and kept apart.

An extension is a folder in `extensions/` whose `__init__.py` decorates functions with `@hook`. The methods of `Hooks`
are the whole list: their names, parameters and docstrings are the contract. A hook function may take a part of the
parameters. Whatever an extension does wrong, it is named in `Extensions.failed`, switched off until the next start,
and the job goes on without it.

Extensions are loaded at every start, the command line's too: import torch or gradio inside the functions that need
them, not at the top of the module.
"""

import difflib
import importlib.util
import inspect
import logging
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from PIL import Image

from app.errors import BadRequest, Cancelled
from app.request import AnyRequest, Request

_log = logging.getLogger(__name__)

Denoiser = Callable[[Any, float], Any]
"""(x, sigma) -> denoised, see docs/architecture.md; torch tensors, which this module does not need to know."""


class Hooks:
    """The hooks. A function of the same name with `@hook` above it is called at the moment that the docstring names."""

    def register_samplers(self, samplers: dict[str, Any]) -> None:
        """At start: add `SamplerRow`s to the table of samplers (`app.engine.samplers`), by the name that people pick."""

    def register_families(self, families: dict[str, Any]) -> None:
        """At start: add rows to the table of checkpoint families (`app.engine.families`), by the name in `ModelFile.family`."""

    def register_styles(self, styles: Any) -> None:
        """At start: add named pieces of prompt with `styles.add(name, prompt, negative_prompt)`."""

    def register_tabs(self, tabs: list["Tab"]) -> None:
        """While the page is built: append `Tab`s, which stand behind the built-in ones."""

    def change_request(self, request: AnyRequest) -> AnyRequest | None:
        """Before a job runs: return a changed copy (`request.model_copy(update={...})`) of the same task, or None.

        Raise `BadRequest` (app.errors) to refuse the job with a sentence; that is no failure of the extension.
        """
        return None

    def around_model(self, model: Denoiser, request: AnyRequest) -> Denoiser | None:
        """Before sampling: return a denoiser to use instead of `model` (it may call `model`), or None.

        `model(x, sigma)` takes float32 latents (b, 4, h, w), x = clean + sigma * noise, and returns the guided estimate of
        the clean latents, of the same shape. Treat the b pictures apart, so that a batch equals single pictures.
        """
        return None

    def on_step(self, step: int, steps: int, sigma: float, denoised: Any, request: AnyRequest) -> None:
        """After each sampling step (1-based): look at the estimate of the clean latents, float32 (b, 4, h, w)."""

    def change_image(self, image: Image.Image, request: AnyRequest) -> Image.Image | None:
        """Before a picture is saved: return a changed RGB picture, or None. The pictures of a zoom keep their size."""
        return None


HOOKS: dict[str, tuple[str, ...]] = {
    name: tuple(inspect.signature(function).parameters)[1:] for name, function in vars(Hooks).items() if not name.startswith("_")
}
"""Name of each hook -> the parameters that it is called with."""


@dataclass(frozen=True)
class Tab:
    """A page of the UI: `render(studio)` draws it inside an open `gr.Tab` (import gradio there)."""

    name: str
    render: Callable[[Any], Any]


def hook(function: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a function as the implementation of the hook of the same name. Raises TypeError when there is none such."""
    name = function.__name__
    if name not in HOOKS:
        near = difflib.get_close_matches(name, HOOKS, 1)
        raise TypeError(f"There is no hook '{name}'." + (f" Did you mean '{near[0]}'?" if near else ""))
    if extra := [parameter for parameter in inspect.signature(function).parameters if parameter not in HOOKS[name]]:
        raise TypeError(f"Hook '{name}' is called with {', '.join(HOOKS[name])}; it cannot take {', '.join(extra)}.")
    function.hook = name  # type: ignore[attr-defined]
    return function


@dataclass
class Extensions:
    """The extensions of one folder.

    Attributes:
        loaded: the hook functions of each extension that works.
        failed: one sentence for each extension that was switched off.
    """

    loaded: dict[str, list[Callable[..., Any]]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def load(self, folder: Path) -> None:
        """Import every extension of `folder`, in alphabetical order; a folder whose name begins with "_" or "." is off."""
        for init in sorted(folder.glob("*/__init__.py")):
            name = init.parent.name
            if name.startswith(("_", ".")):
                continue
            try:
                self.loaded[name] = _hooks_of(_import(f"extensions.{name}", init))
            except (Exception, SystemExit) as error:
                self._switch_off(name, error)

    def call(self, hook_name: str, **given: Any) -> Iterator[Any]:
        """Every answer that is not None. A failing extension is named, switched off, and skipped.

        In hooks that change something (`change_request`, `change_image`, `around_model`) each extension is handed what
        the one before it answered, so the last answer holds all changes. What a failing `register_...` hook had put
        into a list or dict before it failed is taken out again.
        """
        if set(given) != set(HOOKS[hook_name]):
            raise TypeError(f"Hook '{hook_name}' is called with {', '.join(HOOKS[hook_name])}, not {', '.join(given)}.")
        for name, functions in list(self.loaded.items()):
            for function in (function for function in functions if function.hook == hook_name):  # type: ignore[attr-defined]
                answer = self._ask(name, function, given)
                if name not in self.loaded:
                    break
                if answer is not None:
                    given[HOOKS[hook_name][0]] = answer
                    yield answer

    def _ask(self, name: str, function: Callable[..., Any], given: dict[str, Any]) -> Any:
        """One answer of one extension, checked; None when it failed."""
        hook_name = function.hook  # type: ignore[attr-defined]
        table: Any = given[HOOKS[hook_name][0]] if hook_name.startswith("register_") else None
        before = table.copy() if isinstance(table, (dict, list)) else None
        try:
            if hook_name == "around_model":
                return self._around(name, function, given)
            answer = function(**{key: given[key] for key in inspect.signature(function).parameters})
            if hook_name in _CHECKS:
                return None if answer is None else _CHECKS[hook_name](answer, given)
            if before:
                _check_table(hook_name, table, before)
        except (Exception, SystemExit) as error:
            if isinstance(error, Cancelled) or (isinstance(error, BadRequest) and hook_name == "change_request"):
                raise
            if isinstance(before, dict):
                table.clear()
                table.update(before)
            elif before is not None:
                table[:] = before
            self._switch_off(name, error)
        return None

    def _around(self, name: str, function: Callable[..., Any], given: dict[str, Any]) -> Denoiser | None:
        """The denoiser of an extension, guarded: if it fails at some step, this step and the rest go to the model itself."""
        guard = _Guard(given["model"], lambda error: self._switch_off(name, error))
        values = given | {"model": guard.inner}
        guard.outer = function(**{key: values[key] for key in inspect.signature(function).parameters})
        if guard.outer is None:
            return None
        if not callable(guard.outer):
            raise TypeError(f"around_model must return a function of (x, sigma), not {type(guard.outer).__name__}.")
        return guard

    def _switch_off(self, name: str, error: BaseException) -> None:
        _log.error("Extension '%s' failed and is switched off until the next start", name, exc_info=error)
        self.failed[name] = f"{type(error).__name__}: {error}"
        self.loaded.pop(name, None)


class _Guard:
    """A denoiser that asks the extension's denoiser (`outer`) and falls back on the model that it was put around."""

    def __init__(self, model: Denoiser, blame: Callable[[BaseException], None]) -> None:
        self.model, self.blame = model, blame
        self.outer: Denoiser | None = None
        self.models_error: BaseException | None = None

    def inner(self, x: Any, sigma: float) -> Any:
        """The model as the extension sees it: remembers an error of the model's own, which is not the extension's fault."""
        try:
            return self.model(x, sigma)
        except BaseException as error:
            self.models_error = error
            raise

    def __call__(self, x: Any, sigma: float) -> Any:
        if self.outer is None:
            return self.model(x, sigma)
        self.models_error = None
        try:
            answer = self.outer(x, sigma)
            if getattr(answer, "shape", None) != x.shape or answer.dtype != x.dtype:
                raise TypeError(f"The denoiser of around_model must return latents like x, shape {tuple(x.shape)} and {x.dtype}.")
            return answer
        except Exception as error:
            if self.models_error is not None:
                raise self.models_error from None
            self.outer = None
            self.blame(error)
            return self.model(x, sigma)


def _check_request(answer: Any, given: dict[str, Any]) -> Request:
    """A changed request, validated anew (`model_copy` does not validate)."""
    kind = type(given["request"])
    if not isinstance(answer, kind):
        raise TypeError(f"change_request must return a {kind.__name__} request or None, not {type(answer).__name__}.")
    return kind.model_validate(answer.model_dump())


def _check_image(answer: Any, given: dict[str, Any]) -> Image.Image:
    """A changed picture, RGB; of the same size where it is the key of a zoom."""
    if not isinstance(answer, Image.Image) or answer.mode != "RGB":
        raise TypeError(f"change_image must return an RGB picture or None, not {getattr(answer, 'mode', type(answer).__name__)}.")
    if given["request"].task == "zoom" and answer.size != given["image"].size:
        raise ValueError(f"change_image must keep the size {given['image'].size} of a zoom's pictures, not make it {answer.size}.")
    return answer


_CHECKS: dict[str, Callable[[Any, dict[str, Any]], Any]] = {"change_request": _check_request, "change_image": _check_image}


def _check_table(hook_name: str, table: Any, before: Any) -> None:
    """What was added must be of the kind that is in the table already."""
    old, new = (list(part.values()) if isinstance(part, dict) else part for part in (before, table))
    kind = type(old[0])
    for item in new:
        if not isinstance(item, kind):
            raise TypeError(f"{hook_name} takes entries of the kind {kind.__name__}, not {type(item).__name__}.")


def _import(name: str, init: Path) -> ModuleType:
    """The module of an extension, imported anew from its folder."""
    spec = importlib.util.spec_from_file_location(name, init, submodule_search_locations=[str(init.parent)])
    if spec is None or spec.loader is None:
        raise ImportError(f"{init} cannot be imported.")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _hooks_of(module: ModuleType) -> list[Callable[..., Any]]:
    """The functions of the module that are marked with `@hook`, in their order."""
    return [value for value in vars(module).values() if callable(value) and getattr(value, "hook", None) in HOOKS]
