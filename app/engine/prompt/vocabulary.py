"""CLIP's byte-pair vocabulary and tokenizer, from files, without importing transformers.

Built like transformers 5's `CLIPTokenizer` (NFC, white space folded, lower case, byte level, `</w>` ends a word), so the
token ids are the same; `tokenizers` alone is imported, which is cheap enough for the page's token counter.
"""

import gzip
import importlib.util
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from app.errors import BadCheckpoint

START, END = "<|startoftext|>", "<|endoftext|>"
CLIP_WORDS = 49408
PATTERN = r"""<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"""
ODD = str.maketrans({"‘": "'", "’": "'", "“": '"', "”": '"', "ﬁ": "fi", "ﬂ": "fl", "ﬀ": "ff", "ﬃ": "ffi", "ﬄ": "ffl",
                     **{chr(0xFF01 + i): chr(0x21 + i) for i in range(94)}})
"""Signs that CLIP's original tokenizer straightened before it looked at a text."""


class Vocabulary:
    """Text to token ids and the ids that frame a chunk.

    Attributes:
        start, end: ids of the first and last token of a chunk; short chunks are filled with `end`.
        comma: id of ",</w>", or None: where a long prompt may be broken.
    """

    def __init__(self, words: dict[str, int], merges: list[tuple[str, str]]) -> None:
        from tokenizers import AddedToken, Regex, Tokenizer, normalizers, pre_tokenizers
        from tokenizers.models import BPE

        model = BPE(vocab=words, merges=merges, continuing_subword_prefix="", end_of_word_suffix="</w>", fuse_unk=False, unk_token=END)
        self._tokenizer = Tokenizer(model)
        self._tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()])
        split = pre_tokenizers.Split(Regex(PATTERN), behavior="removed", invert=True)
        self._tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False)])
        self._tokenizer.add_special_tokens([AddedToken(word, normalized=False, special=True) for word in (START, END)])
        self.start, self.end = words[START], words[END]
        self._count = max(words.values()) + 1
        self.comma = words.get(",</w>")

    def __len__(self) -> int:
        """How many rows an embedding table for these words needs."""
        return self._count

    def ids(self, text: str) -> list[int]:
        """Token ids of `text`, without start and end."""
        text = text.replace("&amp;", "&").replace("&#39;", "'").replace("&quot;", '"').translate(ODD)
        return self._tokenizer.encode(text, add_special_tokens=False).ids

    def spoken(self, token: int) -> tuple[str, bool]:
        """(the text of a token, whether a word ends with it); bytes that are no text on their own become as "\\xe7"."""
        word = self._tokenizer.id_to_token(token) or ""
        if word in (START, END):
            return word, True
        return _bytes_of(word.removesuffix("</w>")).decode("utf-8", "backslashreplace"), word.endswith("</w>")


def _bytes_of(token: str) -> bytes:
    """What a byte-level token stands for; signs that stand for no byte are left out."""
    return bytes(byte for byte in map(_signs().get, token) if byte is not None)


@lru_cache(maxsize=1)
def _signs() -> dict[str, int]:
    """Sign -> the byte that it stands for."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in shown]
    return dict(zip(_byte_signs(), [*shown, *hidden], strict=True))


def _byte_signs() -> list[str]:
    """The 256 printable signs that stand for bytes in byte-level BPE (Radford et al. 2019), in vocabulary order."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    return [chr(byte) for byte in shown] + [chr(256 + i) for i in range(256 - len(shown))]


def clip_words() -> tuple[dict[str, int], list[str]]:
    """(vocab, merges) of OpenAI's CLIP, from the word list that the package open_clip_torch (MIT) carries; it is not imported.

    Raises:
        BadCheckpoint: the package is not installed.
    """
    spec = importlib.util.find_spec("open_clip")
    path = Path(next(iter(spec.submodule_search_locations or []), "")) / "bpe_simple_vocab_16e6.txt.gz" if spec else Path()
    if not path.is_file():
        hint = "Run ./launch.sh, or: pip install --no-deps open_clip_torch"
        raise BadCheckpoint("CLIP's word list is missing, which checkpoints in a single file need.", hint)
    lines = gzip.decompress(path.read_bytes()).decode().split("\n")[1 : CLIP_WORDS - 512 - 2 + 1]
    signs = _byte_signs()
    tokens = [*signs, *(sign + "</w>" for sign in signs), *("".join(line.split()) for line in lines), START, END]
    return {token: number for number, token in enumerate(tokens)}, lines


@lru_cache(maxsize=1)
def clip_vocabulary() -> Vocabulary:
    """The vocabulary of single-file checkpoints. Raises BadCheckpoint when its word list is not installed."""
    words, merges = clip_words()
    return Vocabulary(words, [_pair(line) for line in merges])


@lru_cache(maxsize=4)
def _folder_vocabulary(path: Path, stamp: tuple[int, ...]) -> Vocabulary:
    try:
        if (path / "vocab.json").is_file() and (path / "merges.txt").is_file():
            words: dict[str, int] = json.loads((path / "vocab.json").read_text("utf-8"))
            lines: list[Any] = [line for line in (path / "merges.txt").read_text("utf-8").split("\n") if line.strip() and not line.startswith("#version")]
        else:
            model = json.loads((path / "tokenizer.json").read_text("utf-8"))["model"]
            words, lines = model["vocab"], model["merges"]
        return Vocabulary(words, [_pair(line) for line in lines])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadCheckpoint(f"The word list of '{path.parent.name}' (folder tokenizer) cannot be read: {error}.") from None


def folder_vocabulary(path: Path) -> Vocabulary:
    """The vocabulary in a diffusers folder's `tokenizer/`: vocab.json with merges.txt, or tokenizer.json. Raises BadCheckpoint."""
    files = [path / name for name in ("vocab.json", "merges.txt", "tokenizer.json")]
    return _folder_vocabulary(path, tuple(file.stat().st_mtime_ns for file in files if file.is_file()))


def _pair(line: str | list[str]) -> tuple[str, str]:
    first, second = line.split(" ") if isinstance(line, str) else line
    return first, second
