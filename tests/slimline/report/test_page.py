import json
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser

import pytest

from slimline.report.page import render, write_page
from tests.evaluations import candidate, evaluation, target, unreadable, verdict

CHROMIUM = shutil.which("chromium")
VOID = {"meta", "link", "br", "hr", "img", "input"}
LOADING = {"src", "href", "xlink:href", "action", "data", "poster", "srcset", "background", "formaction"}


class Page(HTMLParser):
    """Elements in their order, the text in each kind, and whether all that was opened was closed."""

    def __init__(self, html):
        super().__init__()
        self.elements, self.texts, self.open = [], [], []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if data.strip():
            self.texts.append((self.open[-1] if self.open else "", data.strip()))

    def text(self, tag):
        return [text for inside, text in self.texts if inside == tag]

    @property
    def whole(self):
        return " ".join(" ".join(text.split()) for inside, text in self.texts if inside not in ("style", "title"))


def test_a_real_evaluation_becomes_a_whole_page(evaluated):
    html = render(evaluated)
    page = Page(html)
    assert html.startswith("<!doctype html>")
    assert page.open == []
    assert page.text("h2") == [
        "Candidates", "What is paid for what", "Each candidate", "Slices", "How to reproduce it",
    ]  # fmt: skip
    for expected in ("float original", "float16", "int8", "broken", "no file there", "agreement", "digit=7"):
        assert expected in page.whole
    assert len([tag for tag, _ in page.elements if tag == "svg"]) == 4


def test_the_verdict_stands_first(evaluated):
    page = Page(render(evaluated))
    first = page.whole
    assert first.startswith(f"{evaluated['chosen']} may ship it keeps every limit with ")
    assert "3 candidate(s) against the float original on the same 200" in first
    assert first.index("two records are in both splits") < first.index("Candidates")


@pytest.mark.parametrize(
    ("rows", "chosen", "headline", "banner"),
    [
        ([candidate("int8")], "int8", "int8 may ship", "pass"),
        ([candidate("int8", "fail")], None, "Nothing may ship", "fail"),
        ([candidate("a", "fail"), candidate("b", "undecided")], None, "Undecided: nothing ships", "undecided"),
    ],
)
def test_the_headline_says_what_was_decided(rows, chosen, headline, banner):
    page = Page(render(evaluation(*rows, chosen=chosen)))
    assert page.text("h1") == [headline]
    assert ("header", {"class": f"banner {banner}"}) in page.elements


def test_a_page_without_a_winner_opens_on_the_limits_that_are_not_kept():
    open_ = {**verdict(slice_name="digit=3", outcome="undecided"), "more_examples": 900, "tends_to": "pass"}
    rows = [candidate("a", "undecided", verdicts=[verdict(), open_], confidence=0.61), unreadable("broken")]
    whole = Page(render(evaluation(*rows))).whole
    assert whole.startswith("Undecided: nothing ships a: accuracy drop on digit=3: undecided.")
    expected = "a accuracy drop digit=3 0.0100 ≤ 0.015 0.0200 200 0.0100 undecided 900, to pass"
    assert whole.index(expected) < whole.index("Each candidate")
    assert "broken no file there fail" in whole
    assert "61.0%" in whole


def test_slices_too_small_to_judge_stand_in_the_banner():
    small = {**verdict(slice_name="digit=7", outcome="not judged"), "num_examples": 12}
    whole = Page(render(evaluation(candidate("a", verdicts=[small]), chosen="a"))).whole
    assert whole.index("Too few examples to be judged: digit=7 (12).") < whole.index("Candidates")


def test_control_characters_stand_as_their_escapes():
    html = render(evaluation(candidate("a\x1b\x00\ud800b"), chosen="a\x1b\x00\ud800b"))
    assert not set(html) & set("\x1b\x00\ud800")
    assert "a\\x1b\\x00\\ud800b" in html


def test_the_closest_is_named_when_none_passes():
    assert "Closest: int8." in Page(render(evaluation(candidate("int8", "fail"), nearest_miss="int8"))).whole
    assert "Closest" not in Page(render(evaluation(chosen="int8"))).whole


def test_bounds_are_only_spoken_of_where_there_are_some():
    content = evaluation()
    assert "one-sided bounds of 95.0% confidence" in Page(render(content)).whole
    content["config"]["confidence"] = None
    assert "confidence." not in Page(render(content)).whole


def test_the_table_has_the_figures_and_the_chosen_is_marked():
    whole = Page(render(evaluation(candidate("int8"), candidate("float16", "fail"), chosen="int8"))).whole
    assert "1 int8 int8 12,345 6,789 0.9400 +0.0100 0.250 chosen · Pareto" in whole
    assert "2 float16 int8 12,345 6,789 0.9400 +0.0100 0.250 fail" in whole
    assert "float original float32 50,000 40,000 0.9500 0.500" in whole


def test_the_chosen_and_a_lone_candidate_are_unfolded():
    def unfolded(content):
        return [
            "open" in attributes for tag, attributes in Page(render(content)).elements if tag == "details"
        ]  # with those of the targets in between

    assert unfolded(evaluation(candidate("a"), candidate("b"), chosen="b")) == [False, False, True, False]
    assert unfolded(evaluation(candidate("a", "fail"))) == [True, False]


def test_a_candidate_that_could_not_be_read_has_its_reason_and_empty_cells():
    whole = Page(render(evaluation(unreadable("broken")))).whole
    assert "no file there" in whole
    assert "not readable" in whole
    assert "None" not in whole


def test_limits_changes_and_targets_are_listed():
    micro = target("micro", runs=False, arena_bytes=54_321)
    row = candidate("int8", targets={"micro": micro}, verdicts=[verdict("size in bytes", "", "fail")])
    whole = Page(render(evaluation(row))).whole
    assert "size in bytes 0.0100 0.0000 0.0150 0.0200 200 0.0100 fail" in whole
    assert "float original says class candidate says class examples 3 8 2" in whole
    assert "micro: does not run , 98.7% of the work accelerated, arena 54,321 bytes" in whole
    assert "CUMSUM sums 0 no it does not have it" in whole


def test_a_long_graph_is_cut():
    placement = {"op": "ADD", "tensor": "t", "macs": 0, "is_accelerated": True, "reason": ""}
    row = candidate("int8", targets={"cpu": target("cpu", placements=[placement] * 500, reasons=[])})
    assert Page(render(evaluation(row))).text("td").count("ADD") == 200


def test_the_configuration_stands_there_to_be_used_again(evaluated):
    (shown,) = Page(render(evaluated)).text("pre")
    assert json.loads(shown) == evaluated["config"]


HOSTILE = [
    "<script>alert(1)</script>",
    "</details></body><img src=x onerror=alert(1)>",
    "\"quoted\" 'twice'",
    "$x$",
    "{{ 7 * 7 }}{% raw %}",
    "a & b &amp; c",
    "</pre><!--",
    "</svg>",
]


@pytest.mark.parametrize("text", [*HOSTILE, "back\\slash"])
def test_whatever_stands_in_the_data_is_shown_and_does_nothing(text):
    drops = {"value": 0.9, "drop": 0.01, "lower": 0.0, "upper": 0.02}
    places = {place: {text: drops} for place in ("overall", f"word={text}")}
    bad_target = target(text, reasons=[text], source=text)
    bad_target["placements"][0].update(op=text, tensor=text, reason=text)
    row = candidate(
        text,
        scheme=text,
        metrics={text: 0.9},
        drop={text: 0.1},
        reasons=[text],
        slices=places,
        verdicts=[verdict(text, text)],
        targets={text: bad_target},
        content_digest=text,
    )
    content = evaluation(
        row, chosen=text, primary_metric=text, slices={"overall": 1, f"word={text}": 1}, warnings=[text]
    )
    content["config"] = {"confidence": 0.9, "thresholds": [], "custom_objects": text}
    content["baseline"]["metrics"] = {text: 0.95}
    harmless = evaluation(candidate("a", slices={p: {"accuracy": drops} for p in ("overall", "word=b")}), chosen="a")
    page = Page(render(content))
    assert page.open == []
    assert page.text("h1") == [f"{text} may ship"]
    assert text in page.text("li")
    assert f"word={text}" in page.text("td")
    known = {tag for tag, _ in Page(render(harmless)).elements}
    assert {tag for tag, _ in page.elements} <= known
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]


def test_nothing_is_loaded_and_nothing_is_run(evaluated):
    html = render(evaluated)
    page = Page(html)
    assert not {tag for tag, _ in page.elements} & {"script", "link", "img", "iframe", "object", "embed", "base"}
    loaded = [
        value
        for _, attributes in page.elements
        for name, value in attributes.items()
        if name in LOADING and not value.startswith("#")
    ]
    assert loaded == []
    assert not re.search(r"@import|@font-face|url\((?!#)", html)
    (policy,) = [attributes["content"] for _, attributes in page.elements if "http-equiv" in attributes]
    assert policy.startswith("default-src 'none'")


def test_what_pictures_refer_to_is_there_and_the_same_wherever_it_is_defined(evaluated):
    html = render(evaluated)
    defined: dict[str, set[str]] = {}
    for name, shape in re.findall(r'<(?:path|clipPath) id="([^"]+)"[^>]*>(.*?)</', html, re.DOTALL):
        defined.setdefault(name, set()).add(shape.strip())
    referred = set(re.findall(r'(?:href="#|url\(#)([^")]+)', html))
    assert referred <= {attributes.get("id") for _, attributes in Page(html).elements}
    assert all(len(defined[name]) == 1 for name in referred & set(defined))


def test_the_same_evaluation_gives_the_same_page_in_every_process(evaluated, tmp_path):
    write_page(evaluated, tmp_path / "page.html")
    (tmp_path / "evaluation.json").write_text(json.dumps(evaluated))
    code = (
        "import json, pathlib, sys; from slimline.report.page import write_page;"
        "write_page(json.loads(pathlib.Path(sys.argv[1]).read_text()), pathlib.Path(sys.argv[2]));"
        "assert 'tensorflow' not in sys.modules"
    )
    arguments = [str(tmp_path / "evaluation.json"), str(tmp_path / "again.html")]
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    subprocess.run([sys.executable, "-c", code, *arguments], check=True, env=environment)
    assert (tmp_path / "again.html").read_bytes() == (tmp_path / "page.html").read_bytes()


def browse(path):
    """Opens a page in a browser without network, and returns what that said and all addresses that it asked for."""
    assert CHROMIUM is not None
    log, picture = path.with_suffix(".net.json"), path.with_suffix(".png")
    options = [
        "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--enable-logging=stderr", "--v=0",
        f"--user-data-dir={path.with_suffix('')}", "--host-resolver-rules=MAP * ~NOTFOUND", f"--log-net-log={log}",
        "--window-size=1000,1400", f"--screenshot={picture}",
    ]  # fmt: skip
    shown = subprocess.run([CHROMIUM, *options, path.as_uri()], capture_output=True, text=True, check=True, timeout=120)
    assert picture.read_bytes().startswith(b"\x89PNG")
    return shown.stderr, set(re.findall(r'"url":"([^"]+)"', log.read_text()))


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the path")
def test_a_browser_shows_it_without_errors_and_without_the_network(evaluated, tmp_path):
    (tmp_path / "empty.html").write_text("<!doctype html><title>empty</title>")
    (tmp_path / "loading.html").write_text(
        "<!doctype html><title>loading</title><img src='http://example.invalid/x.png'><script>console.error('odd')</script>"
    )
    write_page(evaluated, tmp_path / "page.html")
    _, upkeep = browse(tmp_path / "empty.html")
    said, asked = browse(tmp_path / "loading.html")
    assert "CONSOLE" in said
    assert "http://example.invalid/x.png" in asked
    said, asked = browse(tmp_path / "page.html")
    assert "CONSOLE" not in said
    assert (tmp_path / "page.png").stat().st_size > 4 * (tmp_path / "empty.png").stat().st_size
    assert {one.split("/")[2] for one in asked - upkeep if not is_upkeep(one)} == set()


def is_upkeep(url):
    """Whether the browser itself asks for it, as for dictionaries and the time, at moments of its own."""
    return url.startswith("file:") or url.split("/")[2].endswith(("google.com", "googleapis.com", "gvt1.com"))
