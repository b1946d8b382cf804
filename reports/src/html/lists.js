// Requirements and cases by area, with filters. Rows are made when their area is opened.

/** A toolbar of toggles and fields that keeps a filter, and tells when it changes. */
function toolbar(kind, groups, filter, changed) {
  const status = h("span", { class: "result", role: "status" });
  const search = h("input", { type: "search", id: kind + "-search", placeholder: "Search " + kind, "aria-label": "Search " + kind, value: filter.q, oninput: () => { filter.q = search.value; changed(); } });
  const toggles = groups.map(([name, label, values]) => h("fieldset", { class: "group" }, h("legend", { class: "sr" }, label), values.map(([value, text, count]) =>
    h("button", { type: "button", class: "toggle", "aria-pressed": String(filter[name].has(value)), "data-value": value, onclick: (event) => {
      const chosen = filter[name];
      if (chosen.has(value)) chosen.delete(value); else chosen.add(value);
      event.currentTarget.setAttribute("aria-pressed", String(chosen.has(value)));
      changed();
    } }, text, count === undefined ? null : [" ", h("span", { class: "n" }, String(count))]))));
  const choice = (name, label, values) => values.length < 2 ? null : h("select", { class: "plain", "aria-label": label, onchange: (event) => { filter[name] = event.currentTarget.value; changed(); } },
    h("option", { value: "" }, "all " + label), values.map((value) => h("option", { value, selected: filter[name] === value }, value)));
  const clear = h("button", { type: "button", class: "plain", onclick: () => {
    filter.q = filter.revision = filter.transport = "";
    filter.verdict.clear(); filter.level.clear();
    search.value = "";
    bar.querySelectorAll(".toggle").forEach((toggle) => toggle.setAttribute("aria-pressed", "false"));
    bar.querySelectorAll("select").forEach((select) => { select.value = ""; });
    changed();
  } }, "Clear");
  const record = DATA.records[state.at];
  const unique = (name) => [...new Set(record.runs.map((run) => run[name]))].sort();
  const bar = h("div", { class: "toolbar", role: "search", "aria-label": "Filter " + kind }, search, toggles, choice("revision", "revisions", unique("revision")), choice("transport", "transports", unique("transport")), clear, status);
  return { bar, status };
}

/** One list of things that have a verdict in several runs. */
function explorer(options) {
  const { kind, record, things, filter } = options;
  const byArea = new Map();
  for (const thing of things) {
    const area = areaOf(thing.name);
    if (!byArea.has(area)) byArea.set(area, []);
    byArea.get(area).push(thing);
  }
  const counts = Object.fromEntries(tally(things.map((thing) => worst(thing.entries.map((entry) => entry.verdict)))));
  const groups = [["verdict", "Verdict", ORDER.filter((verdict) => counts[verdict]).map((verdict) => [verdict, VERDICTS[verdict][1], counts[verdict]])]];
  if (options.levels) groups.push(["level", "Level", options.levels.map((level) => [level, level])]);
  const { bar, status } = toolbar(kind, groups, filter, () => { refresh(true); remember(); });
  const empty = h("p", { class: "muted" }, "Nothing fits these filters.");
  const areas = [...byArea].sort(([a], [b]) => a.localeCompare(b)).map(([area, list]) => {
    const tallies = h("span", { class: "tally" });
    const box = h("details", { class: "panel area " + kind, id: kind + "-area/" + area }, h("summary", { "data-nav": true }, h("h3", {}, area), tallies));
    const part = { area, list, box, tallies, shown: list };
    lazily(box, () => { part.holder = h("div", {}); draw(part); return part.holder; });
    return part;
  });

  const fits = (entry, thing) => (!filter.revision || entry.revision === filter.revision) && (!filter.transport || entry.transport === filter.transport)
    && (!options.levels || !filter.level.size || filter.level.has(entry.level)) && thing;
  const active = () => filter.q || filter.verdict.size || filter.level.size || filter.revision || filter.transport;

  function matching(thing) {
    const needle = filter.q.trim().toLowerCase();
    if (needle && !needle.split(/\s+/).every((word) => thing.text.includes(word))) return false;
    const entries = thing.entries.filter((entry) => fits(entry, thing));
    if (!entries.length) return false;
    if (!filter.verdict.size) return true;
    // With one revision chosen its verdict counts, without the worst of them, which is what the numbers on the buttons are about.
    return filter.revision || filter.transport ? entries.some((entry) => filter.verdict.has(entry.verdict)) : filter.verdict.has(worst(entries.map((entry) => entry.verdict)));
  }

  function draw(part) {
    if (!part.holder) return;
    const runs = record.runs.filter((run) => (!filter.revision || run.revision === filter.revision) && (!filter.transport || run.transport === filter.transport));
    const heads = runs.length > 1 ? h("div", { class: "heads", "aria-hidden": "true" }, runs.map((run) => h("span", {}, run.revision))) : null;
    part.holder.replaceChildren(...[heads, h("ul", { class: "rows" }, part.shown.map((thing) => options.row(thing, runs)))].filter(Boolean));
  }

  function refresh(byHand) {
    let shown = 0;
    for (const part of areas) {
      part.shown = part.list.filter(matching);
      shown += part.shown.length;
      part.box.hidden = part.shown.length === 0;
      part.tallies.replaceChildren(...tally(part.shown.map((thing) => worst(thing.entries.filter((entry) => fits(entry, thing)).map((entry) => entry.verdict)))).map(([verdict, count]) => badge(verdict, count + " " + VERDICTS[verdict][1])));
      draw(part);
    }
    empty.hidden = shown > 0;
    status.textContent = active() ? shown.toLocaleString("en") + " of " + many(things.length, kind.slice(0, -1)) : many(things.length, kind.slice(0, -1));
    // What was asked for is shown at once, as far as it fits on a few screens.
    if (byHand && active()) for (const part of areas) if (!part.box.hidden && shown <= 150) part.box.open = true;
  }

  refresh(false);
  const section = h("section", { id: kind, "aria-labelledby": kind + "-name" }, h("h2", { id: kind + "-name" }, options.title), h("p", { class: "lead" }, options.lead), bar, empty, areas.map((part) => part.box));
  return {
    section,
    refresh,
    openAll: () => areas.forEach((part) => { if (!part.box.hidden) { part.box.fill(); part.box.open = true; } }),
    /** Opens the row of a thing and gives it back. */
    reveal: (name) => {
      const part = areas.find((one) => one.list.some((thing) => thing.name === name));
      if (!part) return null;
      if (!part.shown.some((thing) => thing.name === name)) {
        filter.q = filter.revision = filter.transport = "";
        filter.verdict.clear(); filter.level.clear();
        refresh(false);
      }
      part.box.fill();
      part.box.open = true;
      const item = document.getElementById(options.prefix + name);
      const button = item && item.querySelector("button.row");
      if (button && button.getAttribute("aria-expanded") === "false") button.click();
      return item;
    },
  };
}

/** A row that opens. */
function opening(id, props, summary, detail) {
  const item = h("li", { id });
  const button = h("button", { type: "button", class: "row", "aria-expanded": "false", "data-nav": true, ...props, onclick: () => {
    const open = button.getAttribute("aria-expanded") === "true";
    button.setAttribute("aria-expanded", String(!open));
    if (open) item.lastElementChild.remove();
    else item.append(h("div", { class: "detail" }, detail()));
  } }, summary);
  item.append(button);
  return item;
}

function cellsOf(thing, runs) {
  return h("span", { class: "cells" }, runs.map((run) => {
    const entry = thing.entries.find((one) => one.revision === run.revision && one.transport === run.transport);
    return entry ? cell(entry.verdict, run.revision, runs.length > 1) : h("span", { class: "v glyph absent", "aria-hidden": "true" }, "·");
  }));
}

function requirements(record, filter) {
  const things = new Map();
  for (const run of record.runs) {
    for (const entry of run.requirements) {
      if (!things.has(entry.id)) {
        const text = record.requirements[entry.id] || { statement: "", links: {} };
        things.set(entry.id, { name: entry.id, about: text, entries: [], text: (entry.id + " " + text.statement).toLowerCase() });
      }
      things.get(entry.id).entries.push({ ...entry, revision: run.revision, transport: run.transport });
    }
  }
  const broken = new Map();
  for (const finding of record.findings) for (const id of [finding.requirement, ...(finding.also || [])]) broken.set(id, [...(broken.get(id) || []), finding]);
  const levels = LEVELS.filter((level) => [...things.values()].some((thing) => thing.entries.some((entry) => entry.level === level)));
  return explorer({
    kind: "requirements", title: "Requirements", prefix: "requirement/", record, things: [...things.values()], filter, levels,
    lead: "Every rule of the judged revisions. The signs stand for the revisions, newest first; numbers on the filters count the worst over all of them.",
    row: (thing, runs) => {
      const level = [...new Set(thing.entries.map((entry) => entry.level))];
      return opening("requirement/" + thing.name, {}, [
        h("span", { class: "lvl" }, level.length > 1 ? level[0] + " …" : level[0]),
        h("span", {}, h("span", { class: "id" }, thing.name), h("span", { class: "say" }, thing.about.statement)), cellsOf(thing, runs)],
      () => [
        h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Verdicts on " + thing.name }, h("table", {}, h("thead", {}, h("tr", {}, ["revision", "transport", "level", "verdict", "observed", "reason"].map((name) => h("th", { scope: "col", class: name === "observed" ? "num" : null }, name)))),
          h("tbody", {}, thing.entries.map((entry) => h("tr", {}, h("th", { scope: "row" }, entry.revision), h("td", {}, entry.transport), h("td", {}, entry.level), h("td", {}, badge(entry.verdict)), h("td", { class: "num" }, entry.observed.toLocaleString("en")),
            h("td", {}, entry.reason || "", entry.advice ? h("p", { class: "muted" }, entry.advice) : null)))))),
        thing.about.ambiguity ? h("p", { class: "aside" }, h("b", {}, "Where the text is unclear: "), thing.about.ambiguity) : null,
        h("p", { class: "places" }, [...new Set(Object.values(thing.about.links).flat())].map(place)),
        (broken.get(thing.name) || []).length ? h("p", {}, "Findings: ", (broken.get(thing.name) || []).map((finding, at) => [at ? ", " : "", link(anchor("finding", finding.signature), finding.message.slice(0, 90))])) : null,
        h("p", {}, link(anchor("requirement", thing.name), "Link to this requirement")),
      ]);
    },
  });
}

function cases(record, filter) {
  const things = new Map();
  for (const run of record.runs) {
    for (const entry of run.cases) {
      if (!things.has(entry.name)) things.set(entry.name, { name: entry.name, title: entry.title, entries: [], text: (entry.name + " " + entry.title).toLowerCase() });
      things.get(entry.name).entries.push({ ...entry, revision: run.revision, transport: run.transport });
    }
  }
  return explorer({
    kind: "cases", title: "Cases", prefix: "case/", record, things: [...things.values()], filter, levels: null,
    lead: record.runs.length && !things.size ? "This is a recorded session: no case of Touchstone's ran in it. Below is what crossed the wire." : "What Touchstone did, and the conversation that came of it." + (record.traces_note ? " " + record.traces_note : ""),
    row: (thing, runs) => opening("case/" + thing.name, {}, [
      h("span", {}, h("span", { class: "id" }, thing.name), h("span", { class: "say" }, thing.title)), cellsOf(thing, runs)],
    () => caseDetail(record, thing)),
  });
}

function caseDetail(record, thing) {
  const holder = h("div", {});
  const order = thing.entries.map((entry, at) => at).sort((a, b) => ORDER.indexOf(thing.entries[a].verdict) - ORDER.indexOf(thing.entries[b].verdict));
  const show = (at) => {
    const entry = thing.entries[at];
    buttons.forEach((button, other) => button.setAttribute("aria-pressed", String(other === at)));
    holder.replaceChildren(...[
      h("p", {}, badge(entry.verdict), " ", entry.reason || "", entry.duration_us ? h("span", { class: "muted" }, " took " + time(entry.duration_us)) : null),
      entry.messages && entry.messages.length ? h("ul", {}, entry.messages.slice(0, 20).map((message) => h("li", {}, message))) : null,
      entry.findings && entry.findings.length ? h("p", {}, "Findings: ", entry.findings.slice(0, 20).map((signature, index) => [index ? ", " : "", link(anchor("finding", signature), signature)])) : null,
      sequences(record, entry),
    ].flat(Infinity).filter(Boolean));
  };
  const buttons = thing.entries.map((entry, at) => h("button", { type: "button", class: "toggle", "aria-pressed": "false", onclick: () => show(at) }, entry.revision + (new Set(record.runs.map((run) => run.transport)).size > 1 ? " " + entry.transport : "")));
  show(order[0]);
  return [thing.entries.length > 1 ? h("div", { class: "group", role: "group", "aria-label": "Revision" }, buttons) : null, holder, h("p", {}, link(anchor("case", thing.name), "Link to this case"))];
}
