"""The token counter of the page: tokenizer files only, no weights, no torch."""

from collections.abc import Sequence

from app.engine.checkpoints.embeddings import named_in, towers_of
from app.engine.checkpoints.header import ModelFile
from app.engine.prompt.chunks import Word, count, words_by_first
from app.engine.prompt.grammar import extract_networks, split_and, strip_comments
from app.engine.prompt.schedule import schedule
from app.engine.prompt.vocabulary import Vocabulary, clip_vocabulary, folder_vocabulary

STEPS = 20
"""Over which schedules are counted: enough to meet each text that they hold."""

def vocabulary_of(file: ModelFile) -> Vocabulary:
    """The word list of a checkpoint: a diffusers folder's own, its base's or CLIP's for a single file. Raises BadCheckpoint."""
    folder = file.path if file.path.is_dir() else file.base
    return folder_vocabulary(folder / "tokenizer") if folder else clip_vocabulary()


def count_tokens(file: ModelFile, text: str, embeddings: Sequence[ModelFile] = (), *, composes: bool = True) -> tuple[int, int]:
    """(tokens of the prompt, how many fit into its chunks), as (12, 75) or (80, 150); `<lora:...>` tags do not count.

    Of several texts, joined by AND or one after the other in a schedule, the longest counts, as in A1111.

    Args:
        embeddings: textual inversions, which count with their vectors.
        composes: whether AND joins texts; not in a negative prompt.

    Raises:
        BadCheckpoint: the checkpoint's word list cannot be read.
        BadRequest: the prompt is too long or nested too deeply.
    """
    vocabulary = vocabulary_of(file)
    plain, _ = extract_networks(strip_comments(text))
    words = words_by_first(words_in(plain, embeddings, vocabulary, file))
    parts = [part for part, _ in split_and(plain)] if composes else [plain]
    texts = dict.fromkeys(said for part in parts for _, said in schedule(part, STEPS))
    return max(count(vocabulary, said, words) for said in texts)


def words_in(text: str, embeddings: Sequence[ModelFile], vocabulary: Vocabulary, file: ModelFile) -> list[Word]:
    """The textual inversions that a text may name and that fit a checkpoint; of several with one name, in any case, the first."""
    found = named_in(text, embeddings, towers_of(file))
    return [Word(inversion.word, tuple(vocabulary.ids(inversion.word)), count) for inversion, count in found]
