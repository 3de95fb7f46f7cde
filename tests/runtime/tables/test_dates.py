from datetime import UTC, date, datetime, time, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_runtime.tables.cells import canonicalizer
from mlops_runtime.tables.dates import Order, date_reader, form_of, order_of, parser


def canonical(cell: str, kind: str, decimal: str = ".", date_format: str | None = None) -> str:
    return canonicalizer(kind, decimal, date_format)(cell)


@pytest.mark.parametrize(
    ("cell", "kind", "date_format", "expected"),
    [
        pytest.param("2020-02-29", "date", None, "2020-02-29", id="iso"),
        pytest.param("5/3/2020", "date", "%d/%m/%Y", "2020-03-05", id="day-first"),
        pytest.param("5/3/2020", "date", "%m/%d/%Y", "2020-05-03", id="month-first"),
        pytest.param("05.03.2020", "date", "%d.%m.%Y", "2020-03-05", id="points"),
        pytest.param("5 MAR 2020", "date", "%d %b %Y", "2020-03-05", id="name-of-the-month"),
        pytest.param("Mar 5, 2020", "date", "%b %d, %Y", "2020-03-05", id="american-name"),
        pytest.param("5/3/2020 7:05", "datetime", "%d/%m/%Y %H:%M", "2020-03-05T07:05:00", id="with-time"),
        pytest.param("5/3/2020 12:05:09 AM", "datetime", "%d/%m/%Y %I:%M:%S %p", "2020-03-05T00:05:09", id="midnight"),
        pytest.param("12:00 pm", "time", "%I:%M %p", "12:00:00", id="noon"),
        pytest.param("7:05", "time", "%H:%M", "07:05:00", id="one-digit-hour"),
        pytest.param("31/2/2020", "date", "%d/%m/%Y", "31/2/2020", id="no-such-day"),
        pytest.param("13:00 pm", "time", "%I:%M %p", "13:00 pm", id="no-such-hour"),
        pytest.param("soon", "date", "%d/%m/%Y", "soon", id="word"),
    ],
)
def test_dates_are_converted_to_iso_8601(cell: str, kind: str, date_format: str | None, expected: str) -> None:
    assert canonical(cell, kind, ".", date_format) == expected


DATE_FORMS = (
    "%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y%m%d",
    "%d/%m/%Y", "%d.%m.%Y", "%d-%m-%Y", "%m/%d/%Y", "%m-%d-%Y",
    "%d/%m/%y", "%d.%m.%y", "%m/%d/%y",
    "%d %b %Y", "%d %B %Y", "%d-%b-%Y", "%d-%b-%y", "%d%b%Y", "%d/%b/%Y", "%d. %B %Y", "%Y-%b-%d",
    "%b %d, %Y", "%B %d, %Y", "%b %d %Y", "%B %d %Y", "%b-%d-%Y", "%b. %d, %Y",
    "%a, %d %b %Y", "%A, %d %B %Y", "%a %b %d %Y", "%A, %B %d, %Y", "%a %d/%m/%Y",
)  # fmt: skip
CLOCKS = (
    " %H:%M", " %H:%M:%S", "T%H:%M:%S", "T%H:%M", ":%H:%M:%S", ", %H:%M:%S", ",%H:%M",
    " %I:%M:%S %p", " %I:%M:%S%p", " %I:%M %p", ", %I:%M%p",
)  # fmt: skip
WHOLE_FORMS = ("%a %b %d %H:%M:%S %Y", "%a %b %d %H:%M:%S UTC %Y", "%Y%m%dT%H%M%S", "%Y%m%d %H%M%S", "%Y%m%dT%H%M")
FRACTIONS = ("", ".{0}", ".{0}123", ",{0}")
OFFSETS = ("", "Z", " UTC", " GMT", "UTC", " Z")

MOMENTS = st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(2068, 12, 31))  # noqa: DTZ001


def written(moment: datetime, form: str, upper: bool) -> str:
    text = moment.strftime(form)
    return text.upper() if upper else text


def read_back(cell: str, form: str) -> datetime:
    """Return the moment that is read from a cell of a column with the format that its cells have."""
    order = order_of("datetime", form)
    text = date_reader("datetime", form_of(cell, order))(cell)
    assert text is not None
    return datetime.fromisoformat(text)


@given(moment=MOMENTS.map(datetime.date), form=st.sampled_from(DATE_FORMS), upper=st.booleans())
def test_a_date_in_any_form_is_read_back(moment: date, form: str, upper: bool) -> None:
    cell = written(datetime.combine(moment, time()), form, upper)
    order = order_of("date", form)
    assert date_reader("date", form_of(cell, order))(cell) == moment.isoformat()


@given(
    moment=MOMENTS,
    day=st.sampled_from(DATE_FORMS),
    clock=st.sampled_from(CLOCKS),
    offset=st.sampled_from(OFFSETS),
    upper=st.booleans(),
)
def test_a_date_and_time_in_any_form_is_read_back(
    moment: datetime, day: str, clock: str, offset: str, upper: bool
) -> None:
    # given a time with the precision of its form
    moment = moment.replace(microsecond=0, second=moment.second if "%S" in clock else 0)
    cell = written(moment, day + clock, upper) + offset
    # then
    assert read_back(cell, day) == (moment.replace(tzinfo=UTC) if offset else moment)


@given(moment=MOMENTS.map(lambda moment: moment.replace(microsecond=0)), form=st.sampled_from(WHOLE_FORMS))
def test_ctime_and_basic_forms_are_read_back(moment: datetime, form: str) -> None:
    if "%S" not in form:
        moment = moment.replace(second=0)
    assert read_back(moment.strftime(form), form) == (moment.replace(tzinfo=UTC) if "UTC" in form else moment)


@given(
    moment=MOMENTS,
    day=st.sampled_from(["%Y-%m-%d", "%Y/%m/%d", "%d/%m/%Y", "%m/%d/%Y", "%d%b%Y", "%Y%m%d"]),
    mark=st.sampled_from([".", ","]),
    digits=st.integers(1, 9),
)
def test_a_fraction_of_any_length_is_read_back(moment: datetime, day: str, mark: str, digits: int) -> None:
    fraction = f"{moment.microsecond:06}789"[:digits]
    expected = moment.replace(microsecond=int(f"{fraction[:6]:<06}"))
    assert read_back(moment.strftime(f"{day} %H:%M:%S") + mark + fraction, day) == expected


@given(
    moment=MOMENTS.map(lambda moment: moment.replace(microsecond=0)),
    day=st.sampled_from(["%Y-%m-%dT", "%Y-%m-%d ", "%d/%b/%Y:", "%a, %d %b %Y ", "%Y%m%d "]),
    minutes=st.integers(-12 * 60, 14 * 60),
    form=st.sampled_from(["{0}{1:02}{2:02}", "{0}{1:02}:{2:02}", " {0}{1:02}{2:02}", " {0}{1:02}:{2:02}", "{0}{1:02}"]),
)
def test_an_offset_is_kept(moment: datetime, day: str, minutes: int, form: str) -> None:
    # given
    if "{2" not in form:
        minutes -= minutes % 60
    zone = timezone(timedelta(minutes=minutes))
    offset = form.format("-" if minutes < 0 else "+", abs(minutes) // 60, abs(minutes) % 60)
    # then
    actual = read_back(moment.strftime(f"{day}%H:%M:%S") + offset, day)
    assert (actual, actual.utcoffset()) == (moment.replace(tzinfo=zone), timedelta(minutes=minutes))


@given(moment=st.times().map(lambda moment: moment.replace(second=0, microsecond=0)))
@pytest.mark.parametrize("form", ["%H:%M", "%H:%M:%S", "%I:%M %p", "%I:%M%p", "%I:%M:%S %p"])
def test_a_time_in_any_form_is_read_back(form: str, moment: time) -> None:
    cell = moment.strftime(form)
    text = date_reader("time", form_of(cell, Order.TIME))(cell)
    assert text is not None
    assert time.fromisoformat(text) == moment


@pytest.mark.parametrize(
    ("cell", "order", "expected"),
    [
        pytest.param("10/Oct/2000:13:55:36 -0700", Order.MONTH_NAME, "2000-10-10T13:55:36-07:00", id="apache"),
        pytest.param("01JAN2020:12:00:00.123", Order.MONTH_NAME, "2020-01-01T12:00:00.123", id="sas"),
        pytest.param("Mon, 13 Oct 2014 12:00:00 EST", Order.MONTH_NAME, "2014-10-13T12:00:00-05:00", id="rfc-2822"),
        pytest.param("Mon Oct  3 12:00:00 2014", Order.MONTH_NAME, "2014-10-03T12:00:00", id="ctime"),
        pytest.param(
            "Mon Oct 13 2014 12:00:00 GMT+0200 (CEST)", Order.MONTH_NAME, "2014-10-13T12:00:00+02:00", id="js"
        ),
        pytest.param("October 3rd, 2014", Order.MONTH_NAME, "2014-10-03", id="ordinal"),
        pytest.param("May 2020", Order.MONTH_NAME, "2020-05-01", id="month-and-year"),
        pytest.param("2020-05", Order.YEAR_MONTH, "2020-05-01", id="year-and-month"),
        pytest.param("13/10/2014, 3:04 p.m.", Order.DAY_FIRST, "2014-10-13T15:04:00", id="points-in-pm"),
        pytest.param(
            "2014-10-13T10:00:00+02:00[Europe/Berlin]", Order.YEAR_FIRST, "2014-10-13T10:00:00+02:00", id="zone"
        ),
        pytest.param("20141013T000000", Order.YEAR_FIRST, "2014-10-13T00:00:00", id="basic"),
        pytest.param("20141013123456", Order.YEAR_FIRST, "2014-10-13T12:34:56", id="14-digits"),
        pytest.param("201410131234", Order.YEAR_FIRST, "2014-10-13T12:34:00", id="12-digits"),
        pytest.param("20141013123456789", Order.YEAR_FIRST, "2014-10-13T12:34:56.789", id="17-digits"),
        pytest.param("13-OCT-14 01.02.03.000000 PM", Order.MONTH_NAME, "2014-10-13T13:02:03.000000", id="oracle"),
        pytest.param("13-OCT-14 01.02.03 PM +02:00", Order.MONTH_NAME, "2014-10-13T13:02:03+02:00", id="oracle-offset"),
        pytest.param("13.10.2014 12.34", Order.DAY_FIRST, "2014-10-13T12:34:00", id="points-in-time"),
        pytest.param("13.10.2014 klo 9.05", Order.DAY_FIRST, "2014-10-13T09:05:00", id="finnish"),
        pytest.param("13. 10. 2014", Order.DAY_FIRST, "2014-10-13", id="points-and-blanks"),
        pytest.param("13.10.2014.", Order.DAY_FIRST, "2014-10-13", id="point-at-the-end"),
        pytest.param("2014. 10. 13.", Order.YEAR_FIRST, "2014-10-13", id="korean"),
        pytest.param("2014년 10월 3일 오후 3:04", Order.YEAR_FIRST, "2014-10-03T15:04:00", id="korean-words"),
        pytest.param("2014年10月3日 9時05分", Order.YEAR_FIRST, "2014-10-03T09:05:00", id="japanese"),
        pytest.param("2014年10月3日(金) 下午3:04", Order.YEAR_FIRST, "2014-10-03T15:04:00", id="chinese"),
        pytest.param("2014年10月", Order.YEAR_MONTH, "2014-10-01", id="japanese-month"),
        pytest.param("13. März 2014", Order.MONTH_NAME, "2014-03-13", id="german"),
        pytest.param("Montag, 3. März 2014 um 12:34 Uhr", Order.MONTH_NAME, "2014-03-03T12:34:00", id="german-weekday"),
        pytest.param("1er févr. 2014", Order.MONTH_NAME, "2014-02-01", id="french"),
        pytest.param("lundi 3 août 2014 à 14:05", Order.MONTH_NAME, "2014-08-03T14:05:00", id="french-weekday"),
        pytest.param("13 de agosto de 2014", Order.MONTH_NAME, "2014-08-13", id="spanish"),
        pytest.param("13 października 2014", Order.MONTH_NAME, "2014-10-13", id="polish"),
        pytest.param("13 октября 2014 г.", Order.MONTH_NAME, "2014-10-13", id="russian"),
        pytest.param("13/10/2014 03:04:05 p. m.", Order.DAY_FIRST, "2014-10-13T15:04:05", id="spanish-pm"),
        pytest.param("2014/10/13 3:04 PM GMT+1", Order.YEAR_FIRST, "2014-10-13T15:04:00+01:00", id="google-forms"),
        pytest.param("2014-10-13 12:00 CEST", Order.YEAR_FIRST, "2014-10-13T12:00:00+02:00", id="summer-time"),
        pytest.param("2014-10-13 12:00 Europe/Berlin", Order.YEAR_FIRST, "2014-10-13T12:00:00", id="name-of-a-zone"),
        pytest.param("2014-10-13 12", Order.YEAR_FIRST, "2014-10-13T12:00:00", id="hour"),
        pytest.param("2014-10-13_12-34-56", Order.YEAR_FIRST, "2014-10-13T12:34:56", id="name-of-a-file"),
        pytest.param("[10/Oct/2000:13:55:36 -0700]", Order.MONTH_NAME, "2000-10-10T13:55:36-07:00", id="brackets"),
        pytest.param("2014Q3", Order.YEAR_MONTH, "2014-07-01", id="quarter"),
        pytest.param("Q3 2014", Order.YEAR_MONTH, "2014-07-01", id="quarter-first"),
        pytest.param("10/2014", Order.YEAR_MONTH, "2014-10-01", id="month-and-year-as-numbers"),
        pytest.param("18.30.00", Order.TIME, "18:30:00", id="points-in-time-of-day"),
        pytest.param("12.34", Order.TIME, None, id="number-with-a-point"),
        pytest.param("2020-02-30", Order.YEAR_FIRST, None, id="no-such-day"),
        pytest.param("31/04/2020", Order.DAY_FIRST, None, id="no-such-day-of-the-month"),
        pytest.param("2020-01-05 25:00", Order.YEAR_FIRST, None, id="no-such-hour"),
        pytest.param("2020-01-05 10:00+99:00", Order.YEAR_FIRST, None, id="no-such-offset"),
        pytest.param("13 Foo 2014", Order.MONTH_NAME, None, id="no-month"),
        pytest.param("3 years ago", Order.MONTH_NAME, None, id="ago"),
        pytest.param("12", Order.TIME, None, id="number"),
        pytest.param("1.2.3", Order.DAY_FIRST, None, id="version"),
    ],
)
def test_forms_of_programs_are_read(cell: str, order: Order, expected: str | None) -> None:
    assert parser(order)(cell) == expected


@pytest.mark.parametrize(
    ("cell", "kind", "expected"),
    [
        pytest.param("2020-01-05", "datetime", "2020-01-05T00:00:00", id="date-among-date-times"),
        pytest.param("2020-01-05 00:00:00", "date", "2020-01-05", id="midnight-among-dates"),
        pytest.param("2020-01-05 10:00:00", "date", None, id="time-among-dates"),
    ],
)
def test_dates_and_date_times_are_read_in_one_column(cell: str, kind: str, expected: str | None) -> None:
    assert date_reader(kind, None)(cell) == expected


def test_a_format_without_an_order_is_refused() -> None:
    with pytest.raises(ValueError, match=r"DateFormat\('%j'\) names no order of day, month and year: write one"):
        date_reader("date", "%j")


@given(cell=st.text("0123456789-/.: TZ+,apmJanOctMy", max_size=30), order=st.sampled_from(Order))
def test_any_text_is_a_date_or_not(cell: str, order: Order) -> None:
    text = parser(order)(cell)
    if text is not None:
        assert (time if order is Order.TIME else datetime).fromisoformat(text)
