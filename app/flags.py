"""Flags, environment and settings.toml -> `Settings`. The flags carry A1111's names where they mean the same.

Precedence, flag by flag: the command line, then COMMANDLINE_ARGS (A1111's variable, the same flags in one string),
then settings.toml beside webui.py (the same names with underscores: `port = 7861`, `medvram = true`,
`ckpt_dir = ["/data/models", "more"]`), then what was moved in (see `app.movein`). Relative folders count from where the command was given; those in
settings.toml from the folder of that file.
"""

import argparse
import difflib
import os
import re
import shlex
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from app import __version__
from app import flag_values as checked
from app.errors import BadSettings
from app.movein import record
from app.settings import ROOT, Settings

Values = dict[str, Any]

THEMES = ("auto", "light", "dark")
PRECISIONS = ("autocast", "half", "full")
_ONCE = ("help", "version", "import", "forget_import")
"""Flags that are said once, on the command line."""
_RIVALS = (("medvram", "lowvram"), ("use_cpu", "xformers"), ("use_cpu", "medvram"), ("use_cpu", "lowvram"), ("precision", "no_half"))
"""Pairs of which one may be given; where two sources name different ones, the source that comes first wins."""

_EPILOG = (
    "The same flags are read from the environment variable COMMANDLINE_ARGS and, with underscores, from settings.toml "
    "beside webui.py. The command line comes first, then the variable, then the file."
)


class Parser(argparse.ArgumentParser):
    """argparse, with its complaints made into one sentence each."""

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, argument_default=argparse.SUPPRESS, **options)

    def error(self, message: str) -> NoReturn:
        match = re.fullmatch(r"argument ([^:]+): (?:expected (?:one|at least one) argument|expected (\d+) arguments)", message)
        if match:
            raise BadSettings(f"{match[1].split('/')[-1]} needs a value.", "See --help.")
        if match := re.fullmatch(r"argument ([^:]+): ignored explicit argument (.*)", message):
            raise BadSettings(f"{match[1].split('/')[-1]} takes no value, but was given {match[2]}.")
        raise BadSettings(f"{message[:1].upper()}{message[1:]}.".replace("..", "."), "See --help.")

    def values(self, argv: Sequence[str]) -> Values:
        """What was given, by name. Raises BadSettings: an unknown flag with the nearest one that exists."""
        known, unknown = self.parse_known_args(list(argv))
        if unknown:
            raise unknown_flag(unknown[0], (option for action in self._actions for option in action.option_strings))
        return vars(known)


def unknown_flag(given: str, known: Iterable[str], kind: str = "flag") -> BadSettings:
    """The error for a flag that does not exist, which offers the nearest that does."""
    given = given.split("=")[0][:80]
    near = difflib.get_close_matches(given, list(known), 1, 0.5)
    return BadSettings(f"There is no {kind} '{given}'.", f"Did you mean '{near[0]}'?" if near else "See --help for the list.")


def add_to(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `Settings` that matter wherever pictures are made: folders and device."""
    add = parser.add_argument_group("folders and device").add_argument
    add("--ckpt-dir", action="append", metavar="FOLDER", help="look for checkpoints here first; may be given several times")
    add("--lora-dir", action="append", metavar="FOLDER", help="look for LoRAs here first; may be given several times")
    add("--embeddings-dir", action="append", metavar="FOLDER", help="look for embeddings here first; may be given several times")
    add("--vae-dir", action="append", metavar="FOLDER", help="look for VAEs here first; may be given several times")
    add("--outputs-dir", metavar="FOLDER", help="where pictures are saved (outputs beside webui.py)")
    add("--grid-limit", metavar="NUMBER", help="how many pictures one grid may have (500)")
    add("--allow-pickles", action="store_true", help="open .ckpt, .pt, .pth and .bin files too, without running what is in them")
    add("--warm-ram", metavar="GB", help="RAM for checkpoints that stay loaded for a quick swap; 0 keeps one (half of the free RAM)")
    add("--medvram", action="store_true", help="for little video memory: whole models move to the card in turn")
    add("--lowvram", action="store_true", help="for very little video memory: layers move to the card in turn; slow")
    add("--xformers", action="store_true", help="use xformers' attention, where it is installed and the device is CUDA")
    add("--no-half", action="store_true", help="float32 weights instead of float16")
    add("--no-half-vae", action="store_true", help="a float32 VAE instead of float16")
    add("--precision", metavar="|".join(PRECISIONS), help="full: float32 everywhere; autocast and half: float16 on CUDA (autocast)")
    add("--use-cpu", nargs="*", metavar="all|vae", help="keep everything, or the VAE, on the CPU (all)")


def add_server_to(parser: argparse.ArgumentParser) -> None:
    """Add the flags that matter to the page only."""
    add = parser.add_argument_group("page").add_argument
    add("--listen", action="store_true", help="be reachable from the network, not only from this machine")
    add("--port", metavar="NUMBER", help="port of the page (7860)")
    add("--server-name", metavar="NAME", help="address to listen on; with --listen: a name by which the page may be asked for")
    add("--share", action="store_true", help="open a public link for guests")
    add("--gradio-auth", metavar="USER:PASSWORD", help="ask for a login; several are separated by commas")
    add("--autolaunch", action="store_true", help="open the page in the browser")
    add("--theme", metavar="|".join(THEMES), help="look of the page; auto follows the browser (auto)")


def parser_of(prog: str = "./launch.sh") -> Parser:
    """The parser of the page's own command."""
    parser = Parser(prog=prog, description="Darkroom, a page to make pictures with latent diffusion.", epilog=_EPILOG)
    parser.add_argument("--version", action="version", version=f"Darkroom {__version__}")
    add_server_to(parser)
    add_to(parser)
    add = parser.add_argument_group("moving in").add_argument
    add("--import", action="append", metavar="FOLDER", help="use an installation of A1111, Forge, ComfyUI, Fooocus, SD.Next or InvokeAI in place")
    add("--forget-import", action="append", metavar="FOLDER", help="use it no longer")
    return parser


def read(argv: Sequence[str], environ: Mapping[str, str] | None = None, root: Path = ROOT) -> Settings:
    """The settings of one start. Raises BadSettings with one sentence; `--help` and `--version` raise SystemExit(0)."""
    return settings_of(parser_of().values(argv), environ, root)


def settings_of(values: Values, environ: Mapping[str, str] | None = None, root: Path = ROOT) -> Settings:
    """The settings of what the command line said (`values`, by name), the environment and settings.toml. Raises BadSettings."""
    environ = os.environ if environ is None else environ
    imports = record.read(root)
    merged: Values = {}
    for source in (*(dict(item.flags) for item in imports.items[::-1]), _from_toml(root / "settings.toml"), _from_environment(environ), values):
        for pair in _RIVALS:
            for given, rival in (pair, pair[::-1]):
                if _rules(source, given) and _rules(source, rival):
                    raise BadSettings(f"{_spelt(pair[0])} and {_spelt(pair[1])} contradict each other; give one of them.")
                if _rules(source, given) and _rules(merged, rival):
                    del merged[rival]
        merged |= source
    return with_imports(_settings(merged, root), imports)


def with_imports(settings: Settings, imports: record.Imports) -> Settings:
    """The settings with what lies in installations that are used in place, behind our own folders."""
    folders = imports.folders
    return replace(
        settings,
        checkpoint_dirs=settings.checkpoint_dirs + folders("checkpoint") + folders("text encoder"),
        lora_dirs=settings.lora_dirs + folders("lora"),
        embedding_dirs=settings.embedding_dirs + folders("embedding"),
        vae_dirs=settings.vae_dirs + folders("vae"),
        upscaler_dirs=settings.upscaler_dirs + folders("upscaler"),
        wildcard_dirs=settings.wildcard_dirs + folders("wildcards"),
        imported_styles=settings.imported_styles + imports.styles(),
        imported_outputs=settings.imported_outputs + imports.outputs(),
        defaults=imports.defaults(),
        notices=settings.notices + imports.notices(),
    )


def _from_environment(environ: Mapping[str, str]) -> Values:
    try:
        given = shlex.split(environ.get("COMMANDLINE_ARGS", ""))
    except ValueError as error:
        raise BadSettings(f"COMMANDLINE_ARGS cannot be read: {str(error).lower()}.") from None
    if once := [flag for flag in given if flag == "-h" or flag.split("=")[0] in (f"--{name.replace('_', '-')}" for name in _ONCE)]:
        raise BadSettings(f"COMMANDLINE_ARGS: {once[0].split('=')[0]} belongs on the command line.")
    try:
        return parser_of().values(given)
    except BadSettings as error:
        raise BadSettings(f"COMMANDLINE_ARGS: {error.message}", error.hint) from None


def _from_toml(path: Path) -> Values:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadSettings(f"settings.toml cannot be read: {error}.") from None
    actions = {action.dest: action for action in parser_of()._actions if action.dest not in _ONCE}
    values: Values = {}
    for key, value in table.items():
        if key not in actions:
            unknown = unknown_flag(key, actions, "setting")
            raise BadSettings(f"settings.toml: {unknown.message}", unknown.hint)
        values[key] = _toml_value(key, value, actions[key], path.parent)
    return {key: value for key, value in values.items() if value is not None}


def _toml_value(key: str, value: Any, action: argparse.Action, folder: Path) -> Any:
    """The value as the command line would have given it. Folders are made absolute."""
    if action.nargs == 0:
        if not isinstance(value, bool):
            raise BadSettings(f"settings.toml: {key} is {value!r}, but it must be true or false.")
        return value
    many = action.nargs == "*" or isinstance(action, argparse._AppendAction)
    items = value if many and isinstance(value, list) else [value]
    if any(isinstance(item, bool) or not isinstance(item, (str, int, float)) for item in items):
        raise BadSettings(f"settings.toml: {key} is {value!r}, but it must be {'text or a list of texts' if many else 'text or a number'}.")
    items = [str(folder / Path(str(item)).expanduser()) if key.endswith("_dir") else str(item) for item in items]
    return items if many else items[0]


def _rules(values: Values, name: str) -> bool:
    """Is the flag given in a way that contradicts its rivals? --use-cpu vae and --precision full do not."""
    value = values.get(name)
    if name == "use_cpu":
        return value is not None and (not value or "all" in value)
    return value == "half" if name == "precision" else bool(value)


def _spelt(name: str) -> str:
    return "--precision half" if name == "precision" else f"--{name.replace('_', '-')}"


def _settings(values: Values, root: Path) -> Settings:
    """Checked values -> Settings."""
    precision = checked.one_of("precision", values.get("precision", "autocast"), PRECISIONS)
    host, server_name = checked.host(values)
    vram: Any = next((name for name in ("lowvram", "medvram") if values.get(name)), "normal")
    models = (root / "models",)
    return Settings(
        root=root,
        host=host,
        port=checked.port(values.get("port", "7860")),
        port_given="port" in values,
        server_name=server_name,
        share=bool(values.get("share")),
        logins=checked.logins(values.get("gradio_auth")),
        checkpoint_dirs=checked.folders("--ckpt-dir", values.get("ckpt_dir", ())) + models,
        lora_dirs=checked.folders("--lora-dir", values.get("lora_dir", ())) + models,
        embedding_dirs=checked.folders("--embeddings-dir", values.get("embeddings_dir", ())) + models,
        vae_dirs=checked.folders("--vae-dir", values.get("vae_dir", ())) + models,
        extension_dir=root / "extensions",
        styles_file=root / "styles.csv",
        outputs_dir=checked.outputs(values.get("outputs_dir", root / "outputs")),
        vram=vram,
        attention="xformers" if values.get("xformers") else "sdpa",
        precision=precision,
        half=not values.get("no_half") and precision != "full",
        half_vae=not (values.get("no_half_vae") or values.get("no_half")) and precision != "full",
        cpu_parts=checked.cpu_parts(values.get("use_cpu")),
        autolaunch=bool(values.get("autolaunch")),
        theme=checked.one_of("theme", values.get("theme", "auto"), THEMES),
        grid_limit=checked.grid_limit(values.get("grid_limit", "500")),
        allow_pickles=bool(values.get("allow_pickles")),
        warm_ram=checked.warm_ram(values.get("warm_ram")),
    )
