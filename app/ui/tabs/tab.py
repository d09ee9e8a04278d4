"""What the tabs have in common: a form on the left, the bar and the results on the right."""

import re
from dataclasses import dataclass, field
from typing import Any

import gradio as gr

from app.errors import StudioError
from app.request import MAX_PROMPT_BYTES, Asked
from app.studio import Studio
from app.ui import checkpoint, fields, gridform, parts
from app.ui.promptreading import prompt_reader

PROMPTS = ("prompt", "negative_prompt")
SEEDS = {"seed": "", "subseed": "sub"}
"""Fields with a dice and a "take the last one" button, and how the names of these begin."""


@dataclass(frozen=True)
class Group:
    """Fields under one heading; each row of names is a row of components."""

    title: str
    rows: tuple[tuple[str, ...], ...]
    open: bool = True

    @property
    def name(self) -> str:
        """The title as it can stand in an id: "Hires. fix" is "hires_fix"."""
        return "_".join(re.findall("[a-z]+", self.title.lower()))


SAMPLING = Group("Sampling", (("checkpoint",), ("sampler", "schedule"), ("steps", "cfg_scale"), ("seed",)))
EXTRA = Group(
    "Extra", (("subseed", "subseed_strength"), ("seed_resize_from_w", "seed_resize_from_h"), ("eta_noise_seed_delta",)), open=False
)  # fmt: skip
GUIDANCE = Group("Guidance", (("cfg_rescale", "skip_early_cond"), ("s_min_uncond", "s_min_uncond_all")), open=False)
EDITING = Group("Guidance", (("image_cfg_scale",), *GUIDANCE.rows), open=False)
"""For the tabs whose checkpoints may edit a picture."""
SAMPLER = Group(
    "Sampler options",
    (
        ("eta", "eta_ddim"), ("s_churn", "s_noise"), ("s_tmin", "s_tmax"), ("sigma_min", "sigma_max"), ("rho", "discard_penultimate"),
        ("beta_alpha", "beta_beta"), ("unipc_order", "unipc_variant"), ("unipc_skip_type", "unipc_lower_order_final"), ("tcd_gamma",),
    ),
    open=False,
)  # fmt: skip
REFINER = Group("Refiner", (("refiner_checkpoint", "refiner_switch_at"), ("refiner_by_steps",)), open=False)
BATCH = ("batch_count", "batch_size")
MORE = Group("More", (("styles", "wildcards"), ("vae", "text_encoder"), ("clip_skip", "rng"), ("emphasis", "comma_backtrack"), ("pad_prompts",)), open=False)


@dataclass(frozen=True)
class TaskTab:
    """One of the tabs: a request class, and how its fields are grouped.

    Attributes:
        above: names of fields above the groups, below the prompts.
        examples: prompts that are offered under the prompt.
    """

    kind: type[Asked]
    title: str
    groups: tuple[Group, ...]
    above: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()

    @property
    def task(self) -> str:
        name: str = self.kind.model_fields["task"].default
        return name

    @property
    def prompts(self) -> tuple[str, ...]:
        """The prompts that the request has: both, or none."""
        return tuple(name for name in PROMPTS if name in self.kind.model_fields)

    def drawn(self) -> set[str]:
        """Names of the fields that the tab shows. The mask is painted in the component of the image."""
        names = {*self.prompts, *self.above, *(name for group in self.groups for row in group.rows for name in row)}
        return names | ({"mask"} if "image" in names else set()) & set(self.kind.model_fields)


@dataclass
class Panel:
    """The components of one drawn tab, by name."""

    tab: TaskTab
    parts: dict[str, Any] = field(default_factory=dict)
    tools: dict[str, gr.Button] = field(default_factory=dict)
    extras: dict[str, Any] = field(default_factory=dict)
    _start: dict[str, Any] = field(default_factory=dict)

    def draw(self, studio: Studio) -> None:
        """Draw the tab inside an open `gr.Tab`."""
        self._start = checkpoint.start(studio, self.tab.kind)
        with gr.Row(elem_classes="dr-columns"):
            with gr.Column(scale=5, min_width=320, elem_classes="dr-form"):
                if self.tab.prompts:
                    self._draw_prompts(studio)
                for name in self.tab.above:
                    self._draw_field(name, studio)
                for group in self.tab.groups:
                    with gr.Accordion(group.title, open=group.open, elem_id=f"{self.tab.task}_group_{group.name}", elem_classes="dr-group"):
                        if any("hr_scale" in row for row in group.rows):
                            parts.hires_size(self.tab.task)
                        for row in group.rows:
                            self._draw_row(row, studio)
                gridform.draw(self.tab.task, self.parts, self.tools)
            with gr.Column(scale=6, min_width=320, elem_classes="dr-output"):
                self._draw_output()

    def _draw_prompts(self, studio: Studio) -> None:
        task = self.tab.task

        def count(asked: dict[str, str]) -> list[int]:
            """The one argument that Gradio hands on: {"checkpoint": name, "text": prompt, "field": its name}. Answers [tokens, limit], or [] on errors."""
            try:
                return list(studio.count_tokens(str(asked["checkpoint"]), str(asked["text"])[:MAX_PROMPT_BYTES], asked["field"] == "prompt"))
            except (StudioError, KeyError, TypeError):
                return []

        for name in self.tab.prompts:
            self._draw_field(name, studio)
            parts.token_counter(task, name, count)
        parts.prompt_reading(task, prompt_reader(studio))
        if self.tab.examples:
            self.extras["examples"] = parts.examples(task, self.tab.examples)
        self.extras["drop"] = parts.parameter_drop(task)

    def _draw_row(self, row: tuple[str, ...], studio: Studio) -> None:
        task = self.tab.task
        with gr.Row(elem_classes="dr-row"):
            for name in row:
                self._draw_field(name, studio)
            if "checkpoint" in row or "upscaler" in row:
                self._draw_tool("refresh", "⟳", f"{task}_refresh")
            if "height" in row:
                self._draw_tool("swap", "⇅", f"{task}_swap")
            for seed, prefix in SEEDS.items():
                if seed in row:
                    self._draw_tool(f"{prefix}dice", "🎲", f"{task}_{prefix}dice")
                    self._draw_tool(f"{prefix}recycle", "♻️", f"{task}_{prefix}recycle")
        if "checkpoint" in row:
            self.extras["brought"] = checkpoint.draw(studio, self.tab.kind)

    def _draw_field(self, name: str, studio: Studio) -> None:
        self.parts[name] = fields.draw(self.tab.kind, name, studio, self._start)

    def _draw_tool(self, name: str, face: str, elem_id: str) -> None:
        self.tools[name] = gr.Button(face, elem_id=elem_id, elem_classes="dr-tool", min_width=44, scale=0)

    def _draw_output(self) -> None:
        task = self.tab.task
        with gr.Row(elem_classes="dr-bar"):
            self.tools["go"] = gr.Button("Generate", variant="primary", elem_id=f"{task}_go", elem_classes="dr-go", scale=4, min_width=120)
            self.tools["stop"] = gr.Button("Stop", variant="secondary", elem_id=f"{task}_stop", elem_classes="dr-stop", scale=1, min_width=80)
        self.extras["job"] = parts.job_view(task)
