"""Looking at a finished checkpoint folder with stock diffusers: sheets of prompts, and the judge's verdict."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import DPMSolverMultistepScheduler, StableDiffusionPipeline

from tools.embedded import judge
from tools.embedded.sheet import save_sheet
from tools.embedded.stages import Job

EXAMPLE = (
    "the house in the forest, dark night, leaves in the air, fluorescent mushrooms, clear focus, very coherent, very detailed, contrast, "
    "vibrant, digital painting"
)
PROMPTS = (
    "a red house in a meadow, day, sun",
    "a blue boat on the sea, sunset",
    "lighthouse by the sea, night, crescent moon",
    "a yellow tent in the desert, night, full moon, stars",
    "a green hot air balloon in the city, sunset",
    "ocean, day, clouds",
    "mountains, sunset",
    "a white castle in the mountains, day, clouds",
)
EXAMPLE_SEEDS = range(1, 9)
BATCH = 8


def load_pipeline(folder: Path) -> Any:
    """The checkpoint in stock diffusers with DPM++ 2M and Karras sigmas."""
    pipeline = StableDiffusionPipeline.from_pretrained(str(folder), safety_checker=None)
    pipeline.scheduler = DPMSolverMultistepScheduler.from_config(pipeline.scheduler.config, use_karras_sigmas=True)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def draw(pipeline: Any, prompts: list[str], seeds: list[int], guidance: float, steps: int) -> np.ndarray:
    """One picture per prompt: uint8 (n, 128, 128, 3)."""
    pictures = []
    for start in range(0, len(prompts), BATCH):
        part = slice(start, start + BATCH)
        generators = [torch.Generator().manual_seed(seed) for seed in seeds[part]]
        result = pipeline(prompts[part], num_inference_steps=steps, guidance_scale=guidance, generator=generators, output_type="np")
        pictures.append((result.images * 255).round().astype(np.uint8))
    return np.concatenate(pictures)


def sheet_of_prompts(folder: Path, output: Path, guidance: float, steps: int) -> None:
    """The app's example with eight seeds, then eight other prompts with three seeds each."""
    pipeline = load_pipeline(folder)
    prompts = [EXAMPLE] * len(EXAMPLE_SEEDS) + list(PROMPTS) * 3
    seeds = [*EXAMPLE_SEEDS, *(seed for seed in (1, 2, 3) for _ in PROMPTS)]
    save_sheet(draw(pipeline, prompts, seeds, guidance, steps), len(PROMPTS), output)


def judged(job: Job, folder: Path, count: int, guidance: float, steps: int) -> Iterator[str]:
    """What the judge says of fresh renders (its ceiling), of generated pictures, and of pictures without a prompt (chance)."""
    from tools.embedded.scenes.draw import render

    model = judge.make_judge()
    model.load_state_dict(torch.load(job.saved("judge"), weights_only=True))
    scenes = judge.test_scenes(count)
    pipeline = load_pipeline(folder)
    seeds = [1000 + index for index in range(count)]
    captions = [judge.plain_caption(scene) for scene in scenes]
    trials = (
        ("renders", np.stack([render(scene, 128) for scene in scenes])),
        (f"generated, guidance {guidance}", draw(pipeline, captions, seeds, guidance, steps)),
        ("without a prompt", draw(pipeline, [""] * count, seeds, 1.0, steps)),
    )
    for name, pictures in trials:
        figures = judge.verdict(model, pictures, scenes)
        yield f"{name}: " + ", ".join(f"{key} {value:.2f}" for key, value in figures.items() if key != "frame")
