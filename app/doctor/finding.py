"""What an examination finds, and how it is printed."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "note", "problem"]


@dataclass(frozen=True)
class Finding:
    """One line of the page.

    Attributes:
        subject: what was looked at. text: what was found, one sentence or a few words.
        cure: what to do about a problem; notes may have one, too.
    """

    subject: str
    state: State
    text: str
    cure: str = ""


def ok(subject: str, text: str) -> Finding:
    return Finding(subject, "ok", text)


def note(subject: str, text: str, cure: str = "") -> Finding:
    """Something to know that need not be cured."""
    return Finding(subject, "note", text, cure)


def problem(subject: str, text: str, cure: str) -> Finding:
    """Something that must be cured."""
    return Finding(subject, "problem", text, cure)


WIDTH = 11
"""Characters of the longest subject."""


def lines(findings: Iterable[Finding]) -> list[str]:
    """The findings as lines, their cures below them."""
    width, told = WIDTH, []
    for finding in findings:
        told.append(f"{finding.state:<8} {finding.subject:<{width}}  {finding.text}".rstrip())
        if finding.cure:
            told.append(f"{'cure' if finding.state == 'problem' else '':<8} {'':<{width}}  {finding.cure}")
    return told


def summary(findings: Iterable[Finding]) -> str:
    """The last line."""
    wrong = sum(finding.state == "problem" for finding in findings)
    return "Everything is in order." if not wrong else f"{wrong} problem{'s' if wrong > 1 else ''}."
