"""What people and download tools wrote beside a model file: NAME.json (A1111's user metadata) and NAME.civitai.info.

They are strangers' texts: cut, freed of markup and control characters, never a path.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Sidecar:
    """Facts from the files beside a model, "" where they say nothing.

    Attributes:
        title: the model's name on the site that it came from.
        description, notes: plain text.
        activation: the words that call for it, as they would be typed into the prompt ("activation text").
        negative: what to add to the negative prompt ("negative text").
        weight: the weight that its user prefers ("preferred weight"), 0.0 when none was set.
        version: what it was made for, in the words of whoever wrote the file ("SD1", "SDXL 1.0").
    """

    title: str = ""
    description: str = ""
    notes: str = ""
    activation: str = ""
    negative: str = ""
    weight: float = 0.0
    version: str = ""


NOTHING = Sidecar()
