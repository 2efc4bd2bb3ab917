r"""Splits a sentence into tokens: numbers, operators and words.

Prose, Markdown and LaTeX are treated alike: "$9,500", "**9 500**", `\boxed{9{,}500}` and "9.5 thousand" are
the same number. An ambiguous numeral ("3:30", "1,5", "1.2.3") becomes a `bad` token, never only its
beginning. Every pattern takes linear time.
"""

import re
import unicodedata
from fractions import Fraction
from typing import Literal, NamedTuple, cast

LONGEST_NUMERAL = 400
"""Longest numeral, in characters; a longer one cannot be the answer of a word problem."""


Kind = Literal["number", "bad", "operator", "equals", "break", "percent", "word"]


class Token(NamedTuple):
    """A token of a sentence."""

    kind: Kind
    """bad: an ambiguous numeral or sign. break: a separator of clauses."""
    text: str = ""
    """The operator (`+ - * / ^ ( )`), or the word in lower case."""
    value: Fraction = Fraction(0)
    """Value of a number."""
    tight: bool = False
    """Whether no blank precedes it."""


_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
_CHARACTERS = str.maketrans(
    {
        **dict.fromkeys("−‒﹣－‐‑", "-"),
        **dict.fromkeys("×·⋅∗•✕✖", "*"),
        **dict.fromkeys("÷∕", "/"),
        **dict.fromkeys("≈≃≅≡＝", "="),
        **dict.fromkeys(
            "\u00a0\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u3000\t", " "
        ),
        **dict.fromkeys("\u200b\u200c\u200d\u2060\ufeff", ""),
        **dict.fromkeys('`"“”„«»', " "),
        "’": "'",
        "＄": "$",
        "，": ",",
        "％": "%",
        "—": " , ",
    }
)

_WRAPPER = re.compile(
    r"\\(?:text(?:bf|it|rm|sf|tt)?|math(?:rm|bf|it|sf|tt|cal)|mbox|boxed|fbox|emph|underline|bm|boldsymbol)"
    r"\s*\{([^{}]*)\}"
)
_FRACTION = re.compile(r"\\[dtc]?frac\s*(?:\{([^{}]*)\}|(\d))\s*(?:\{([^{}]*)\}|(\d))")
_COMMA = re.compile(r"\{,\}|,\\!")
_GROUPED_POWER = re.compile(r"\^\s*\{([^{}]*)\}")
_SUBSTITUTIONS = tuple(
    (re.compile(pattern), by)
    for pattern, by in (
        (r"<<[^<>]*>>", ""),  # GSM8K's calculator marks
        (r"</?[A-Za-z]+/?>", " "),
        (r"~~[^~]*~~", " "),
        (r"\\!", ""),
        (r"\\\$", "$"),
        (r"\\%", "%"),
        (r"\\[,;: ]|\\q?quad(?![a-z])|~", " "),
        (r"\\(?:left|right|[bB]igg?[lr]?)(?![a-z])|\\[()\[\]]", " "),
        (r"\\(?:times|cdot|ast)(?![a-z])", "*"),
        (r"\\div(?![a-z])", "/"),
        (r"\\(?:approx|equiv|simeq)(?![a-z])", "="),
        (r"(?<=\d)\s?\*\*\s?(?=-?\d)", "^"),
        (r"(?:^|(?<=\s))\*(?=[^*\s])([^*]*[^*\s])\*(?!\w)", r"\1"),
        (r"\*\*|__", " "),
        (r"(?<=\d)–(?=\$?\d)", " to "),
        (r"–", "-"),
        (r"(?<=\d) and (?:a|one)[ -]half\b", " 1⁄2"),
        (r"(?<=\d) and (?:a|one)[ -]quarter\b", " 1⁄4"),
        (r"(?<=\d) and three[ -]quarters\b", " 3⁄4"),
        (r"(?<=\d) and (?=\d{1,3}[/⁄]\d)", " "),
        (r"\b(?:square|cube) of\b", "product of"),  # a word that makes another number: `_COMPUTING`
        (r"\bmultiplied by\b", "*"),
        (r"\btimes (?=[-$(]*\d)", "* "),
        (r"\bdivided by\b", "/"),
        (r"\bplus (?=[-$(]*\d)", "+ "),
        (r"\b(?:minus|negative) (?=[$(]*[.\d])", "-"),
        (r"\b(?:is|are|was|were) (?:equal to|the same as)\b|\bequal to\b", "="),
        (r"(?<=[\d)]) ?[xX] ?(?=[$(]?\d)", " * "),
        (r"(?<=\d)[eE](?=[-+]?\d{1,3}(?!\w))", "*10^"),
        (r"(?<![\w.])i\.e\.?,?", " namely "),
    )
)


def plain(sentence: str) -> str:
    """The sentence without markup: one character per operator, fractions as a/b, plain blanks and digits."""
    if not sentence.isascii():
        sentence = "".join(map(_one_character, sentence)).translate(_CHARACTERS)
    sentence = _COMMA.sub(",", sentence)
    if "\\" in sentence:
        for _ in range(6):  # from the inside out
            shorter = _FRACTION.sub(_fraction, _WRAPPER.sub(r" \1 ", sentence))
            if shorter == sentence:
                break
            sentence = shorter
    for pattern, by in _SUBSTITUTIONS:
        sentence = pattern.sub(by, sentence)
    return _GROUPED_POWER.sub(r"^(\1)", sentence).replace("{", " ").replace("}", " ")


def _one_character(character: str) -> str:
    """Digits of other scripts as ASCII; "½" as " 1⁄2 "; "²" as "^2"."""
    if character.isascii():
        return character
    if character in "⁰¹²³⁴⁵⁶⁷⁸⁹⁻":
        return "^" + character.translate(_SUPERSCRIPTS)
    if character.isdecimal():
        return str(unicodedata.decimal(character))
    if unicodedata.category(character) == "No":
        return f" {unicodedata.normalize('NFKC', character)} "
    return character


def _fraction(match: re.Match[str]) -> str:
    above, below = (match[1] or match[2] or ""), (match[3] or match[4] or "")
    if above.strip().isdigit() and below.strip().isdigit():
        return f" {above.strip()}⁄{below.strip()} "
    return f" (({above})/({below})) "


_TOKEN = re.compile(
    r"""(?P<mixed>\d+[ ]+\d+[⁄/]\d+(?![\d.,:/]))
    |(?P<spaced>\d{1,3}(?:[ ]\d{3})+(?:\.\d+)?(?![\d:/']|[.,]\d))
    |(?P<numeral>(?:\d+|(?<![\d.])(?=\.\d))(?:[.,:'_]\d+)*)
    |(?P<equals>=+)
    |(?P<operator>[-+*/⁄^()])
    |(?P<percent>%)
    |(?P<break>[,;&])
    |(?P<word>\\?[^\W\d_]+(?:['-][^\W\d_]+)*)
    |(?P<bad>[<>≤≥±∓≠!:])
    |(?P<rest>\S)""",
    re.VERBOSE,
)
_CURRENCY = re.compile(
    r"(?:(?<![A-Za-z])(?:US|CA|AU)?[$€£¥₹₱₩]|(?<![A-Za-z])(?:USD|EUR|GBP|Rs\.?)(?= ?\d))\s?"
)
_EQUALS = frozenset({"is", "are", "was", "were", "equals", "makes", "gives", "becomes", "totals"})
_BREAKS = frozenset({"and", "or", "but", "so", "then"})
_SCALES = {
    **dict.fromkeys(("hundred", "hundreds"), 10**2),
    **dict.fromkeys(("thousand", "thousands", "grand"), 10**3),
    **dict.fromkeys(("million", "millions", "mn"), 10**6),
    **dict.fromkeys(("billion", "billions", "bn"), 10**9),
    **dict.fromkeys(("trillion", "trillions"), 10**12),
    **dict.fromkeys(("lakh", "lakhs"), 10**5),
    **dict.fromkeys(("crore", "crores"), 10**7),
}
_ATTACHED = {"k": 10**3, "K": 10**3, "M": 10**6, "B": 10**9}
"""Letters that scale the number directly before them."""
_VARIABLES = frozenset("xyzn")


def tokens(sentence: str) -> list[Token]:
    """The tokens of a plain sentence, without currency signs, since the question sets the unit."""
    found: list[Token] = []
    end = 0
    sentence = _CURRENCY.sub("", sentence)
    for match in _TOKEN.finditer(sentence):
        tight = match.start() == end > 0
        end = match.end()
        _append(found, match.lastgroup or "", match.group(), tight)
    return found


def _append(found: list[Token], kind: str, text: str, tight: bool) -> None:
    after_number = bool(found) and found[-1].kind == "number"
    if kind in ("mixed", "spaced", "numeral"):
        value = _mixed(text) if kind == "mixed" else numeral(text)
        touching = tight and bool(found) and found[-1].kind in ("word", "number", "bad")
        if value is None or touching:  # "H2O"
            found.append(Token("bad", text, tight=tight))
        else:
            found.append(Token("number", text, value, tight))
    elif kind == "word":
        _append_word(found, text, tight, after_number)
    elif kind == "operator":
        found.append(Token("operator", "/" if text == "⁄" else text, tight=tight))
    elif kind in ("equals", "percent", "break"):
        found.append(Token(cast(Kind, kind), text, tight=tight))
    elif kind == "bad" and text not in "!:":
        found.append(Token("bad", text, tight=tight))


def _append_word(found: list[Token], text: str, tight: bool, after_number: bool) -> None:
    word = text.lower()
    scale = _SCALES.get(word) or (_ATTACHED.get(text) if tight else None)
    if after_number and scale:
        found[-1] = Token("number", found[-1].text, found[-1].value * scale, found[-1].tight)
    elif word.startswith("\\") or (after_number and tight and word in _VARIABLES):
        found.append(Token("bad", word, tight=tight))  # an unknown command; "18x"
    elif word in _EQUALS:
        found.append(Token("equals", word, tight=tight))
    elif word in _BREAKS:
        found.append(Token("break", word, tight=tight))
    elif word == "percent":
        found.append(Token("percent", word, tight=tight))
    else:
        found.append(Token("word", word, tight=tight))


_PLAIN_INTEGER = re.compile(r"\d+")
_NUMERALS: tuple[tuple[re.Pattern[str], str, str], ...] = tuple(
    (re.compile(pattern), group, point)
    for pattern, group, point in (
        (r"\d*\.?\d+", "", "."),
        (r"\d{1,3}(?:,\d{3})+(?:\.\d+)?", ",", "."),
        (r"\d{1,3}(?: \d{3})+(?:\.\d+)?", " ", "."),
        (r"\d{1,3}(?:'\d{3})+(?:\.\d+)?", "'", "."),
        (r"\d{1,3}(?:_\d{3})+(?:\.\d+)?", "_", "."),
        (r"\d{1,3}(?:\.\d{3}){2,}(?:,\d+)?|\d{1,3}\.\d{3},\d+", ".", ","),
        (r"\d{1,2}(?:,\d{2})+,\d{3}(?:\.\d+)?", ",", "."),
    )
)
"""Ways to group digits: pattern, grouping character, decimal character. "1.000" is the decimal number 1."""


def numeral(text: str) -> Fraction | None:
    """The value of unsigned digits with grouping and decimal characters; None if they are ambiguous."""
    if len(text) > LONGEST_NUMERAL:
        return None
    for pattern, group, point in _NUMERALS:
        if pattern.fullmatch(text):
            digits = text.replace(group, "") if group else text
            return Fraction(digits.replace(point, "."))
    return None


def _mixed(text: str) -> Fraction | None:
    """The value of a mixed number, "1 1/2"; None unless the second part is a proper fraction."""
    whole, above, below = map(int, re.split(r"[ ]+|[⁄/]", text))
    return whole + Fraction(above, below) if above < below else None
