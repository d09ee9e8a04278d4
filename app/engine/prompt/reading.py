"""What a model reads of a prompt, for people: its parts, the steps at which they change, tokens, chunks and weights.

Of the model only its word list is read, and the headers of LoRAs and textual inversions.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from app.engine.checkpoints.header import ModelFile
from app.engine.prompt.chunks import LENGTH, PLAIN, Chunk, Reading, Words, chunks, words_by_first
from app.engine.prompt.counter import vocabulary_of, words_in
from app.engine.prompt.grammar import Network, extract_networks, split_and, strip_comments
from app.engine.prompt.schedule import counted_steps, schedule
from app.engine.prompt.vocabulary import Vocabulary

MAX_TEXTS = 24
"""Different texts of a part that are shown with their tokens; an alternation may have hundreds."""

Ranges = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Token:
    """A token, or the vectors of a textual inversion that stand in its place.

    Attributes:
        text: as far as it can be shown; bytes that are no text on their own become as "\\xe7".
        weight: what its hidden state is multiplied with.
        ends: whether a word ends here.
        vectors: 0 for a token, else how many places the textual inversion takes.
    """

    text: str
    weight: float
    ends: bool
    vectors: int = 0


@dataclass(frozen=True)
class Text:
    """One text that a part has at some steps: `steps` are (first, last), from 1; `chunks` are runs of the text encoder."""

    text: str
    steps: Ranges
    chunks: tuple[tuple[Token, ...], ...]


@dataclass(frozen=True)
class Part:
    """A part of a prompt that AND joins with others. `more`: how many further texts it has that are not shown."""

    weight: float
    texts: tuple[Text, ...]
    more: int = 0


@dataclass(frozen=True)
class PromptReading:
    """A prompt as a model reads it.

    Attributes:
        parts: at least one.
        networks: LoRAs that are named, in order.
        embeddings: names of the textual inversions that are used.
        tokens: (tokens of the longest text, how many fit into its chunks), for example (12, 75).
        steps: what the steps of `Text` count to.
        calls: whether these are network calls, two a step, since the sampler asks twice.
    """

    parts: tuple[Part, ...]
    networks: tuple[Network, ...]
    embeddings: tuple[str, ...]
    tokens: tuple[int, int]
    steps: int
    calls: bool


def read_prompt(
    file: ModelFile,
    text: str,
    embeddings: Sequence[ModelFile] = (),
    reading: Reading = PLAIN,
    *,
    sampler: str = "",
    steps: int = 20,
    hires: tuple[str, int] | None = None,
    composes: bool = True,
) -> PromptReading:
    """How a checkpoint reads a prompt; styles and wildcards are in it already.

    Args:
        embeddings: the textual inversions that it may name.
        sampler, steps: of the first pass.
        hires: the same of the second pass; when given, the answer is for that pass.
        composes: whether AND joins parts; not in a negative prompt.

    Raises:
        BadCheckpoint: the checkpoint's word list cannot be read.
        BadRequest: the prompt is too long or nested too deeply, or a tag has no number where one belongs.
    """
    plain, networks = extract_networks(strip_comments(text))
    vocabulary = vocabulary_of(file)
    words = words_by_first(words_in(plain, embeddings, vocabulary, file))
    first = counted_steps(sampler, steps)
    total, asked = (first, steps) if hires is None else (counted_steps(*hires), hires[1])
    cut: dict[str, list[Chunk]] = {}

    def chunks_of(text: str) -> list[Chunk]:
        if text not in cut:
            cut[text] = chunks(vocabulary, text, words, reading)
        return cut[text]

    told = split_and(plain) if composes else [(plain, 1.0)]
    parts = tuple(_part(weight, schedule(said, first, total if hires else None), chunks_of, vocabulary, words) for said, weight in told)
    longest = max(tokens_in(found, vocabulary) for found in cut.values())
    used = tuple(dict.fromkeys(name for found in cut.values() for chunk in found for _, name in chunk.words))
    return PromptReading(parts, tuple(networks), used, longest, total, total != asked)


def tokens_in(cut: Sequence[Chunk], vocabulary: Vocabulary) -> tuple[int, int]:
    """(tokens, how many fit) of a prompt in chunks; all chunks but the last count as full, as A1111 counts."""
    return LENGTH * (len(cut) - 1) + used_of(cut[-1], vocabulary), LENGTH * len(cut)


def used_of(chunk: Chunk, vocabulary: Vocabulary) -> int:
    """How many of the 75 places of a chunk are used. Ends of text in a prompt itself count as filling where nothing follows."""
    tokens = chunk.tokens[1:-1]
    while tokens and tokens[-1] == vocabulary.end:
        tokens.pop()
    return len(tokens)


def _part(weight: float, timeline: list[tuple[int, str]], chunks_of: Callable[[str], list[Chunk]], vocabulary: Vocabulary, words: Words) -> Part:
    """A part, with each text once."""
    ranges: dict[str, list[tuple[int, int]]] = {}
    first, total = 1, timeline[-1][0]
    for end, text in timeline:
        last = min(end + 1, total)  # counted from 0, a text holds up to and with its last step: `Conditioning.at`
        if last < first:
            continue
        known = ranges.setdefault(text, [])
        if known and known[-1][1] == first - 1:
            known[-1] = known[-1][0], last
        else:
            known.append((first, last))
        first = last + 1
    sizes = {word.name: word.vectors for found in words.values() for word in found}
    texts = []
    for text, steps in ranges.items():
        cut = chunks_of(text)
        if len(texts) < MAX_TEXTS:
            texts.append(Text(text, tuple(steps), tuple(_tokens(chunk, vocabulary, sizes) for chunk in cut)))
    return Part(weight, tuple(texts), len(ranges) - len(texts))


def _tokens(chunk: Chunk, vocabulary: Vocabulary, sizes: dict[str, int]) -> tuple[Token, ...]:
    """The used places of a chunk."""
    tokens, weights = chunk.tokens[1:], chunk.weights[1:]
    used, words = used_of(chunk, vocabulary), dict(chunk.words)
    found, place = [], 0
    while place < used:
        if place in words:
            vectors = min(sizes[words[place]], LENGTH)
            found.append(Token(words[place], weights[place], True, vectors))
            place += max(1, vectors)
            continue
        text, ends = vocabulary.spoken(tokens[place])
        found.append(Token(text, weights[place], ends))
        place += 1
    return tuple(found)
