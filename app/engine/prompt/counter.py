"""The token counter of the page: tokenizer files only, no weights, no torch."""

from collections.abc import Sequence

from app.engine.checkpoints.header import ModelFile, read_header
from app.engine.prompt.chunks import Word, count, words_by_first
from app.engine.prompt.grammar import extract_networks, strip_comments
from app.engine.prompt.vocabulary import Vocabulary, clip_vocabulary, folder_vocabulary
from app.errors import BadCheckpoint


def vocabulary_of(file: ModelFile) -> Vocabulary:
    """The word list of a checkpoint: a diffusers folder's own, its base's or CLIP's for a single file. Raises BadCheckpoint."""
    folder = file.path if file.path.is_dir() else file.base
    return folder_vocabulary(folder / "tokenizer") if folder else clip_vocabulary()


def count_tokens(file: ModelFile, text: str, embeddings: Sequence[ModelFile] = ()) -> tuple[int, int]:
    """(tokens of the prompt, how many fit into its chunks), as (12, 75) or (80, 150); `<lora:...>` tags do not count.

    Args:
        embeddings: textual inversions, which count with their vectors.

    Raises:
        BadCheckpoint: the checkpoint's word list cannot be read.
        BadRequest: the prompt is too long or nested too deeply.
    """
    vocabulary = vocabulary_of(file)
    plain, _ = extract_networks(strip_comments(text))
    words = [word for word in (_word(embedding, vocabulary) for embedding in embeddings if embedding.path.stem.lower() in plain.lower()) if word]
    return count(vocabulary, plain, words_by_first(words))


def _word(embedding: ModelFile, vocabulary: Vocabulary) -> Word | None:
    try:
        shape = read_header(embedding.path).shape("emb_params")
    except BadCheckpoint:
        return None
    return Word(embedding.path.stem, tuple(vocabulary.ids(embedding.path.stem)), shape[0] if len(shape) == 2 else 1)
