"""A1111's config.json and ui-config.json, and the request fields that they are here."""

import re
from collections.abc import Mapping
from typing import Any

from app.movein.survey import Survey
from app.request import TASKS, Request

PAINTING = tuple(task for task, kind in TASKS.items() if issubclass(kind, Request))
FIELDS = {
    "sd_model_checkpoint": "checkpoint", "sd_vae": "vae", "CLIP_stop_at_last_layers": "clip_skip", "eta_noise_seed_delta": "eta_noise_seed_delta",
    "randn_source": "rng", "emphasis": "emphasis", "comma_padding_backtrack": "comma_backtrack", "pad_cond_uncond": "pad_prompts",
    "eta_ancestral": "eta", "beta_dist_alpha": "beta_alpha", "beta_dist_beta": "beta_beta", "always_discard_next_to_last_sigma": "discard_penultimate",
    "uni_pc_order": "unipc_order", "uni_pc_variant": "unipc_variant", "uni_pc_skip_type": "unipc_skip_type",
    "uni_pc_lower_order_final": "unipc_lower_order_final", "refiner_switch_by_sample_steps": "refiner_by_steps",
    "save_images_before_highres_fix": "save_first_pass",
    **{name: name for name in (
        "eta_ddim", "s_churn", "s_tmin", "s_tmax", "s_noise", "sigma_min", "sigma_max", "rho", "skip_early_cond", "s_min_uncond", "s_min_uncond_all",
    )},
}  # fmt: skip
"""A setting of A1111 -> our field, with the same values."""
LABELS = {
    "Prompt": "prompt", "Negative prompt": "negative_prompt", "Styles": "styles", "Sampling method": "sampler", "Sampling Method": "sampler",
    "Schedule type": "schedule", "Sampling steps": "steps", "Sampling Steps": "steps", "Width": "width", "Height": "height", "Batch count": "batch_count",
    "Batch size": "batch_size", "CFG Scale": "cfg_scale", "Seed": "seed", "Variation seed": "subseed", "Variation strength": "subseed_strength",
    "Resize seed from width": "seed_resize_from_w", "Resize seed from height": "seed_resize_from_h", "Denoising strength": "denoising_strength",
    "Hires. fix": "enable_hr", "Upscaler": "hr_upscaler", "Hires steps": "hr_second_pass_steps", "Upscale by": "hr_scale",
    "Resize width to": "hr_resize_x", "Resize height to": "hr_resize_y", "Hires CFG Scale": "hr_cfg", "Hires checkpoint": "hr_checkpoint",
    "Hires sampling method": "hr_sampler", "Hires schedule type": "hr_schedule", "Hires prompt": "hr_prompt", "Hires negative prompt": "hr_negative_prompt",
    "Resize mode": "resize_mode", "Mask blur": "mask_blur", "Mask mode": "mask_mode", "Masked content": "masked_content", "Inpaint area": "inpaint_area",
    "Only masked padding, pixels": "mask_padding", "Checkpoint": "refiner_checkpoint", "Switch at": "refiner_switch_at", "Refiner": "refiner",
}  # fmt: skip
"""What a control is called in ui-config.json -> our field."""
SHARED = ("sampler", "schedule", "steps", "cfg_scale", "negative_prompt")
"""What Outpaint and Infinite zoom, which A1111 has no tabs for, take from img2img and txt2img."""
UPSCALERS = {
    "R-ESRGAN 4x+": "RealESRGAN_x4plus", "R-ESRGAN 4x+ Anime6B": "RealESRGAN_x4plus_anime_6B", "R-ESRGAN 2x+": "RealESRGAN_x2plus",
    "R-ESRGAN General 4xV3": "realesr-general-x4v3", "R-ESRGAN AnimeVideo": "realesr-animevideov3", "SwinIR 4x": "SwinIR_4x", "DAT x4": "DAT_x4",
    "DAT x3": "DAT_x3", "DAT x2": "DAT_x2",
}  # fmt: skip
"""A1111's names of upscalers whose files are called otherwise."""
STOCK_SIZE = 512
_KEY = re.compile(r"(?:customscript/(?:sampler|seed|refiner)\.py/)?(txt2img|img2img|extras)/([^/]+)/value")

COLOURS = "pictures come out a little differently than there"
UNUSED: dict[str, tuple[tuple[Any, ...], str]] = {
    "samples_format": (("png",), "pictures are saved as PNG, which holds their parameters losslessly"),
    "samples_filename_pattern": (("",), "files are named by number and seed"),
    "directories_filename_pattern": (("", "[date]"), "there is one folder for each day"),
    "save_txt": ((False,), "the parameters are in the pictures"),
    "face_restoration": ((False,), "Darkroom has no face restoration"),
    "tiling": ((False,), "Darkroom makes no tileable pictures"),
    "token_merging_ratio": ((0, 0.0), f"Darkroom merges no tokens; {COLOURS}"),
    "token_merging_ratio_hr": ((0, 0.0), f"Darkroom merges no tokens; {COLOURS}"),
    "token_merging_ratio_img2img": ((0, 0.0), f"Darkroom merges no tokens; {COLOURS}"),
    "sd_hypernetwork": (("None", None, ""), "Darkroom has no hypernetworks"),
    "img2img_color_correction": ((False,), "Darkroom corrects no colours in img2img"),
    "initial_noise_multiplier": ((1, 1.0), f"noise is not multiplied; {COLOURS}"),
    "img2img_extra_noise": ((0, 0.0), f"no noise is added; {COLOURS}"),
    "inpainting_mask_weight": ((1, 1.0), "inpainting checkpoints are told the whole mask"),
    "sd_noise_schedule": (("Default",), "checkpoints say their noise levels themselves"),
    "fp8_storage": (("Disable",), "weights are kept as the file has them, fp8 too"),
    "forge_additional_modules": (([], None), "VAE and text encoder are chosen in the forms"),
    "enable_quantization": ((False,), COLOURS),
    "use_old_emphasis_implementation": ((False,), f"a compatibility setting; {COLOURS}"),
    "use_old_karras_scheduler_sigmas": ((False,), f"a compatibility setting; {COLOURS}"),
    "use_old_scheduling": ((False,), f"a compatibility setting; {COLOURS}"),
    "use_old_hires_fix_width_height": ((False,), f"a compatibility setting; {COLOURS}"),
    "no_dpmpp_sde_batch_determinism": ((False,), f"a compatibility setting; {COLOURS}"),
    "hires_fix_use_firstpass_conds": ((False,), f"a compatibility setting; {COLOURS}"),
}
"""Settings that change pictures or files there and have no counterpart here: what they are from the start, and why."""


def take(survey: Survey, config: Mapping[str, Any], ui: Mapping[str, Any]) -> None:
    """The settings that have a counterpart here go into the survey, those that would be missed are named."""
    survey.say(PAINTING, values_of(config))
    said = labelled(ui)
    for task, tasks in (("img2img", ("outpaint",)), ("txt2img", ("zoom",))):
        survey.say(tasks, {name: value for name, value in said[task].items() if name in SHARED})
    survey.say(("txt2img",), said["txt2img"])
    survey.say(("img2img", "inpaint"), said["img2img"])
    survey.say(("upscale",), said["extras"])
    for key, (stock, why) in UNUSED.items():
        if key in config and config[key] not in stock:
            survey.unused.append(f"{key} is {config[key]!r:.60} there: {why}.")


def values_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """Our fields for the settings of config.json."""
    found = {name: config[key] for key, name in FIELDS.items() if key in config}
    if "rng" in found:
        found["rng"] = "CPU" if found["rng"] == "CPU" else "NV"  # NV is the stream of A1111's "GPU"
    if str(found.get("vae", "")) in ("Automatic", "None"):
        del found["vae"]
    return found


def labelled(ui: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """"txt2img", "img2img", "extras" -> our fields for the first values in ui-config.json."""
    found: dict[str, dict[str, Any]] = {"txt2img": {}, "img2img": {}, "extras": {}}
    for key, value in ui.items():
        match = _KEY.fullmatch(key)
        if match and match[1] == "extras" and match[2] in ("Resize", "Upscaler 1"):
            found["extras"]["scale" if match[2] == "Resize" else "upscaler"] = UPSCALERS.get(str(value), value)
        elif match and match[1] != "extras" and match[2] in LABELS:
            found[match[1]][LABELS[match[2]]] = value
    for values in found.values():
        tidy(values)
    return found


def tidy(values: dict[str, Any]) -> None:
    """Values as our fields have them; the size that A1111 begins with says nothing, and a refiner counts where it is switched on."""
    if values.get("width") == values.get("height") == STOCK_SIZE:
        del values["width"], values["height"]
    if not values.pop("refiner", False):
        values.pop("refiner_checkpoint", None)
        values.pop("refiner_switch_at", None)
    for name in ("seed", "subseed", "steps", "batch_count", "batch_size", "width", "height", "mask_blur", "mask_padding", "hr_second_pass_steps"):
        if isinstance(values.get(name), float) and values[name].is_integer():
            values[name] = int(values[name])
    if isinstance(styles := values.get("styles"), list):
        values["styles"] = [style for style in styles if isinstance(style, str)]
    if "hr_upscaler" in values:
        values["hr_upscaler"] = UPSCALERS.get(str(values["hr_upscaler"]), values["hr_upscaler"])
    if values.get("upscaler") in ("None", ""):
        del values["upscaler"]
