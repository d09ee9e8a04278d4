"""Real key lists of every family: what is mixed, which blocks there are, and that folders go together with single files."""

from pathlib import Path

import pytest

from app.engine.checkpoints.header import ModelFile
from app.engine.merging import names
from app.engine.merging import plan as planning
from app.engine.merging.sources import open_checkpoint, open_vae
from app.errors import BadCheckpoint
from tests.engine.merging.files import asked
from tests.layouts import checkpoints, vae, write

FAMILIES = [family for family in checkpoints.LAYOUTS if family != "sdxl-ip2p"]


def file(path: Path, family: str, kind: str = "checkpoint") -> ModelFile:
    return ModelFile(path.stem, path, kind, family, "", 1, 512, (path,))


@pytest.mark.parametrize("family", FAMILIES)
def test_everything_that_is_weights_is_mixed(tmp_path: Path, family: str) -> None:
    keys = checkpoints.single(family, ema=True)
    parents = {letter: open_checkpoint(file(write.sparse(tmp_path / f"{letter}.safetensors", keys), family), letter) for letter in "AB"}
    count = 19 if family.startswith("sdxl") and family != "sdxl-refiner" else 25
    numbers = ",".join(["0.5"] + ["0.25"] * count)
    plan = planning.make(asked(blocks=numbers, keep_ema=True, save_as="bf16"), parents, None, tmp_path)
    steps = {step.name: step for step in plan.steps}
    assert set(steps) == set(keys) and len(plan.weights.blocks) == count
    raw = {name for name, step in steps.items() if step.raw}
    assert {name.split(".")[-1] for name in raw} <= {"betas", "alphas_cumprod", "sigmas", "position_ids"}
    averaged = names.ema_names(keys)
    for name, step in steps.items():
        inside = averaged.get(name, name).startswith(names.UNET)
        assert name in raw or (step.factor, step.dtype) == (0.25 if inside else 0.5, "BF16"), name


def test_a_folder_is_merged_with_a_single_file(tmp_path: Path) -> None:
    single = write.sparse(tmp_path / "single.safetensors", checkpoints.single("sd1"))
    folder = write.folder(tmp_path / "folder", "sd1", shards=2)
    a, b = open_checkpoint(file(folder, "sd1"), "A"), open_checkpoint(file(single, "sd1"), "B")
    shapes = {name: piece.shape for name, piece in b.pieces.items() if not name.endswith("position_ids") and name.startswith(names.MODEL)}
    assert {name: piece.shape for name, piece in a.pieces.items() if not name.endswith("position_ids")} == shapes
    plan = planning.make(asked(), {"A": a, "B": b}, None, tmp_path / "embedded")
    assert all(step.terms for step in plan.steps if not step.raw) and {step.name for step in plan.steps} >= set(shapes)
    (folder / "scheduler" / "scheduler_config.json").write_text('{"beta_schedule": "linear"}')
    with pytest.raises(BadCheckpoint, match="whose settings a single file cannot hold"):
        planning.make(asked(), {"A": a, "B": b}, None, tmp_path / "embedded")
    with pytest.raises(BadCheckpoint, match=r"diffusers folder; of those only SD 1\.x can be merged"):
        open_checkpoint(file(write.folder(tmp_path / "xl", "sdxl"), "sdxl"), "A")


def test_a_vae_folder_is_baked_in(tmp_path: Path) -> None:
    folder = tmp_path / "vae"
    write.sparse(folder / "diffusion_pytorch_model.safetensors", vae.old_diffusers(checkpoints.vae_width()))
    (folder / "config.json").write_text("{}")
    parents = {"A": open_checkpoint(file(write.sparse(tmp_path / "a.safetensors", checkpoints.single("sd2")), "sd2"), "A")}
    plan = planning.make(asked(method="No interpolation"), parents, open_vae(file(folder, "sd1", "vae")), tmp_path)
    assert {step.a[0] for step in plan.steps if step.name.startswith(names.VAE)} == {"VAE"}
