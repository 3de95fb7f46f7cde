"""Words of dates in the languages of spreadsheet programs: months, days of the week, halves of the day."""

# ruff: noqa: RUF001 - letters of other alphabets are meant

import re
from collections.abc import Mapping

MONTHS: Mapping[str, str] = {
    # English, German, Dutch, Danish, Norwegian, Swedish
    "Jan": "jan january januar jänner januari",
    "Feb": "feb february februar februari",
    "Mar": "mar march mär märz mrz maart mrt mars marts",
    "Apr": "apr april",
    "May": "may mai mei maj",
    "Jun": "jun june juni",
    "Jul": "jul july juli",
    "Aug": "aug august augustus augusti",
    "Sep": "sep sept september",
    "Oct": "oct october okt oktober",
    "Nov": "nov november",
    "Dec": "dec december dez dezember des desember",
}
ROMANCE_MONTHS: Mapping[str, str] = {
    # French, Spanish, Portuguese, Italian
    "Jan": "janv janvier ene enero janeiro gen gennaio",
    "Feb": "fév févr février fevr fevrier febrero fev fevereiro febbraio",
    "Mar": "marzo março",
    "Apr": "avr avril abr abril aprile",
    "May": "mayo maio mag maggio",
    "Jun": "juin junio junho giu giugno",
    "Jul": "juil juillet julio julho lug luglio",
    "Aug": "août aout ago agosto",
    "Sep": "septembre septiembre setiembre set setembro settembre",
    "Oct": "octobre octubre out outubro ott ottobre",
    "Nov": "novembre noviembre novembro",
    "Dec": "déc décembre decembre dic diciembre dezembro dicembre",
}
OTHER_MONTHS: Mapping[str, str] = {
    # Polish, Czech, Russian, Turkish
    "Jan": "sty stycznia ledna янв января ocak",
    "Feb": "lut lutego února фев февр февраля şubat",
    "Mar": "marca března мар марта mart",
    "Apr": "kwi kwietnia dubna апр апреля nisan",
    "May": "maja května мая mayıs",
    "Jun": "cze czerwca června июн июня haziran",
    "Jul": "lip lipca července июл июля temmuz",
    "Aug": "sie sierpnia srpna авг августа ağustos",
    "Sep": "wrz września září сен сент сентября eylül",
    "Oct": "paź października října окт октября ekim",
    "Nov": "lis listopada listopadu ноя нояб ноября kasım",
    "Dec": "gru grudnia prosince дек декабря aralık",
}

NO_MEANING = (
    # days of the week in German, French, Spanish, Italian, Dutch and Portuguese
    "montag dienstag mittwoch donnerstag freitag samstag sonntag lundi mardi mercredi jeudi vendredi samedi dimanche "
    "lunes martes miércoles jueves viernes sábado domingo lunedì martedì mercoledì giovedì venerdì sabato domenica "
    "maandag dinsdag woensdag donderdag vrijdag zaterdag zondag mo di mi do fr sa so lun mer jeu ven sam dim "
    # words between the parts, and after them
    "de del of the um à uhr г года"
)  # fmt: skip

MONTH_WORDS: Mapping[str, str] = {
    word: month
    for months in (MONTHS, ROMANCE_MONTHS, OTHER_MONTHS)
    for month, words in months.items()
    for word in words.split()
}
"""English abbreviation of the month that a word in lower case means."""

TRANSLATIONS: Mapping[str, str] = {**dict.fromkeys(NO_MEANING.split(), ""), **MONTH_WORDS}

WORD = re.compile(r"[^\W\d_]+\.?")
MAX_DATE_LENGTH = 64
"""Maximum number of characters of a date; a longer text is none."""

EAST_ASIAN_DATE = re.compile(r"(\d{4})\s*[年년]\s*(\d{1,2})\s*[月월](?:\s*(\d{1,2})\s*[日号일])?\s*(?:[(（].[)）])?")
EAST_ASIAN_TIME = re.compile(r"(\d{1,2})\s*[時时点시]\s*(\d{1,2})\s*[分분](?:\s*(\d{1,2})\s*[秒초])?")
EAST_ASIAN_HALF = re.compile(r"(?:(上午|午前|오전)|下午|午後|오후)\s*(\d{1,2}:\d\d(?::\d\d)?)")


def has_month(text: str) -> bool:
    """Return whether a text contains the name of a month."""
    return any(_lower(word) in MONTH_WORDS for word in WORD.findall(text))


def in_english(text: str) -> str:
    """Return a date with the names of months in English, without days of the week and filling words."""
    return " ".join(WORD.sub(lambda match: TRANSLATIONS.get(_lower(match[0]), match[0]), text).split()).lstrip(", ")


def _lower(word: str) -> str:
    return word.rstrip(".").lower()


def in_ascii(text: str) -> str:
    """Return a date of East Asia with hyphens and colons: 2020年5月31日 下午3:04 gives 2020-05-31 3:04 PM."""
    text = EAST_ASIAN_DATE.sub(lambda match: "-".join(part.zfill(2) for part in match.groups() if part) + " ", text)
    text = EAST_ASIAN_TIME.sub(lambda match: ":".join(part.zfill(2) for part in match.groups() if part), text)
    text = EAST_ASIAN_HALF.sub(lambda match: match[2] + (" AM" if match[1] else " PM"), text)
    return " ".join(text.split())
