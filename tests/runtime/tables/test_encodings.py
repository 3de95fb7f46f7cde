"""Small tables in the languages and encodings of spreadsheet programs."""

import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

import mlops_runtime
from mlops_runtime.tables.source import open_source

LANGUAGES = {
    "russian": (
        "имя,город,доход,класс",
        "Иван,Москва Мария,Санкт-Петербург Пётр,Казань Ольга,Самара Анна,Екатеринбург",
    ),
    "ukrainian": ("ім'я,місто,дохід,клас", "Іван,Київ Марія,Львів Петро,Одеса Ольга,Харків Їжак,Чернігів"),
    "bulgarian": ("име,град,доход,клас", "Иван,София Мария,Пловдив Петър,Варна Георги,Бургас"),
    "japanese": ("名前,都市,収入,クラス", "田中,さいたま 鈴木,大阪 佐藤,つくば 高橋,札幌 山田,横浜市"),
    "simplified-chinese": ("姓名,城市,收入,类别", "张伟,北京 王芳,上海 李娜,广州 刘洋,深圳 陈静,成都"),
    "traditional-chinese": ("姓名,城市,收入,類別", "張偉,臺北 王芳,高雄 李娜,臺中 劉洋,新竹 陳靜,臺南"),
    "korean": ("이름,도시,소득,분류", "김민수,서울 이영희,부산 박철수,대구 최지우,인천"),
    "polish": (
        "imię,miasto,dochód,klasa",
        "Łukasz,Łódź Małgorzata,Kraków Żaneta,Gdańsk Paweł,Wrocław Świętosława,Poznań",
    ),
    "czech": ("jméno,město,příjem,třída", "Jiří,Plzeň Tomáš,Brno Žofie,Praha Kateřina,Ústí Luděk,Budějovice"),
    "hungarian": ("név,város,jövedelem,osztály", "Győző,Győr Erzsébet,Szeged László,Pécs Ágnes,Székesfehérvár"),
    "romanian": ("nume,oraş,vârstă,clasă", "Ştefan,Braşov Ioana,Timişoara Mihai,Iaşi Andreea,Bucureşti"),
    "croatian": ("ime,grad,prihod,klasa", "Željko,Šibenik Đurđa,Čakovec Krešimir,Poreč Nikša,Đakovo"),
    "german": ("Name,Straße,Größe,Klasse", "Jürgen,Königsallee Müller,Bäckerweg Schröder,Großgasse"),
    "french": ("prénom,ville,âge,catégorie", "Hélène,Besançon François,Orléans Zoé,Nîmes Loïc,Angoulême"),
    "spanish": ("nombre,ciudad,años,categoría", "José,Málaga Begoña,Coruña Iñaki,Córdoba Ana,Cádiz"),
    "greek": ("όνομα,πόλη,εισόδημα,τάξη", "Γιώργος,Αθήνα Μαρία,Θεσσαλονίκη Κώστας,Πάτρα Ελένη,Ηράκλειο"),
    "turkish": ("ad,şehir,gelir,sınıf", "Ayşe,İstanbul Mehmet,Eskişehir Çağla,Muğla Uğur,Diyarbakır Gülşen,Kırıkkale"),
    "thai": ("ชื่อ,เมือง,รายได้,ประเภท", "สมชาย,กรุงเทพ สมหญิง,เชียงใหม่ วิชัย,ขอนแก่น"),
    "lithuanian": ("vardas,miestas,pajamos,klasė", "Jonas,Šiauliai Rūta,Panevėžys Ąžuolas,Klaipėda"),
}
"""Header, and names with cities."""

ENCODINGS = {
    "russian": "cp1251 koi8-r cp866 iso8859-5 mac_cyrillic",
    "ukrainian": "cp1251 koi8-u",
    "bulgarian": "cp1251",
    "japanese": "shift_jis cp932 euc-jp iso2022_jp",
    "simplified-chinese": "gb18030 gb2312",
    "traditional-chinese": "big5",
    "korean": "euc-kr cp949",
    "polish": "cp1250 iso8859-2",
    "czech": "cp1250 iso8859-2",
    "hungarian": "cp1250 iso8859-2",
    "romanian": "cp1250 iso8859-2",
    "croatian": "cp1250 iso8859-2",
    "german": "cp1252 latin-1 cp850 mac_roman",
    "french": "cp1252 iso8859-15",
    "spanish": "cp1252 latin-1",
    "greek": "cp1253 iso8859-7",
    "turkish": "cp1254 iso8859-9",
    "thai": "cp874",
    "lithuanian": "cp1257 iso8859-13",
}


@pytest.mark.parametrize("rows", [8, 200])
@pytest.mark.parametrize(
    ("language", "encoding"),
    [
        pytest.param(language, encoding, id=f"{language}-{encoding}")
        for language, encodings in ENCODINGS.items()
        for encoding in encodings.split()
    ],
)
def test_a_table_is_read_in_its_language(language: str, encoding: str, rows: int, tmp_path: Path) -> None:
    # given
    header, pairs = LANGUAGES[language]
    draw = Random(1)
    lines = [f"{draw.choice(pairs.split())},{draw.randrange(1000, 9000)},{draw.randrange(2)}" for _ in range(rows)]
    path = tmp_path / "table.csv"
    path.write_bytes("\n".join([header, *lines, ""]).encode(encoding))
    # when
    source = open_source(path)
    # then
    assert source.header == tuple(header.split(","))
    assert [",".join(cells) for _, cells in source.raw_rows()] == lines


@pytest.mark.parametrize(
    ("cities", "encoding"),
    [
        pytest.param("Köln Gießen", "cp850", id="dos-few-letters"),
        pytest.param("Málaga Köln naïve", "cp437", id="dos"),
        pytest.param("İstanbul Eskişehir Muğla", "cp1254", id="turkish"),
        pytest.param("Reykjavík Þingvellir Ísafjörður", "cp1252", id="icelandic"),
        pytest.param("Köln Gießen", "cp1252", id="german"),
    ],
)
def test_few_letters_tell_an_encoding(cities: str, encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    names = cities.split()
    path.write_bytes("".join(f"{name},{number}\n" for number, name in enumerate(["city", *names])).encode(encoding))
    assert [cells[0] for _, cells in open_source(path).raw_rows()] == names


LONG = 900_000
READ = """
import sys
from pathlib import Path
from mlops_runtime.tables.cells import cell_reader
from mlops_runtime.tables.source import SourceError, open_source
KINDS = ("number", "integer", "boolean", "choice", "category", "text", "date", "datetime", "time")
readers = [cell_reader(kind, decimal, None, frozenset()) for kind in KINDS for decimal in ".,"]
try:
    source = open_source(Path(sys.argv[1]))
    print([[read(cell)[:9] for read in readers] for _, cells in source.raw_rows(fit=False) for cell in cells[:9]])
except SourceError as error:
    print(error)
"""


@pytest.mark.parametrize(
    "unit",
    [b"a", b"9", b" ", b"-", b".", b"'", b"1,", b";", b'""', b"\t", b"\xc2\xa0", b"\xe2\x80\x8d", b"ab "],
    ids=repr,
)
def test_a_long_line_takes_time_in_proportion_to_its_length(tmp_path: Path, unit: bytes) -> None:
    # given: a long line, after one that is not UTF-8; time in proportion to the square of its length would be minutes
    path = tmp_path / "long.csv"
    path.write_bytes(b"name,value\nK\xf6ln,1\nabc," + unit * (LONG // len(unit)) + b"x\n")
    environment = {"PYTHONPATH": str(Path(mlops_runtime.__file__).parents[1])}
    # then
    command = [sys.executable, "-c", READ, str(path)]
    subprocess.run(command, env=environment, capture_output=True, check=True, timeout=60)
