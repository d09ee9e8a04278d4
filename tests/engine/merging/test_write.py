"""Merges carried out: the arithmetic, what stays, what is refused, and that nothing is left behind."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from app.engine.checkpoints.header import read_header
from app.engine.merging import plan as planning
from app.engine.merging.plan import Plan
from app.engine.merging.sources import open_checkpoint, open_vae
from app.engine.merging.write import write
from app.errors import BadCheckpoint, BadRequest, Cancelled, DiskTrouble, WorkFailed
from app.work import Progress
from tests.engine.merging.files import CLIP, UNET, VAE, asked, load_file, opened, weights, written

A, B, C = weights(1), weights(2), weights(3)
MIDDLE = UNET + "middle_block.0.in_layers.2.weight"
POSITIONS = CLIP + "embeddings.position_ids"


def quietly(progress: Progress) -> None:
    assert 0 <= progress.step <= progress.steps


def planned(folder: Path, vae=None, *, fields: dict | None = None, **tensors) -> Plan:
    request = asked(**(fields or {}))
    return planning.make(request, opened(folder, **tensors), vae, folder / "embedded")


def merged(folder: Path, vae=None, *, fields: dict | None = None, **tensors) -> dict[str, torch.Tensor]:
    write(planned(folder, vae, fields=fields, **tensors), folder / "out.safetensors", {"format": "pt"}, quietly)
    assert sorted(path.name for path in folder.glob(".*")) == []
    return load_file(folder / "out.safetensors")


def mixed(name: str) -> bool:
    return A[name].is_floating_point() and name != "betas"


def test_weighted_sum(tmp_path: Path) -> None:
    found = merged(tmp_path, fields={"multiplier": 0.3}, a=A, b=B)
    assert list(found.keys()) and set(found) == set(A)
    for name, value in found.items():
        expected = A[name] * (1 - 0.3) + B[name] * 0.3 if mixed(name) else A[name]
        assert value.dtype == A[name].dtype and torch.allclose(value, expected, atol=1e-6), name


@pytest.mark.parametrize(("multiplier", "parent"), [(0, A), (1, B)])
def test_the_ends_of_the_scale_are_the_parents_bit_for_bit(tmp_path: Path, multiplier: float, parent: dict[str, torch.Tensor]) -> None:
    found = merged(tmp_path, fields={"multiplier": multiplier}, a=A, b=B)
    assert all(torch.equal(found[name], parent[name]) for name in found if mixed(name))


def test_add_difference_and_what_it_takes_back(tmp_path: Path) -> None:
    found = merged(tmp_path, fields={"method": "add_difference", "multiplier": 1.5}, a=A, b=B, c=C)
    assert torch.allclose(found[MIDDLE], A[MIDDLE] + (B[MIDDLE] - C[MIDDLE]) * 1.5, atol=1e-6)
    found = merged(tmp_path, fields={"method": "add_difference", "overwrite": True}, a=A, b=B, c=B)
    assert all(torch.equal(found[name], A[name]) for name in A)


def test_every_block_takes_its_own_weight_and_the_rest_the_first_number(tmp_path: Path) -> None:
    numbers = [0.0, 1.0, *[0.0] * 11, 0.25, *[0.0] * 11, 1.0]  # text encoder, IN00, ..., M00, ..., OUT11
    found = merged(tmp_path, fields={"blocks": ",".join(map(str, numbers))}, a=A, b=B)
    taken = {name for name in found if mixed(name) and torch.equal(found[name], B[name])}
    assert taken == {UNET + "input_blocks.0.0.weight", UNET + "time_embed.0.weight", UNET + "output_blocks.11.0.in_layers.2.weight", UNET + "out.2.weight"}
    assert torch.allclose(found[MIDDLE], A[MIDDLE] * 0.75 + B[MIDDLE] * 0.25)
    assert torch.equal(found[CLIP + "encoder.layers.0.mlp.fc1.weight"], A[CLIP + "encoder.layers.0.mlp.fc1.weight"])


def test_an_inpainting_checkpoint_of_ones_own(tmp_path: Path) -> None:
    inpaint, name = weights(1, channels=9), UNET + "input_blocks.0.0.weight"
    found = merged(tmp_path, fields={"method": "Add difference", "multiplier": 1}, a=inpaint, b=B, c=C)
    assert torch.equal(found[name][:, 4:], inpaint[name][:, 4:])
    assert torch.allclose(found[name][:, :4], inpaint[name][:, :4] + B[name] - C[name], atol=1e-6)
    with pytest.raises(BadCheckpoint, match=r"UNet of B \('b'\) takes 9 input channels, that of A 4\. Take the inpainting"):
        merged(tmp_path, fields={"overwrite": True}, a=A, b=inpaint)
    with pytest.raises(BadCheckpoint, match="B and C take different numbers"):
        merged(tmp_path, fields={"method": "Add difference", "overwrite": True}, a=inpaint, b=weights(4, channels=9), c=C)


@pytest.mark.parametrize(("save_as", "large", "small"), [
    ("fp16", torch.float16, torch.float16), ("bf16", torch.bfloat16, torch.bfloat16), ("fp8", torch.float8_e4m3fn, torch.float16),
])  # fmt: skip
def test_precisions(tmp_path: Path, save_as: str, large: torch.dtype, small: torch.dtype) -> None:
    found = merged(tmp_path, fields={"method": "No interpolation", "save_as": save_as}, a=A)
    big = UNET + "output_blocks.0.0.in_layers.2.weight"
    assert (found[big].dtype, found[MIDDLE].dtype, found["betas"].dtype) == (large, small, torch.float64)
    assert torch.equal(found[big].float(), A[big].to(large).float())
    entries = read_header(tmp_path / "out.safetensors").tensors.values()
    assert all((entry.begin - min(other.begin for other in entries)) % max(1, (entry.end - entry.begin) // max(1, torch.Size(entry.shape).numel())) == 0
               for entry in entries)  # fmt: skip


def test_halves_are_added_as_floats(tmp_path: Path) -> None:
    a, b = ({name: torch.full_like(value, number) if value.is_floating_point() else value for name, value in weights(1, dtype=torch.float16).items()}
            for number in (60000.0, 64000.0))  # fmt: skip
    found = merged(tmp_path, fields={"method": "Add difference", "multiplier": 2, "save_as": "fp16"}, a=a, b=b, c=b)
    assert torch.equal(found[MIDDLE], a[MIDDLE])
    with pytest.raises(WorkFailed, match=r"holds values up to 188000, which F16 cannot hold. Save as bf16 or fp32"):
        merged(tmp_path, fields={"method": "Add difference", "multiplier": 2, "save_as": "fp16", "overwrite": True}, a=a, b=b,
               c={name: torch.zeros_like(value) for name, value in a.items()})  # fmt: skip


def test_averages_are_dropped_or_kept_block_by_block(tmp_path: Path) -> None:
    a, b = weights(1, ema=True), weights(2, ema=True)
    assert not [name for name in merged(tmp_path, a=a, b=b) if name.startswith("model_ema")]
    numbers = ",".join(["1"] + ["0"] * 24)
    found = merged(tmp_path, fields={"keep_ema": True, "blocks": numbers, "overwrite": True}, a=a, b=b)
    first, other = "model_ema.diffusion_modelinput_blocks00weight", "model_ema.diffusion_modelinput_blocks10in_layers2weight"
    assert torch.equal(found[first], b[first]) and torch.equal(found[other], a[other])


@pytest.mark.parametrize("prefix", ["", VAE, "vae."])
def test_a_vae_is_baked_in(tmp_path: Path, prefix: str) -> None:
    own = {name: value for name, value in C.items() if name.startswith(VAE)}
    path = tmp_path / "vae.safetensors"
    file = written(path, {prefix + name.removeprefix(VAE): value for name, value in own.items()} | {"loss.logvar": torch.zeros(1)}, kind="vae")
    found = merged(tmp_path, open_vae(file), a=A, b=B)
    assert set(found) == set(A) and all(torch.equal(found[name], own[name]) for name in own)
    without = {name: value for name, value in A.items() if not name.startswith(VAE)}
    assert set(merged(tmp_path, open_vae(file), fields={"overwrite": True}, a=without, b=B)) == set(A)
    small = written(path, {"decoder.conv_in.weight": torch.zeros(2, 4, 1, 1)}, kind="vae")
    with pytest.raises(BadCheckpoint, match=r"VAE 'vae' does not fit A: 'first_stage_model.decoder.conv_in.weight'"):
        planned(tmp_path, open_vae(small), a=A, b=B)


def test_old_names_and_missing_parts(tmp_path: Path) -> None:
    old = {name.replace("text_model.", ""): value for name, value in B.items()}
    found = merged(tmp_path, fields={"multiplier": 1}, a=A, b=old)
    assert torch.equal(found[CLIP + "encoder.layers.0.mlp.fc1.weight"], B[CLIP + "encoder.layers.0.mlp.fc1.weight"])
    unet = {name: value for name, value in B.items() if name.startswith(UNET)}
    found = merged(tmp_path, fields={"multiplier": 1, "overwrite": True}, a=A, b=unet)
    assert all(torch.equal(found[name], (unet if name in unet else A)[name]) for name in A)


def test_scaled_fp8_is_read_at_its_true_size(tmp_path: Path) -> None:
    scaled = {name: value for name, value in A.items() if name != MIDDLE}
    scaled |= {MIDDLE: (A[MIDDLE] / 0.01).to(torch.float8_e4m3fn), MIDDLE.replace("weight", "scale_weight"): torch.tensor(0.01), "scaled_fp8": torch.zeros(1)}
    found = merged(tmp_path, fields={"method": "No interpolation"}, a=scaled)
    assert set(found) == set(A) and torch.allclose(found[MIDDLE], A[MIDDLE], rtol=0.07)


@pytest.mark.parametrize("at_once", [2**26, 1000])
def test_a_pickle_is_read_in_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    monkeypatch.setattr("app.engine.merging.reader.PICKLE_BYTES", at_once)
    file = written(tmp_path / "b.safetensors", B)
    torch.save({"state_dict": {name: value.half() if mixed(name) else value for name, value in B.items()}}, tmp_path / "b.ckpt")
    pickle = replace(file, path=tmp_path / "b.ckpt", weights=(tmp_path / "b.ckpt",))
    parents = opened(tmp_path, a=A) | {"B": open_checkpoint(pickle, "B")}
    write(planning.make(asked(), parents, None, tmp_path), tmp_path / "out.safetensors", {}, quietly)
    found = load_file(tmp_path / "out.safetensors")
    assert all(torch.allclose(found[name], (A[name] + B[name].half().float()) / 2, atol=1e-6) for name in found if mixed(name))
    alone = planning.make(asked(method="No interpolation", overwrite=True), {"A": open_checkpoint(pickle, "A")}, None, tmp_path)
    write(alone, tmp_path / "out.safetensors", {}, quietly)
    found = load_file(tmp_path / "out.safetensors")
    assert set(found) == set(B) and all(torch.equal(found[name], B[name]) for name in ("betas", POSITIONS))


@pytest.mark.parametrize(("fields", "facts", "complaint"), [
    ({}, {"family": "sdxl"}, r"B \('b'\) is SDXL, but A \('a'\) is SD 1.x; only checkpoints of one kind"),
    ({}, {"prediction": "v_prediction"}, "predicts v_prediction, but"),
    ({}, {"base": Path("darkroom-base")}, "takes its word list and layers from 'darkroom-base', but A .* from no other checkpoint"),
])  # fmt: skip
def test_parents_that_are_not_kin(tmp_path: Path, fields: dict, facts: dict, complaint: str) -> None:
    parents = {"A": open_checkpoint(written(tmp_path / "a.safetensors", A, prediction="epsilon"), "A"),
               "B": open_checkpoint(written(tmp_path / "b.safetensors", B, **facts), "B")}  # fmt: skip
    with pytest.raises(BadCheckpoint, match=complaint):
        planning.make(asked(**fields), parents, None, tmp_path)


def test_tensors_that_do_not_fit_are_named(tmp_path: Path) -> None:
    with pytest.raises(BadCheckpoint, match=r"B \('b'\) has no tensor 'model.diffusion_model.middle_block"):
        planned(tmp_path, a=A, b={name: value for name, value in B.items() if name != MIDDLE})
    with pytest.raises(BadCheckpoint, match=r"'model.diffusion_model.middle_block.0.in_layers.2.weight' has the shape \(5, 3\) in A, but \(5, 4\) in B"):
        planned(tmp_path, a=A, b=B | {MIDDLE: torch.zeros(5, 4)})


@pytest.mark.parametrize(("fields", "complaint"), [
    ({"model_b": ""}, "Weighted sum needs a checkpoint B"), ({"model_c": "c"}, "Weighted sum takes no checkpoint C"),
    ({"method": "Add difference", "model_c": ""}, "Add difference needs a checkpoint C"),
    ({"method": "No interpolation", "blocks": "GRAD_V"}, "no interpolation has no B"),
])  # fmt: skip
def test_letters_that_the_method_does_not_take(fields: dict, complaint: str) -> None:
    with pytest.raises(BadRequest, match=complaint):
        planning.check_letters(asked(**fields))


def test_a_stop_and_a_full_disk_leave_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = planned(tmp_path, a=A, b=B)
    seen: list[int] = []

    def stop(progress: Progress) -> None:
        seen.append(len(list(tmp_path.glob(".out.safetensors.*.merging"))))
        if len(seen) == 5:
            raise Cancelled

    with pytest.raises(Cancelled):
        write(plan, tmp_path / "out.safetensors", {}, stop)
    assert seen == [1] * 5
    monkeypatch.setattr("app.engine.merging.write.shutil.disk_usage", lambda folder: type("Usage", (), {"free": 100}))
    with pytest.raises(DiskTrouble, match=r"takes 0.00 GB, but only 0.00 GB are free"):
        write(plan, tmp_path / "out.safetensors", {}, quietly)
    assert {path.name for path in tmp_path.iterdir()} == {"a.safetensors", "b.safetensors"}


def test_what_a_killed_merge_left_is_cleared_and_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / ".old.safetensors.4194305.merging").write_bytes(b"left")  # no process has that number on Linux
    (tmp_path / "out.safetensors").write_bytes(b"precious")
    plan = planned(tmp_path, a=A, b=B)
    with pytest.raises(DiskTrouble, match="not overwritten"):
        write(plan, tmp_path / "out.safetensors", {}, quietly)
    assert {path.name for path in tmp_path.iterdir()} == {"a.safetensors", "b.safetensors", "out.safetensors"}
    assert (tmp_path / "out.safetensors").read_bytes() == b"precious"


def test_numbers_that_are_none_are_named(tmp_path: Path) -> None:
    broken = B | {MIDDLE: torch.full((5, 3), float("nan"))}
    with pytest.raises(BadCheckpoint, match=r"middle_block.*holds NaN"):
        merged(tmp_path, a=A, b=broken)


def test_a_parent_that_changes_meanwhile(tmp_path: Path) -> None:
    plan = planned(tmp_path, a=A, b=B)

    def cut(progress: Progress) -> None:
        (tmp_path / "b.safetensors").write_bytes((tmp_path / "b.safetensors").read_bytes()[:2000])

    with pytest.raises(BadCheckpoint, match="became shorter while it was read"):
        write(plan, tmp_path / "out.safetensors", {}, cut)
    assert not (tmp_path / "out.safetensors").exists()


MEASURED = """
import sys
from pathlib import Path
import torch
sys.path.insert(0, {root!r})
from tests.engine.merging.files import UNET, asked, opened, weights
from app.engine.merging import plan as planning
from app.engine.merging.write import write
folder, big, count = Path({folder!r}), 8 * 2**20, 2
def made(seed):
    large = {{f"{{UNET}}output_blocks.{{n}}.1.weight": torch.full((big,), seed, dtype=torch.float16) for n in range(count)}}
    return weights(seed) | large
def peak():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) * 1024
def reset():
    open("/proc/self/clear_refs", "w").write("5")
small = planning.make(asked(), opened(folder, a=weights(1), b=weights(2)), None, folder)
write(small, folder / "warm.safetensors", {{}}, lambda progress: None)
parents = opened(folder, a=made(1), b=made(2))
plan = planning.make(asked(save_as="fp16"), parents, None, folder)
reset()
before = peak()
write(plan, folder / "out.safetensors", {{}}, lambda progress: None)
sys.stdout.write(f"{{peak() - before}} {{3 * 2 * big}}")
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the peak is told by Linux")
def test_memory_stays_below_the_largest_group_of_tensors(tmp_path: Path) -> None:
    """Tensors of 16 MB, two of them in each parent; a group is one of A, one of B and the result."""
    root = str(Path(__file__).parents[3])
    program = MEASURED.format(root=root, folder=str(tmp_path))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=root, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    grown, group = map(int, done.stdout.split())
    assert grown < group, f"{grown / 1e6:.0f} MB for groups of {group / 1e6:.0f} MB"
