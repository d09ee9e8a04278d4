"""Fooocus, in its "fooocus" scheme: JSON in the chunk "parameters" or in the UserComment. (Its "a1111" scheme is A1111's text.)

Two generations of keys: "guidance_scale" since 2.2, "Guidance Scale" before. Fooocus reads tuples with `eval`; here they are text.
"""

import re
from collections.abc import Mapping
from typing import Any

from app.foreign import names
from app.foreign.data import Found, given, load_object, lora_tag, model_name, pair, text, with_loras

_LORA = re.compile(r"(.{1,512}?) : (-?\d{1,3}(?:\.\d{1,6})?)")


def read(chunks: Mapping[str, str]) -> Found | None:
    """See `app.foreign.data.Reader`."""
    said = {key.casefold().replace(" ", "_"): value for key, value in load_object(chunks.get("parameters")).items()}
    if not ("base_model" in said and ("performance" in said or "sharpness" in said)):
        return None
    notes: list[str] = []
    size = pair(said.get("resolution")) or (None, None)
    fields = {
        "task": "txt2img",
        "prompt": with_loras(text(said.get("prompt")), loras(said)),
        "negative_prompt": text(said.get("negative_prompt")),
        "steps": said.get("steps"),
        "cfg_scale": said.get("guidance_scale"),
        "sampler": names.sampler(text(said.get("sampler")), names.K_DIFFUSION, notes),
        "schedule": names.schedule(text(said.get("scheduler")), notes),
        "seed": said.get("seed"),
        "width": size[0],
        "height": size[1],
        "checkpoint": model_name(said.get("base_model")),
        "vae": model_name(said.get("vae")),
        "clip_skip": said.get("clip_skip"),
        "rng": "CPU",
    }
    if (styles := text(said.get("styles"))) not in ("", "[]"):
        notes.append(f"Fooocus' own styles were not applied: {styles[:120]}.")
    if refiner := model_name(said.get("refiner_model")):
        fields |= {"refiner_checkpoint": refiner, "refiner_switch_at": said.get("refiner_switch")}
    return given(fields), notes


def loras(said: Mapping[str, Any]) -> list[str]:
    """Tags for the LoRAs: a list [[name, weight, hash]], or keys "lora_1" with "name : weight"."""
    listed = said.get("loras")
    if isinstance(listed, list):
        return [lora_tag(model_name(row[0]), row[1]) for row in listed[:32] if isinstance(row, list) and len(row) >= 2]
    rows = [text(said.get(f"lora_{number}") or said.get(f"lora_combined_{number}")) for number in range(1, 33)]
    return [lora_tag(model_name(found[1]), float(found[2])) for row in rows if (found := _LORA.fullmatch(row[:600]))]
