"""The prompt language read a second time, by other means, to hold the first reading to its rules.

`app.engine.prompt` runs once over a text with a stack of its own and works weights out from the brackets around a piece.
Here, the grammar is written down as functions that call each other and start over where they went wrong; weights are
multiplied into everything behind an opening bracket when it closes. Slow on deep texts, and short.
"""

import math
import re

NUMBER = re.compile(r"\s*([+-]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+)(?:[eE][+-]?[0-9]+)?)\s*\]")
WEIGHT = re.compile(r":\s*([+-]?[.\d]+)\s*\)")
PART_WEIGHT = re.compile(r"(.*?)(?:\s*:\s*([-+]?(?:\d+\.?|\d*\.\d+)))?\s*", re.DOTALL)
STOPS = "])|:"


class Wrong(Exception):
    """What is written here is not what was looked for."""


# ---- schedules


def schedule(text, steps, hires_steps=None):
    """(last step, prompt) pairs; as `app.engine.prompt.schedule.schedule`."""
    total = steps if hires_steps is None else hires_steps
    nodes, place = [], 0
    while place < len(text):
        try:
            node, place = item(text, place)
        except Wrong:
            if text[place] not in "[]():":
                return [(total, text)]
            node, place = text[place], place + 1
        nodes.append(node)
    spoken = [said(nodes, step, steps, hires_steps) for step in range(1, total + 1)]
    ends = changes(nodes, steps, hires_steps) | {total}
    return [(end, spoken[end - 1]) for end in sorted(ends)]


def prompt(text, place):
    """Items up to a sign that ends a prompt."""
    nodes = []
    while place < len(text) and text[place] not in STOPS:
        node, place = item(text, place)
        nodes.append(node)
    return nodes, place


def expect(text, place, sign):
    if text[place : place + 1] != sign:
        raise Wrong
    return place + 1


def item(text, place):
    """A bracket or a run of plain text."""
    sign = text[place]
    if sign == "(":
        return round_bracket(text, place + 1)
    if sign == "[":
        for form in (scheduled, alternated, square_bracket):
            try:
                return form(text, place + 1)
            except Wrong:
                pass
        raise Wrong
    end = place
    while end < len(text) and text[end] not in "[]():|":
        if text[end] != "\\":
            end += 1
        elif text[end + 1 : end + 2] in ("", "\n"):
            break
        else:
            end += 2
    if end == place:
        raise Wrong
    return text[place:end], end


def round_bracket(text, place):
    inner, place = prompt(text, place)
    if text[place : place + 1] == ":":
        more, place = prompt(text, place + 1)
        return ["(", inner, ":", more, ")"], expect(text, place, ")")
    return ["(", inner, ")"], expect(text, place, ")")


def square_bracket(text, place):
    inner, place = prompt(text, place)
    return ["[", inner, "]"], expect(text, place, "]")


def scheduled(text, place):
    first, place = prompt(text, place)
    place = expect(text, place, ":")
    if match := NUMBER.match(text, place):
        return ("when", [], first, match[1]), match.end()
    second, place = prompt(text, place)
    if match := NUMBER.match(text, expect(text, place, ":")):
        return ("when", first, second, match[1]), match.end()
    raise Wrong


def alternated(text, place):
    options = []
    while not options or text[place : place + 1] == "|":
        option, place = prompt(text, place + bool(options))
        options.append(option)
    if len(options) < 2:
        raise Wrong
    return ("each", options), expect(text, place, "]")


def switch(written, steps, hires_steps):
    """The step at which a number switches; below 1: before the first."""
    if "." in written:
        value = float(written) * steps if hires_steps is None else (float(written) - 1) * hires_steps
    else:
        value = float(written) - (0 if hires_steps is None else steps)
    return int(max(-1, min(value, steps if hires_steps is None else hires_steps)))


def said(node, step, steps, hires_steps):
    """What a node says at a step."""
    if isinstance(node, str):
        return node
    if isinstance(node, tuple) and node[0] == "when":
        node = node[1] if step <= switch(node[3], steps, hires_steps) else node[2]
    elif isinstance(node, tuple):
        node = node[1][(step - 1) % len(node[1])]
    return "".join(said(inner, step, steps, hires_steps) for inner in node)


def changes(node, steps, hires_steps):
    """All steps after which something may change, also in what is never said."""
    if isinstance(node, str):
        return set()
    found = set()
    if isinstance(node, tuple) and node[0] == "each":
        found, node = set(range(1, (hires_steps or steps) + 1)), node[1]
    elif isinstance(node, tuple):
        found, node = {switch(node[3], steps, hires_steps)} - {-1, 0}, node[1:3]
    return found.union(*(changes(inner, steps, hires_steps) for inner in node))


# ---- attention


def attention(text):
    """[text, weight] pairs; as `app.engine.prompt.grammar.attention`."""
    pieces, opened, place = [], {"(": [], "[": []}, 0

    def close(kind, factor):
        for piece in pieces[opened[kind].pop() :]:
            piece[1] *= factor

    while place < len(text):
        sign, match = text[place], WEIGHT.match(text, place)
        if sign == "\\":
            escaped = text[place + 1 : place + 2] in tuple("()[]\\") and text[place + 1 : place + 2]
            pieces += [[escaped or "", 1.0]]
            place += 2 if escaped else 1
        elif sign in "([":
            opened[sign].append(len(pieces))
            place += 1
        elif match and opened["("]:
            number = finite(match[1])
            if number is None:
                pieces.append([match[0][:-1], 1.0])
            close("(", 1.1 if number is None else number)
            place = match.end()
        elif (sign == ")" and opened["("]) or (sign == "]" and opened["["]):
            close("(" if sign == ")" else "[", 1.1 if sign == ")" else 1 / 1.1)
            place += 1
        else:
            end = match.end() if match else place + 1
            while not match and sign not in ")]" and end < len(text) and text[end] not in "\\()[]" and not WEIGHT.match(text, end):
                end += 1
            pieces += with_breaks(text[place:end])
            place = end
    for kind, factor in (("(", 1.1), ("[", 1 / 1.1)):
        while opened[kind]:
            close(kind, factor)
    joined = []
    for piece, weight in pieces:
        if joined and joined[-1][1] == weight:
            joined[-1][0] += piece
        else:
            joined.append([piece, weight])
    return joined or [["", 1.0]]


def finite(written):
    try:
        return float(written) if math.isfinite(float(written)) else None
    except ValueError:
        return None


def with_breaks(text):
    found = []
    for number, part in enumerate(re.split(r"\s*\bBREAK\b\s*", text)):
        found += [["BREAK", -1.0]] * bool(number) + [[part, 1.0]]
    return found


# ---- AND


def split_and(text):
    """[text, weight] pairs; as `app.engine.prompt.grammar.split_and`."""
    words = re.split(r"(\W+)", text)
    parts = [""]
    for word in words:
        if word == "AND":
            parts.append("")
        else:
            parts[-1] += word
    found = [PART_WEIGHT.fullmatch(part) for part in parts]
    return [[match[1], 1.0 if match[2] is None else float(match[2])] for match in found]
