// Puts the page together, follows deep links, and listens to keys.

const fresh = () => ({ q: "", verdict: new Set(), level: new Set(), revision: "", transport: "" });
const state = { at: 0, filters: { requirements: fresh(), cases: fresh() }, lists: {} };
const store = {
  get: () => { try { return localStorage.getItem("touchstone-theme"); } catch { return null; } },
  set: (value) => { try { localStorage.setItem("touchstone-theme", value); } catch { /* from disk some browsers refuse */ } },
};

/** Light or dark: as chosen, else as the system says. */
const system = matchMedia("(prefers-color-scheme: dark)");
function theme(chosen) {
  const dark = chosen ? chosen === "dark" : system.matches;
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  const button = document.getElementById("theme");
  if (button) button.textContent = dark ? "Light" : "Dark";
}
function switchTheme() {
  const next = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  store.set(next);
  theme(next);
}
system.addEventListener("change", () => theme(store.get()));

function header(record) {
  const weighty = record.findings.filter((finding) => finding.severity !== "info").length;
  const several = DATA.records.length > 1;
  const sections = [several ? ["comparison", "Comparison"] : null, ["summary", "Summary"], ["findings", "Findings", weighty], DATA.gaps[state.at].length ? ["gaps", "Not exercised"] : null,
    record.runs.length ? ["requirements", "Requirements"] : null, record.runs.length ? ["cases", "Cases"] : null, DATA.proof ? ["proof", "Proof"] : null].filter(Boolean);
  const chooser = several ? h("select", { class: "plain", "aria-label": "Record that is shown below the comparison", onchange: (event) => { location.hash = "#/" + event.currentTarget.value; } },
    DATA.comparison.columns.map((column, at) => h("option", { value: at, selected: at === state.at }, column.label))) : null;
  return h("div", { class: "bar-in" }, h("span", { class: "wordmark" }, "Touchstone"),
    h("nav", { "aria-label": "Sections" }, h("ul", {}, sections.map(([id, name, count]) => h("li", {}, link("#/" + state.at + "/" + id, [name, count ? [" ", h("span", { class: "n" }, String(count))] : null], { "data-section": id }))))),
    h("div", { class: "tools" }, chooser, h("button", { type: "button", class: "plain", id: "theme", onclick: switchTheme, "aria-label": "Switch between light and dark" }),
      h("button", { type: "button", class: "plain", onclick: help, "aria-label": "Keyboard shortcuts" }, "?")));
}

function build() {
  const record = DATA.records[state.at];
  const headline = DATA.headlines[state.at];
  state.filters = { requirements: fresh(), cases: fresh() };
  state.lists = record.runs.length ? { requirements: requirements(record, state.filters.requirements), cases: cases(record, state.filters.cases) } : {};
  const summary = h("section", { id: "summary", "aria-label": "Summary" }, hero(record, headline), notes(record), record.runs.length ? scores(record, headline) : null);
  const loosely = loose(record);
  if (loosely) state.lists.cases.section.append(h("div", {}, loosely));
  document.getElementById("bar").replaceChildren(header(record));
  document.getElementById("main").replaceChildren(...[DATA.comparison ? state.comparison || (state.comparison = comparison()) : null, summary, campaign(record), matrix(record), findings(record), gaps(record, DATA.gaps[state.at]),
    state.lists.requirements && state.lists.requirements.section, state.lists.cases && state.lists.cases.section, DATA.proof ? state.proof || (state.proof = proof()) : null, legend(), foot(record)].filter(Boolean));
  theme(store.get());
  watch();
}

function foot(record) {
  return h("footer", {}, h("span", {}, "Made by Touchstone " + record.tool.version + " from its run record. This page asks nobody for anything."),
    h("button", { type: "button", class: "plain", onclick: () => {
      const file = URL.createObjectURL(new Blob([JSON.stringify(record, null, 2).replace(/"seed": [\d.e+]+/, '"seed": ' + DATA.seeds[state.at]) + "\n"], { type: "application/json" }));
      const save = h("a", { href: file, download: "touchstone-record.json" });
      save.click();
      setTimeout(() => URL.revokeObjectURL(file), 10000);
    } }, "Save the record as JSON"));
}

/** Marks the section that is in view. */
function watch() {
  if (state.observer) state.observer.disconnect();
  state.observer = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      const mark = document.querySelector('nav a[data-section="' + entry.target.id + '"]');
      if (mark && entry.isIntersecting) {
        document.querySelectorAll("nav a[aria-current]").forEach((other) => other.removeAttribute("aria-current"));
        mark.setAttribute("aria-current", "true");
      }
    }
  }, { rootMargin: "-20% 0px -70% 0px" });
  document.querySelectorAll("main > section").forEach((section) => state.observer.observe(section));
}

/** Writes the filters into the address, so that it can be sent to somebody. */
function remember() {
  const parts = [];
  for (const kind of ["requirements", "cases"]) {
    const filter = state.filters[kind];
    const query = new URLSearchParams();
    for (const name of ["verdict", "level"]) if (filter[name].size) query.set(name, [...filter[name]].join(","));
    for (const name of ["revision", "transport", "q"]) if (filter[name]) query.set(name, filter[name]);
    if (query.size) parts.push([kind, query]);
  }
  const [kind, query] = parts[0] || ["requirements", new URLSearchParams()];
  history.replaceState(null, "", "#/" + state.at + "/" + kind + (query.size ? "?" + query : ""));
}

/** Follows `#/RECORD/KIND/NAME?filters`. */
function follow() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  const [index, kind, ...rest] = path.split("/");
  const at = Math.min(Math.max(0, parseInt(index, 10) || 0), DATA.records.length - 1);
  if (!document.getElementById("summary") || at !== state.at) {
    state.at = at;
    build();
  }
  if (!kind) {
    if (index) show(document.getElementById("summary"), false);
    return;
  }
  let name = rest.join("/");
  try { name = decodeURIComponent(name); } catch { /* taken as it is */ }
  if (kind === "finding" && name) {
    let card = document.getElementById("finding/" + name);
    const mild = document.getElementById("mild");
    if (!card && mild) {
      mild.fill();
      card = document.getElementById("finding/" + name);
      if (card) mild.open = true;
    }
    return show(card, true);
  }
  if (kind === "requirement" && name) return show(state.lists.requirements && state.lists.requirements.reveal(name), true);
  if (kind === "case" && name) return show(state.lists.cases && state.lists.cases.reveal(name), true);
  if (query && state.filters[kind]) {
    const asked = new URLSearchParams(query);
    const record = DATA.records[state.at];
    const filter = Object.assign(state.filters[kind], fresh());
    for (const one of (asked.get("verdict") || "").split(",")) if (VERDICTS[one]) filter.verdict.add(one);
    for (const one of (asked.get("level") || "").split(",")) if (LEVELS.includes(one)) filter.level.add(one);
    filter.revision = asked.get("revision") || "";
    filter.transport = asked.get("transport") || "";
    filter.q = asked.get("q") || "";
    const made = kind === "requirements" ? requirements(record, filter) : cases(record, filter);
    state.lists[kind].section.replaceWith(made.section);
    state.lists[kind] = made;
    made.refresh(true);
    watch();
  }
  show(document.getElementById(kind), false);
}

function show(element, mark) {
  if (!element) return;
  document.querySelectorAll(".target").forEach((other) => other.classList.remove("target"));
  element.scrollIntoView({ block: "start" });
  if (mark) {
    const focus = element.matches("article") ? element : element.querySelector("button.row") || element;
    focus.focus({ preventScroll: true });
    const row = element.querySelector("button.row");
    if (row) row.classList.add("target");
  }
}

function help() {
  const keys = [["/", "search the requirements"], ["j, k", "next and previous finding, area or row"], ["o", "open or close what has the focus"], ["f", "findings"], ["r", "requirements"], ["c", "cases"], ["t", "light or dark"], ["?", "this help"]];
  const dialog = h("dialog", { "aria-labelledby": "help-name" }, h("h2", { id: "help-name" }, "Keyboard"), h("dl", {}, keys.map(([key, what]) => [h("dt", {}, h("kbd", {}, key)), h("dd", {}, what)])),
    h("form", { method: "dialog" }, h("button", { class: "plain" }, "Close")));
  dialog.addEventListener("close", () => dialog.remove());
  // The policy of the page allows no form to go anywhere, not even a dialog's.
  dialog.querySelector("form").addEventListener("submit", (event) => { event.preventDefault(); dialog.close(); });
  document.body.append(dialog);
  dialog.showModal();
}

function step(forward) {
  const stops = [...document.querySelectorAll("[data-nav]")].filter((element) => element.getClientRects().length);
  const now = stops.findIndex((element) => element === document.activeElement || element.contains(document.activeElement));
  const visibleFirst = stops.findIndex((element) => element.getBoundingClientRect().bottom > 90);
  const next = now < 0 ? visibleFirst : now + (forward ? 1 : -1);
  const stop = stops[Math.min(Math.max(0, next), stops.length - 1)];
  if (stop) {
    stop.focus({ preventScroll: true });
    stop.scrollIntoView({ block: "nearest" });
  }
}

document.addEventListener("keydown", (event) => {
  const typing = event.target instanceof HTMLElement && event.target.matches("input, select, textarea");
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (typing) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  const go = (id) => { location.hash = "#/" + state.at + "/" + id; show(document.getElementById(id), false); };
  const actions = {
    "/": () => { const field = document.getElementById("requirements-search"); if (field) { field.focus(); field.scrollIntoView({ block: "center" }); } },
    j: () => step(true), k: () => step(false), t: switchTheme, "?": help, f: () => go("findings"), r: () => go("requirements"), c: () => go("cases"),
    o: () => { if (document.activeElement instanceof HTMLElement && document.activeElement.matches("button, summary")) document.activeElement.click(); },
  };
  if (actions[event.key]) {
    event.preventDefault();
    actions[event.key]();
  }
});

addEventListener("hashchange", follow);
addEventListener("beforeprint", () => { if (state.lists.requirements) state.lists.requirements.openAll(); });
theme(store.get());
follow();
