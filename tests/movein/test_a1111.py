"""A1111, Forge and SD.Next: folders, styles, settings, flags, and what is left."""

from pathlib import Path

from app.movein import a1111
from tests.movein import installations


def below(root: Path, folders: list[Path]) -> list[str]:
    return [folder.relative_to(root).as_posix() for folder in folders]


def test_an_installation_of_a1111(tmp_path: Path) -> None:
    root = installations.a1111(tmp_path / "webui")
    before = installations.state(root)
    found = a1111.survey(root, "AUTOMATIC1111")
    assert {kind: below(root, folders) for kind, folders in found.folders.items()} == {
        "checkpoint": ["models/Stable-diffusion"], "lora": ["models/Lora", "models/LyCORIS"], "embedding": ["embeddings"], "vae": ["models/VAE"],
        "text encoder": [], "upscaler": ["models/ESRGAN", "models/RealESRGAN"], "wildcards": ["extensions/sd-dynamic-prompts/wildcards"],
        "outputs": ["outputs/txt2img-images", "outputs/img2img-images", "outputs/txt2img-grids"],
    }  # fmt: skip
    assert found.styles == [root / "styles.csv"] and found.flags == {"xformers": True, "medvram": True}
    assert found.unused == [
        "--listen: who may reach the page is for you to say; give it to ./launch.sh.",
        "--api: nothing here needs or knows it.",
        "log/images (1 file): copies made by its Save button.",
        "samples_format is 'jpg' there: pictures are saved as PNG, which holds their parameters losslessly.",
        "face_restoration is True there: Darkroom has no face restoration.",
        "1 extension (sd-dynamic-prompts): they are written for AUTOMATIC1111.",
        "1 script of yours in scripts/: they are written for AUTOMATIC1111.",
        "models/ControlNet (1 file): Darkroom has no ControlNet.",
        "models/hypernetworks (1 file): Darkroom has no hypernetworks.",
        "models/mystery (1 file): Darkroom knows no use for it.",
    ]
    assert installations.state(root) == before


def test_its_settings_are_first_values(tmp_path: Path) -> None:
    said = a1111.survey(installations.a1111(tmp_path), "AUTOMATIC1111").defaults
    common = {"checkpoint": "sub\\dreams.safetensors [6ce0161689]", "clip_skip": 2, "rng": "CPU", "eta_noise_seed_delta": 31337, "emphasis": "No norm"}
    assert all(said[task].items() >= common.items() and "vae" not in said[task] for task in ("txt2img", "img2img", "inpaint", "outpaint", "zoom"))
    assert said["txt2img"].items() >= {
        "steps": 28, "sampler": "DPM++ SDE Karras", "cfg_scale": 7.0, "negative_prompt": "blurry", "enable_hr": True, "hr_upscaler": "RealESRGAN_x4plus",
    }.items()  # fmt: skip
    assert "seed" not in said["txt2img"] and "width" not in said["txt2img"], "a script's own field, and the size that A1111 begins with"
    assert said["inpaint"].items() >= {"denoising_strength": 0.4, "steps": 35, "masked_content": "fill", "inpaint_area": "Only masked"}.items()
    assert (said["zoom"]["steps"], said["outpaint"]["steps"]) == (28, 35) and "denoising_strength" not in said["outpaint"]
    assert said["upscale"] == {"scale": 2, "upscaler": "4x-UltraSharp"}


def test_folders_that_flags_and_settings_name(tmp_path: Path) -> None:
    root, other = installations.a1111(tmp_path / "webui"), tmp_path / "other disk"
    for name in ("ckpt/a.safetensors", "lora/b.safetensors", "emb/c.pt", "vae/d.vae.pt", "up/e.pth", "pictures/today/1.png", "one/file.ckpt"):
        installations.put(other / name)
    installations.put(other / "styles-a.csv", "name,prompt,negative_prompt\na,b,c\n")
    args = [
        f"--ckpt-dir '{other}/ckpt'", f'--lora-dir=\\"{other}/lora\\"', f"--embeddings-dir '{other}/emb' --vae-dir '{other}/vae'",
        f"--esrgan-models-path '{other}/up'",
        f"--styles-file '{other}/styles*.csv'", f"--ckpt '{other}/one/file.ckpt'", "--lora-dir /no/such/place",
    ]  # fmt: skip
    installations.put(root / "webui-user.sh", f'export COMMANDLINE_ARGS="{" ".join(args)}"\n')
    installations.put(root / "config.json", {"outdir_samples": str(other / "pictures"), "outdir_grids": "/no/such/grids"})
    found = a1111.survey(root, "AUTOMATIC1111")
    assert found.folders["checkpoint"] == [other / "ckpt", root / "models/Stable-diffusion", other / "one"]
    assert found.folders["lora"][0] == other / "lora" and found.folders["embedding"] == [other / "emb", root / "embeddings"]
    assert found.folders["vae"][0] == other / "vae" and found.folders["upscaler"][0] == other / "up"
    assert found.folders["outputs"][0] == other / "pictures"
    assert found.styles == [other / "styles-a.csv", root / "styles.csv"]
    assert found.defaults["txt2img"]["checkpoint"] == "file"
    assert [line for line in found.unused if "no/such" in line] == [
        "'/no/such/place' is named in its settings and is not there.", "'/no/such/grids' is named in its settings and is not there.",
    ]  # fmt: skip


def test_forge_with_its_own_flags_and_folders(tmp_path: Path) -> None:
    root = installations.forge(tmp_path)
    found = a1111.survey(root, "Forge")
    assert below(root, found.folders["text encoder"]) == ["models/text_encoder"] and below(root, found.folders["embedding"]) == ["models/embeddings"]
    assert below(root, found.folders["outputs"]) == ["output/txt2img-images"]
    assert found.flags == {"lowvram": True, "no_half_vae": True}
    assert found.unused == [
        "--port: who may reach the page is for you to say; give it to ./launch.sh.", "--forge-ref-a1111-home: nothing here needs or knows it.",
    ]  # fmt: skip


def test_sdnext_with_its_json_styles(tmp_path: Path) -> None:
    root = installations.sdnext(tmp_path / "automatic")
    found = a1111.survey(root, "SD.Next")
    assert found.folders["vae"] == [tmp_path / "shared/vae"] and below(root, found.folders["text encoder"]) == ["models/Text-encoder"]
    assert below(root, found.folders["wildcards"]) == ["models/wildcards"] and below(root, found.folders["outputs"]) == ["outputs/text"]
    assert found.styles == [root / "models/styles/fog.json"]


def test_damaged_settings_are_named_and_the_rest_is_used(tmp_path: Path) -> None:
    root = installations.a1111(tmp_path)
    for text in ("{", "[1]", "\xff", "[" * 100_000):
        (root / "config.json").write_bytes(text.encode("latin-1"))
        (root / "ui-config.json").write_text('{"txt2img/Sampling steps/value": [], "txt2img/Styles/value": 7, "txt2img/Upscaler/value": null}')
        found = a1111.survey(root, "AUTOMATIC1111")
        assert any(line.startswith("config.json cannot be read") for line in found.unused) and found.folders["checkpoint"]
