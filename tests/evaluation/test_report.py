"""The report is one page that needs nothing but itself; where there is a browser, the browser says so."""

import re
from base64 import b64decode
from xml.etree import ElementTree

import numpy as np
import pytest

from spoofcache.evaluation.evaluation_set import EvaluationSet
from spoofcache.evaluation.figures import Comparison, Figure, Table
from spoofcache.evaluation.matrix import Experiment, matrix_of
from spoofcache.evaluation.measures import MEASURES
from spoofcache.evaluation.report import DEFINITIONS, POLICY, Picture, as_html, report_page
from spoofcache.evaluation.trials import TrialList
from spoofcache.metrics.dcf import Coefficients
from tests.browser import visit

EVIL = "<script>throw 'x'</script>&\"'"
MADE_BY = "SpoofCache 1.0, 21 November 2026"
KINDS = (
    "DET curves of all systems",
    "DET curves by attack",
    "Score histograms",
    "Normalised t-DCF curves",
    "EER and min t-DCF (2019) of all systems by attack",
)


def table(n_spoof, first, second):
    """EER of two systems; their t-DCF is a tenth of it."""
    figures = {
        name: {"eer": figure, "min_tdcf_2019": Figure(None if figure.value is None else figure.value / 10)}
        for name, figure in (("lcnn", first), (EVIL, second))
    }
    return Table(60, n_spoof, figures)


COSTS = {"pooled": Coefficients(0.0, 0.9, 0.4)}


def evaluated(name="LA eval", warnings=("lcnn: 3 scores are tied.",), costs=None):
    """Two systems on 60 bona fide and 120 spoof trials; the figures are any figures."""
    trials = TrialList(
        [f"u{k}" for k in range(180)],
        np.arange(180) < 60,
        {"attack": np.array(["-"] * 60 + ["A07"] * 60 + ["A08"] * 60)},
    )
    normal = np.tile(np.linspace(-2, 2, 60), 3)
    systems = {"lcnn": normal + 3 * trials.is_bonafide, EVIL: normal + trials.is_bonafide}
    comparison = Comparison(
        name,
        ("eer", "min_tdcf_2019"),
        table(120, Figure(0.0125, 0.0112, 0.0138, best=True), Figure(0.3456, 0.3, 0.4, p_value=0.5)),
        {"attack": {"A07": table(60, Figure(0.1111), Figure(0.2222)), "A08": table(60, Figure(None), Figure(0.3333))}},
        warnings,
        ("Intervals: 95 %, by trial.",),
    )
    return EvaluationSet(name, trials, systems, costs_2021=costs or {}), comparison


@pytest.fixture(scope="module")
def page():
    return report_page([evaluated(costs=COSTS)], "Two systems", MADE_BY)


def tree(page):
    """The page as XML, which it is too."""
    return ElementTree.fromstring(page.removeprefix("<!DOCTYPE html>\n"))


def without_policy(page):
    return re.sub("<meta http-equiv[^>]*>", "", page)


def words(element):
    return " ".join("".join(element.itertext()).split())


def test_the_page_states_what_was_judged_and_by_what(page):
    text = words(tree(page))
    assert MADE_BY in text
    assert f"2 systems were judged on 180 trials, 60 bona fide and 120 spoof: lcnn, {EVIL}." in text
    assert "Intervals: 95 %, by trial." in text
    assert "Equal error rate: the mean of the shares" in text


def test_the_table_has_figures_intervals_and_marks(page):
    rows = [[words(cell) for cell in row] for row in tree(page).findall(".//table")[0].iter("tr")]
    assert rows == [
        ["system", "EER (%)", "min t-DCF (2019)"],
        ["lcnn", "1.250*[1.12, 1.38]", "0.00125"],
        [EVIL, "34.560≈[30.00, 40.00]", "0.03456"],
    ]
    assert [words(bold) for bold in tree(page).findall(".//td//b")].count("1.250") == 2  # and in the row `pooled`


def test_a_table_for_every_measure_by_attack(page):
    by_attack = tree(page).findall(".//table")[1:]
    assert len(by_attack) == 2
    assert [words(cell) for cell in list(by_attack[0].iter("tr"))[2]] == ["A08", "60", "60", "–", "33.330"]
    assert words(by_attack[0].find("tfoot")).startswith("pooled")


def test_tables_and_figures_are_numbered_through_all_test_sets():
    page = report_page([evaluated("one"), evaluated("two")], "t", MADE_BY)
    labels = [words(caption.find("b")) for caption in tree(page).iter("figcaption")]
    assert [label for label in labels if "Table" in label] == [f"Table {k}." for k in range(1, 7)]
    assert [label for label in labels if "Figure" in label] == [f"Figure {k}." for k in range(1, 9)]


def test_warnings_come_before_everything_else():
    page = tree(report_page([evaluated("one"), evaluated("two", warnings=(EVIL,))], "t", MADE_BY))
    kinds = [child.tag for child in page.find("body")]
    assert kinds == ["header", "aside", "section", "section", "section"]
    assert words(page.find(".//aside")) == f"2 warnings one: lcnn: 3 scores are tied. two: {EVIL}".replace(
        "warnings one", "warningsone"
    ).replace("tied. two", "tied.two")


def test_without_warnings_there_is_no_box():
    assert tree(report_page([evaluated(warnings=())], "t", MADE_BY)).find(".//aside") is None


def test_a_matrix_goes_first_with_a_shade_for_every_cell():
    pairs = [evaluated("one"), evaluated("two")]
    rows = [Experiment(name, (EVIL,), (name,)) for name in ("lcnn", EVIL)]
    page = tree(report_page(pairs, "t", MADE_BY, matrix_of(rows, [comparison for _, comparison in pairs], 0.95)))
    assert [words(head) for head in page.findall(".//section/h2")] == ["Train set × test set", "one", "two", "Measures"]
    eer, tdcf = page.findall(".//table")[:2]
    assert [words(cell) for cell in eer.find("tbody")[1]][:2] == [f"{EVIL} ({EVIL})", "34.560≈[30.00, 40.00]"]
    shades = [[cell.get("style") for cell in table.iter("td")] for table in (eer, tdcf)]
    assert shades[0][0] == f"background: rgba(213, 94, 0, {0.55 * (0.0125 / 0.5) ** 0.5:.3f})"
    assert shades[1][0] == f"background: rgba(213, 94, 0, {0.55 * 0.00125**0.5:.3f})"
    assert all(shades[0] + shades[1])


def test_without_costs_there_is_no_tdcf_curve(page):
    alternatives = [image.get("alt") for image in tree(page).iter("img")]
    assert [alternative.startswith(kind) for alternative, kind in zip(alternatives, (KINDS), strict=True)] == [True] * 5
    without = [image.get("alt") for image in tree(report_page([evaluated()], "t", MADE_BY)).iter("img")]
    assert without == [alternative for alternative in alternatives if "t-DCF curves" not in alternative]


def test_a_comparison_without_trials_has_tables_only():
    root = tree(report_page([(None, evaluated()[1])], "t", MADE_BY))
    assert (len(list(root.iter("table"))), len(list(root.iter("img")))) == (3, 0)


def test_the_page_loads_only_embedded_data_and_has_no_script(page):
    root = tree(page)
    assert root.find(".//script") is None
    sources = [value for element in root.iter() for name, value in element.items() if name in ("src", "href")]
    assert all(source.startswith("data:") for source in sources)
    assert "url(" not in page
    assert "@import" not in page
    assert not any(name.startswith("on") for element in root.iter() for name in element.attrib)
    (policy,) = (meta.get("content") for meta in root.iter("meta") if meta.get("http-equiv"))
    assert policy == POLICY


def test_pictures_are_embedded_in_the_page(page):
    for image in tree(page).iter("img"):
        kind, _, data = image.get("src").partition(",")
        assert kind == "data:image/svg+xml;base64"
        assert ElementTree.fromstring(b64decode(data)).tag.endswith("svg")


def test_everything_is_escaped():
    odd = f"{EVIL}\x00\x1b\udcff</style></title><!--"
    figures = {odd: {"eer": Figure(0.5)}}
    comparison = Comparison(odd, ("eer",), Table(1, 1, figures), {odd: {odd: Table(1, 1, figures)}}, (odd,), (odd,))
    page = as_html([(comparison, [Picture("<svg/>", odd, odd)])], odd, odd)
    page.encode()  # no surrogate is left
    root = tree(page)
    assert root.find(".//script") is None
    shown = f"{EVIL}\\x00\\x1b\\udcff</style></title><!--"
    assert root.findtext(".//title") == root.findtext(".//h1") == root.find(".//img").get("alt") == shown


def test_every_measure_is_defined():
    assert set(DEFINITIONS) == set(MEASURES)


def test_a_browser_finds_nothing_to_fetch_and_nothing_to_complain_of(page, tmp_path):
    seen = visit(page, tmp_path)
    assert seen.requests == []
    assert seen.complaints == []
    assert "1.250" in seen.dom
    assert "[30.00, 40.00]" in seen.dom
    assert "33.330" in seen.dom


SIZES = """<script>addEventListener("load", () => { document.title = [...document.images].map(
  image => image.alt + "=" + image.naturalWidth + "x" + image.naturalHeight).join(";") })</script>"""


def test_a_browser_draws_every_kind_of_picture(page, tmp_path):
    measured = without_policy(page).replace("</body>", f"{SIZES}</body>")
    (title,) = re.findall("<title>(.*)</title>", visit(measured, tmp_path).dom)
    sizes = dict(entry.split("=") for entry in title.split(";"))
    for kind in KINDS:
        (size,) = (size for alternative, size in sizes.items() if alternative.startswith(kind))
        assert min(map(int, size.split("x"))) > 100


@pytest.mark.parametrize("width", [390, 900])
def test_nothing_is_wider_than_the_window(page, tmp_path, width):
    (tmp_path / "report.html").write_text(page, encoding="utf-8")
    frame = f"<iframe src='report.html' width='{width}' height='800' style='border: 0'></iframe>"
    measure = "const page = frames[0].document.documentElement; document.title = page.scrollWidth - page.clientWidth"
    outer = f"<!DOCTYPE html><title></title>{frame}<script>onload = () => {{ {measure} }}</script>"
    (title,) = re.findall("<title>(.*)</title>", visit(outer, tmp_path, "--allow-file-access-from-files").dom)
    assert title == "0"


PLACES = """<script>addEventListener("load", () => {
  const tables = [...document.querySelectorAll("table")], digits = document.createRange();
  document.title = [...document.querySelectorAll("tbody .value")].map(value => {
    digits.selectNodeContents(value);
    digits.setEndBefore(value.querySelector(".mark"));
    const place = digits.getBoundingClientRect(), column = value.closest("td").cellIndex;
    return [tables.indexOf(value.closest("table")), column, digits.toString().length, place.left, place.right].join(" ")
  }).join(";") })</script>"""


def test_the_digits_of_a_column_stand_below_each_other_bold_or_not(tmp_path):
    figures = {f"system {k}": {"eer": Figure(k / 9, 0.1, 0.2, best=k == 1)} for k in (1, 2, 3)}
    page = as_html([(Comparison("t", ("eer",), Table(9, 9, figures)), [])], "t", MADE_BY)
    assert "<b>11.111</b>" in page
    measured = without_policy(page).replace("</body>", f"{PLACES}</body>")
    (title,) = re.findall("<title>(.*)</title>", visit(measured, tmp_path).dom)
    first, *others = title.split(";")
    assert others == [first] * 2


def test_long_names_may_break_between_their_parts():
    name = "wav2vec2-large_AASIST.seed/1"
    comparison = Comparison("t", ("eer",), Table(1, 1, {name: {"eer": Figure(0.5)}}))
    assert "wav2vec2-<wbr/>large_<wbr/>AASIST.<wbr/>seed/<wbr/>1</th>" in as_html([(comparison, [])], "t", MADE_BY)


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("<img src='http://example.invalid/a.png' alt=''/>", "requests"),
        ("<link rel='stylesheet' href='http://example.invalid/a.css'/>", "requests"),
        ("<script>throw new Error('boom')</script>", "complaints"),
    ],
)
def test_the_browser_reports_a_page_that_fetches_or_runs_something(page, tmp_path, fault, told):
    broken = page.replace("</body>", f"{fault}</body>")
    assert visit(broken, tmp_path).complaints  # the policy refused it
    assert getattr(visit(without_policy(broken), tmp_path), told)
