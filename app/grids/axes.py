"""What can stand on an axis: every field of a request but its pictures, derived from the request, and four axes of our own.

    size             512x512, 512x768     width and height together
    prompt_sr        cat, dog, "a b"      the first is looked for in both prompts, and replaced by each
    prompt_order     red, old, tall       all orders of these words of the prompt
    prompt_matrix    (nothing)            `a|b|c` in the prompt: a, and every choice of b and c behind it
"""

from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from app.errors import UnknownName
from app.grids import values
from app.request import Request, Sized

Kind = Literal["whole", "number", "truth", "choice", "names", "list", "text", "special"]
TRUE, FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")
NOTHING = ("none", "automatic", "from the checkpoint")
"""How "" is written where a name is optional."""
SPECIAL = {"size": "Size", "prompt_sr": "Prompt S/R", "prompt_order": "Prompt order", "prompt_matrix": "Prompt matrix"}
A1111 = {
    "Seed": "seed", "Var. seed": "subseed", "Var. strength": "subseed_strength", "Steps": "steps", "Hires steps": "hr_second_pass_steps",
    "CFG Scale": "cfg_scale", "Sampler": "sampler", "Hires sampler": "hr_sampler", "Checkpoint name": "checkpoint",
    "Negative Guidance minimum sigma": "s_min_uncond",
    "Sigma Churn": "s_churn", "Sigma min": "s_tmin", "Sigma max": "s_tmax", "Sigma noise": "s_noise", "Schedule type": "schedule",
    "Schedule min sigma": "sigma_min", "Schedule max sigma": "sigma_max", "Schedule rho": "rho", "Eta": "eta", "Clip skip": "clip_skip",
    "Denoising": "denoising_strength", "Hires upscaler": "hr_upscaler", "VAE": "vae", "Styles": "styles", "RNG source": "rng",
    "Refiner checkpoint": "refiner_checkpoint", "Refiner switch at": "refiner_switch_at", "UniPC Order": "unipc_order", "Beta schedule alpha": "beta_alpha",
    "Beta schedule beta": "beta_beta", "Always discard next-to-last sigma": "discard_penultimate",
}  # fmt: skip
"""What A1111 calls an axis -> our field; names of fields that a task does not have mean nothing there."""


@dataclass(frozen=True)
class AxisField:
    """Something that an axis can go through.

    Attributes:
        name: of the field, or of an axis of our own.
        label: for people.
        kind: how its values are read.
        choices: for "choice" the values themselves; for "names" and "list" the name of the list that the studio has ("samplers").
        optional: the name may be left open, which is written "None".
    """

    name: str
    label: str
    kind: Kind
    choices: tuple[str, ...] = ()
    optional: bool = False

    @property
    def type_name(self) -> str:
        """As "X Type" in the infotext: A1111's word, where it has one."""
        return next((word for word, name in A1111.items() if name == self.name), self.label)


def axes_of(kind: type[Request]) -> dict[str, AxisField]:
    """All axes that requests of a class can have, by name, in the order of the fields."""
    found = {}
    for name, field in kind.model_fields.items():
        extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
        if name == "task" or extra.get("widget") in ("image", "mask"):
            continue
        read = reading(field.annotation, str(extra.get("choices") or ""))
        found[name] = AxisField(name, field.title or name, *read, optional=field.default == "")
    own = [name for name in SPECIAL if name != "size" or issubclass(kind, Sized)]
    return found | {name: AxisField(name, SPECIAL[name], "special") for name in own}


def reading(annotation: Any, choices: str) -> tuple[Kind, tuple[str, ...]]:
    """How the values of a field are read, and what there is to choose from."""
    kinds = parts(annotation)
    if literal := [kind for kind in kinds if get_origin(kind) is Literal]:
        return "choice", tuple(str(value) for value in get_args(literal[0]))
    if tuple in kinds:
        return "list", (choices,)
    if bool in kinds:
        return "truth", ("True", "False")
    if float in kinds:
        return "number", ()
    if int in kinds:
        return "whole", ()
    return ("names", (choices,)) if choices else ("text", ())


def parts(annotation: Any) -> set[Any]:
    """The plain types of an annotation: of `Annotated[int, ...] | None` int and NoneType; of `tuple[str, ...]` tuple."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return parts(get_args(annotation)[0])
    if origin in (Union, UnionType):
        return {part for inner in get_args(annotation) for part in parts(inner)}
    return {origin if origin is tuple else annotation}


def find(kind: type[Request], name: str) -> AxisField:
    """The axis of that name: our field, our label or A1111's word, in any capitals. Raises UnknownName with the nearest."""
    known = axes_of(kind)
    spoken = {field.label.casefold(): field for field in known.values()}
    spoken |= {word.casefold(): known[own] for word, own in A1111.items() if own in known}
    spoken |= {own.casefold(): field for own, field in known.items()}
    wanted = name.strip().casefold()
    if found := spoken.get(wanted) or spoken.get(wanted.replace("-", "_").replace(" ", "_")):
        return found
    raise UnknownName("axis", name, [*known, *(field.label for field in known.values())])


def read(field: AxisField, text: str) -> list[Any]:
    """The values that a text gives a field; those that it cannot be are left as text, for the request's own check to refuse."""
    texts = values.split(text)
    match field.kind:
        case "whole" | "number":
            return list(values.numbers(texts, field.kind == "whole"))
        case "truth":
            return [True if word.casefold() in TRUE else False if word.casefold() in FALSE else word for word in texts]
        case "choice":
            return [near(word, field.choices) or word for word in texts]
        case "list":
            return [() if word.casefold() in NOTHING else tuple(part.strip() for part in word.split(",") if part.strip()) for word in texts]
        case "names":
            return ["" if field.optional and word.casefold() in NOTHING else word for word in texts]
        case _:
            return texts


def near(word: str, known: tuple[str, ...] | list[str]) -> str | None:
    """The name that is meant: in any capitals, or the only one that has the word in it. None when there is none, or several."""
    same = [name for name in known if name.casefold() == word.casefold()]
    inside = [name for name in known if word.casefold() in name.casefold()]
    return same[0] if same else inside[0] if len(inside) == 1 else None


def written(value: Any) -> str:
    """A value as the text that `read` makes it of."""
    if isinstance(value, tuple):
        return ", ".join(value) or "None"
    return values.told(value) if value != "" else "None"
