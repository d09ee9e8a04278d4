import hashlib
import os
from pathlib import Path

import pytest

from app.engine.checkpoints.find import Shelf
from app.engine.checkpoints.hashes import data_begin
from app.engine.checkpoints.scan import kind_by_folder
from app.errors import BadCheckpoint
from app.settings import Settings
from tests.layouts import loras, unet, vae, write
from tests.layouts.checkpoints import layout, single


def shelf_at(root: Path, **changes) -> Shelf:
    models = (root / "models",)
    models[0].mkdir(exist_ok=True)
    return Shelf(Settings(root=root, checkpoint_dirs=models, vae_dirs=models, lora_dirs=models, embedding_dirs=models, outputs_dir=root / "outputs", **changes))


KINDS = {
    "a.ckpt": "checkpoint", "a.vae.pt": "vae", "VAE/a.pt": "vae", "Lora/deep/a.pt": "lora", "LyCORIS/a.pt": "lora", "embeddings/a.pt": "embedding",
    "text_encoders/a.pt": "text encoder",
}  # fmt: skip


@pytest.mark.parametrize("place", KINDS)
def test_the_kind_of_what_cannot_be_read(place: str) -> None:
    assert kind_by_folder(Path(place), "checkpoint") == KINDS[place]


def test_sidecars_are_read_again_when_they_change(tmp_path: Path) -> None:
    shelf = shelf_at(tmp_path)
    write.sparse(tmp_path / "models" / "x.safetensors", single("sd2"))
    assert (shelf.checkpoint("x").prediction, shelf.checkpoint("x").native, shelf.checkpoint("x").preview) == ("epsilon", 512, None)
    (tmp_path / "models" / "x.yaml").write_text("parameterization: v")
    (tmp_path / "models" / "x.json").write_text('{"activation text": "ink", "notes": "good"}')
    (tmp_path / "models" / "x.png").touch()
    shelf.refresh()
    found = shelf.checkpoint("x")
    assert (found.prediction, found.native, found.triggers, found.sidecar.notes) == ("v_prediction", 768, ("ink",), "good")
    assert found.preview == tmp_path / "models" / "x.png" and found.config == tmp_path / "models" / "x.yaml"


def test_a_pickle_beside_its_safetensors_and_stray_bins_are_not_listed(tmp_path: Path) -> None:
    (tmp_path / "models" / "embeddings").mkdir(parents=True)
    for name in ("x.ckpt", "y.ckpt", "z.bin", "embeddings/w.bin"):
        (tmp_path / "models" / name).write_bytes(b"PK\x03\x04")
    write.sparse(tmp_path / "models" / "x.safetensors", single("sd1"))
    assert [(file.name, file.kind) for file in shelf_at(tmp_path).everything()] == [("x", "checkpoint"), ("y", "checkpoint"), ("embeddings/w", "embedding")]
    assert "z" in [file.name for file in shelf_at(tmp_path, allow_pickles=True).everything()]


def test_what_paints_from_a_prompt_alone_is_the_default(tmp_path: Path) -> None:
    models = tmp_path / "models"
    write.sparse(models / "a.safetensors", unet.ldm(layout("sd1").unet))
    shelf = shelf_at(tmp_path)
    with pytest.raises(BadCheckpoint):
        shelf.checkpoint("")
    write.sparse(models / "b.safetensors", single("sdxl-refiner"))
    write.sparse(models / "c.safetensors", single("sd1-ip2p"))
    shelf.refresh()
    assert shelf.checkpoint("").name == "b"
    write.sparse(models / "d.safetensors", single("sd1"))
    shelf.refresh()
    assert shelf.checkpoint("").name == "d" and [file.name for file in shelf.checkpoints()] == ["a", "b", "c", "d"]


def test_hashes_are_computed_quietly_checkpoints_first(tmp_path: Path) -> None:
    models = tmp_path / "models"
    write.sparse(models / "a-lora.safetensors", loras.peft("sd1", small=True))
    write.sparse(models / "b-vae.safetensors", vae.ldm(32))
    write.sparse(models / "c.safetensors", unet.ldm(layout("sd1").unet))
    (models / "d.safetensors").touch()
    shelf = shelf_at(tmp_path)
    assert [file.name for file in shelf.unhashed()] == ["c", "a-lora", "b-vae"]
    steps = shelf.hash_quietly()
    while len(shelf.unhashed()) == 3:
        next(steps)
    assert [file.name for file in shelf.unhashed()] == ["a-lora", "b-vae"]
    for _ in steps:
        pass
    lora = shelf.lora("a-lora")
    assert shelf.unhashed() == [] and shelf.checkpoint("c").title.startswith("c [")
    raw = lora.path.read_bytes()
    assert shelf.hashes.known(lora.path, data_begin(lora.path)) == hashlib.sha256(raw[data_begin(lora.path) :]).hexdigest()


def test_files_are_found_by_hashes_of_every_age(tmp_path: Path) -> None:
    path = write.sparse(tmp_path / "models" / "a.safetensors", single("sd1"))
    with path.open("r+b") as file:
        file.seek(2**20)
        file.write(old := os.urandom(2**16))
    write.sparse(tmp_path / "models" / "l.safetensors", loras.peft("sd1", small=True), metadata={"sshs_model_hash": "ab" * 32})
    shelf = shelf_at(tmp_path)
    assert shelf.checkpoint(hashlib.sha256(old).hexdigest()[:8]).name == "a"
    digest = shelf.checkpoint("a").short_hash()
    assert shelf.checkpoint(digest.upper()).name == shelf.checkpoint(digest[:8]).name == "a"
    assert shelf.lora("ab" * 6).name == "l"
