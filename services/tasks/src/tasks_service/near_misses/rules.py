"""Pure rules of near misses: what in a title says that it is like some words, and how much it has to be."""

import re

MOST_ALIKE = 20
LEAST_LIKENESS = 0.35
LEAST_OF_SHORT = 0.5
"""How much a title is to be like so few letters that two parts of three are many."""
SHORT = 5
SLIP = 0.75
"""How much a title is like words that are all in it, but for a slip in each."""
SLIPS_IN = range(3, 7)
"""In words of how many letters a slip is looked for: of a longer one enough is left of what is compared."""
MOST_SLIPS = 4
"""In how many words at once."""
MOST_COMPARED = 80
"""How many characters are compared with titles."""


def pieces_of(words: str) -> list[str]:
    """Return the parts of three letters that words are compared by, as they are in a title between two spaces."""
    spaced = (f"  {word} " for word in _words(words))
    parts = (word[at : at + 3].replace("  ", " ") for word in spaced for at in range(len(word) - 2))
    return list(dict.fromkeys(parts))


def slips_of(words: str) -> list[tuple[list[str], str]]:
    """Return for each of some words how it is seen in a title whether it is there but for a slip.

    A slip is a letter that is missing, wrong or one too many, or two that are swapped. A regular expression in lower
    case says so, and before it, since that is quicker, parts of which one is there. Nothing is returned of too many
    words, or where one of them is long.
    """
    found = _words(words)
    if len(found) > MOST_SLIPS or not any(map(_slips, found)) or any(len(word) >= SLIPS_IN.stop for word in found):
        return []
    return [(_halves(word), rf"\m(?:{'|'.join([word, *_slips(word)])})\M") for word in found]


def _words(text: str) -> list[str]:
    return list(dict.fromkeys(re.findall(r"[^\W_]+", text.lower())))


def _halves(word: str) -> list[str]:
    """Return what a word has one of where there is a slip in it."""
    half = len(word) // 2
    return [word[:half], word[half:], _swapped(word, half - 1)] if len(word) in SLIPS_IN else [word]


def _slips(word: str) -> list[str]:
    """Return how a word is written where what was typed has a slip; of three letters, none of them is a wrong one."""
    if len(word) not in SLIPS_IN or re.search(r"\d", word):
        return []
    more = [rf"{word[:at]}\w{word[at:]}" for at in range(len(word) + 1)]
    others = [rf"{word[:at]}\w?{word[at + 1 :]}" for at in range(len(word)) if len(word) > SLIPS_IN.start]
    return [*more, *others, *(_swapped(word, at) for at in range(len(word) - 1))]


def _swapped(word: str, at: int) -> str:
    return f"{word[:at]}{word[at + 1]}{word[at]}{word[at + 2 :]}"


def least_likeness(words: str) -> float:
    """Return how much a title has to be like some words."""
    return LEAST_OF_SHORT if len("".join(_words(words))) <= SHORT else LEAST_LIKENESS
