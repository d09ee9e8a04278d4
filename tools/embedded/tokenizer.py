"""The tokenizer: byte-level BPE in CLIP's file format, its merges learnt from the scene captions.

Layout of the ids, as in CLIP: 256 bytes, the same 256 as word ends (`</w>`), one id per merge, then the start and
end markers. Any text can be encoded; words of the captions are single tokens.
"""

import json
from collections import Counter
from itertools import pairwise
from pathlib import Path

from transformers import CLIPTokenizer

from tools.embedded.models import CONTEXT_LENGTH
from tools.embedded.scenes.captions import all_phrases, describe
from tools.embedded.scenes.grammar import COLOURS, POSITIONS, sample_scene

START, END = "<|startoftext|>", "<|endoftext|>"
WORD_END = "</w>"
CAPTIONS_READ = 6000
RARE_WORD_BONUS = 20
"""Added to every word's count, so that rare words of the grammar still become whole tokens."""


def byte_characters() -> dict[int, str]:
    """CLIP's (and GPT-2's) printable stand-in for each of the 256 bytes, in CLIP's order."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    table = {byte: chr(byte) for byte in printable}
    others = [byte for byte in range(256) if byte not in table]
    return table | {byte: chr(256 + index) for index, byte in enumerate(others)}


def count_words() -> Counter[str]:
    """Words of sampled captions and of every phrase with their counts; commas and hyphens are words of their own."""
    words: Counter[str] = Counter()
    texts = [describe(sample_scene(seed), 0) for seed in range(CAPTIONS_READ)]
    for text in [*texts, *all_phrases(), *COLOURS, *POSITIONS, "a an the with and on at in center"]:
        words.update(text.replace(",", " , ").replace("-", " - ").split())
    return Counter({word: count + RARE_WORD_BONUS for word, count in words.items()})


def _merged(symbols: list[str], pair: tuple[str, str]) -> list[str]:
    """`symbols` with every occurrence of `pair` joined, from the left."""
    result, index = [], 0
    while index < len(symbols):
        if tuple(symbols[index : index + 2]) == pair:
            result.append(pair[0] + pair[1])
            index += 2
        else:
            result.append(symbols[index])
            index += 1
    return result


def learn_merges(words: Counter[str]) -> list[tuple[str, str]]:
    """Byte-pair merges (Sennrich et al. 2016), most frequent pair first, until every word is one token."""
    characters = byte_characters()
    spelt = {word: [characters[byte] for byte in word.encode()] for word in words}
    spelt = {word: [*symbols[:-1], symbols[-1] + WORD_END] for word, symbols in spelt.items()}
    merges: list[tuple[str, str]] = []
    while True:
        pairs: Counter[tuple[str, str]] = Counter()
        for word, symbols in spelt.items():
            for pair in pairwise(symbols):
                pairs[pair] += words[word]
        if not pairs:
            return merges
        best = max(sorted(pairs), key=lambda pair: pairs[pair])
        merges.append(best)
        spelt = {word: _merged(symbols, best) for word, symbols in spelt.items()}


def build_tokenizer(folder: Path) -> CLIPTokenizer:
    """Learn the merges and write vocab.json, merges.txt, tokenizer_config.json and tokenizer.json to `folder`."""
    merges = learn_merges(count_words())
    single = list(byte_characters().values())
    tokens = [*single, *(token + WORD_END for token in single), *("".join(pair) for pair in merges), START, END]
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = {token: index for index, token in enumerate(tokens)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), encoding="utf-8")
    lines = ["#version: 0.2", *(" ".join(pair) for pair in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    tokenizer = CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=CONTEXT_LENGTH)
    tokenizer.save_pretrained(folder)
    return tokenizer


def load_tokenizer(folder: Path) -> CLIPTokenizer:
    """The tokenizer written by `build_tokenizer`."""
    return CLIPTokenizer.from_pretrained(folder)


def encode_texts(tokenizer: CLIPTokenizer, texts: list[str]) -> list[list[int]]:
    """Token ids of each text, padded and cut to 77."""
    encoded = tokenizer(texts, padding="max_length", max_length=CONTEXT_LENGTH, truncation=True)
    return encoded["input_ids"]
