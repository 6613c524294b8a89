"use strict";
// Draws the report from the data in the page. Every text becomes a text node: nothing of the tenant is ever parsed as HTML.
const data = JSON.parse(document.getElementById("data").textContent);
const CHUNK = 100;
const SEVERITIES = ["critical", "warning", "info"];
const DAY = 86400000;
const now = new Date(data.made);

const beforePrint = [];
const $ = id => document.getElementById(id);

function el(tag, options = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(options)) {
    if (value !== false && value !== undefined && value !== "") node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter(child => child !== null && child !== undefined && child !== ""));
  return node;
}

function drawn(tag, options = {}, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(options)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
// As cards write it, whatever the language of the browser.
const day = text => {
  const date = new Date(text);
  return `${DAYS[date.getUTCDay()]} ${date.getUTCDate()} ${MONTHS[date.getUTCMonth()]} ${date.getUTCFullYear()}`;
};
const minute = text => `${day(text)}, ${text.slice(11, 16)} UTC`;
const plural = (number, one, many) => `${number.toLocaleString("en")} ${number === 1 ? one : many || one + "s"}`;

function away(text) {
  const distance = new Date(text) - now;
  const days = Math.floor(Math.abs(distance) / DAY);
  const hours = Math.floor(Math.abs(distance) / 3600000);
  const amount = days ? plural(days, "day") : hours ? plural(hours, "hour") : "less than an hour";
  return distance > 0 ? `in ${amount}` : `${amount} ago`;
}

function nearness(text) {
  const distance = new Date(text) - now;
  return distance <= 0 ? "over" : distance <= data.notice * DAY ? "soon" : "";
}

const mark = (kind, ...content) => el("li", { class: kind }, el("i", { "aria-hidden": "true" }, { good: "✓", bad: "✗", calm: "·", warn: "!" }[kind]), ...content);

// --- The watch -------------------------------------------------------------------------------------------------------

function watch() {
  $("tenant").textContent = `tenant ${data.tenant}`;
  $("made").textContent = `As of ${minute(data.made)}`;
  document.title = `Fusewatch report, ${data.made.slice(0, 10)}`;
  const open = data.findings.filter(one => one.status === "open");
  const tile = (kind, number, name) => el("li", { class: kind + (number ? "" : " zero") }, el("b", {}, number.toLocaleString("en")), el("span", {}, name));
  for (const severity of SEVERITIES) $("tiles").append(tile(severity, open.filter(one => one.severity === severity).length, severity));
  const next = data.ends.find(one => new Date(one.end) > now && !one.replaced);
  if (next) {
    const lines = el("li", { class: "next " + nearness(next.end) }, el("b", {}, away(next.end)), el("span", {}, `${next.title}, ${day(next.end)}`));
    $("tiles").append(lines);
  }

  const read = Object.entries(data.counts).map(([name, number]) => `${number.toLocaleString("en")} ${name}`).join(", ");
  const coverage = data.unread.length
    ? [el("p", {}, `Read: ${read || "nothing"}. What follows was not read, so nothing is known of it:`),
       el("ul", { class: "marks" }, data.unread.map(one => mark("bad", el("strong", {}, one.what), one.where ? ` of ${one.where}` : "", `: ${one.why}`, one.needs ? `; it needs ${one.needs}` : "")))]
    : [el("ul", { class: "marks" }, mark("good", `Everything was read: ${read || "there is nothing"}.`))];
  $("coverage").append(el("div", { class: "box" }, el("h3", {}, "Coverage"), ...coverage));
  const kind = good => good === null ? "calm" : good ? "good" : "bad";
  $("health").append(el("div", { class: "box" }, el("h3", {}, "Health"), el("ul", { class: "marks" }, data.health.map(one => mark(kind(one.good), one.text)))));
}

// --- What ends when --------------------------------------------------------------------------------------------------

const first = new Date(Math.min(now - 30 * DAY, now));
const last = new Date(data.until);
const WIDTH = 1000;
const place = moment => WIDTH * (new Date(moment) - first) / (last - first);

function months() {
  const found = [];
  const month = new Date(Date.UTC(first.getUTCFullYear(), first.getUTCMonth() + 1, 1));
  while (month < last) {
    found.push(new Date(month));
    month.setUTCMonth(month.getUTCMonth() + 1);
  }
  return found;
}

function rail(...children) {
  const svg = drawn("svg", { viewBox: `0 0 ${WIDTH} 24`, preserveAspectRatio: "none", "aria-hidden": "true" });
  for (const month of months()) svg.append(drawn("line", { class: "grid", x1: place(month), x2: place(month), y1: 0, y2: 24, "vector-effect": "non-scaling-stroke" }));
  svg.append(drawn("line", { class: "rail", x1: 0, x2: WIDTH, y1: 12, y2: 12, "vector-effect": "non-scaling-stroke" }));
  svg.append(drawn("line", { class: "now", x1: place(now), x2: place(now), y1: 0, y2: 24, "vector-effect": "non-scaling-stroke" }));
  svg.append(...children);
  return svg;
}

function look(end) {
  if (end.replaced) return "replaced";
  const days = (new Date(end.end) - now) / DAY;
  if (end.cluster && !end.sure) return "may";
  return days <= 7 ? "bad" : days <= data.notice ? "soon" : "";
}

// The picture is stretched to the width of the page; an ellipse drawn with a round-capped line of no length stays round.
const dots = ends => ends.map(end => {
  const kind = look(end);
  const hollow = kind === "replaced" || kind === "may";
  const x = place(end.end);
  const at = (width, colour) => drawn("line", { x1: x, x2: x, y1: 12, y2: 12, "stroke-width": width, "stroke-linecap": "round", stroke: colour, "vector-effect": "non-scaling-stroke" });
  const colour = { replaced: "var(--soft)", may: "var(--warn)", bad: "var(--bad)", soon: "var(--warn)", "": "var(--calm)" }[kind];
  return hollow ? drawn("g", {}, at(12, colour), at(7, "var(--sheet)")) : at(12, colour);
});

function line(end) {
  const what = end.cluster ? (end.sure ? "surely fails" : "may fail first") : end.what;
  const rest = end.replaced ? (end.replaced === "never" ? ", replaced by one without an end" : `, replaced until ${day(end.replaced)}`) : "";
  return el("li", {}, `${what}: ${day(end.end)}${rest}`);
}

function lane(name, under, ends) {
  const next = ends.find(end => !end.replaced && new Date(end.end) > now) || ends.find(end => !end.replaced) || ends[0];
  const when = next.replaced ? [el("span", { class: "quiet" }, "replaced")] : [day(next.end), el("br"), el("span", { class: "small " + (nearness(next.end) || "quiet") }, away(next.end))];
  const shown = ends.slice(0, 8).map(line);
  if (ends.length > 8) shown.push(el("li", {}, `and ${ends.length - 8} more`));
  return el("li", { class: "lane" },
    el("div", {}, el("strong", {}, name), under && el("span", { class: "small quiet" }, ` ${under}`), el("ul", { class: "small quiet" }, shown)),
    rail(...dots(ends)),
    el("div", { class: "when" }, when));
}

function timeline() {
  const byLane = ends => {
    const found = new Map();
    for (const end of ends) (found.get(end.id) || found.set(end.id, []).get(end.id)).push(end);
    return [...found.values()];
  };
  const clusters = byLane(data.ends.filter(end => end.cluster));
  const apps = byLane(data.ends.filter(end => !end.cluster));
  const credentials = data.ends.filter(end => !end.cluster).length;
  $("ends-lead").textContent = data.ends.length
    ? `${plural(credentials, "credential")} of ${plural(apps.length, "application")} between ${day(first)} and ${day(last)}` + (clusters.length ? `; ${plural(clusters.length, "cluster")} on a service principal.` : ".")
    : "Nothing ends in the coming twelve months.";
  if (!data.ends.length) return;
  const key = (text, fill, stroke) => el("li", {}, drawn("svg", { viewBox: "0 0 12 12", "aria-hidden": "true" }, drawn("circle", { cx: 6, cy: 6, r: stroke ? 4.5 : 6, fill, stroke: stroke || "none", "stroke-width": 2.5 })), text);
  $("lanes").append(el("ul", { class: "key" },
    key("ended, or within 7 days", "var(--bad)"), key(`within ${data.notice} days`, "var(--warn)"), key("later", "var(--calm)"),
    key("the first that a cluster may hold", "var(--sheet)", "var(--warn)"), key("replaced already", "var(--sheet)", "var(--soft)")));
  const sheet = el("div", { class: "sheet" });
  // Every second name where the months are narrow; the letters are not stretched, so they stand outside the picture.
  const names = drawn("svg", { "aria-hidden": "true" });
  for (const [index, month] of months().entries()) {
    const label = MONTHS[month.getUTCMonth()] + (month.getUTCMonth() === 0 || index === 0 ? ` ${String(month.getUTCFullYear()).slice(2)}` : "");
    names.append(drawn("text", { x: `${place(month) / 10}%`, y: 13 }, label));
  }
  sheet.append(el("div", { class: "months", "aria-hidden": "true" }, el("span"), names, el("span", {}, "next")));
  const part = (title, lanes, under) => {
    if (!lanes.length) return;
    const list = el("ul", { class: "lanes", "aria-label": title });
    let shown = 0;
    const more = el("button", { type: "button" });
    const grow = number => {
      for (const ends of lanes.slice(shown, number)) list.append(lane(ends[0].subject, under(ends), ends));
      shown = Math.min(lanes.length, number);
      more.hidden = shown >= lanes.length;
      more.textContent = `Show the other ${lanes.length - shown}`;
    };
    grow(25);
    more.addEventListener("click", () => grow(lanes.length));
    beforePrint.push(() => grow(lanes.length));
    sheet.append(el("h3", { class: "group" }, title), list, more);
  };
  part("Clusters on a service principal", clusters, ends => `app id ${ends[0].app}`);
  part("Applications and service principals", apps, ends => ends[0].clusters.length ? `behind ${ends[0].clusters.join(", ")}` : "");
  $("lanes").append(sheet);
}

// --- Clusters --------------------------------------------------------------------------------------------------------

const STATES = {
  held: ["good", "held", "has"], conditional: ["warn", "conditional", "has, under a condition,"], unknown: ["calm", "unknown", "may have: it could not be read:"],
  lost: ["bad", "lost", "lost"], lacking: ["warn", "lacking", "was never seen with"],
};
// The last type and name of an id, as a person says them: `resource group shop`.
const short = scope => {
  const [type, name] = scope.split("/").filter(Boolean).slice(-2);
  if (!name) return "the root";
  const words = type.replace(/([a-z])([A-Z])/g, "$1 $2").toLowerCase().replace(/ies$/, "y").replace(/s$/, "");
  return `${words.replace("resourcegroup", "resource group")} ${name}`;
};

function need(one) {
  const [kind, tag] = STATES[one.state];
  const scope = el("span", { title: one.scope }, short(one.scope));
  const by = one.by.filter(other => other.toLowerCase() !== one.scope.toLowerCase());
  return mark(kind, el("strong", {}, one.role), " or an equal right at ", scope, " ", el("span", { class: "tag " + one.state }, tag),
    by.length ? el("span", { class: "small quiet" }, ` by way of ${by.map(short).join(", ")}`) : null,
    one.state === "held" ? null : el("p", { class: "small" }, one.fails),
    one.lost.map(text => el("p", { class: "small quiet" }, text)));
}

function has(one) {
  const through = one.group ? `, through group ${one.group}` : "";
  return el("li", {}, one.role, el("span", { class: "quiet", title: one.scope }, ` at ${short(one.scope)}${through}${one.condition ? ", under a condition" : ""}`));
}

function identity(one) {
  const needs = one.needs === null ? el("p", { class: "small quiet" }, one.principal ? "Only the application knows." : "Nothing.")
    : one.needs.length ? el("ul", { class: "marks" }, one.needs.map(need))
    : el("p", { class: "small quiet" }, one.unknown || one.blind.length ? "Not known." : "Nothing that can be seen from here.");
  return el("div", { class: "identity" },
    el("h4", {}, one.title, el("span", { class: "quiet small" }, ` for ${one.serves}`)),
    el("p", { class: "small" }, one.unknown ? el("strong", {}, one.unknown) : one.how, one.principal ? el("span", { class: "quiet" }, " · ", el("span", { class: "whole" }, one.principal)) : null),
    one.blind.length ? el("ul", { class: "marks small" }, mark("calm", `Not judged in full: ${one.blind.join("; ")}.`)) : null,
    el("h5", {}, "Needs"), needs,
    one.principal ? [el("h5", {}, "Has"), one.has.length ? el("ul", { class: "small plain" }, one.has.map(has)) : el("p", { class: "small quiet" }, one.complete ? "No role at all." : "No role that could be read; its groups are not known.")] : null);
}

function clusters() {
  const parts = data.clusters.map(one => el("article", { class: "cluster" },
    el("header", {}, el("h3", { title: one.id }, one.name),
      el("span", { class: "quiet small" }, [one.group, one.subscription, one.location].filter(Boolean).join(" · ")),
      one.state && one.state !== "Succeeded" ? el("span", { class: "tag" }, one.state) : null,
      one.findings ? el("span", { class: "tag " + one.severity }, plural(one.findings, "finding")) : el("span", { class: "tag held" }, "no finding")),
    el("div", { class: "identities" }, one.identities.map(identity))));
  $("cluster-list").append(...(parts.length ? parts : [el("p", { class: "quiet" }, "No cluster was read.")]));
}

// --- Findings --------------------------------------------------------------------------------------------------------

let matching = [];
let drawnUntil = 0;

function command(text) {
  const button = el("button", { type: "button" }, "Copy");
  const block = el("pre", { tabindex: "0" }, el("code", {}, text));
  button.addEventListener("click", () => copy(text, block));
  return el("div", { class: "command" }, block, button);
}

async function copy(text, block) {
  let done = false;
  try {
    await navigator.clipboard.writeText(text);
    done = true;
  } catch {
    // A page that was opened in another way than by https or from a file has no clipboard: mark it, and try the old way.
    getSelection().selectAllChildren(block);
    done = document.execCommand("copy");
  }
  $("said").textContent = done ? "Copied." : "It is marked: copy it with the keyboard.";
}

function body(one) {
  const advice = data.advice[one.advice] || {};
  const parts = [];
  const say = (title, text) => text && parts.push(el("h4", {}, title), el("p", {}, text));
  const run = (title, lines) => {
    if (!lines) return;
    parts.push(el("h4", {}, title));
    parts.push(...(lines.length ? lines.map(command) : [el("p", { class: "quiet" }, "The command holds letters that cannot be shown here: python -m shared findings --format json has it.")]));
  };
  if (one.evidence.length) parts.push(el("h4", {}, "What happened"), ...one.evidence.map(text => el("p", {}, text)));
  say("What breaks", one.fails || advice.symptom);
  say("Why", advice.cause);
  run("Confirm (reads only)", one.confirm);
  run("Fix now", one.fix);
  if (advice.caveat) parts.push(el("p", { class: "small quiet" }, advice.caveat));
  say("For good", advice.durable);
  if (one.accepted) say("Accepted", one.accepted);
  if (one.silenced) say("Silenced", one.silenced);
  const facts = [`fingerprint ${one.fingerprint}`, `first seen ${minute(one.seen)}`, one.closed && `closed ${minute(one.closed)}`, one.team && `team ${one.team}`].filter(Boolean);
  parts.push(el("p", { class: "small quiet" }, one.id, el("br"), facts.join(" · ")));
  const links = [one.link && el("a", { href: one.link, rel: "noopener noreferrer", target: "_blank" }, "Open in the Azure portal"),
                 advice.docs && el("a", { href: advice.docs, rel: "noopener noreferrer", target: "_blank" }, "Documentation")].filter(Boolean);
  if (links.length) parts.push(el("p", { class: "small" }, links[0], links[1] ? " · " : "", links[1] || ""));
  return el("div", { class: "body" }, parts);
}

function item(one) {
  const end = one.ends ? el("span", { class: "when " + (one.status === "open" ? nearness(one.ends) : "quiet") }, one.status === "open" ? away(one.ends) : "") : "";
  const details = el("details", {}, el("summary", {}, el("b", {}, one.title), end || el("span"),
    el("span", {}, el("span", { class: "tag " + (one.status === "open" ? one.severity : "resolved") }, one.status === "open" ? one.severity : one.status),
      one.silenced ? el("span", { class: "tag" }, "silenced") : null, one.whose, el("code", {}, one.rule))));
  details.addEventListener("toggle", () => { if (details.open && !details.querySelector(".body")) details.append(body(one)); });
  return el("li", { class: one.status === "open" ? one.severity : "over" }, details);
}

function grow(number) {
  const some = document.createDocumentFragment();
  for (const one of matching.slice(drawnUntil, drawnUntil + number)) some.append(item(one));
  drawnUntil = Math.min(matching.length, drawnUntil + number);
  $("list").append(some);
  $("more").hidden = drawnUntil >= matching.length;
  $("more").textContent = `Show more (${(matching.length - drawnUntil).toLocaleString("en")} left)`;
}

function wanted(one, asked) {
  if (!asked.severities.has(one.severity)) return false;
  if (asked.rule && one.rule !== asked.rule) return false;
  if (asked.owner === "-" ? one.owners.length : asked.owner && !one.owners.includes(asked.owner.slice(1))) return false;
  if (asked.state === "open" && one.status !== "open") return false;
  if (asked.state === "loud" && (one.status !== "open" || one.silenced)) return false;
  if (asked.state === "silenced" && !one.silenced) return false;
  if (asked.state === "closed" && one.status === "open") return false;
  return asked.words.every(word => one.haystack.includes(word) || (word.length >= 8 && one.fingerprint.startsWith(word)));
}

function filter() {
  const asked = {
    severities: new Set(SEVERITIES.filter(name => $(name).checked)),
    rule: $("rule").value, owner: $("owner").value, state: $("state").value,
    words: $("text").value.toLowerCase().split(/\s+/).filter(Boolean),
  };
  matching = data.findings.filter(one => wanted(one, asked));
  drawnUntil = 0;
  $("list").replaceChildren();
  grow(CHUNK);
  $("count").textContent = matching.length === data.findings.length ? plural(matching.length, "finding") : `${matching.length.toLocaleString("en")} of ${plural(data.findings.length, "finding")}`;
}

function choices(select, pairs) {
  for (const [value, text] of pairs) select.append(new Option(text, value));
}

function findings() {
  for (const one of data.findings) {
    one.haystack = [one.title, one.id, one.rule, one.severity, one.team, ...one.owners, ...one.evidence].join("\n").toLowerCase();
  }
  for (const severity of SEVERITIES) $("severities").append(el("label", {}, el("input", { type: "checkbox", id: severity, checked: true }), ` ${severity}`));
  const count = (name, all) => all.reduce((found, value) => found.set(value, (found.get(value) || 0) + 1), new Map());
  const rules = [...count("rule", data.findings.map(one => one.rule))].sort();
  choices($("rule"), [["", "all"], ...rules.map(([name, number]) => [name, `${name} (${number})`])]);
  const owners = [...count("owner", data.findings.flatMap(one => [...new Set(one.owners)]))].sort((a, b) => a[0].localeCompare(b[0]));
  choices($("owner"), [["", "all"], ["-", "nobody"], ...owners.map(([name, number]) => ["=" + name, `${name} (${number})`])]);
  choices($("state"), [["open", "open"], ["loud", "open, not silenced"], ["silenced", "silenced"], ["closed", "closed"], ["", "all"]]);
  let waiting = 0;
  $("filters").addEventListener("input", event => {
    clearTimeout(waiting);
    waiting = setTimeout(filter, event.target.id === "text" ? 80 : 0);
  });
  $("filters").addEventListener("submit", event => event.preventDefault());
  $("filters").addEventListener("reset", () => setTimeout(filter));
  $("more").addEventListener("click", () => {
    const before = drawnUntil;
    grow(CHUNK);
    $("list").children[before]?.querySelector("summary").focus();
  });
  addEventListener("keydown", event => {
    const typing = /^(input|select|textarea)$/i.test(event.target.tagName || "");
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      $("text").focus();
    } else if (event.key === "Escape" && event.target === $("text")) {
      $("text").value = "";
      filter();
    }
  });
  beforePrint.push(() => grow(matching.length));
  filter();
}

// --- Silences --------------------------------------------------------------------------------------------------------

function silences() {
  if (data.silences === null) return $("silence-list").append(el("p", { class: "quiet" }, "Nothing is stored, so there are no silences to show."));
  if (!data.silences.length) return $("silence-list").append(el("p", { class: "quiet" }, "Nothing is silenced."));
  const row = one => el("tr", {}, el("td", {}, el("code", {}, one.matches), el("br"), el("span", { class: "small quiet" }, `${plural(one.findings, "open finding")} · id ${one.id}`)),
    el("td", {}, one.active ? `until ${day(one.until)}` : `ended ${day(one.until)}`), el("td", {}, one.by), el("td", {}, one.comment));
  $("silence-list").append(el("div", {}, el("table", {}, el("thead", {}, el("tr", {}, ["What", "When", "By", "Why"].map(name => el("th", { scope: "col" }, name)))), el("tbody", {}, data.silences.map(row)))));
}

watch();
timeline();
clusters();
findings();
silences();
addEventListener("beforeprint", () => {
  for (const draw of beforePrint) draw();
  // What a person has on paper cannot be opened; a long list stays a list.
  if (matching.length <= 200) for (const details of document.querySelectorAll("#list details")) details.open = true;
});
