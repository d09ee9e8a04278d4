"""Every shipped file of the embedded family, read from disk by stock libraries and by the app, which agree on what is in it."""

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from app.engine.adapters.apply import Adapters  # noqa: E402
from app.engine.adapters.asked import Lora  # noqa: E402
from app.engine.adapters.embeddings import read_embedding  # noqa: E402
from app.engine.checkpoints.find import Shelf  # noqa: E402
from app.engine.checkpoints.load import load_networks  # noqa: E402
from app.engine.checkpoints.networks import Dtypes, Parts  # noqa: E402
from app.engine.upscalers import find_upscaler  # noqa: E402
from app.engine.upscalers_load import import_spandrel  # noqa: E402
from app.settings import Settings  # noqa: E402

ROOT = Path(__file__).parents[2]
MODELS = ROOT / "models/embedded"
BASE = MODELS / "darkroom-base"
CHECKPOINTS = ["darkroom-base", "darkroom-watercolour", "darkroom-neon", "darkroom-inpaint"]
LORAS = ["darkroom-pixel", "darkroom-ink", "darkroom-lcm"]
pytestmark = pytest.mark.filterwarnings("ignore")


def ours(name: str):
    """The networks as the app loads them, float32."""
    return load_networks(Shelf(Settings(root=ROOT)).checkpoint(name), Parts(), Dtypes())


def stock(name: str):
    """The same as diffusers' pipeline has them: its own folder, or a single file with the base's configs."""
    from diffusers import StableDiffusionInpaintPipeline, StableDiffusionPipeline, UNet2DConditionModel

    more = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False, "torch_dtype": torch.float32, "local_files_only": True}
    if name == BASE.name:
        return StableDiffusionPipeline.from_pretrained(str(BASE), **more)
    path, kind = str(MODELS / f"{name}.safetensors"), StableDiffusionPipeline
    if name.endswith("inpaint"):  # the base's config says 4 channels
        more["unet"] = UNet2DConditionModel.from_single_file(path, config=str(BASE), subfolder="unet", in_channels=9, local_files_only=True)
        kind = StableDiffusionInpaintPipeline
    return kind.from_single_file(path, config=str(BASE), **more)


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_stock_diffusers_and_the_app_compute_the_same_with_a_checkpoint(name: str) -> None:
    mine, theirs = ours(name), stock(name)
    latents = torch.randn(1, 9 if name.endswith("inpaint") else 4, 16, 16, generator=torch.Generator().manual_seed(1))
    tokens = theirs.tokenizer(["a red house in the forest"], padding="max_length", max_length=77, return_tensors="pt").input_ids
    with torch.no_grad():
        states = [part.text_encoder(tokens)[0] for part in (mine, theirs)]
        assert torch.allclose(*states, atol=1e-5)
        noise = [part.unet(latents, 500, states[0])[0] for part in (mine, theirs)]
        assert noise[0].std() > 0.5 and torch.allclose(*noise, atol=1e-4)
        pictures = [part.vae.decode(latents[:, :4] / 0.18215)[0] for part in (mine, theirs)]
        assert pictures[0].std() > 0.1 and torch.allclose(*pictures, atol=1e-3)


@pytest.mark.parametrize("name", LORAS)
def test_stock_diffusers_and_the_app_compute_the_same_with_a_lora(name: str) -> None:
    pytest.importorskip("peft")
    mine, theirs, plain = ours(BASE.name), stock(BASE.name), stock(BASE.name)
    path = MODELS / "loras" / f"{name}.safetensors"
    theirs.load_lora_weights(str(path.parent), weight_name=path.name, local_files_only=True)
    [lora] = [file for file in Shelf(Settings(root=ROOT)).loras() if file.path == path]
    with torch.no_grad():
        Adapters({"unet": mine.unet, "text_encoder": mine.text_encoder}, "sd1", BASE.name).apply([Lora(lora)])
        latents = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(1))
        states = plain.text_encoder(torch.arange(77)[None])[0]
        found = [part.unet(latents, 500, states)[0] for part in (mine, theirs, plain)]
    assert torch.allclose(found[0], found[1], atol=1e-4)
    assert (found[0] - found[2]).abs().mean() > 0.01


def test_stock_diffusers_and_the_app_read_the_same_word() -> None:
    path = MODELS / "embeddings/darkroom-dusk.safetensors"
    pipeline = stock(BASE.name)
    pipeline.load_textual_inversion(str(path.parent), weight_name=path.name, token=path.stem, local_files_only=True)
    ids = pipeline.tokenizer.convert_tokens_to_ids([path.stem, *(f"{path.stem}_{number}" for number in range(1, 4))])
    [file] = [file for file in Shelf(Settings(root=ROOT)).embeddings() if file.path == path]
    assert torch.equal(pipeline.text_encoder.get_input_embeddings().weight[ids], read_embedding(file)[""])


def test_spandrel_and_the_app_know_the_upscaler() -> None:
    path = MODELS / "upscalers/darkroom-x4.safetensors"
    model = import_spandrel().ModelLoader(device="cpu").load_from_file(path)
    with torch.no_grad():
        assert (model.architecture.id, model.scale, tuple(model(torch.rand(1, 3, 16, 24)).shape)) == ("Compact", 4, (1, 3, 64, 96))
    assert find_upscaler(Settings(root=ROOT), path.stem).path == path
