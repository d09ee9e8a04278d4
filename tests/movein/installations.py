"""Small installations of other programs, in their real layouts, with nothing in them that would run."""

import json
from pathlib import Path
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo

TEXT = "a dog\nNegative prompt: cats\nSteps: 9, Sampler: Euler a, CFG scale: 6, Seed: 4, Size: 512x512, Model: dreams"


def put(path: Path, content: str | bytes | dict[str, Any] | list[Any] = "x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def picture(path: Path, **texts: str) -> Path:
    info = PngInfo()
    for name, text in texts.items():
        info.add_text(name, text)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8)).save(path, pnginfo=info)
    return path


def state(root: Path) -> dict[str, tuple[bytes, int]]:
    """Everything in a folder: contents and times."""
    return {str(path): (path.read_bytes() if path.is_file() else b"", path.lstat().st_mtime_ns) for path in sorted(root.rglob("*"))}


def a1111(root: Path) -> Path:
    for name in ("modules/shared.py", "webui.py", "launch.py", "scripts/xyz_grid.py", "scripts/mine.py"):
        put(root / name)
    for name in (
        "models/Stable-diffusion/sub/dreams.safetensors", "models/Lora/style.safetensors", "models/LyCORIS/loha.safetensors", "models/VAE/vae.safetensors",
        "embeddings/bad-hands.pt", "models/ESRGAN/4x-UltraSharp.pth", "models/RealESRGAN/RealESRGAN_x4plus.pth", "models/hypernetworks/old.pt",
        "models/ControlNet/canny.pth", "models/mystery/thing.onnx", "extensions/sd-dynamic-prompts/wildcards/colour.txt", "log/images/1.png",
    ):  # fmt: skip
        put(root / name)
    put(root / "styles.csv", 'name,prompt,negative_prompt\nGood,"masterpiece, {prompt}",bad\n')
    picture(root / "outputs/txt2img-images/2024-01-01/00001-4.png", parameters=TEXT)
    picture(root / "outputs/img2img-images/2024-01-02/00000-5.png")
    picture(root / "outputs/txt2img-grids/2024-01-01/grid-0000.png", parameters=TEXT)
    put(root / "config.json", {
        "sd_model_checkpoint": "sub\\dreams.safetensors [6ce0161689]", "sd_vae": "Automatic", "CLIP_stop_at_last_layers": 2, "randn_source": "CPU",
        "eta_noise_seed_delta": 31337, "emphasis": "No norm", "comma_padding_backtrack": 20, "pad_cond_uncond": False, "uni_pc_order": 3,
        "samples_format": "jpg", "tiling": False, "face_restoration": True, "outdir_txt2img_samples": "outputs/txt2img-images", "outdir_samples": "",
    })  # fmt: skip
    put(root / "ui-config.json", {
        "txt2img/Prompt/visible": True, "txt2img/Width/value": 512, "txt2img/Height/value": 512, "txt2img/Width/maximum": 2048,
        "customscript/sampler.py/txt2img/Sampling steps/value": 28, "customscript/sampler.py/txt2img/Sampling method/value": "DPM++ SDE Karras",
        "customscript/xyz_grid.py/txt2img/Seed/value": 7, "txt2img/CFG Scale/value": 7.0, "txt2img/Styles/value": ["Good"],
        "txt2img/Negative prompt/value": "blurry", "txt2img/Hires. fix/value": True, "txt2img/Upscaler/value": "R-ESRGAN 4x+",
        "txt2img/Batch count/value": 99999, "img2img/Denoising strength/value": 0.4, "customscript/sampler.py/img2img/Sampling steps/value": 35.0,
        "img2img/Masked content/value": "fill", "img2img/Inpaint area/value": "Only masked",
        "extras/Resize/value": 2, "extras/Upscaler 1/value": "4x-UltraSharp",
    })  # fmt: skip
    put(root / "webui-user.sh", '#!/bin/bash\n#export COMMANDLINE_ARGS="--lowvram"\nexport COMMANDLINE_ARGS="--xformers --medvram --listen --api"\n')
    return root


def forge(root: Path, readme: str = "# Stable Diffusion WebUI Forge") -> Path:
    for name in ("modules/shared.py", "modules_forge/main_entry.py", "backend/args.py", "webui.py"):
        put(root / name)
    put(root / "README.md", readme)
    for name in ("Stable-diffusion/xl.safetensors", "text_encoder/clip_l.safetensors", "Lora/a.safetensors", "VAE/v.safetensors", "embeddings/e.safetensors"):
        put(root / "models" / name)
    picture(root / "output/txt2img-images/2025-01-01/1.png", parameters=TEXT)
    flags = '--always-low-vram --vae-in-fp32 --forge-ref-a1111-home "C:\\other ui" --port 7861'
    put(root / "webui-user.bat", f"@echo off\r\nset COMMANDLINE_ARGS={flags}\r\ncall webui.bat\r\n")
    return root


def sdnext(root: Path) -> Path:
    for name in ("modules/shared.py", "installer.py", "webui.py"):
        put(root / name)
    for name in ("Stable-diffusion/a.safetensors", "Text-encoder/t.safetensors", "Lora/b.safetensors"):
        put(root / "models" / name)
    put(root / "models/styles/fog.json", {"name": "Fog", "prompt": "foggy {prompt}", "negative": "clear"})
    put(root / "models/wildcards/animals.txt", "cat\ndog\n")
    put(root.parent / "shared/vae/best.safetensors")
    put(root / "config.json", {"vae_dir": str(root.parent / "shared/vae"), "outdir_txt2img_samples": "outputs/text", "sd_vae": "None"})
    picture(root / "outputs/text/1.png", parameters=TEXT)
    return root


def comfyui(root: Path) -> Path:
    for name in ("folder_paths.py", "nodes.py", "main.py", "comfy/sd.py", "custom_nodes/manager/__init__.py", "user/default/workflows/mine.json"):
        put(root / name)
    for name in (
        "checkpoints/a.safetensors", "diffusion_models/unet.safetensors", "loras/sub/b.safetensors", "vae/c.safetensors", "clip/l.safetensors",
        "text_encoders/t5.safetensors", "embeddings/e.safetensors", "upscale_models/4x.pth", "controlnet/depth.safetensors", "animatediff/m.ckpt",
    ):  # fmt: skip
        put(root / "models" / name)
    extra = root.parent / "stable-diffusion-webui"
    put(extra / "models/Stable-diffusion/theirs.safetensors")
    put(extra / "models/Lora/theirs.safetensors")
    put(extra / "models/LyCORIS/more.safetensors")
    put(extra / "models/ControlNet/canny.safetensors")
    put(root / "extra_model_paths.yaml", f"""
#config for a1111 ui
a111:
    base_path: {extra}/
    is_default: true
    checkpoints: models/Stable-diffusion
    configs: models/Stable-diffusion
    loras: |
         models/Lora
         models/LyCORIS
    controlnet: models/ControlNet
other:
    base_path: ../nowhere
    vae: models/vae
""")  # fmt: skip
    picture(root / "output/ComfyUI_00001_.png", prompt="{}")
    return root


def fooocus(root: Path) -> Path:
    for name in ("fooocus_version.py", "launch.py", "modules/config.py", "models/checkpoints/juggernaut.safetensors", "models/loras/offset.safetensors"):
        put(root / name)
    for name in ("models/inpaint/patch.fooocus.patch", "models/inpaint/head.pth", "wildcards/color.txt", "models/upscale_models/up.bin"):
        put(root / name)
    put(root.parent / "big/loras/mine.safetensors")
    put(root / "sdxl_styles/sdxl_styles_sai.json", [{"name": "sai-anime", "prompt": "anime {prompt}", "negative_prompt": "photo"}])
    put(root / "sdxl_styles/broken.json", "[")
    put(root / "presets/default.json", {
        "default_model": "juggernaut.safetensors", "default_refiner": "None", "default_loras": [[True, "None", 1.0], [True, "offset.safetensors", 0.1]],
        "default_cfg_scale": 4.0, "default_sampler": "dpmpp_2m_sde_gpu", "default_scheduler": "karras", "default_performance": "Speed",
        "default_styles": ["Fooocus V2", "sai-anime"], "default_aspect_ratio": "1152*896", "default_prompt_negative": "", "default_sample_sharpness": 2.0,
    })  # fmt: skip
    put(root / "presets/anime.json", {})
    put(root / "config.txt", {
        "path_checkpoints": [str(root / "models/checkpoints")], "path_loras": [str(root / "models/loras"), str(root.parent / "big/loras")],
        "path_vae": "/no/such/place", "default_cfg_scale": 5.5, "default_performance": "Quality", "default_image_number": 3,
    })  # fmt: skip
    said = {"base_model": "juggernaut", "sharpness": 2, "prompt": "a fox", "seed": "9"}
    picture(root / "outputs/2024-01-01/2024-01-01_00-00-00_1.png", parameters=json.dumps(said))
    return root


def invokeai(root: Path, flat: bool = False) -> Path:
    put(root / "invokeai.yaml", "schema_version: 4.0.2\n")
    by_base = ("sd-1/main/dreams.safetensors", "sdxl/lora/style.safetensors", "sd-1/vae/v.safetensors", "any/clip_vision/c.safetensors")
    for name in ("0a1b/model.safetensors",) if flat else by_base:
        put(root / "models" / name)
    put(root / "databases/invokeai.db")
    picture(root / "outputs/images/a.png", invokeai_metadata=json.dumps({"positive_prompt": "a boat", "seed": 3, "steps": 11, "app_version": "6.0"}))
    return root
