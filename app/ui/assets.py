"""The JavaScript and CSS that the page carries with it, so that it asks no other host for anything."""

from pathlib import Path

FOLDER = Path(__file__).resolve().parent
SCRIPTS = (
    "page.js", "promptreading.js", "viewer.js", "jobview.js", "pictureinput.js", "maskeditor.js", "gallery.js", "checkpoint.js", "prompts.js", "models.js",
    "modeldetails.js", "merging.js",
)  # fmt: skip
STYLES = ("style.css", "parts.css", "promptreading.css", "models.css")
OVERLAY = "overlay.css"


def head(theme: str) -> str:
    """What goes into the page's head: our scripts, inline, and the theme that was asked for at start ("auto": the browser's)."""
    force = f"window.darkroomTheme = {theme!r};" if theme in ("light", "dark") else ""
    scripts = "\n".join((FOLDER / name).read_text(encoding="utf-8") for name in SCRIPTS)
    overlay = (FOLDER / OVERLAY).read_text(encoding="utf-8")
    return f'<meta name="color-scheme" content="light dark"><style>{overlay}</style><script>{force}\n{scripts}</script>'


def css() -> str:
    """The style sheets, in order."""
    return "\n".join((FOLDER / name).read_text(encoding="utf-8") for name in STYLES)


def on_load(part: str, *events: str) -> str:
    """The script of a `gr.HTML` that hands itself to `window.darkroom.<part>`.

    Args:
        events: names that the part may trigger. Gradio finds them by their quotes in this text.
    """
    names = ", ".join(f"'{name}'" for name in events)
    return (
        f"const events = [{names}]; const host = {{element, props, trigger, watch, server, events}};"
        f"(function start() {{ window.darkroom && window.darkroom.{part} ? window.darkroom.{part}(host) : setTimeout(start, 20); }})();"
    )
