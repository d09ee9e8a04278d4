"""ComfyUI, Fooocus and InvokeAI: what is used of each, and what is left."""

from pathlib import Path

from app.movein import comfyui, fooocus, invokeai
from app.movein.survey import Survey
from tests.movein import installations


def below(root: Path, found: Survey) -> dict[str, list[str]]:
    return {kind: [folder.relative_to(root).as_posix() for folder in folders] for kind, folders in found.folders.items() if folders}


def test_comfyui_with_extra_paths(tmp_path: Path) -> None:
    root = installations.comfyui(tmp_path / "ComfyUI")
    before = installations.state(tmp_path)
    found = comfyui.survey(root, "ComfyUI")
    assert below(tmp_path, found) == {
        "checkpoint": ["ComfyUI/models/checkpoints", "ComfyUI/models/diffusion_models", "stable-diffusion-webui/models/Stable-diffusion"],
        "lora": ["ComfyUI/models/loras", "stable-diffusion-webui/models/Lora", "stable-diffusion-webui/models/LyCORIS"],
        "vae": ["ComfyUI/models/vae"], "text encoder": ["ComfyUI/models/text_encoders", "ComfyUI/models/clip"], "embedding": ["ComfyUI/models/embeddings"],
        "upscaler": ["ComfyUI/models/upscale_models"], "outputs": ["ComfyUI/output"],
    }  # fmt: skip
    assert found.unused == [
        f"{tmp_path}/stable-diffusion-webui/models/ControlNet (1 file): Darkroom has no ControlNet.",
        f"'{tmp_path}/ComfyUI/../nowhere/models/vae' is named in its settings and is not there.",
        "models/animatediff (1 file): Darkroom knows no use for it.",
        "models/controlnet (1 file): Darkroom has no ControlNet.",
        "1 custom node: they are written for ComfyUI.",
        "1 workflow: Darkroom has no graphs; drop a picture made with one on a tab instead.",
    ]
    assert installations.state(tmp_path) == before


def test_a_damaged_file_of_extra_paths_is_named(tmp_path: Path) -> None:
    root = installations.comfyui(tmp_path / "ComfyUI")
    for text in ("a: [", "- 1\n- 2", "a: 7", "a:\n  base_path: [1]\n  loras: 3", "!!python/object/apply:os.system ['touch x']", "\tx: 1"):
        (root / "extra_model_paths.yaml").write_text(text)
        assert comfyui.survey(root, "ComfyUI").folders["lora"] == [root / "models/loras"]
    assert any(line.startswith("extra_model_paths.yaml cannot be read: ") for line in comfyui.survey(root, "ComfyUI").unused)
    assert not (tmp_path / "x").exists() and not Path("x").exists()


def test_fooocus_with_its_config_over_the_preset(tmp_path: Path) -> None:
    root = installations.fooocus(tmp_path / "Fooocus")
    found = fooocus.survey(root, "Fooocus")
    assert below(tmp_path, found) == {
        "checkpoint": ["Fooocus/models/checkpoints"], "lora": ["Fooocus/models/loras", "big/loras"], "upscaler": ["Fooocus/models/upscale_models"],
        "wildcards": ["Fooocus/wildcards"], "outputs": ["Fooocus/outputs"],
    }  # fmt: skip
    assert found.styles == [root / "sdxl_styles/broken.json", root / "sdxl_styles/sdxl_styles_sai.json"]
    assert found.defaults["txt2img"] == {
        "checkpoint": "juggernaut", "cfg_scale": 5.5, "sampler": "DPM++ 2M SDE", "schedule": "Karras", "steps": 60, "styles": ["sai-anime"],
        "prompt": "<lora:offset:0.1>", "rng": "CPU", "width": 1152, "height": 896, "batch_count": 3,
    }  # fmt: skip
    assert found.unused == [
        "'/no/such/place' is named in its settings and is not there.", "Fooocus V2: Darkroom expands no prompts.",
        "1 more preset: Darkroom begins with the one that Fooocus begins with, default.",
        "models/inpaint (1 file): Fooocus' inpaint patch belongs to its own program.",
    ]  # fmt: skip


def test_fooocus_with_odd_settings(tmp_path: Path) -> None:
    root = installations.fooocus(tmp_path)
    installations.put(root / "config.txt", {
        "default_loras": [["x.safetensors", 0.5], ["y", "much"], 7, [False, "off", 1]], "default_performance": "Lightning", "default_sampler": "unheard_of",
        "default_aspect_ratio": 5, "default_styles": "none", "default_sample_sharpness": 9, "default_output_format": "webp", "path_loras": 8,
    })  # fmt: skip
    found = fooocus.survey(root, "Fooocus")
    said = found.defaults["txt2img"]
    assert said["prompt"] == "<lora:x:0.5> <lora:y:1>" and "steps" not in said and "sampler" not in said and "width" not in said
    told = " ".join(found.unused)
    assert "Darkroom has no sampler 'unheard_of'" in told and "'Lightning': put its LoRA" in told and "sharpness" in told and "saved as PNG" in told


def test_an_older_fooocus_names_its_paths_otherwise(tmp_path: Path) -> None:
    root = installations.fooocus(tmp_path / "Fooocus")
    (root / "config.txt").unlink()
    installations.put(root / "user_path_config.txt", {"modelfile_path": str(tmp_path / "big"), "temp_outputs_path": "..\\old outputs"})
    (tmp_path / "old outputs").mkdir()
    found = fooocus.survey(root, "Fooocus")
    assert found.folders["checkpoint"] == [tmp_path / "big"] and [folder.resolve() for folder in found.folders["outputs"]] == [tmp_path / "old outputs"]


def test_invokeai_by_base_and_flat(tmp_path: Path) -> None:
    root = installations.invokeai(tmp_path / "old")
    found = invokeai.survey(root, "InvokeAI")
    assert below(root, found) == {
        "checkpoint": ["models/sd-1/main"], "lora": ["models/sdxl/lora"], "vae": ["models/sd-1/vae"], "outputs": ["outputs/images"],
    }  # fmt: skip
    assert found.unused[0] == "models/any/clip_vision (1 file): Darkroom knows no use for it." and "invokeai.db" in found.unused[1]
    flat = installations.invokeai(tmp_path / "new", flat=True)
    installations.put(flat / "invokeai.yaml", f"InvokeAI:\n  Paths:\n    outdir: {tmp_path / 'old/outputs'}\n")
    found = invokeai.survey(flat, "InvokeAI")
    assert found.folders["checkpoint"] == [flat / "models"] and found.folders["outputs"] == [root / "outputs/images"]
    installations.put(flat / "invokeai.yaml", "a: [")
    assert invokeai.survey(flat, "InvokeAI").unused[0].startswith("invokeai.yaml cannot be read")
