"""Pictures as other programs write them, in the layouts that they document."""

import io
import json
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image, PngImagePlugin

SMALL = Image.new("RGB", (8, 8), (1, 2, 3))


def png(texts: Mapping[str, Any], image: Image.Image = SMALL, zipped: bool = False) -> bytes:
    """A PNG with text chunks; what is no text is written as JSON."""
    info = PngImagePlugin.PngInfo()
    for name, value in texts.items():
        info.add_text(name, value if isinstance(value, str) else json.dumps(value), zip=zipped)
    image.save(buffer := io.BytesIO(), "PNG", pnginfo=info)
    return buffer.getvalue()


def stealth(text: str, size: tuple[int, int] = (64, 48), packed: bool = True) -> bytes:
    """A PNG that holds a text in the lowest bits of its transparency, column by column."""
    data = text.encode()
    if packed:
        packer = zlib.compressobj(wbits=31)
        data = packer.compress(data) + packer.flush()
    head = b"stealth_pngcomp" if packed else b"stealth_pnginfo"
    bits = np.unpackbits(np.frombuffer(head + (8 * len(data)).to_bytes(4) + data, np.uint8))
    width, height = size
    alpha = np.full(width * height, 254, np.uint8)
    alpha[: len(bits)] |= bits
    image = Image.new("RGBA", size, (9, 8, 7, 255))
    image.putalpha(Image.fromarray(alpha.reshape(width, height).T.copy()))
    image.save(buffer := io.BytesIO(), "PNG")
    return buffer.getvalue()


COMFY: dict[str, Any] = {
    "3": {"class_type": "KSampler", "inputs": {
        "seed": 156680208700286, "steps": 25, "cfg": 6.5, "sampler_name": "dpmpp_2m_sde_gpu", "scheduler": "karras", "denoise": 1.0,
        "model": ["11", 0], "positive": ["6", 0], "negative": ["7", 0], "latent_image": ["5", 0]}},
    "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "sd15\\dreamshaper_8.safetensors"}},
    "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 512, "height": 768, "batch_size": 1}},
    "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a lighthouse, embedding:easy", "clip": ["12", 0]}},
    "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "fog", "clip": ["12", 0]}},
    "8": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": ["13", 0]}},
    "9": {"class_type": "SaveImage", "inputs": {"filename_prefix": "ComfyUI", "images": ["8", 0]}},
    "10": {"class_type": "LoraLoader", "inputs": {
        "lora_name": "ink.safetensors", "strength_model": 0.8, "strength_clip": 0.5, "model": ["4", 0], "clip": ["4", 1]}},
    "11": {"class_type": "LoraLoaderModelOnly", "inputs": {"lora_name": "sub/fast.safetensors", "strength_model": 1.0, "model": ["10", 0]}},
    "12": {"class_type": "CLIPSetLastLayer", "inputs": {"stop_at_clip_layer": -2, "clip": ["10", 1]}},
    "13": {"class_type": "VAELoader", "inputs": {"vae_name": "mse-840000.safetensors"}},
}  # fmt: skip
"""ComfyUI's first example, with two LoRAs, clip skip and a VAE of its own."""

WORKFLOW: dict[str, Any] = {
    "last_node_id": 9,
    "nodes": [
        {"id": 4, "type": "CheckpointLoaderSimple", "mode": 0, "inputs": [], "widgets_values": ["v1-5.ckpt"]},
        {"id": 5, "type": "EmptyLatentImage", "mode": 0, "inputs": [], "widgets_values": [640, 512, 1]},
        {"id": 6, "type": "CLIPTextEncode", "mode": 0, "inputs": [{"name": "clip", "type": "CLIP", "link": 3}], "widgets_values": ["a boat"]},
        {"id": 7, "type": "CLIPTextEncode", "mode": 0, "inputs": [{"name": "clip", "type": "CLIP", "link": 5}], "widgets_values": ["rain"]},
        {"id": 3, "type": "KSampler", "mode": 0, "widgets_values": [42, "randomize", 20, 8, "euler_ancestral", "normal", 1], "inputs": [
            {"name": "model", "link": 1}, {"name": "positive", "link": 4}, {"name": "negative", "link": 6}, {"name": "latent_image", "link": 2}]},
        {"id": 8, "type": "VAEDecode", "mode": 0, "inputs": [{"name": "samples", "link": 7}, {"name": "vae", "link": 8}]},
        {"id": 9, "type": "SaveImage", "mode": 0, "inputs": [{"name": "images", "link": 9}], "widgets_values": ["ComfyUI"]},
        {"id": 20, "type": "Note", "mode": 0, "widgets_values": ["hello"]},
    ],
    "links": [[1, 4, 0, 3, 0, "MODEL"], [2, 5, 0, 3, 3, "LATENT"], [3, 4, 1, 6, 0, "CLIP"], [4, 6, 0, 3, 1, "CONDITIONING"], [5, 4, 1, 7, 0, "CLIP"],
              [6, 7, 0, 3, 2, "CONDITIONING"], [7, 3, 0, 8, 0, "LATENT"], [8, 4, 2, 8, 1, "VAE"], [9, 8, 0, 9, 0, "IMAGE"]],
    "version": 0.4,
}  # fmt: skip
"""The form of the page, as it is dragged onto ComfyUI."""

FOOOCUS: dict[str, Any] = {
    "adm_guidance": "(1.5, 0.8, 0.3)", "base_model": "juggernautXL_v8Rundiffusion", "base_model_hash": "aeb7e9e689", "clip_skip": 2,
    "full_negative_prompt": ["x"], "full_prompt": ["y"], "guidance_scale": 4,
    "loras": [["offset_example-lora_1.0.safetensors", 0.1, "4852686128"]], "metadata_scheme": "fooocus",
    "negative_prompt": "blur", "performance": "Speed", "prompt": "a castle", "prompt_expansion": "", "refiner_model": "None", "refiner_switch": 0.5,
    "resolution": "(1152, 896)", "sampler": "dpmpp_2m_sde_gpu", "scheduler": "karras", "seed": "7007448137037412736", "sharpness": 2, "steps": 30,
    "styles": "['Fooocus V2', 'Fooocus Sharp']", "vae": "Default (model)", "version": "Fooocus v2.5.5",
}  # fmt: skip

INVOKEAI: dict[str, Any] = {
    "app_version": "4.2.7", "generation_mode": "sdxl_txt2img", "positive_prompt": "a harbour", "negative_prompt": "people", "width": 768, "height": 512,
    "seed": 4242, "rand_device": "cpu", "cfg_scale": 5.5, "cfg_rescale_multiplier": 0.2, "steps": 28, "scheduler": "dpmpp_2m_k", "clip_skip": 1,
    "model": {"key": "x", "hash": "blake3:00", "name": "Dream", "base": "sd-1", "type": "main"},
    "loras": [{"model": {"key": "y", "name": "ink", "base": "sd-1", "type": "lora"}, "weight": 0.75}], "controlnets": [],
}  # fmt: skip

NOVELAI: dict[str, Any] = {
    "prompt": "{{castle}}, [fog], tower (old)", "steps": 28, "height": 768, "width": 512, "scale": 11.0, "uncond_scale": 1.0, "cfg_rescale": 0.0,
    "seed": 1234567, "n_samples": 1, "noise_schedule": "native", "sampler": "k_euler_ancestral", "sm": False, "uc": "lowres, {bad}",
    "request_type": "PromptGenerateRequest",
}  # fmt: skip


def novelai(comment: Mapping[str, Any] = NOVELAI) -> dict[str, str]:
    return {
        "Title": "AI generated image", "Description": str(comment.get("prompt", "")), "Software": "NovelAI", "Source": "Stable Diffusion 1D44365E",
        "Comment": json.dumps(comment),
    }  # fmt: skip
