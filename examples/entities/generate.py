"""Write the annotated texts that a project of entities starts with: messages of an invented purchasing department.

    python examples/entities/generate.py > texts.jsonl

Every name is put together at random from the lists below, and no text is about a real person or company. The texts
are made to be hard: most names occur once, a name may be a person, an organisation or a place, longer names contain
shorter ones, a quarter of the texts is in lower case, and some have typing errors.
"""

import argparse
import json
import random
import sys
from collections.abc import Sequence

TEXTS = 500
SEED = 3

LOWER_CASE = 0.25
TYPING_ERRORS = 0.2
"""Shares of the texts in lower case, and of those with typing errors."""

FIRST_NAMES = (
    "Ada", "Amir", "Bruno", "Carla", "Chidi", "Clara", "Dalia", "Edgar", "Elif", "Emeka", "Farah", "Georgia", "Hanna",
    "Hugo", "Ines", "Ivan", "Jade", "Jordan", "Kofi", "Lars", "Leila", "Lin", "Marta", "Mehmet", "Nora", "Olga",
    "Paris", "Priya", "Ravi", "Rosa", "Sana", "Sydney", "Tomas", "Uma", "Victor", "Wanda", "Yusuf", "Zoë",
)  # fmt: skip
SURNAME_STARTS = (
    "Ber",
    "Cal",
    "Dor",
    "Fen",
    "Gar",
    "Hal",
    "Kor",
    "Lam",
    "Mar",
    "Nov",
    "Ost",
    "Pel",
    "Ros",
    "Sal",
    "Tor",
    "Wen",
)
SURNAME_ENDS = (
    "ano",
    "berg",
    "dale",
    "ek",
    "eva",
    "field",
    "ic",
    "ini",
    "man",
    "oğlu",
    "ov",
    "sen",
    "son",
    "stein",
    "well",
    "wood",
)
PLACE_STARTS = (
    "Al",
    "Bel",
    "Bor",
    "Cor",
    "Dun",
    "El",
    "Fal",
    "Gol",
    "Ham",
    "Ker",
    "Lan",
    "Mal",
    "Nor",
    "Port",
    "Ren",
    "Sel",
    "Ul",
    "Ver",
)
PLACE_ENDS = (
    "avik",
    "burg",
    "by",
    "dale",
    "ford",
    "grad",
    "ia",
    "mouth",
    "ona",
    "field",
    "stad",
    "ton",
    "ville",
    "wood",
)
TRADES = (
    "Foods",
    "Freight",
    "Glass",
    "Instruments",
    "Labs",
    "Logistics",
    "Paper",
    "Pumps",
    "Steel",
    "Systems",
    "Textiles",
    "Tools",
)
FORMS = ("AG", "Group", "Inc", "Ltd", "& Sons", "Partners", "SpA")
PRODUCT_WORDS = (
    "Arrow",
    "Atlas",
    "Beam",
    "Clara",
    "Comet",
    "Delta",
    "Falcon",
    "Hydra",
    "Jade",
    "Lynx",
    "Nova",
    "Orion",
    "Pulse",
    "Titan",
)
PRODUCT_KINDS = ("conveyor", "drill", "label printer", "pump", "scanner", "valve")

TEMPLATES = (
    "{PERSON} from {ORG} called about the {PRODUCT}.",
    "Please send two {PRODUCT} to our site in {PLACE}.",
    "{ORG} has moved its office to {PLACE}, says {PERSON}.",
    "The contract with {ORG} ends in May, ask {PERSON}.",
    "{PERSON} is in {PLACE} until Friday.",
    "We got the wrong {PRODUCT} again, {ORG} will replace it.",
    "Can {PERSON} approve the offer of {ORG}?",
    "Delivery from {PLACE} to {PLACE} takes nine days.",
    "The {PRODUCT} in {PLACE} is broken and {PERSON} is on leave.",
    "Invoice 4711 of {ORG} is still open.",
    "Meeting with {PERSON} and {PERSON} at noon.",
    "{PERSON}, {PLACE}, has not paid.",
    "{ORG}, {PLACE}: price list attached.",
    "Who knows {PERSON}?",
    "Who knows {ORG}?",
    "Who has been to {PLACE}?",
    "Is the {PRODUCT} better than the {PRODUCT}?",
    "Thanks, {PERSON}",
    "{PERSON} left {ORG} for {ORG}.",
    "I prefer {ORG} to {ORG}, they deliver to {PLACE}.",
    "{ORG} stopped making the {PRODUCT}.",
    "{PRODUCT} ordered, {PERSON} informed.",
    "Ask {ORG}",
    "Ask {PERSON}",
    "News from {PLACE}: {ORG} is hiring.",
    "News from {ORG}: {PERSON} is the new head of sales.",
    "{PLACE} wants the {PRODUCT} by Monday.",
    "{ORG} wants the {PRODUCT} by Monday.",
    "{PERSON} wants the {PRODUCT} by Monday.",
    "Call {PERSON} ({ORG}) before you go to {PLACE}.",
    "The arrow on the label printer points the wrong way.",
    "Nothing new this week, the drill works.",
    "Our titan of a boss wants a report on paper by Monday.",
    "Steel and glass are getting dearer.",
)
"""Texts with a place for each entity; those without are no mistake."""


class Names:
    """Names, drawn at random."""

    def __init__(self, generator: random.Random) -> None:
        self._random = generator
        self._makers = {
            "PERSON": (self._full_name, self._full_name, self._full_name, self._first_name, self._surname),
            "ORG": (self._company, self._company, self._of_person, self._of_place, self._bare_company),
            "PLACE": (self._town, self._town, self._town, self._long_place, self._ambiguous_place),
            "PRODUCT": (self._model, self._model, self._model_of_kind, self._model_of_kind, self._bare_product),
        }

    def one(self, label: str) -> str:
        """Return a name with this label."""
        return self._random.choice(self._makers[label])()

    def _of(self, words: Sequence[str]) -> str:
        return self._random.choice(words)

    def _first_name(self) -> str:
        return self._of(FIRST_NAMES)

    def _surname(self) -> str:
        return self._of(SURNAME_STARTS) + self._of(SURNAME_ENDS)

    def _full_name(self) -> str:
        return f"{self._first_name()} {self._surname()}"

    def _town(self) -> str:
        return self._of(PLACE_STARTS) + self._of(PLACE_ENDS)

    def _long_place(self) -> str:
        return f"{self._of(('East', 'New', 'Old', 'Saint', 'Upper'))} {self._of((self._town(), self._surname()))}"

    def _ambiguous_place(self) -> str:
        return self._of(("Georgia", "Jordan", "Paris", "Sydney", self._surname()))

    def _company(self) -> str:
        return f"{self._of((self._town(), self._surname()))} {self._of(TRADES)}"

    def _bare_company(self) -> str:
        return self._of((self._surname(), f"{self._of(PRODUCT_WORDS)} {self._of(TRADES)}", self._town()))

    def _of_person(self) -> str:
        return f"{self._of((self._surname(), self._full_name()))} {self._of(FORMS)}"

    def _of_place(self) -> str:
        return f"{self._of(('Bank of', 'Port of', 'University of'))} {self._town()}"

    def _model(self) -> str:
        return f"{self._of(PRODUCT_WORDS)} {self._random.randrange(2, 90)}{self._of(('', '0', '00'))}"

    def _model_of_kind(self) -> str:
        return f"{self._of((*PRODUCT_WORDS, self._surname()))} {self._of(PRODUCT_KINDS)}"

    def _bare_product(self) -> str:
        return self._of(PRODUCT_WORDS)


def mistyped(name: str, generator: random.Random) -> str:
    """Return a name with two neighbouring letters in the wrong order, or one left out."""
    if len(name) < 5:
        return name
    place = generator.randrange(1, len(name) - 2)
    if generator.random() < 0.5:
        return name[:place] + name[place + 1 :]
    return name[:place] + name[place + 1] + name[place] + name[place + 2 :]


def text_of(template: str, names: Names, generator: random.Random) -> dict[str, object]:
    """Return a text with its entities."""
    lower = generator.random() < LOWER_CASE
    typing_errors = generator.random() < TYPING_ERRORS
    text, entities = "", []
    for part in template.replace("{", "}").split("}"):
        piece = part
        if part.isupper() and part.isalpha() and len(part) > 2:
            piece = names.one(part)
            if typing_errors:
                piece = mistyped(piece, generator).strip()
            entities.append({"start": len(text), "end": len(text) + len(piece), "label": part})
        text += piece
    return {"text": text.lower() if lower else text, "entities": entities}


def texts(count: int, seed: int) -> list[dict[str, object]]:
    """Return different texts with their entities."""
    generator = random.Random(seed)
    names = Names(generator)
    found: dict[object, dict[str, object]] = {}
    while len(found) < count:
        text = text_of(generator.choice(TEMPLATES), names, generator)
        found.setdefault(text["text"], text)
    return list(found.values())


def main() -> int:
    """Print the texts as JSON Lines, and return the exit status."""
    parser = argparse.ArgumentParser(description="Write annotated texts as JSON Lines.")
    parser.add_argument("--texts", type=int, default=TEXTS)
    parser.add_argument("--seed", type=int, default=SEED)
    arguments = parser.parse_args()
    for text in texts(arguments.texts, arguments.seed):
        print(json.dumps(text, ensure_ascii=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
