"""The audit's page in a real browser: it works, and asks the network for nothing."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from slimline.audit import Case, everything, render_audit, run_audit, take_snapshot
from slimline.lineage.store import open_store, sqlite_config

pytestmark = pytest.mark.slow
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--virtual-time-budget=3000"),
]
# The browser's own updates and clocks; the page names no address at all, which is tested apart.
HOUSEKEEPING = r"https?://([a-z0-9-]+\.)*(google|googleapis|gvt1|gstatic)\.com\b"
# What a person does: click a step, search, and what they see then, told in the page's title.
ACTS = """<script>
const click = (element) => element.dispatchEvent(new MouseEvent("click", {bubbles: true, cancelable: true}));
const link = document.querySelector("svg a");
click(link);
const opened = document.getElementById("step-" + link.dataset.step).open;
const search = document.getElementById("search");
search.value = "Quantizer-int8"; search.dispatchEvent(new Event("input"));
const rows = [...document.querySelectorAll("[data-search]")];
const shown = rows.filter((row) => !row.hidden);
document.title = JSON.stringify({
  opened, rows: rows.length, shown: shown.length, all: shown.every((row) => /Quantizer-int8/i.test(row.textContent)),
  links: document.querySelectorAll("svg a").length, hostile: typeof window.hostile,
});
</script></body>"""


def browse(html: str, folder: Path) -> tuple[str, set[str]]:
    """Opens a page; returns what it is like in the end, and the addresses that were asked for."""
    folder.mkdir()
    file, log = folder / "page.html", folder / "net.json"
    file.write_text(html)
    command = [CHROMIUM or "", *FLAGS, f"--user-data-dir={folder / 'profile'}", f"--log-net-log={log}", "--dump-dom"]
    environment = {**os.environ, "HOME": str(folder)}
    done = subprocess.run(
        [*command, file.as_uri()], capture_output=True, text=True, timeout=120, check=True, env=environment
    )
    asked = set(re.findall(r'"(https?://[^"]+)"', log.read_text()))
    return done.stdout, {url for url in asked if not re.match(HOUSEKEEPING, url)}


@pytest.fixture
def page(root) -> str:
    (root / "serving" / "<script>window.hostile = 1<").mkdir()
    records = take_snapshot(open_store(sqlite_config(root / "metadata.sqlite")), root)
    subject = everything(records, str(root))
    return render_audit(run_audit(Case(subject.records, records), subject.title), subject.records, strict=False)


def test_the_page_names_no_place_in_the_network(page):
    assert re.findall(r"""(?:src|href)=["'](?!#)""", page) == []
    assert "<script>window.hostile" not in page


@pytest.mark.skipif(CHROMIUM is None, reason="SKIPPED ALOUD: the audit's page needs chromium to be tried in a browser")
def test_a_click_opens_a_step_a_search_filters_and_nothing_is_asked_of_the_network(page, tmp_path):
    seen_dom, asked = browse(page.replace("</body>", ACTS), tmp_path / "page")
    _, beacon = browse('<img src="http://127.0.0.1:9/beacon">', tmp_path / "beacon")
    assert "http://127.0.0.1:9/beacon" in beacon
    assert asked == set()
    (title,) = re.findall(r"<title>(\{.*?\})</title>", seen_dom)
    seen = json.loads(title)
    assert seen["opened"]
    assert 0 < seen["shown"] < seen["rows"]
    assert seen["all"]
    assert seen["links"] == 10
    assert seen["hostile"] == "undefined"
