"""What the infotext of a sheet says about its axes, under A1111's keys."""

from app.grids.cells import Line, text_of
from app.grids.request import Letter


def pairs(lines: dict[Letter, Line], scale: float) -> dict[str, str]:
    """`Script: X/Y/Z plot, X Type: Steps, X Values: "10, 20"`; with a prompt matrix alone `Script: Prompt matrix`, as A1111 names them."""
    matrix = all(line.field.name == "prompt_matrix" for line in lines.values())
    found = {"Script": "Prompt matrix" if matrix else "X/Y/Z plot"}
    for letter, line in lines.items():
        found[f"{letter.upper()} Type"] = line.field.type_name
        found[f"{letter.upper()} Values"] = text_of(line)
    return found | ({"Grid scale": f"{scale:.3g}"} if scale < 1 else {})
