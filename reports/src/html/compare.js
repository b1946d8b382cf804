// Several records side by side: servers in one table, or runs of one server and what changed.

function comparison() {
  const { columns, history, changes } = DATA.comparison;
  const verdictsOf = (record, revision) => {
    const found = new Map();
    for (const run of record.runs) {
      if (revision && run.revision !== revision) continue;
      for (const entry of run.requirements) found.set(entry.id, worst([entry.verdict, found.get(entry.id)].filter(Boolean)));
    }
    return found;
  };
  const statements = Object.assign({}, ...DATA.records.map((record) => record.requirements));
  const revisions = [...new Set(DATA.records.flatMap((record) => record.runs.map((run) => run.revision)))].sort().reverse();
  const filter = { revision: "", differ: true, q: "" };
  const body = h("tbody", {});
  const status = h("span", { class: "result", role: "status" });
  const open = new Set();

  const draw = () => {
    const verdicts = DATA.records.map((record) => verdictsOf(record, filter.revision));
    const ids = [...new Set(verdicts.flatMap((found) => [...found.keys()]))].sort();
    const needle = filter.q.trim().toLowerCase();
    const shown = ids.filter((id) => {
      const row = verdicts.map((found) => found.get(id) || "not-applicable");
      const told = row.filter((verdict) => !["not-applicable", "not-exercised"].includes(verdict));
      return (!filter.differ || (new Set(told).size > 1) || told.some((verdict) => ["failed", "warned"].includes(verdict))) && (!needle || id.includes(needle) || ((statements[id] || {}).statement || "").toLowerCase().includes(needle));
    });
    const areas = new Map();
    for (const id of shown) areas.set(areaOf(id), [...(areas.get(areaOf(id)) || []), id]);
    const few = shown.length <= 120;
    body.replaceChildren(...[...areas].flatMap(([area, list]) => {
      const isOpen = few || open.has(area);
      const band = h("tr", { class: "band" }, h("th", { scope: "rowgroup" }, few ? area : h("button", { type: "button", class: "plain", "aria-expanded": String(isOpen), onclick: () => { if (open.has(area)) open.delete(area); else open.add(area); draw(); } }, area + " (" + list.length + ")")),
        verdicts.map((found) => {
          const counts = tally(list.map((id) => found.get(id) || "not-applicable")).filter(([verdict]) => ["failed", "warned"].includes(verdict));
          return h("td", {}, counts.map(([verdict, count]) => badge(verdict, String(count))));
        }));
      const rows = isOpen ? list.map((id) => h("tr", {}, h("th", { scope: "row", title: (statements[id] || {}).statement }, id), verdicts.map((found, at) => {
        const verdict = found.get(id);
        if (!verdict) return h("td", {}, h("span", { class: "muted" }, h("span", { "aria-hidden": "true" }, "·"), h("span", { class: "sr" }, "no such rule")));
        const [glyph, word] = VERDICTS[verdict];
        return h("td", {}, h("button", { type: "button", class: "v glyph " + verdict, title: columns[at].label + ": " + word, "aria-label": word + ": " + id + " of " + columns[at].label, onclick: () => { location.hash = anchor("requirement", id, at); } }, glyph));
      }))) : [];
      return [band, ...rows];
    }));
    status.textContent = shown.length + " of " + many(ids.length, "requirement");
  };
  draw();

  const head = h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "requirement"), columns.map((column, at) => h("th", { scope: "col", class: "col", title: column.label }, link("#/" + at, column.label)))),
    h("tr", {}, h("th", { scope: "row" }, "exercised"), columns.map((column) => h("td", { class: "muted" }, String(column.headline.counts.passed + column.headline.counts.failed + column.headline.counts.warned + column.headline.counts.info + column.headline.counts.excused)))),
    ...["failed", "warned"].map((verdict) => h("tr", {}, h("th", { scope: "row" }, verdict), columns.map((column) => h("td", { class: column.headline.counts[verdict] ? null : "zero" }, column.headline.counts[verdict] ? badge(verdict, String(column.headline.counts[verdict])) : "0")))));
  const differ = h("button", { type: "button", class: "toggle", "aria-pressed": "true", onclick: () => { filter.differ = !filter.differ; differ.setAttribute("aria-pressed", String(filter.differ)); draw(); } }, "Only what is broken or differs");
  const search = h("input", { type: "search", "aria-label": "Search the comparison", placeholder: "Search requirements", oninput: () => { filter.q = search.value; draw(); } });
  const select = revisions.length > 1 ? h("select", { class: "plain", "aria-label": "Revision of the comparison", onchange: () => { filter.revision = select.value; draw(); } }, h("option", { value: "" }, "worst of all revisions"), revisions.map((revision) => h("option", { value: revision }, revision))) : null;
  return h("section", { id: "comparison", "aria-labelledby": "comparison-name" },
    h("h1", { id: "comparison-name" }, history ? "What changed over " + columns.length + " runs" : columns.length + " servers side by side"),
    history ? changes.map((change, at) => changed(change, at, columns)) : h("p", { class: "lead" }, "Each sign leads to the requirement in the report of that server. What was not exercised says nothing about a server."),
    h("div", { class: "toolbar" }, search, differ, select, status),
    h("div", { class: "panel scroll compare", tabindex: "0", role: "region", "aria-label": "Requirements by " + (history ? "run" : "server") }, h("table", {}, head, body)));
}

function changed(change, at, columns) {
  const list = (items, row, nothing) => h("ul", {}, items.length ? items.slice(0, 60).map(row) : h("li", { class: "muted" }, nothing), items.length > 60 ? h("li", { class: "muted" }, "and " + (items.length - 60) + " more") : null);
  const verdict = (one) => h("li", {}, link(anchor("requirement", one.id, at + 1), one.id, { class: "mono" }), " ", badge(one.before), " → ", badge(one.after), h("span", { class: "muted" }, " " + one.place));
  const finding = (index) => ([signature, message]) => h("li", {}, link(anchor("finding", signature, index), message.slice(0, 160)));
  return h("div", {},
    h("h2", {}, columns.length > 2 ? columns[at].label + " → " + columns[at + 1].label : "From " + columns[0].label + " to " + columns[1].label),
    h("div", { class: "two-col" },
      h("div", { class: "panel" }, h("h3", {}, many(change.worse.length, "requirement") + " worse"), list(change.worse, verdict, "Nothing got worse."), h("h3", {}, many(change.new.length, "new finding")), list(change.new, finding(at + 1), "None.")),
      h("div", { class: "panel" }, h("h3", {}, many(change.better.length, "requirement") + " better"), list(change.better, verdict, "Nothing got better."), h("h3", {}, many(change.gone.length, "finding") + " gone, " + change.still + " still there"), list(change.gone, finding(at), "None."))));
}
