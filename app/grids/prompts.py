"""The axes that change prompts: search and replace, the order of words, and every choice of the parts of a prompt."""

import itertools
import math

from app.errors import BadRequest
from app.grids.values import MAX_VALUES

_OPEN, _CLOSE = "([{", ")]}"


def orders(words: list[str]) -> list[tuple[str, ...]]:
    """All orders of the words, the given one first. Raises BadRequest when there are too many."""
    if math.factorial(min(len(words), 20)) > MAX_VALUES:
        raise BadRequest(f"Prompt order has {len(words)} values, which have more than {MAX_VALUES} orders; at most 6 are allowed.")
    return list(itertools.permutations(words))


def replaced(texts: dict[str, str], search: str, by: str) -> dict[str, str]:
    """The prompts with one text in place of another. Raises BadRequest when it is in none of them."""
    if not any(search in text for text in texts.values()):
        raise BadRequest(f"Prompt S/R looks for {search[:60]!r}, its first value, but neither the prompt nor the negative prompt has it.")
    return {name: text.replace(search, by) for name, text in texts.items()}


def ordered(prompt: str, words: tuple[str, ...]) -> str:
    """The prompt with the first occurrences of the words in this order, in the places where they stood. Raises BadRequest."""
    places = []
    for word in words:
        if (place := prompt.find(word)) < 0:
            raise BadRequest(f"Prompt order has the value {word[:60]!r}, but the prompt does not have it.")
        places.append((place, len(word)))
    places.sort()
    if any(start + length > following for (start, length), (following, _) in itertools.pairwise(places)):
        raise BadRequest(f"Prompt order has the values {', '.join(map(repr, words))}, but these overlap in the prompt.")
    made, done = [], 0
    for (start, length), word in zip(places, words, strict=True):
        made += [prompt[done:start], word]
        done = start + length
    return "".join([*made, prompt[done:]])


def pieces(prompt: str) -> list[str]:
    r"""The parts of a prompt between its `|`; those in brackets (alternation, wildcards) and behind a backslash do not count."""
    found, depth, start, escaped = [], 0, 0, False
    for place, sign in enumerate(prompt):
        if escaped:
            escaped = False
        elif sign == "\\":
            escaped = True
        elif sign in _OPEN:
            depth += 1
        elif sign in _CLOSE:
            depth = max(0, depth - 1)
        elif sign == "|" and not depth:
            found.append(prompt[start:place])
            start = place + 1
    return [*found, prompt[start:]]


def chosen(optional: list[str]) -> list[tuple[str, ...]]:
    """Every choice of the parts behind the first, in A1111's order: none, the first, the second, both, ..."""
    if 2 ** min(len(optional), 30) > MAX_VALUES:
        raise BadRequest(f"The prompt matrix has {len(optional)} parts behind the first, but at most 9 are allowed.")
    return [tuple(part for n, part in enumerate(optional) if number >> n & 1) for number in range(2 ** len(optional))]


def matrix_parts(prompt: str, share: int, shares: int) -> list[str]:
    """The optional parts that one axis goes through; of two axes the first takes the larger half. Raises BadRequest without any."""
    optional = [part.strip().strip(",").strip() for part in pieces(prompt)[1:]]
    if not any(optional):
        raise BadRequest("The prompt matrix needs a prompt with parts between '|', such as 'a house|at night|in winter'.")
    middle = math.ceil(len(optional) / shares)
    return optional[:middle] if share == 0 else optional[middle:]


def assembled(prompt: str, active: tuple[str, ...]) -> str:
    """The first part of the prompt and the active ones behind it, joined by commas."""
    return ", ".join(part for part in (pieces(prompt)[0].strip(), *active) if part)
