"""Everything that is derived from a base: the same file twice, the same file after a stop, and readable by others."""

import json
import logging
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
pytest.importorskip("skia")

from safetensors.torch import load_file  # noqa: E402

from app.engine.adapters.apply import Adapters  # noqa: E402
from app.engine.adapters.asked import Lora  # noqa: E402
from app.engine.adapters.embeddings import read_embedding  # noqa: E402
from app.engine.checkpoints.find import Shelf  # noqa: E402
from app.engine.checkpoints.header import read_header  # noqa: E402
from app.settings import Settings  # noqa: E402
from tests.tools import small_family  # noqa: E402
from tools.embedded import data, inversion  # noqa: E402
from tools.embedded.bases import load_base  # noqa: E402
from tools.embedded.data import Workshop  # noqa: E402
from tools.embedded.derived_stages import STYLE_RANKS, Derivation, derive  # noqa: E402
from tools.embedded.stages import Job  # noqa: E402
from tools.embedded.training import Slice  # noqa: E402
from tools.embedded.vae import VaeTrainer  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")

FILES = {
    ("style", "watercolour"): "darkroom-watercolour.safetensors",
    ("inpainting", ""): "darkroom-inpaint.safetensors",
    ("lora", "ink"): "loras/darkroom-ink.safetensors",
    ("lcm", ""): "loras/darkroom-lcm.safetensors",
    ("inversion", ""): f"embeddings/{inversion.WORD}.safetensors",
}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_family.make_base(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return small_family.make_workshop(tmp_path_factory.mktemp("run") / "workshop")


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few pictures, and no sample sheets: those are looked at by people."""
    from tools.embedded.finetune import Finetuner

    monkeypatch.setattr(inversion, "PICTURES", 4)
    monkeypatch.setattr(Finetuner, "sheet", lambda self, path: None)


@pytest.fixture(scope="module")
def made(base: Path, workshop: Workshop) -> Callable[[str, str], Path]:
    """Trains each kind once, for all tests."""
    found: dict[tuple[str, str], Path] = {}

    def get(kind: str, style: str) -> Path:
        if (kind, style) not in found:
            found[kind, style] = train(workshop, base, kind, style, "first")
        return found[kind, style]

    return get


def train(workshop: Workshop, base: Path, kind: str, style: str, name: str, *parts: int) -> Path:
    """Two steps, in one go or in slices; returns the file."""
    models = workshop.folder / name
    wanted = Derivation(kind, base, models, style)
    for part in parts or (2,):
        derive(Job(workshop, steps=2, batch=2, part=Slice(part)), wanted, lambda _: None)
    (workshop.folder / f"{wanted.name}.pt").unlink()
    return models / FILES[kind, style]


@pytest.mark.parametrize(("kind", "style"), FILES)
def test_a_stopped_training_writes_the_same_file_as_one_in_one_go(made, workshop: Workshop, base: Path, kind: str, style: str) -> None:
    whole, stopped = made(kind, style), train(workshop, base, kind, style, "stopped", 1, 1)
    assert whole.read_bytes() == stopped.read_bytes()


@pytest.mark.parametrize(("kind", "style"), FILES)
def test_files_say_what_they_are(made, kind: str, style: str) -> None:
    metadata = read_header(made(kind, style)).metadata
    assert metadata["darkroom.base"] == "darkroom-base" and metadata["modelspec.sai_model_spec"] == "1.0.0"
    assert metadata["modelspec.license"] == "CC0-1.0" and metadata["modelspec.author"] == "Darkroom"
    ending = {"style": "", "inpainting": "-inpainting", "inversion": "/textual-inversion"}.get(kind, "/lora")
    assert metadata["modelspec.architecture"] == "stable-diffusion-v1" + ending
    trigger = {"watercolour": "watercolour painting", "ink": "ink sketch"}.get(style) or (inversion.WORD if kind == "inversion" else None)
    assert metadata.get("modelspec.trigger_phrase") == trigger
    if kind == "lora":
        assert (metadata["ss_network_module"], metadata["ss_base_model_version"]) == ("networks.lora", "sd_v1")
        assert metadata["ss_network_dim"] == str(STYLE_RANKS.linear)
        assert json.loads(metadata["ss_tag_frequency"])["darkroom-base"]["ink sketch"] >= small_family.PICTURES


@pytest.mark.parametrize(("kind", "style"), [("style", "watercolour"), ("inpainting", "")])
def test_stock_diffusers_reads_checkpoints(made, base: Path, kind: str, style: str, caplog: pytest.LogCaptureFixture) -> None:
    from diffusers import UNet2DConditionModel

    channels = 4 if kind == "style" else 9
    with caplog.at_level(logging.WARNING):
        unet = UNet2DConditionModel.from_single_file(str(made(kind, style)), config=str(base), subfolder="unet", in_channels=channels, local_files_only=True)
    assert not [record for record in caplog.records if "not used" in record.getMessage() or "newly initialized" in record.getMessage()]
    before, after = load_base(base).unet.state_dict(), unet.state_dict()
    assert any(not torch.equal(before[name].half().float(), after[name].float()) for name in before if "conv1" in name)


def test_the_app_lists_the_whole_family(made, base: Path, tmp_path: Path) -> None:
    from shutil import copytree

    models = tmp_path / "models" / "embedded"
    copytree(base, models / "darkroom-base")
    for kind, style in FILES:
        file = made(kind, style)
        target = models / FILES[kind, style]
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.read_bytes())
    shelf = Shelf(Settings(root=tmp_path))
    found = [*shelf.checkpoints(), *shelf.loras(), *shelf.embeddings()]
    assert {path.name for path in map(Path, FILES.values())} <= {file.path.name for file in found if not file.problem}


@pytest.mark.parametrize(("kind", "style"), [("lora", "ink"), ("lcm", "")])
def test_the_app_applies_networks(made, base: Path, tmp_path: Path, kind: str, style: str) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(made(kind, style).read_bytes())
    shelf = Shelf(Settings(root=tmp_path, checkpoint_dirs=(tmp_path,), lora_dirs=(tmp_path,), embedding_dirs=(tmp_path,), vae_dirs=(tmp_path,)))
    [file] = shelf.loras()
    loaded = load_base(base)
    before = {name: value.clone() for name, value in loaded.unet.state_dict().items()}
    with torch.no_grad():
        Adapters({"unet": loaded.unet, "text_encoder": loaded.encoder}, "sd1", "base").apply([Lora(file)])
    after = loaded.unet.state_dict()
    changed = {"lora_unet_" + name.removesuffix(".weight").replace(".", "_") for name in after if not torch.equal(after[name], before[name])}
    networks = load_file(path)
    ups = {name.removesuffix(".lora_up.weight"): value for name, value in networks.items() if name.endswith(".lora_up.weight")}
    assert changed == {name for name, value in ups.items() if value.any()}
    assert len(changed) > 200


@pytest.mark.parametrize(("kind", "style"), [("lora", "ink"), ("lcm", "")])
def test_stock_diffusers_knows_the_names_of_networks(made, base: Path, kind: str, style: str) -> None:
    from diffusers.loaders.lora_conversion_utils import _convert_non_diffusers_lora_to_diffusers

    weights = load_file(made(kind, style))
    converted, alphas = _convert_non_diffusers_lora_to_diffusers(dict(weights))
    modules = dict(load_base(base).unet.named_modules())
    layers = {re.sub(r"[._]lora\.(down|up)\.weight$", "", name.removeprefix("unet.")).replace(".processor", "") for name in converted}
    layers = {re.sub("to_out$", "to_out.0", name) for name in layers}
    assert len(alphas) == sum(name.endswith(".alpha") for name in weights)
    assert len(converted) == 2 * len(alphas)
    missing = {name for name in layers if name not in modules}
    assert not missing


def test_the_app_reads_the_word(made, tmp_path: Path) -> None:
    path = tmp_path / f"{inversion.WORD}.safetensors"
    path.write_bytes(made("inversion", "").read_bytes())
    shelf = Shelf(Settings(root=tmp_path, checkpoint_dirs=(tmp_path,), lora_dirs=(tmp_path,), embedding_dirs=(tmp_path,), vae_dirs=(tmp_path,)))
    [file] = shelf.embeddings()
    assert read_embedding(file)[""].shape == (len(inversion.HINTS), 32)


def changed(before: dict, after: dict) -> set[str]:
    """Names of tensors that differ."""
    assert before.keys() == after.keys()
    return {name for name in before if not torch.equal(before[name].float(), after[name].float())}


def refine(workshop: Workshop, base: Path, models: Path, style: str, *parts: int) -> None:
    """Two steps of a decoder's training, in one go or in slices."""
    wanted = Derivation("decoder", base, models, style)
    for part in parts or (2,):
        derive(Job(workshop, steps=2, batch=2, part=Slice(part)), wanted, lambda _: None)
    (workshop.folder / f"{wanted.name}.pt").unlink()


def test_a_style_gets_a_decoder_of_its_own(made, workshop: Workshop, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(VaeTrainer, "sheet", lambda self, path: None)
    monkeypatch.setattr(data, "PICTURE_SIZE", 64)  # that of the workshop's pictures
    plain = made("style", "watercolour")
    models = workshop.folder / "decoded"
    models.mkdir()
    file = models / plain.name
    file.write_bytes(plain.read_bytes())
    refine(workshop, base, models, "watercolour")
    names = changed(load_file(plain), load_file(file))
    assert names and all(name.startswith(("first_stage_model.decoder.", "first_stage_model.post_quant_conv.")) for name in names)
    assert read_header(file).metadata == read_header(plain).metadata
    once = file.read_bytes()
    refine(workshop, base, models, "watercolour", 1, 1)
    assert file.read_bytes() == once
    again = train(workshop, base, "style", "watercolour", "after")
    assert again.read_bytes() == once  # whichever of the two was trained first
    (workshop.folder / "decoder-watercolour.weights.pt").unlink()


def test_the_bases_decoder_is_refined_in_its_folder(workshop: Workshop, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from shutil import copytree

    monkeypatch.setattr(VaeTrainer, "sheet", lambda self, path: None)
    monkeypatch.setattr(data, "PICTURE_SIZE", 64)
    copytree(base, tmp_path / "darkroom-base")
    refine(workshop, tmp_path / "darkroom-base", tmp_path, "")
    before, after = load_base(base), load_base(tmp_path / "darkroom-base")
    names = changed(before.vae.state_dict(), after.vae.state_dict())
    assert names and all(name.startswith(("decoder.", "post_quant_conv.")) for name in names)
    assert not changed(before.unet.state_dict(), after.unet.state_dict())


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """The libraries' own progress bars and warnings are not ours to test."""
    logging.getLogger("diffusers").setLevel(logging.WARNING)
    yield
