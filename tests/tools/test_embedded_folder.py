"""The shipped checkpoint folder: its size, its layout, its licence, and that it loads and draws."""

import json
from pathlib import Path

import pytest

SHELF = Path(__file__).parents[2] / "models/embedded"
FOLDER = SHELF / "darkroom-base"
LIMIT = 25_000_000


def header(path: Path) -> dict[str, dict]:
    """The header of a safetensors file: 8 bytes of length, then JSON."""
    with path.open("rb") as file:
        return json.loads(file.read(int.from_bytes(file.read(8), "little")))


def test_the_folder_is_complete_and_small() -> None:
    names = {str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*") if path.is_file()}
    assert names - {"preview.webp"} == {
        "model_index.json",
        "scheduler/scheduler_config.json",
        "text_encoder/config.json",
        "text_encoder/model.safetensors",
        "tokenizer/merges.txt",
        "tokenizer/tokenizer.json",
        "tokenizer/tokenizer_config.json",
        "tokenizer/vocab.json",
        "unet/config.json",
        "unet/diffusion_pytorch_model.safetensors",
        "vae/config.json",
        "vae/diffusion_pytorch_model.safetensors",
    }
    assert sum(path.stat().st_size for path in FOLDER.rglob("*") if path.is_file()) <= LIMIT


def test_the_layout_is_stable_diffusion_1() -> None:
    unet = json.loads((FOLDER / "unet/config.json").read_text())
    assert len(unet["block_out_channels"]) == 4
    assert (unet["layers_per_block"], unet["attention_head_dim"], unet["norm_num_groups"]) == (2, 8, 32)
    weights = header(FOLDER / "unet/diffusion_pytorch_model.safetensors")
    assert len(weights["down_blocks.0.attentions.0.proj_in.weight"]["shape"]) == 4
    assert {entry["dtype"] for name, entry in weights.items() if name != "__metadata__"} == {"F16"}
    text = header(FOLDER / "text_encoder/model.safetensors")
    assert "text_model.embeddings.token_embedding.weight" in text
    assert all(name.startswith("text_model.") for name in text if name != "__metadata__")
    scheduler = json.loads((FOLDER / "scheduler/scheduler_config.json").read_text())
    assert (scheduler["beta_start"], scheduler["beta_end"], scheduler["beta_schedule"]) == (0.00085, 0.012, "scaled_linear")
    assert json.loads((FOLDER / "vae/config.json").read_text())["scaling_factor"] == 0.18215


def test_marker_ids_agree() -> None:
    vocabulary = json.loads((FOLDER / "tokenizer/vocab.json").read_text(encoding="utf-8"))
    text = json.loads((FOLDER / "text_encoder/config.json").read_text())
    assert text["bos_token_id"] == vocabulary["<|startoftext|>"]
    assert text["eos_token_id"] == text["pad_token_id"] == vocabulary["<|endoftext|>"]
    assert text["vocab_size"] == len(vocabulary)
    assert text["max_position_embeddings"] == 77


def test_licence_and_origin_are_stated() -> None:
    text = (SHELF / "README.md").read_text(encoding="utf-8")
    assert "CC0-1.0" in text
    assert "our own renders" in text


@pytest.mark.filterwarnings("ignore")
def test_it_loads_in_stock_diffusers_and_tells_day_from_night() -> None:
    torch = pytest.importorskip("torch")
    diffusers = pytest.importorskip("diffusers")
    pipeline = diffusers.StableDiffusionPipeline.from_pretrained(str(FOLDER), safety_checker=None)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.scheduler = diffusers.DPMSolverMultistepScheduler.from_config(pipeline.scheduler.config, use_karras_sigmas=True)
    prompts = ["a red house in a meadow, day, sun", "a red house in a meadow, dark night, moon, stars"]
    generators = [torch.Generator().manual_seed(seed) for seed in (1, 1)]
    result = pipeline(prompts, num_inference_steps=8, guidance_scale=4.0, generator=generators, output_type="np")
    day, night = result.images
    assert day.shape == (128, 128, 3)
    assert day[:40].mean() > 1.5 * night[:40].mean()
