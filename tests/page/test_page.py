# SPDX-License-Identifier: GPL-3.0-or-later
"""What the report's page shows, how it sorts, and what it does not let anybody do."""

from __future__ import annotations

import re
import stat
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from conftest import GROUPS, HOSTILE, Open, report
from playwright.sync_api import Locator, Page

# The names in the table of group dev, by column and in ascending order; what is not known is last either way.
ASCENDING = {
    "Name": ["team-9", "team-10", "team-a", "team-b"],
    "Phase": ["team-10", "team-a", "team-9", "team-b"],
    "Owner": ["team-a", "team-b", "team-9", "team-10"],
    "Host cluster": ["team-9", "team-b", "team-a", "team-10"],
    "CPU": ["team-10", "team-b", "team-9", "team-a"],
    "Memory": ["team-10", "team-9", "team-a", "team-b"],
    "Storage": ["team-10", "team-b", "team-a", "team-9"],
    "Age": ["team-10", "team-9", "team-b", "team-a"],
    "vCluster": ["team-b", "team-9", "team-a", "team-10"],
    "Pending changes": ["team-b", "team-9", "team-10", "team-a"],
}
DESCENDING = {
    "Name": ["team-b", "team-a", "team-10", "team-9"],
    "Phase": ["team-b", "team-9", "team-a", "team-10"],
    "Owner": ["team-9", "team-b", "team-a", "team-10"],
    "Host cluster": ["team-10", "team-b", "team-a", "team-9"],
    "CPU": ["team-a", "team-b", "team-9", "team-10"],
    "Memory": ["team-b", "team-a", "team-9", "team-10"],
    "Storage": ["team-a", "team-9", "team-b", "team-10"],
    "Age": ["team-a", "team-b", "team-9", "team-10"],
    "vCluster": ["team-a", "team-b", "team-9", "team-10"],
    "Pending changes": ["team-a", "team-10", "team-b", "team-9"],
}
WRITTEN = ["team-b", "team-a", "team-10", "team-9"]

WIDTHS_OF_PARTS = """bar => Object.fromEntries(
  [...bar.children].map(part => [part.className, part.getBoundingClientRect().width]))"""


def bar_of(page: Page, host: str, resource: str) -> Locator:
    card = page.locator(".host").filter(has=page.get_by_role("heading", name=host, exact=True))
    return card.locator(".resource").filter(has=page.locator("dt", has_text=resource)).get_by_role("img")


def header(page: Page, title: str) -> Locator:
    return page.get_by_role("columnheader", name=title, exact=True)


def order(page: Page) -> list[str]:
    return page.get_by_role("rowheader").all_inner_texts()


def colour(element: Locator, what: str = "backgroundColor") -> tuple[int, ...]:
    """Red, green and blue, 0 to 255."""
    value = element.evaluate("(element, what) => getComputedStyle(element)[what]", what)
    red, green, blue = re.findall(r"\d+", value)[:3]
    return int(red), int(green), int(blue)


def contrast(one: tuple[int, ...], other: tuple[int, ...]) -> float:
    """As WCAG defines it: from 1 to 21."""

    def luminance(colour: tuple[int, ...]) -> float:
        linear = [
            part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in (c / 255 for c in colour)
        ]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def overflow(page: Page) -> Any:
    return page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")


def test_the_terminal_shows_the_same(printed_and_page: tuple[str, Path]) -> None:
    printed, _page = printed_and_page
    lines = [line.strip().removesuffix(",").strip('"') for line in printed.splitlines()]
    assert f"    cpu      {'█' * 6}{'▒' * 20}{'·' * 6}  used 2, allocated 8, available 2 of 10 cores" in lines
    assert "  over-allocated: 1 node; takes no new virtual clusters: all 3 nodes are cordoned" in lines
    assert "  gone: unreachable: it does not answer (timeout)" in lines
    (columns,) = [line for line in lines if line.startswith("  name ")]
    (row,) = [line for line in lines if line.startswith("  team-9 ")]
    assert row.index("reserved") == columns.index("phase")
    assert row.index(" 2 h") == columns.index(" age")
    assert lines.count("no virtual clusters") == 1


def test_the_page_is_for_its_owner_only(page_path: Path) -> None:
    assert stat.S_IMODE(page_path.stat().st_mode) == 0o600


def test_a_path_starts_where_the_command_does(tmp_path: Path) -> None:
    report("-e", f"@{GROUPS}", "-e", "report_path=here.html", directory=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["here.html"]


def test_check_mode_writes_nothing(tmp_path: Path) -> None:
    report("--check", "-e", f"@{GROUPS}", "-e", f"report_path={tmp_path}/report.html")
    assert list(tmp_path.iterdir()) == []


def test_no_group_is_said(tmp_path: Path, open_page: Open) -> None:
    path = tmp_path / "report.html"
    printed = report("-e", '{"report_found": {"groups": []}, "group": "dev"}', "-e", f"report_path={path}")
    assert '"msg": "There is no cluster group dev."' in printed
    assert open_page(path).locator("main").inner_text() == "There are no cluster groups."


def test_it_says_when_it_was_made(page_path: Path, open_page: Open) -> None:
    made = open_page(page_path).locator("header time")
    written = datetime.strptime(made.get_attribute("datetime") or "", "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)
    assert abs(datetime.now(timezone.utc) - written) < timedelta(minutes=10)
    assert made.inner_text() == f"{written:%Y-%m-%d %H:%M} UTC"


def test_the_groups_are_described(page_path: Path, open_page: Open) -> None:
    page = open_page(page_path)
    assert page.get_by_role("heading", level=2).all_inner_texts() == ["dev", "empty"]
    dev, empty = page.locator(".group").all()
    assert "Upgrade pending" in dev.inner_text()
    assert "Upgrade pending" not in empty.inner_text()
    facts = dict(
        zip(dev.locator(".facts dt").all_inner_texts(), dev.locator(".facts dd").all_inner_texts(), strict=True)
    )
    assert facts["Kubernetes"] == "v1.36.0 (k8s)"
    assert facts["Size at most"] == "16 cpu, 64Gi memory"
    assert facts["Owner quota"] == "4 virtual clusters, 20 cpu, 32Gi memory, 60Gi storage"
    assert empty.get_by_text("There are none.").count() == 2


@pytest.mark.parametrize(
    ("host", "resource", "shares"),
    [
        ("host-a", "cpu", {"used": 0.2, "allocated": 0.6, "available": 0.2}),
        ("host-a", "storage", {"used": 0.5, "allocated": 0.5}),
        ("over-allocated", "cpu", {"used": 0.1, "allocated": 0.9, "beyond": 0.2}),
        ("over-allocated", "memory", {"allocated": 1.0}),
        ("over-allocated", "storage", {}),
    ],
)
@pytest.mark.parametrize("width", [360, 1280])
def test_bars_are_in_proportion(
    page_path: Path, open_page: Open, width: int, host: str, resource: str, shares: dict[str, float]
) -> None:
    found = bar_of(open_page(page_path, width), host, resource)
    parts = found.evaluate(WIDTHS_OF_PARTS)
    length = found.evaluate("bar => bar.clientWidth")
    assert length > 150
    assert {name: part / length for name, part in parts.items()} == pytest.approx(shares, abs=2 / length)


def test_a_trace_is_visible(page_path: Path, open_page: Open) -> None:
    found = bar_of(open_page(page_path), "host-a", "memory")
    parts = found.evaluate(WIDTHS_OF_PARTS)
    length = found.evaluate("bar => bar.clientWidth")
    assert parts["used"] == pytest.approx(3, abs=0.5)
    assert sum(parts.values()) == pytest.approx(length, abs=0.5)


def test_bars_say_what_they_show(page_path: Path, open_page: Open) -> None:
    page = open_page(page_path)
    assert bar_of(page, "host-a", "cpu").get_attribute("aria-label") == (
        "cpu: 20.0 % in use, 60.0 % allocated but not in use, 20.0 % available"
    )
    figures = page.locator(".figures").all_inner_texts()
    assert "used 2, allocated 8, available 2 of 10 cores" in figures
    assert "used 1, allocated 10 of 8 cores; over-allocated by 2" in figures
    assert page.locator(".legend li").all_inner_texts() == [
        "in use",
        "allocated, not in use",
        "available",
        "beyond the limit",
    ]


def test_hosts_that_take_nothing_say_why(page_path: Path, open_page: Open) -> None:
    page = open_page(page_path)
    assert page.locator(".host .alert").all_inner_texts()[0] == (
        "1 node; takes no new virtual clusters: all 3 nodes are cordoned"
    )
    gone = page.locator(".host").filter(has_text="gone")
    assert gone.inner_text().splitlines()[-1] == "unreachable: it does not answer (timeout)"
    assert gone.get_by_role("img").count() == 0


def test_virtual_clusters_are_listed(page_path: Path, open_page: Open) -> None:
    page = open_page(page_path)
    assert page.get_by_role("heading", name="Virtual clusters (4)").count() == 1
    rows = page.get_by_role("table", name="Virtual clusters of dev").get_by_role("row").all()
    cells = [[cell.inner_text() for cell in row.get_by_role("cell").all()] for row in rows[1:]]
    cells = [[" ".join(cell.split()) for cell in row] for row in cells]
    assert cells[0] == [
        "running",
        "bob@example.com",
        "host-a",
        "4 (0.1 used)",
        "10Gi (300Mi used)",
        "512Mi (1Gi used)",
        "24 h",
        "0.36.2",
        "-",
    ]
    assert cells[1][-1] == "vcluster_version: 0.36.1 applied, 0.36.2 in the group values: changed in the group"
    assert cells[2] == [
        "failed",
        "-",
        "over-allocated",
        "0.5",
        "1000Mi",
        "0",
        "45 s",
        "-",
        "values: changed in the group",
    ]
    assert [row[6] for row in cells] == ["24 h", "10 d", "45 s", "2 h"]


def test_headers_belong_to_their_cells(page_path: Path, open_page: Open) -> None:
    page = open_page(page_path)
    assert [item.get_attribute("scope") for item in page.get_by_role("columnheader").all()] == ["col"] * len(ASCENDING)
    assert [item.get_attribute("scope") for item in page.get_by_role("rowheader").all()] == ["row"] * 4


@pytest.mark.parametrize("title", ASCENDING)
def test_a_header_sorts(page_path: Path, open_page: Open, title: str) -> None:
    page = open_page(page_path)
    assert order(page) == WRITTEN
    header(page, title).get_by_role("button").click()
    assert order(page) == ASCENDING[title]
    assert header(page, title).get_attribute("aria-sort") == "ascending"
    header(page, title).get_by_role("button").click()
    assert order(page) == DESCENDING[title]
    assert header(page, title).get_attribute("aria-sort") == "descending"


def test_one_column_is_sorted_by_at_a_time(page_path: Path, open_page: Open) -> None:
    page = open_page(page_path)
    for title in ("Age", "Name"):
        header(page, title).get_by_role("button").click()
    states = {
        item.inner_text().strip(): item.get_attribute("aria-sort") for item in page.get_by_role("columnheader").all()
    }
    assert states == {title: "ascending" if title == "Name" else "none" for title in ASCENDING}


@pytest.mark.parametrize("key", ["Enter", "Space"])
def test_the_keyboard_sorts(page_path: Path, open_page: Open, key: str) -> None:
    page = open_page(page_path)
    titles = list(ASCENDING)
    for _step in range(titles.index("Age") + 1):
        page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent").strip() == "Age"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press(key)
    assert order(page) == ASCENDING["Age"]
    page.keyboard.press(key)
    assert order(page) == DESCENDING["Age"]


def test_without_scripts_there_is_nothing_to_click(page_path: Path, open_page: Open) -> None:
    page = open_page(page_path, java_script_enabled=False)
    assert page.get_by_role("columnheader").all_inner_texts() == list(ASCENDING)
    assert page.locator("button").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours(page_path: Path, open_page: Open, scheme: Any) -> None:
    page = open_page(page_path, color_scheme=scheme)
    background = colour(page.locator(".group").first)
    assert (max(background) < 60) == (scheme == "dark")
    assert (min(background) > 240) == (scheme == "light")
    red, green, blue = colour(page.locator(".bar .used").first)
    assert max(red, green, blue) - min(red, green, blue) < 32, "in use is grey"
    assert 80 < green < 180
    red, green, blue = colour(page.locator(".bar .allocated").first)
    assert green > 2 * red, "allocated is green"
    assert green > blue + 40
    assert min(colour(page.locator(".bar .available").first)) > 220, "available is white"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    "selector", [".group h2", ".facts dt", ".facts dd", ".figures.alert", "thead button", "tbody td", "tbody small"]
)
def test_text_can_be_read(page_path: Path, open_page: Open, scheme: Any, selector: str) -> None:
    page = open_page(page_path, color_scheme=scheme)
    group = page.locator(".group").first
    assert contrast(colour(page.locator(selector).first, "color"), colour(group)) >= 4.5
    assert contrast(colour(page.locator("header p"), "color"), colour(page.locator("body"))) >= 4.5


@pytest.mark.parametrize("width", [360, 700, 1280])
def test_nothing_is_wider_than_the_screen(page_path: Path, hostile_path: Path, open_page: Open, width: int) -> None:
    assert overflow(open_page(page_path, width)) == 0
    assert overflow(open_page(hostile_path, width)) == 0


def test_a_phone_sorts_and_labels(page_path: Path, open_page: Open) -> None:
    page = open_page(page_path, 360, has_touch=True, is_mobile=True)
    assert page.evaluate("innerWidth") == 360  # not the 980 of a page that does not care
    for button in page.locator("thead button").all():
        box = button.bounding_box()
        assert box
        assert 0 <= box["x"] <= box["x"] + box["width"] <= 360
    header(page, "Memory").get_by_role("button").tap()
    assert order(page) == ASCENDING["Memory"]
    label = page.get_by_role("cell").first.evaluate("cell => getComputedStyle(cell, '::before').content")
    assert label == '"Phase"'


def test_what_others_wrote_stays_text(hostile_path: Path, open_page: Open) -> None:
    page = open_page(hostile_path)
    page.wait_for_function("document.querySelectorAll('thead button').length")
    assert page.evaluate("window.hacked") is None
    assert page.title() == "Cluster groups"
    assert page.locator("script").count() == 1
    assert page.locator("img, iframe, object, link, [onclick], [onerror]").count() == 0
    owner = page.locator("td[data-label=Owner]").first
    assert owner.evaluate("cell => cell.textContent") == f"bob@example.com{HOSTILE}"
    assert page.get_by_role("table").first.get_attribute("aria-label") == f"Virtual clusters of dev{HOSTILE}"
    header(page, "Owner").get_by_role("button").click()
    owner.click()
    assert page.evaluate("window.hacked") is None


def test_a_script_that_got_in_would_not_run(page_path: Path, tmp_path: Path, browser: Any) -> None:
    path = tmp_path / "report.html"
    text = page_path.read_text(encoding="utf-8")
    attack = "<script>window.hacked = 1</script><b id=b onclick='window.hacked = 2'>x</b>"
    path.write_text(text.replace("<main>", "<main>" + attack), encoding="utf-8")
    page = browser.new_page()
    page.goto(path.as_uri())
    page.locator("#b").click()
    assert page.evaluate("window.hacked") is None
    assert page.locator("thead button").count() == len(ASCENDING)
    page.close()
