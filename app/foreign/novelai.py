"""NovelAI: "Comment" holds JSON, "Description" the prompt; copies without text chunks keep the same in their transparency (see `stealth`).

Its brackets are its own: {word} is 1.05 times, [word] 1/1.05, 1.5::word:: 1.5 times, and round ones are letters.
"""

import re
from collections.abc import Mapping

from app.foreign import names
from app.foreign.data import Found, given, load_object, table, text

STRONGER, WEAKER = "1.05", "0.952381"
_SIGN = re.compile(r"(?P<weight>-?\d{1,2}(?:\.\d{1,4})?)::|::|[{}\[\]()\\]")


def read(chunks: Mapping[str, str]) -> Found | None:
    """See `app.foreign.data.Reader`."""
    said = load_object(chunks.get("Comment"))
    if not ("NovelAI" in chunks.get("Software", "") or ("uc" in said and "sampler" in said)) or not said:
        return None
    notes: list[str] = []
    positive, negative = (text(table(table(said.get(key)).get("caption")).get("base_caption")) for key in ("v4_prompt", "v4_negative_prompt"))
    native = text(said.get("noise_schedule"))
    fields = {
        "task": "img2img" if said.get("strength") is not None and said.get("request_type") == "Img2ImgRequest" else "txt2img",
        "prompt": weights(text(said.get("prompt")) or positive or chunks.get("Description", "")),
        "negative_prompt": weights(text(said.get("uc")) or negative),
        "steps": said.get("steps"),
        "cfg_scale": said.get("scale"),
        "cfg_rescale": said.get("cfg_rescale"),
        "seed": said.get("seed"),
        "width": said.get("width"),
        "height": said.get("height"),
        "sampler": names.sampler(text(said.get("sampler")), names.NOVELAI, notes),
        "schedule": names.schedule(native, notes) if native not in ("", "native") else "Automatic",
        "denoising_strength": said.get("strength"),
        "clip_skip": 2,
        "eta_noise_seed_delta": 31337,
    }
    if model := chunks.get("Source"):
        notes.append(f"NovelAI's own model, {model[:60]}, is not here; the checkpoint stays as it is.")
    return given(fields), notes


def weights(prompt: str) -> str:
    """NovelAI's emphasis in A1111's spelling. Linear; brackets without a partner stay letters."""
    pieces: list[str] = []
    openings: list[tuple[str, int]] = []
    position = 0
    for sign in _SIGN.finditer(prompt):
        pieces.append(prompt[position : sign.start()])
        position = sign.end()
        kind = "::" if sign[0].endswith("::") else sign[0]
        closes = {"}": "{", "]": "[", "::": "::"}.get(kind)
        if kind == "::" and sign["weight"] and not (openings and openings[-1][0] == "::"):
            openings.append((kind, len(pieces)))
            pieces.append(f"\0{sign['weight']}")
        elif closes and openings and openings[-1][0] == closes:
            pieces.append(sign["weight"] or "")
            close(pieces, *openings.pop(), WEAKER if kind == "]" else STRONGER)
        elif kind in "{[":
            openings.append((kind, len(pieces)))
            pieces.append(kind)
        else:
            pieces.append(f"\\{kind}" if kind in "()[]\\" else kind)
    pieces.append(prompt[position:])
    for kind, at in openings:
        pieces[at] = {"{": "{", "[": "\\["}.get(kind, pieces[at][1:] + "::")
    return "".join(pieces)


def close(pieces: list[str], kind: str, at: int, factor: str) -> None:
    """A bracket that opened at `at` is closed here: both become A1111's."""
    weight = pieces[at][1:] if kind == "::" else factor
    pieces[at] = "("
    pieces.append(f":{weight})")
