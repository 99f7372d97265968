"""Which texts may describe a row: rules on words alone, each with the reason that a person reads.

What needs a model (near-duplicate, off-topic) is judged in generator/prompts/make.py.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from generator.config import Config
from generator.spec import ClassSpec, RowKey, Spec, category_name

_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
# A sentence ends here, if what follows begins another; "3.5 mm" and "e.g. a" do not.
_SENTENCE_END = re.compile(r"[.!?]+(?=\s+[A-Z\"“]|\s*$)")
# No sentence ends with one of these.
_LOOSE_END = re.compile(
    r"an?|the|of|in|on|at|to|for|with|without|and|or|but|nor|from|by|as|is|are|was|were|be|being|that|which|who|whose|"
    r"its|his|her|their|this|these|those|very|into|onto|over|under|near|next|than|while|when|where|if|it|he|she|they|"
    r"has|have|had|not|no|some|any|each|every|between|behind|beside"
)
# What a model that has read the web writes where a caption ends.
_JUNK = re.compile(
    r"[\ufffd\x00-\x1f<>|{}\[\]@#\\^~*_=]|https?:|www\.|\.com\b|\b(?:photo|image|picture) (?:by|credit|courtesy)\b|"
    r"\b(?:getty|shutterstock|reuters|flickr|instagram|copyright)\b|©",
    re.IGNORECASE,
)
_SMALL_WORDS = frozenset({"a", "an", "the", "of", "in", "on", "at", "to", "with", "and", "or", "its", "is", "are"})
# What keeps a background free of what is to be painted into it.
_EMPTY = re.compile(r"\b(?:no|without|only|empty|nothing|free of|deserted|uninhabited)\b", re.IGNORECASE)
MIN_WORDS = 2
MAX_USES_OF_A_WORD = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What the texts of one row must and must not hold. `own` and `others` are phrases that name classes.

    `unknown_words` finds words that the bundle never saw.
    """

    prompt: str
    own: tuple[str, ...]
    others: tuple[str, ...]
    max_words: int
    blocked: tuple[str, ...]
    unknown_words: Callable[[Iterable[str]], list[str]]

    def fault_of(self, text: str) -> str:
        """Say why a text cannot be used; "" when it can. The part before a colon is the kind of fault."""
        words = _words(text)
        for fault in (
            self._junk_fault(text),
            _fragment_fault(text, words),
            self._length_fault(words),
            _repetition_fault(words),
            self._class_fault(text),
            self._contradiction(words),
            self._emptiness_fault(text),
            self._blocked_fault(text),
            self._vocabulary_fault(text),
        ):
            if fault:
                return fault
        return ""

    def _junk_fault(self, text: str) -> str:
        found = next((match.group() for match in _JUNK.finditer(text) if match.group() not in self.prompt), "")
        return f"junk: {found!r}" if found else ""

    def _length_fault(self, words: Sequence[str]) -> str:
        most = max(self.max_words, len(_WORD.findall(self.prompt)))
        return f"too long: {len(words)} words, {most} allowed" if len(words) > most else ""

    def _class_fault(self, text: str) -> str:
        mentions = find_phrases(text, (*self.own, *self.others))
        # Of a background it may be said that a class is not there, and what its own prompt says of one.
        asked_for = {mention.phrase for mention in find_phrases(self.prompt, self.others) if not mention.negated}
        for mention in mentions:
            allowed = not self.own and (mention.negated or mention.phrase in asked_for)
            if mention.phrase in self.others and not allowed:
                return f"names another class: {mention.phrase}"
        if not self.own:
            return ""
        mine = [mention for mention in mentions if mention.phrase in self.own]
        if not mine:
            return f"lacks the class noun: {self.own[0]}"
        if any(mention.negated for mention in mine):
            return f"denies its class: {mine[0].found}"
        asked = find_phrases(self.prompt, self.own)
        if any(mention.is_several for mention in mine) and not any(mention.is_several for mention in asked):
            return f"speaks of several: {mine[0].found}"
        if len(mine) > max(1, len(asked)):
            return f"speaks of several: {mine[0].found}, {mine[1].found}"
        return ""

    def _contradiction(self, words: Sequence[str]) -> str:
        # "white" in "white blood cell" is a name, not a colour.
        names = {word.lower() for phrase in (*self.own, *self.others) for word in _WORD.findall(phrase)}
        asked = [word for word in _words(self.prompt) if word not in names]
        free = [word for word in words if word not in names]
        for sides in opposites():
            said = [(word, side) for word in asked for side in sides if word in side]
            found = [(word, side) for word in free for side in sides if word in side]
            for word, side in found:
                against = next((other for other, its in (*said, *found) if its is not side), None)
                # A prompt may itself hold both: a black and white cat.
                if against and word not in asked:
                    return f"contradicts the prompt: '{word}' against '{against}'"
        return ""

    def _emptiness_fault(self, text: str) -> str:
        asked = _EMPTY.search(self.prompt)
        if self.own or asked is None or _EMPTY.search(text):
            return ""
        return f"no longer empty: the prompt says '{asked.group().lower()}'"

    def _blocked_fault(self, text: str) -> str:
        found = next((word for word in self.blocked if holds(text, word) and not holds(self.prompt, word)), None)
        return f"blocked word: {found}" if found else ""

    def _vocabulary_fault(self, text: str) -> str:
        asked = set(self.unknown_words([self.prompt]))
        strange = [word for word in self.unknown_words([text]) if word not in asked]
        return f"word unknown to the bundle: {', '.join(strange[:3])}" if strange else ""


def class_phrases(row: ClassSpec) -> tuple[str, ...]:
    """Phrases of which a text for a class must hold one: its name, its synonyms, or else its prompt's first words.

    A prompt that names neither ("black scorch marks and burnt cables" for the class "burn mark") stays whole up to its
    first comma but for its article, and is only gone on from: "a white blood cell" of the class "wbc" allows "a dark
    white blood cell".
    """
    phrases = (row.name, *row.synonyms)
    if find_phrases(row.prompt, phrases):
        return phrases
    parts = (category_name(" ".join(part.split())) for part in row.prompt.split(","))
    return (next((part for part in parts if any(map(str.isalpha, part))), row.name),)


def rules_of(spec: Spec, config: Config) -> dict[RowKey, Rules]:
    """Rules for the texts of every row: none names another class, those of a class name that, a background may say
    that a class is not there.
    """
    settings = config.prompts
    rules: dict[RowKey, Rules] = {}
    for row in spec.rows:
        own = class_phrases(row) if isinstance(row, ClassSpec) else ()
        named = [item for item in spec.classes if not (isinstance(row, ClassSpec) and item.name == row.name)]
        others = (phrase for item in named for phrase in (item.name, *item.synonyms) if phrase not in own)
        rules[row.key] = Rules(
            prompt=row.prompt,
            own=own,
            others=tuple(others),
            max_words=settings.max_words,
            blocked=blocked_words() if settings.block_words else (),
            unknown_words=config.card.unknown_words,
        )
    return rules


def clean(text: str) -> str:
    """Cut what a language model wrote to its first sentence, without quotes, numbering and a final full stop.

    clean(' "a cow in a field. It is') is 'a cow in a field'.
    """
    before = None
    while text != before:  # '1. "2. a cow"': what is cut off may lay bare more of it
        before = text
        text = " ".join(text.split())
        text = re.sub(r"^(?:[-*•]|\d+[.)])\s+", "", text).strip("\"“”'` ")
        end = _SENTENCE_END.search(text)
        text = (text[: end.start()] if end else text).strip(" ,;:-\"“”'`")
    return text


@functools.cache
def blocked_words() -> tuple[str, ...]:
    """Words that should not be painted."""
    return _lines_of("blocked_words.txt")


@functools.cache
def opposites() -> tuple[tuple[frozenset[str], ...], ...]:
    """Groups of sides, each a set of words; words of two sides of a group contradict each other."""
    return tuple(
        tuple(frozenset(side.strip().split("/")) for side in line.split(",")) for line in _lines_of("opposites.txt")
    )


def _lines_of(name: str) -> tuple[str, ...]:
    lines = (Path(__file__).parent / name).read_text(encoding="utf-8").splitlines()
    return tuple(line.strip() for line in lines if line.strip() and not line.startswith("#"))


def _words(text: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(text)]


def _fragment_fault(text: str, words: Sequence[str]) -> str:
    if len(words) < MIN_WORDS:
        return "fragment: too short"
    if _LOOSE_END.fullmatch(words[-1]):
        return f"fragment: ends with '{words[-1]}'"
    if text.count('"') % 2 or text.count("(") != text.count(")"):
        return "fragment: an open quote or bracket"
    return ""


def _repetition_fault(words: Sequence[str]) -> str:
    twice = next((word for word, after in itertools.pairwise(words) if word == after), None)
    if twice:
        return f"repetition: '{twice} {twice}'"
    triples = Counter(zip(words, words[1:], words[2:], strict=False))
    triple = next((triple for triple, count in triples.items() if count > 1 and not set(triple) <= _SMALL_WORDS), None)
    if triple:
        return f"repetition: '{' '.join(triple)}'"
    word, count = max(
        ((word, count) for word, count in Counter(words).items() if word not in _SMALL_WORDS),
        key=lambda item: item[1],
        default=("", 0),
    )
    return f"repetition: '{word}' {count} times" if count > MAX_USES_OF_A_WORD else ""


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
