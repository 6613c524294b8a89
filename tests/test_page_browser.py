"""The report as a browser shows it; look at the pictures with `--basetemp=build/report`."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from shared.commands.report import ASSETS
from shared.findings import Finding, Status, evaluate
from shared.model import ManagedCluster, Owner, Severity, Snapshot
from shared.overview import Pulse, overview
from shared.page import Assets, document
from shared.rule import fingerprint
from shared.rules import BY_ID, RULES
from shared.silences import Silence, silence
from shared.text import visible

from . import estate
from .builders import NOW, after, application, certificate, finding, secret, service_principal, snapshot, unread
from .builders import cluster as cluster_of
from .chromium import Page, chromium
from .test_card import HOSTILE

AXE = Path(__file__).parent.parent / "node_modules" / "axe-core" / "axe.min.js"
ADA, BEN = Owner(object_id="1", name="Ada Lovelace"), Owner(name="web-platform")


def written(
    folder: Path, seen: Snapshot, findings: list[Finding], silences: tuple[Silence, ...] = (), **options: Any
) -> Path:
    pulses = (
        Pulse(finished=NOW - timedelta(hours=2), partial=False),
        Pulse(finished=NOW - timedelta(hours=8), partial=True),
    )
    options = {"pulses": pulses, "problems": ("TEAMS_WEBHOOK_URL_WEB: not an https:// address",), **options}
    data = overview(seen, findings, silences, BY_ID, portal="https://portal.azure.com", **options)
    parts = [(ASSETS / f"report.{kind}").read_text(encoding="utf-8") for kind in ("html", "css", "js")]
    page = folder / "report.html"
    page.write_text(document(data, Assets(document=parts[0], style=parts[1], script=parts[2])), encoding="utf-8")
    return page


def tenant() -> tuple[Snapshot, list[Finding], tuple[Silence, ...]]:
    """Two clusters, one that lost its pull and one on a secret that ends; credentials all over the year."""
    world = estate.lost("aks_kubelet_cannot_pull").snapshot(after(1))
    old = cluster_of(name="legacy-neu")
    apps = (
        application(secret(after(5)), secret(after(200), 2, name="next")),
        *(
            application(
                secret(after(7 + 23 * number), name="ci"),
                app_id=f"55555555-5555-4555-8555-{number:012d}",
                object_id=f"66666666-6666-4666-8666-{number:012d}",
                name=name,
            )
            for number, name in enumerate(("Checkout API", "Payroll", "Warehouse scanner", "Loyalty", "Store locator"))
        ),
    )
    seen = replace(
        world,
        clusters=(*world.clusters, old),
        applications=apps,
        service_principals=(service_principal(certificate(after(90))),),
        unread=(
            unread(
                ManagedCluster,
                "/subscriptions/2",
                permission="Reader (Microsoft.ContainerService/managedClusters/read)",
            ),
        ),
        counts={"subscriptions": 2, "clusters": 2, "applications": 1204},
    )
    found = [
        replace(one, owners=(ADA,) if number % 2 else (BEN, ADA))
        for number, one in enumerate(evaluate(seen, RULES).findings)
    ]
    closed = finding(
        "gone", title="Secret “old” of Mailer ends on Sat 5 Dec 2026", status=Status.RESOLVED, resolved_at=NOW
    )
    quiet = silence(since=NOW, until=after(30), by="ben", comment="moves in December", fingerprint=found[0].fingerprint)
    return seen, [*sorted(found, key=lambda one: -one.severity), closed], (quiet,)


@pytest.fixture
async def page(tmp_path: Path):
    async with chromium(tmp_path) as page:
        yield page


async def clean(page: Page, path: Path) -> None:
    """Nothing went wrong, and nobody was asked for anything."""
    assert page.errors == []
    outside = [url for url in page.requests if url not in (path.as_uri(), "data:,")]
    assert outside == []


async def titles(page: Page) -> list[str]:
    return await page.run("[...document.querySelectorAll('#list summary > b')].map(node => node.textContent)")


async def count(page: Page) -> str:
    return await page.run(
        "new Promise(done => setTimeout(() => done(document.getElementById('count').textContent), 200))"
    )


async def focused(page: Page) -> str:
    return await page.run("document.activeElement.id || document.activeElement.tagName.toLowerCase()")


async def test_the_page_and_its_pictures(page: Page, tmp_path: Path) -> None:
    path = written(tmp_path, *tenant())
    for name, width, scheme in (
        ("light", 1280, "light"),
        ("dark", 1280, "dark"),
        ("phone", 390, "light"),
        ("phone-dark", 390, "dark"),
    ):
        await page.width(width)
        await page.media(prefers_color_scheme=scheme)
        await page.open(path)
        await page.run("document.querySelector('#list summary').click()")
        wide = await page.run("document.documentElement.scrollWidth")
        assert wide <= width, f"{name}: the page is {wide} pixels wide"
        await page.screenshot(tmp_path / f"{name}.png")
    await page.media(type="print")
    await page.run("dispatchEvent(new Event('beforeprint'))")
    await page.width(800)
    assert await page.run("getComputedStyle(document.getElementById('filters')).display") == "none"
    assert await page.run("[...document.querySelectorAll('#list details')].every(one => one.open)")
    await page.screenshot(tmp_path / "print.png")
    await clean(page, path)
    text = await page.run("document.body.innerText")
    for part in (
        "AKS clusters of /subscriptions/2: HTTP 403; it needs Reader",
        "2 scans finished in the last seven days, 1 of them partial.",
        "TEAMS_WEBHOOK_URL_WEB: not an https:// address",
        "moves in December",
        "AcrPull or an equal right at registry acme",
    ):
        assert part in text


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
async def test_axe_finds_no_serious_violation(page: Page, tmp_path: Path, scheme: str, width: int) -> None:
    if not AXE.exists():
        pytest.skip("node_modules/axe-core is missing (npm ci)")
    path = written(tmp_path, *tenant())
    await page.width(width)
    await page.media(prefers_color_scheme=scheme)
    await page.open(path)
    await page.run("for (const one of document.querySelectorAll('#list summary')) one.click()")
    await page.run(AXE.read_text(encoding="utf-8") + "; 0")
    found = await page.run("axe.run().then(found => JSON.stringify(found))")
    result = json.loads(found)
    bad = [one for one in result["violations"] if one["impact"] in ("serious", "critical")]
    assert not bad, [(one["id"], one["help"], [node["html"][:200] for node in one["nodes"]]) for one in bad]
    assert len(result["passes"]) > 20, "axe looked at something"


async def test_axe_would_notice(page: Page, tmp_path: Path) -> None:
    if not AXE.exists():
        pytest.skip("node_modules/axe-core is missing (npm ci)")
    await page.open(written(tmp_path, *tenant()))
    await page.run("document.querySelector('label.grow').replaceWith(document.getElementById('text'))")
    await page.run(AXE.read_text(encoding="utf-8") + "; 0")
    found = json.loads(await page.run("axe.run().then(found => JSON.stringify(found.violations))"))
    assert "label" in {one["id"] for one in found if one["impact"] in ("serious", "critical")}


async def test_every_filter_by_keyboard(page: Page, tmp_path: Path) -> None:
    seen, findings, silences = tenant()
    path = written(tmp_path, seen, findings, silences)
    await page.open(path)
    opened = [one for one in findings if one.open]
    assert await titles(page) == [one.title for one in opened], "open ones first, the worst first"
    # The text, from anywhere: / goes there, Escape clears it.
    await page.press("/")
    assert await focused(page) == "text"
    await page.type("payroll")
    assert await count(page) == f"{sum('Payroll' in one.title for one in findings)} of {len(findings)} findings"
    assert all("Payroll" in one for one in await titles(page))
    await page.press("Escape")
    await count(page)
    assert len(await titles(page)) == len(opened)
    # Severities: three boxes after it.
    await page.press("Tab")
    assert await focused(page) == "critical"
    await page.press(" ")
    await page.press("Tab")
    await page.press(" ")
    await count(page)
    assert await titles(page) == [one.title for one in opened if one.severity is Severity.INFO]
    await page.press(" ")
    await page.press("Tab", shift=True)
    await page.press(" ")
    await count(page)
    assert len(await titles(page)) == len(opened)
    # A rule, an owner and a state, chosen by their first letters.
    for _ in range(3):
        await page.press("Tab")
    assert await focused(page) == "rule"
    await page.type("aks_k")
    await count(page)
    assert await titles(page) == [one.title for one in opened if one.rule == "aks_kubelet_cannot_pull"]
    await page.press("Tab")
    assert await focused(page) == "owner"
    await page.press("Tab")
    assert await focused(page) == "state"
    await page.press("Tab")
    await page.press("Enter")
    assert await count(page) == f"{len(opened)} of {len(findings)} findings"
    await page.press("Tab", shift=True)
    await page.type("closed")
    await count(page)
    assert await titles(page) == [one.title for one in findings if not one.open]
    await page.press("Tab", shift=True)
    await page.type("ada")
    assert await count(page) == f"1 of {len(findings)} findings"
    # The first finding is opened by keyboard, and its first command copied.
    for _ in range(3):
        await page.press("Tab")
    assert await focused(page) == "summary"
    await page.press("Enter")
    assert await page.run("document.querySelector('#list details').open")
    await clean(page, path)


async def test_a_command_is_copied_by_keyboard(page: Page, tmp_path: Path) -> None:
    path = written(tmp_path, *tenant())
    await page.send("Browser.grantPermissions", permissions=["clipboardReadWrite", "clipboardSanitizedWrite"])
    await page.open(path)
    await page.run("document.querySelector('#list summary').focus()")
    await page.press("Enter")
    await count(page)
    await page.press("Tab")
    await page.press("Tab")
    assert await page.run("document.activeElement.textContent") == "Copy"
    shown = await page.run("document.activeElement.previousSibling.textContent")
    assert shown.startswith("az ")
    await page.press("Enter")
    assert await page.run(
        "new Promise(done => setTimeout(() => done(document.getElementById('said').textContent), 200))"
    )
    await page.send("Page.bringToFront")
    assert await page.run("navigator.clipboard.readText()") == shown
    await clean(page, path)


async def test_hostile_text_is_text(page: Page, tmp_path: Path) -> None:
    evil = [
        *HOSTILE,
        "</script><script>document.title='owned'</script>",
        "<!--<script>",
        "{data}{script}",
        "]]>\u2028</SCRIPT >",
    ]
    apps = [
        application(
            secret(after(5), name=text),
            name=text,
            app_id=f"55555555-5555-4555-8555-{number:012d}",
            object_id=f"66666666-6666-4666-8666-{number:012d}",
        )
        for number, text in enumerate(evil)
    ]
    home = cluster_of(name=evil[-4], node_resource_group=evil[-4], tags={"owner": evil[-4]})
    seen = replace(snapshot(home, *apps), unread=(unread(ManagedCluster, "/subscriptions/2", reason=evil[-4]),))
    findings = [
        replace(one, owners=(Owner(name=evil[-4]),), facts={**one.facts, "evidence": evil})
        for one in evaluate(seen, RULES).findings
    ]
    quiet = silence(since=NOW, until=after(30), by=evil[-4], comment=evil[-4], prefix="/applications/x")
    path = written(tmp_path, seen, findings, (quiet,), problems=(evil[-4],))
    await page.open(path)
    await page.run("for (const one of document.querySelectorAll('#list summary')) one.click()")
    await page.run("new Promise(done => setTimeout(done, 200))")
    assert await page.run("document.title") == "Fusewatch report, 2026-11-23"
    assert await page.run("document.querySelectorAll('script').length") == 2
    assert await page.run("document.querySelectorAll('img, iframe, object, embed, b b, [onerror]').length") == 0
    links = await page.run("[...document.querySelectorAll('a')].map(node => node.href)")
    assert all(
        link.startswith((path.as_uri(), "https://portal.azure.com/#@", "https://learn.microsoft.com/"))
        for link in links
    )
    shown = "\n".join(await titles(page))
    for text in evil:
        assert f"“{visible(text)}”" in shown
    await clean(page, path)


async def test_the_policy_lets_no_other_script_run_and_nothing_be_asked(page: Page, tmp_path: Path) -> None:
    path = written(tmp_path, *tenant())
    await page.open(path)
    await page.run(
        "document.body.append(Object.assign(document.createElement('script'), {textContent: 'document.title = 1'}))"
    )
    await page.run(
        "document.body.append(Object.assign(document.createElement('img'), {src: 'https://evil.example/x.png'}))"
    )
    await page.run("fetch('https://evil.example/').catch(() => 0)")
    await page.run("document.body.setAttribute('onclick', 'document.title = 2'); document.body.click()")
    assert await page.run("document.title") == "Fusewatch report, 2026-11-24"
    assert len([one for one in page.errors if "Content Security Policy" in one]) >= 4, "this test sees what is refused"


async def test_five_thousand_findings_open_in_two_seconds(page: Page, tmp_path: Path) -> None:
    rules = [rule for rule in RULES if rule.id.startswith(("entra", "aks_service"))]
    facts = finding().facts | {
        "object": "app",
        "object_id": "6" * 36,
        "cert": [],
        "new_credential": [],
        "evidence": ["Seen."] * 3,
    }
    many = [
        finding(
            str(number),
            rule=rules[number % len(rules)].id,
            fingerprint=fingerprint("many", "/", str(number)),
            title=f"Secret “deploy {number}” of Application {number} ends on Thu 3 Dec 2026",
            severity=Severity(2 - number % 3),
            facts=facts,
            owners=(Owner(name=f"Owner {number % 400}"),),
        )
        for number in range(5_000)
    ]
    apps = [
        application(
            secret(after(number % 360)), name=f"Application {number}", app_id=f"a{number}", object_id=f"o{number}"
        )
        for number in range(2_000)
    ]
    clusters = [cluster_of(client_id="", name=f"cluster-{number}") for number in range(300)]
    path = written(tmp_path, snapshot(*apps, *clusters), many)
    await page.open(path)
    painted = await page.run(
        "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now()))))"
    )
    print(f"{path.stat().st_size / 1e6:.1f} MB, drawn after {painted:.0f} ms")
    loaded = await page.run("performance.getEntriesByType('navigation')[0].loadEventEnd")
    assert loaded < 2_000, f"loaded after {loaded} ms"
    assert await count(page) == "5,000 findings"
    assert len(await titles(page)) < 1_000, "drawn as far as somebody looks"
    taken = await page.run(
        "(() => { const start = performance.now(); document.getElementById('text').value = 'application 4999'; filter();"
        " return performance.now() - start; })()"
    )
    assert taken < 500
    assert len(await titles(page)) == 1
    await page.press("/")
    await page.press("Escape")
    # Everything can be reached by keyboard.
    await count(page)
    await page.run("document.getElementById('more').focus()")
    await page.press("Enter")
    assert len(await titles(page)) == 200
    assert await focused(page) == "summary"
    await clean(page, path)
