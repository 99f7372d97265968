"""Names of classes in a text: in singular or plural, counted, denied."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass

# One adjective or two may stand between: "no large white blood cell", but not "no trees and zebra".
_BETWEEN = r"(?:(?!(?:and|or|with|but|only|far|from|of|in|on|at|the)\b)[\w-]+\s+){0,2}$"
_NEGATED = re.compile(rf"\b(?:no|without|without an?|without any|free of)\s+{_BETWEEN}", re.IGNORECASE)
_COUNTED = re.compile(
    r"\b(?:two|three|four|five|six|seven|eight|nine|ten|\d+|many|several|few|some|numerous|multiple|both|various|"
    rf"(?:group|herd|flock|pack|pair|bunch|couple|cluster|crowd|swarm|row|pile) of)\s+{_BETWEEN}",
    re.IGNORECASE,
)
_IRREGULAR = {
    "person": frozenset({"people"}),
    "man": frozenset({"men"}),
    "woman": frozenset({"women"}),
    "child": frozenset({"children"}),
    "mouse": frozenset({"mice"}),
    "goose": frozenset({"geese"}),
    "foot": frozenset({"feet"}),
    "tooth": frozenset({"teeth"}),
    "ox": frozenset({"oxen"}),
    "bacterium": frozenset({"bacteria"}),
    "nucleus": frozenset({"nuclei"}),
    "fungus": frozenset({"fungi"}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Mention:
    """A class named in a text."""

    phrase: str
    found: str
    is_several: bool
    """In the plural, or counted: "zebras", "two zebra", "a herd of zebra"."""
    negated: bool


def find_phrases(text: str, phrases: Iterable[str]) -> list[Mention]:
    """Find phrases in singular or plural, the longest first, so that "red blood cell" does not count as "cell".

    find_phrases("two red blood cells", ["cell", "red blood cell"]) finds one, several "red blood cell".
    """
    mentions: list[tuple[int, Mention]] = []
    taken: list[tuple[int, int]] = []
    for phrase in sorted(dict.fromkeys(phrases), key=lambda item: (-len(item), item)):
        for match in _pattern(phrase).finditer(text):
            if any(match.start() < end and match.end() > start for start, end in taken):
                continue
            taken.append(match.span())
            before = text[: match.start()]
            mention = Mention(
                phrase=phrase,
                found=" ".join(match.group().split()),
                is_several=_is_plural(match.group(), phrase) or _COUNTED.search(before) is not None,
                negated=_NEGATED.search(before) is not None,
            )
            mentions.append((match.start(), mention))
    return [mention for _, mention in sorted(mentions, key=lambda item: item[0])]


def holds(text: str, phrase: str) -> bool:
    """Say whether a phrase stands in a text, in singular or plural."""
    return bool(_pattern(phrase).search(text))


def _is_plural(found: str, phrase: str) -> bool:
    last, asked = found.split()[-1].lower(), phrase.split()[-1].lower()
    return last != asked and (len(last) > len(asked) or last in _IRREGULAR.get(asked, frozenset()))


@functools.lru_cache(maxsize=4096)
def _pattern(phrase: str) -> re.Pattern[str]:
    *head, last = phrase.split()
    forms = {last, f"{last}s", f"{last}es"}
    forms |= _IRREGULAR.get(last.lower(), frozenset())
    if last.endswith("y"):
        forms.add(f"{last[:-1]}ies")
    if last.endswith(("f", "fe")):
        forms.add(last.removesuffix("e").removesuffix("f") + "ves")
    if last.endswith("s"):
        forms.add(last[:-1])
    body = r"\s+".join([*map(re.escape, head), f"(?:{'|'.join(map(re.escape, sorted(forms, key=len, reverse=True)))})"])
    return re.compile(rf"(?<!\w){body}(?!\w)", re.IGNORECASE)


def _holds(text: str, phrase: str) -> bool:
    return bool(_pattern(phrase).search(text))
