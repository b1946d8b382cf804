// The kill matrix: servers with one known fault each, and whether the suite caught it. It is the same for all records of the page.

const OUTCOMES = {
  "as-expected": ["✓", "passed", "as expected"],
  otherwise: ["✕", "failed", "not as expected"],
  "not-tried": ["○", "not-exercised", "not tried"],
};

function proof() {
  const { rows } = DATA.proof;
  const transports = [...new Set(rows.map((row) => row.transport))];
  const faults = new Map();
  for (const row of rows) {
    if (!faults.has(row.fault)) faults.set(row.fault, { ...row, text: (row.fault + " " + row.summary + " " + row.caught_by.join(" ")).toLowerCase(), over: {} });
    faults.get(row.fault).over[row.transport] = row;
  }
  const all = [...faults.values()];
  const correct = all.filter((fault) => !fault.caught_by.length).length;
  const tried = rows.filter((row) => row.outcome !== "not-tried");
  const good = tried.filter((row) => row.outcome === "as-expected").length;
  const filter = { q: "", odd: false };
  const body = h("tbody", {});
  const status = h("span", { class: "result", role: "status" });

  const sign = (row, transport) => {
    if (!row) return h("td", {}, h("span", { class: "muted" }, h("span", { "aria-hidden": "true" }, "·"), h("span", { class: "sr" }, "does not show over " + transport)));
    const [glyph, kind, words] = OUTCOMES[row.outcome];
    const found = row.found.length ? ", found: " + row.found.join(", ") : "";
    return h("td", {}, h("span", { class: "v glyph " + kind, title: transport + ": " + words + found }, h("span", { "aria-hidden": "true" }, glyph), h("span", { class: "sr" }, words)));
  };
  const draw = () => {
    const needles = filter.q.trim().toLowerCase().split(/\s+/).filter(Boolean);
    const shown = all.filter((fault) => needles.every((word) => fault.text.includes(word)) && (!filter.odd || Object.values(fault.over).some((row) => row.outcome !== "as-expected")));
    body.replaceChildren(...shown.map((fault) => h("tr", {},
      h("th", { scope: "row" }, fault.fault),
      h("td", { class: "says" }, fault.summary, fault.revision ? h("span", { class: "muted" }, " (" + fault.revision + ")") : null,
        h("div", { class: "muted" }, fault.caught_by.length ? ["caught by ", words(fault.caught_by)] : "correct: nothing may be found")),
      transports.map((transport) => sign(fault.over[transport], transport)))));
    status.textContent = shown.length + " of " + many(all.length, "server");
  };

  const search = h("input", { type: "search", "aria-label": "Search the faults", placeholder: "Search faults", oninput: () => { filter.q = search.value; draw(); } });
  const odd = h("button", { type: "button", class: "toggle", "aria-pressed": "false", onclick: () => { filter.odd = !filter.odd; odd.setAttribute("aria-pressed", String(filter.odd)); draw(); } }, "Only what did not go as expected");
  const box = h("details", { class: "panel area" }, h("summary", { "data-nav": true }, h("h3", {}, "All of them"),
    h("span", { class: "tally" }, [["as-expected", good], ["otherwise", tried.length - good], ["not-tried", rows.length - tried.length]].filter(([, count]) => count).map(([outcome, count]) =>
      h("span", { class: "v " + OUTCOMES[outcome][1] }, h("span", { "aria-hidden": "true" }, OUTCOMES[outcome][0]), count.toLocaleString("en") + " " + OUTCOMES[outcome][2])))));
  lazily(box, () => {
    draw();
    return h("div", { class: "inside" }, h("div", { class: "toolbar" }, search, odd, status),
      h("div", { class: "scroll compare", tabindex: "0", role: "region", "aria-label": "Faults by transport" }, h("table", {},
        h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "fault"), h("th", { scope: "col" }, "what the server does"), transports.map((transport) => h("th", { scope: "col", class: "col" }, transport)))), body)));
  });
  return h("section", { id: "proof", "aria-labelledby": "proof-name" }, h("h2", { id: "proof-name" }, "What this suite was seen to catch"),
    h("p", { class: "lead" }, many(all.length - correct, "server") + " with one known fault each and " + many(correct, "unusual but correct server") + ", over every transport: " +
      good.toLocaleString("en") + " of " + many(tried.length, "trial") + " went as expected. A fault must be caught by the requirement that it breaks, and by no other."), box);
}
