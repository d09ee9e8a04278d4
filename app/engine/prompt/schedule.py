"""A1111's prompt schedules: `[from:to:when]`, `[to:when]`, `[from::when]` and alternation `[a|b|c]`, over the steps of a run.

A bracket that is not whole, or that does not have one of these forms, is plain text; so are the brackets around it.
A stray "|" or backslash makes the whole prompt plain text. The parser keeps its own stack and is linear in the text.
"""

import re
from dataclasses import dataclass, field

from app.engine.prompt.grammar import check_depth, check_length

_TOKEN = re.compile(r"(?:[^\\\[\]():|]|\\.)+|[\s\S]")
_PLAIN = re.compile(r"(?:[^\\\[\]():|]|\\.)+")
_NUMBER = re.compile(r"\s*([+-]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+)(?:[eE][+-]?[0-9]+)?)\s*")
_CLOSES = {")": "(", "]": "["}
TWICE = frozenset({"DPM++ SDE", "DPM++ 2S a", "Heun", "DPM2", "DPM2 a", "Restart"})
"""Samplers that ask the network twice a step. A1111 counts calls, so their prompts change over twice as many steps."""


def counted_steps(sampler: str, steps: int) -> int:
    """What a prompt's schedule counts to, for `steps` steps of a sampler of that name: A1111's count of network calls."""
    return steps * 2 if sampler in TWICE else steps


@dataclass
class _When:
    """`before` up to and with step `step`, `after` from then on; the number as written until the steps are known."""

    before: "_Nodes"
    after: "_Nodes"
    written: str


@dataclass
class _Alternate:
    """One option after the other, step by step."""

    options: "list[_Nodes]"


_Nodes = list["str | _Nodes | _When | _Alternate"]


@dataclass
class _Frame:
    """A bracket that is still open: its parts, and the ":" and "|" between them."""

    opener: str
    parts: list[_Nodes] = field(default_factory=lambda: [[]])
    marks: list[str] = field(default_factory=list)

    def as_text(self) -> _Nodes:
        """The frame as literal text, with what was whole inside it kept."""
        nodes: _Nodes = [self.opener, self.parts[0]]
        for mark, part in zip(self.marks, self.parts[1:], strict=True):
            nodes += [mark, part]
        return nodes

    def closed(self) -> "_Nodes | _When | _Alternate | None":
        """What the bracket means, now that it is closed; None when it has none of the known forms."""
        marks = "".join(self.marks)
        if self.opener == "(":
            return [*self.as_text(), ")"] if marks in ("", ":") else None
        if not marks:
            return [*self.as_text(), "]"]
        if not marks.strip("|"):
            return _Alternate(self.parts)
        last = self.parts[-1]
        number = _NUMBER.fullmatch(last[0]) if len(last) == 1 and isinstance(last[0], str) else None
        if marks not in (":", "::") or number is None:
            return None
        before = self.parts[0] if marks == "::" else []
        return _When(before, self.parts[-2], number[1])


def schedule(text: str, steps: int, hires_steps: int | None = None, *, capped: bool = True) -> list[tuple[int, str]]:
    """Which prompt holds up to which step.

    Args:
        text: one part of the prompt (see `grammar.split_and`).
        steps: of the first pass, counted by `counted_steps`.
        hires_steps: of the second pass, counted so too; when given, the answer is for that pass: fractions from 1.0 to 2.0 address it,
            whole numbers count on from `steps`.

    Returns:
        (last step, prompt) pairs, steps rising from 1, the last being the number of steps. Brackets of attention stay in.

    Raises:
        BadRequest: the prompt is too long or nested too deeply.
    """
    if capped:
        check_length(text)
    total = steps if hires_steps is None else hires_steps
    nodes = _parse(text, capped)
    if nodes is None:
        return [(total, text)]
    switches, cuts = _switches(nodes, steps, hires_steps)
    return [(cut, _spoken(nodes, cut, switches)) for cut in cuts]


def _parse(text: str, capped: bool) -> _Nodes | None:
    """The prompt as nodes, or None when a stray "|" or backslash makes all of it literal."""
    top: _Nodes = []
    stack: list[_Frame] = []
    for token in _TOKEN.findall(text):
        target = stack[-1].parts[-1] if stack else top
        if token in ("(", "["):
            stack.append(_Frame(token))
            if capped:
                check_depth(len(stack))
        elif _PLAIN.match(token):
            target.append(token)
        elif token in (":", "|") and stack and not (token == "|" and stack[-1].opener == "("):
            stack[-1].marks.append(token)
            stack[-1].parts.append([])
        elif token in _CLOSES and stack and stack[-1].opener == _CLOSES[token] and (meaning := stack[-1].closed()) is not None:
            stack.pop()
            (stack[-1].parts[-1] if stack else top).append(meaning)
        elif token in "|\\" or not _flatten(stack, top):
            return None
        else:
            top.append(token)
    return top if _flatten(stack, top) else None


def _flatten(stack: list[_Frame], top: _Nodes) -> bool:
    """Put all open brackets into `top` as text and empty the stack. False when that leaves a stray "|"."""
    for frame in stack:
        if "|" in frame.marks:
            return False
        top.extend(frame.as_text())
    stack.clear()
    return True


def _switches(nodes: _Nodes, steps: int, hires_steps: int | None) -> tuple[dict[int, int], list[int]]:
    """The step at which each `_When` (by id) switches, and all steps after which the prompt changes, rising."""
    total, past_share, past_steps = (steps, 0.0, 0) if hires_steps is None else (hires_steps, 1.0, steps)
    found: dict[int, int] = {}
    cuts = {total}
    todo = list(nodes)
    while todo:
        node = todo.pop()
        if isinstance(node, list):
            todo += node
        elif isinstance(node, _Alternate):
            cuts.update(range(1, total + 1))
            todo += node.options
        elif isinstance(node, _When):
            value = float(node.written)
            value = (value - past_share) * total if "." in node.written else value - past_steps
            found[id(node)] = int(max(min(value, total), -1))
            if found[id(node)] >= 1:
                cuts.add(found[id(node)])
            todo += [*node.before, *node.after]
    return found, sorted(cuts)


def _spoken(nodes: _Nodes, step: int, switches: dict[int, int]) -> str:
    """The prompt at one step (from 1)."""
    out: list[str] = []
    todo = list(reversed(nodes))
    while todo:
        node = todo.pop()
        if isinstance(node, str):
            out.append(node)
        elif isinstance(node, list):
            todo += reversed(node)
        elif isinstance(node, _Alternate):
            todo += reversed(node.options[(step - 1) % len(node.options)])
        else:
            todo += reversed(node.before if step <= switches[id(node)] else node.after)
    return "".join(out)
