"""Prompts cut into what CLIP reads at once: chunks of 75 tokens between a start and an end, with a weight for each token.

The rules are A1111's: a prompt that does not fit is broken at a comma if one is among the last 20 tokens (`Reading.backtrack`); BREAK ends a
chunk; a textual inversion is not cut. Knows no weights of any model, so that the page can count tokens with it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from app.engine.prompt.grammar import Piece, check_length, segments
from app.engine.prompt.vocabulary import Vocabulary
from app.request import EmphasisMode

LENGTH = 75


@dataclass(frozen=True)
class Reading:
    """How a prompt is read: options that A1111 has in its settings.

    Attributes:
        clip_skip: 1 = the last layer of the text encoder; n = the n-th from the end.
        emphasis: what brackets do; "None" takes them, and BREAK, for text like any other.
        backtrack: how many tokens before the end of a chunk a comma may stand to take what follows it to the next one; 0: never.
        pad: whether the shorter of prompt and negative prompt is filled with the empty prompt; else their lengths differ.
    """

    clip_skip: int = 1
    emphasis: EmphasisMode = "Original"
    backtrack: int = 20
    pad: bool = True


PLAIN = Reading()


@dataclass(frozen=True)
class Word:
    """A textual inversion: the token ids of its name, and how many vectors stand for it."""

    name: str
    ids: tuple[int, ...]
    vectors: int


@dataclass
class Chunk:
    """What one run of the text encoder reads.

    Attributes:
        tokens: 77 ids, or fewer while it is being filled.
        weights: one for each token.
        words: (place, name): the textual inversion whose vectors take the places from `place` on, 0 = after the start.
    """

    tokens: list[int] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    words: list[tuple[int, str]] = field(default_factory=list)


Words = Mapping[int, Sequence[Word]]
"""First token id of a name -> the textual inversions whose name begins with it, longest first."""


def words_by_first(words: Sequence[Word]) -> Words:
    """The table that `chunks` looks textual inversions up in."""
    table: dict[int, list[Word]] = {}
    for word in sorted(words, key=lambda word: -len(word.ids)):
        if word.ids:
            table.setdefault(word.ids[0], []).append(word)
    return table


def chunks(vocabulary: Vocabulary, text: str, words: Words | None = None, reading: Reading = PLAIN) -> list[Chunk]:
    """The chunks of a prompt, at least one, each with 77 tokens. Raises BadRequest for a prompt beyond the grammar's caps."""
    filler = _filled(vocabulary, text, words, reading)
    if filler.chunk.tokens or not filler.done:
        filler.flush()
    return filler.done


def count(vocabulary: Vocabulary, text: str, words: Words | None = None, reading: Reading = PLAIN) -> tuple[int, int]:
    """(tokens, how many fit): A1111's counter, for example (12, 75) or (80, 150)."""
    filler = _filled(vocabulary, text, words, reading)
    used = LENGTH * len(filler.done) + len(filler.chunk.tokens)
    return used, LENGTH * max(1, -(-used // LENGTH))


def pieces_of(text: str, emphasis: EmphasisMode) -> list[list[Piece]]:
    """The pieces of a prompt with the weights that count in an emphasis mode, one list for each BREAK. Raises BadRequest."""
    if emphasis == "None":
        check_length(text)
        return [[Piece(text, 1.0)]]
    found = segments(text)
    return [[Piece(piece.text, 1.0) for piece in pieces] for pieces in found] if emphasis == "Ignore" else found


def _filled(vocabulary: Vocabulary, text: str, words: Words | None, reading: Reading) -> "_Filler":
    """All chunks of a prompt, the last one still open."""
    filler = _Filler(vocabulary, words or {}, reading.backtrack)
    for number, pieces in enumerate(pieces_of(text, reading.emphasis)):
        if number:
            filler.flush()
        for piece in pieces:
            filler.add(vocabulary.ids(piece.text), piece.weight)
    return filler


class _Filler:
    """Fills chunks with tokens, one after the other."""

    def __init__(self, vocabulary: Vocabulary, words: Words, backtrack: int) -> None:
        self._vocabulary, self._words, self._backtrack = vocabulary, words, backtrack
        self.done: list[Chunk] = []
        self.chunk = Chunk()
        self._comma = -1

    def flush(self) -> None:
        """Closes the chunk: start, tokens, and ends up to 77."""
        start, end, chunk = self._vocabulary.start, self._vocabulary.end, self.chunk
        rest = LENGTH - len(chunk.tokens)
        self.done.append(Chunk([start, *chunk.tokens, *[end] * (rest + 1)], [1.0, *chunk.weights, *[1.0] * (rest + 1)], chunk.words))
        self.chunk, self._comma = Chunk(), -1

    def add(self, ids: list[int], weight: float) -> None:
        place = 0
        while place < len(ids):
            self._make_room(ids[place])
            word = self._word_at(ids, place)
            if word is None:
                self.chunk.tokens.append(ids[place])
                self.chunk.weights.append(weight)
                place += 1
                continue
            vectors = min(word.vectors, LENGTH)
            if len(self.chunk.tokens) + vectors > LENGTH:
                self.flush()
            self.chunk.words.append((len(self.chunk.tokens), word.name))
            self.chunk.tokens += [0] * vectors
            self.chunk.weights += [weight] * vectors
            place += len(word.ids)

    def _make_room(self, token: int) -> None:
        """Before a token: remember commas; when the chunk is full, move what stands behind a near comma to the next one."""
        chunk = self.chunk
        if self._vocabulary.comma is not None and token == self._vocabulary.comma:
            self._comma = len(chunk.tokens)
        elif len(chunk.tokens) == LENGTH and self._comma != -1 and LENGTH - self._comma <= self._backtrack:
            cut = self._comma + 1
            tokens, weights = chunk.tokens[cut:], chunk.weights[cut:]
            chunk.tokens, chunk.weights = chunk.tokens[:cut], chunk.weights[:cut]
            self.flush()
            self.chunk.tokens, self.chunk.weights = tokens, weights
        if len(self.chunk.tokens) == LENGTH:
            self.flush()

    def _word_at(self, ids: list[int], place: int) -> Word | None:
        for word in self._words.get(ids[place], ()):
            if tuple(ids[place : place + len(word.ids)]) == word.ids:
                return word
        return None
