// The top of the report: the verdict, what weakens it, the figures, the findings, and what was not exercised.

function hero(record, headline) {
  const facts = [
    ["Target", [h("code", {}, record.target)]],
    ["Judged", record.runs.length ? words([...new Set(record.runs.map((run) => run.revision))].sort()) + " over " + words([...new Set(record.runs.map((run) => run.transport))]) : "nothing"],
    (record.eras || []).length ? ["Speaks", record.eras.map((era) => h("div", {}, (era.revisions.length ? words([...era.revisions].sort()) : "nothing") + " (" + era.era + "): " + era.how))] : null,
    ["When", new Date(record.started).toISOString().replace("T", " ").replace(".000Z", " UTC") + ", for " + (record.duration_ms / 1000).toFixed(1) + " s, " + many(record.sessions, "connection")],
    ["By", record.tool.name + " " + record.tool.version],
  ];
  return h("div", { class: "panel hero " + headline.tone },
    h("p", { class: "word" }, headline.word), h("h1", {}, serverName(record)), h("p", { class: "sentence" }, headline.sentence),
    h("dl", { class: "facts" }, facts.filter(Boolean).map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)])));
}

function scores(record, headline) {
  const counts = headline.counts;
  const exercised = counts.passed + counts.failed + counts.warned + counts.info + counts.excused;
  const applicable = exercised + counts["not-exercised"];
  const score = (name, severities, about) => {
    const parts = [];
    if (severities.fail) parts.push(severities.fail + " failed");
    if (severities.warn) parts.push(severities.warn + " warned");
    return h("div", { class: "panel score" }, h("h2", {}, name), h("p", { class: "big" }, parts.length ? parts.join(", ") : "nothing broken"),
      h("p", {}, about, severities.excused ? " " + severities.excused + " excused." : ""));
  };
  return h("div", { class: "scores" },
    score("Conformance", record.summary.conformance, "Findings about messages that a client may send."),
    score("Robustness", record.summary.robustness, "Whether the server survives what no client may send."),
    h("div", { class: "panel score" }, h("h2", {}, "Coverage"), h("p", { class: "big" }, exercised + " of " + applicable),
      h("p", {}, "Requirements exercised, of those that apply in any judged revision.")));
}

/** What weakens the verdict, to be read first. */
function notes(record) {
  const list = [];
  if (record.failure) {
    list.push(h("li", {}, h("b", {}, record.runs.length ? "The rest could not run: " : "Could not run: "), record.failure.reason, record.failure.hint ? h("p", {}, record.failure.hint) : null,
      record.failure.stdout ? h("pre", { tabindex: "0" }, "stdout: " + record.failure.stdout) : null, record.failure.stderr ? h("pre", { tabindex: "0" }, record.failure.stderr) : null));
  }
  if (record.interrupted) list.push(h("li", {}, "The run was interrupted: what is missing was not exercised."));
  if (record.partition) list.push(h("li", {}, "Only part " + record.partition + " of the cases ran. touchstone report merges all parts."));
  const tools = record.runs.length ? record.runs[0].tools : null;
  if (tools && tools.callable < tools.listed) {
    list.push(h("li", {}, many(tools.listed - tools.callable, "tool") + " of " + tools.listed + " were not called with valid arguments, because they are not annotated readOnlyHint: true. Use --call all, or --allow-tool NAME."));
  }
  const blocked = record.runs.flatMap((run) => run.cases).filter((one) => (one.reason || "").startsWith("blocked")).length;
  if (blocked) list.push(h("li", {}, many(blocked, "case was", "cases were") + " blocked by what is listed as failed, and judged nothing."));
  for (const entry of record.baseline || []) {
    if (entry.stale) list.push(h("li", {}, "The baseline excuses " + entry.kind + " ", h("code", {}, entry.name), ", which is not broken any more: remove the entry."));
  }
  return list.length ? h("div", { class: "panel notes" }, h("h2", {}, "Read this first"), h("ul", {}, list)) : null;
}

function matrix(record) {
  if (!record.runs.length) return null;
  const shown = ["passed", "failed", "warned", "info", "excused", "not-exercised", "not-applicable"];
  const rows = record.runs.map((run) => {
    const counts = Object.fromEntries(tally(run.requirements.map((entry) => entry.verdict)));
    const whole = run.requirements.length - (counts["not-applicable"] || 0);
    const share = h("div", { class: "share", "aria-hidden": "true" });
    for (const verdict of ["failed", "warned", "excused", "info", "passed", "not-exercised"]) {
      if (!counts[verdict]) continue;
      const part = h("span", { class: "b-" + verdict });
      part.style.width = (100 * counts[verdict]) / Math.max(1, whole) + "%";
      share.append(part);
    }
    return h("tr", {}, h("th", { scope: "row" }, run.revision), h("td", {}, run.transport),
      shown.map((verdict) => {
        const count = counts[verdict] || 0;
        const filtered = "#/" + state.at + "/requirements?verdict=" + verdict + "&revision=" + run.revision;
        return h("td", { class: "num" + (count ? "" : " zero"), "data-label": VERDICTS[verdict][1] },
          count ? link(filtered, String(count), { "aria-label": many(count, "requirement") + " " + VERDICTS[verdict][1] + " in " + run.revision }) : "0");
      }), h("td", { class: "bar-cell" }, share));
  });
  return h("section", { id: "matrix", "aria-labelledby": "matrix-name" }, h("h2", { id: "matrix-name" }, "Revisions and transports"),
    h("p", { class: "lead" }, "Requirements by verdict. The bar leaves out what does not apply."),
    h("div", { class: "panel scroll", tabindex: "0", role: "region", "aria-label": "Requirements by revision and verdict" }, h("table", { class: "matrix" },
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "revision"), h("th", { scope: "col" }, "transport"),
        shown.map((verdict) => h("th", { scope: "col", class: "num" }, VERDICTS[verdict][1])), h("th", { scope: "col" }, h("span", { class: "sr" }, "share")))),
      h("tbody", {}, rows))));
}

/** Numbers of a fuzzing campaign. */
function campaign(record) {
  const told = record.campaign;
  if (!told) return null;
  const facts = [
    ["Seed", h("code", {}, DATA.seeds[state.at])],
    ["Calls", told.calls.toLocaleString("en") + ", " + Math.round(told.calls_per_second).toLocaleString("en") + " a second"],
    ["Phases", Object.entries(told.phases || {}).map(([phase, cases]) => phase + " " + cases.toLocaleString("en")).join(", ") || "none"],
    ["Schemas", told.covered.toLocaleString("en") + " of " + many(told.constraints, "constraint") + " touched"],
    ["Answers", many(told.shapes, "different shape")],
    ["Restarts", many(told.restarts, "time") + "; " + many(told.spawns, "server") + " started to make findings small"],
    told.uncalled ? ["Never called", many(told.uncalled, "tool") + ", because that was not allowed"] : null,
    ...Object.entries(told.parked || {}).map(([what, cases]) => ["Left out", what + " kept killing the server: " + many(cases, "case")]),
    ...Object.entries(told.regressions || {}).map(([file, verdict]) => ["Seen before", [h("code", {}, file), ": " + verdict]]),
    told.ended ? ["Ended early", told.ended] : null,
    ["Digest", h("code", {}, told.digest)],
  ];
  return h("section", { id: "campaign", "aria-labelledby": "campaign-name" }, h("h2", { id: "campaign-name" }, "Fuzzing campaign"),
    h("div", { class: "panel score" }, h("dl", { class: "facts" }, facts.filter(Boolean).map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]))));
}

/** The smallest conversation that shows a finding of a campaign. */
function smallest(finding) {
  const found = finding.reproduction;
  if (!found) return null;
  return h("div", { class: "smallest" }, h("h4", {}, "The smallest conversation that shows it: " + found.description),
    found.messages.slice(0, 40).map((message) => bytes(message.length > 8000 ? message.slice(0, 8000) : message)),
    found.messages.length > 40 ? h("p", { class: "more" }, "and " + (found.messages.length - 40) + " more messages") : null,
    found.shell ? h("div", { class: "again" }, h("pre", { tabindex: "0", "aria-label": "Line for a shell" }, found.shell), copyButton(found.shell, "the line for a shell")) : null,
    found.case_yaml ? h("details", {}, h("summary", {}, "As a case for touchstone check --cases"), h("pre", { tabindex: "0" }, found.case_yaml), copyButton(found.case_yaml, "the case")) : null);
}

const SEVERITY = { fail: "failed", warn: "warned", info: "info" };

function findings(record) {
  const weighty = record.findings.filter((finding) => finding.severity !== "info");
  const mild = record.findings.filter((finding) => finding.severity === "info");
  const section = h("section", { id: "findings", "aria-labelledby": "findings-name" },
    h("h2", { id: "findings-name" }, "Findings"),
    h("p", { class: "lead" }, weighty.length ? "Distinct mistakes of the server, worst first. The same mistake over many tools or revisions is one finding." : "Nothing that was exercised is broken."),
    weighty.map((finding) => findingCard(record, finding)));
  if (mild.length) {
    const box = h("details", { class: "panel area", id: "mild" }, h("summary", {}, h("h3", {}, "Worth knowing"), h("span", { class: "muted" }, many(mild.length, "observation") + " that fail nothing")));
    lazily(box, () => h("div", {}, mild.map((finding) => findingCard(record, finding))));
    section.append(box);
  }
  return section;
}

/** Whether what came is a response; a notification answers nothing. */
function isAnswer(event) {
  if (event.what !== "received") return false;
  try {
    const message = JSON.parse(event.text);
    return "result" in message || "error" in message;
  } catch {
    return false;
  }
}

function findingCard(record, finding) {
  const verdict = finding.excused ? "excused" : SEVERITY[finding.severity];
  const asked = finding.evidence.filter((event) => ["sent", "request"].includes(event.what));
  const came = finding.evidence.filter((event) => !asked.includes(event));
  const id = anchor("finding", finding.signature);
  const label = { sent: "Touchstone sent", request: "Touchstone asked", received: "The server sent", stderr: "The server wrote to stderr" };
  const column = (name, events, otherwise) => h("div", {}, events.length
    ? events.map((event) => [h("h4", {}, event.context ? (finding.score === "robustness" ? "What no client may send, and Touchstone sent before" : "The request that this answers") : isAnswer(event) ? "The server answered" : label[event.what] || "What happened: " + event.what), event.text ? piece(event, event.context ? { class: "context" } : {}) : null])
    : [h("h4", {}, name), h("p", { class: "none" }, otherwise)]);
  const robust = finding.score === "robustness";
  const all = new Set(record.runs.map((run) => run.revision)).size;
  const where = finding.revisions.length > 1 && finding.revisions.length === all ? "in all " + all + " revisions" : "in " + words([...finding.revisions].sort());
  const meta = [robust ? "robustness" : finding.level, finding.occurrences > 1 ? "seen " + finding.occurrences.toLocaleString("en") + " times" : null, where];
  return h("article", { class: "panel finding", id: "finding/" + finding.signature, tabindex: "-1", "data-nav": true },
    h("div", { class: "head" }, badge(verdict), h("h3", {}, finding.requirement), h("span", { class: "meta" }, meta.filter(Boolean).join(", ")),
      h("span", { class: "links" }, link(anchor("requirement", finding.requirement), "requirement"), finding.case ? link(anchor("case", finding.case), "case") : null, link(id, "link", { "aria-label": "Link to this finding" }))),
    h("div", { class: "body" },
      h("p", { class: "message" }, finding.message),
      h("p", { class: "rule" }, h("b", {}, robust ? "Robustness" : finding.level), ": ", finding.statement),
      h("p", { class: "places" }, finding.links.map(place)),
      finding.also && finding.also.length ? h("p", { class: "also" }, "The same mistake breaks ", finding.also.map((id, at) => [at ? ", " : "", link(anchor("requirement", id), id)]), ".") : null,
      finding.excused ? h("p", { class: "aside excuse" }, h("b", {}, "Excused: "), finding.excused.reason, finding.excused.expires ? " (until " + finding.excused.expires + ")" : "") : null,
      finding.sdk ? h("p", { class: "aside sdk" }, h("b", {}, "This is probably your SDK, not your code: "), finding.sdk.sdk + ". ", finding.sdk.note) : null,
      finding.hint ? h("p", { class: "aside" }, h("b", {}, "What usually helps: "), finding.hint) : null,
      finding.ambiguity ? h("p", { class: "aside" }, h("b", {}, "Where the text is unclear: "), finding.ambiguity) : null,
      finding.evidence.length ? h("div", { class: "wire" }, column("Request", asked, "Nothing was asked: the server said this by itself, or outside of a request."), column("Answer", came, "No answer came.")) : null,
      smallest(finding),
      finding.about.length ? h("div", { class: "chips" }, h("span", { class: "muted" }, finding.about.length === 1 ? "about" : "in " + finding.about.length + " places:"), finding.about.slice(0, 40).map((about) => h("span", { class: "chip mono" }, about)), finding.about.length > 40 ? h("span", { class: "muted" }, "and " + (finding.about.length - 40) + " more") : null) : null,
      (finding.cases || []).length > 1 ? h("details", {}, h("summary", {}, "Shown by " + many(finding.cases.length, "case")), h("ul", {}, finding.cases.slice(0, 100).map((name) => h("li", {}, link(anchor("case", name), name))))) : null,
      finding.reproduce ? h("div", { class: "again" }, h("pre", { tabindex: "0", "aria-label": "Command that shows it again" }, finding.reproduce), copyButton(finding.reproduce, "the command")) : null));
}

function gaps(record, list) {
  if (!list.length) return null;
  const total = list.reduce((sum, gap) => sum + gap.requirements.length, 0);
  return h("section", { id: "gaps", "aria-labelledby": "gaps-name" }, h("h2", { id: "gaps-name" }, "Not exercised"),
    h("p", { class: "lead" }, many(total, "requirement") + " that nobody asked the server for, in any judged revision: what to do about it, or why nothing can be done."),
    h("div", { class: "panel scroll", tabindex: "0", role: "region", "aria-label": "What was not exercised" }, h("table", { class: "gaps" },
      h("thead", {}, h("tr", {}, h("th", { scope: "col", class: "num" }, "requirements"), h("th", { scope: "col", class: "num" }, "MUST"), h("th", { scope: "col" }, "what to do, or why not"))),
      h("tbody", {}, list.map((gap) => h("tr", {}, h("td", { class: "num", "data-label": "requirements" }, String(gap.requirements.length)), h("td", { class: "num" + (gap.musts ? "" : " zero"), "data-label": "MUST" }, String(gap.musts)),
        h("td", {}, gap.advice || gap.reason[0].toUpperCase() + gap.reason.slice(1) + ".", h("details", {}, h("summary", { class: "muted" }, "which"), h("ul", {}, gap.requirements.map((id) => h("li", {}, link(anchor("requirement", id), id, { class: "mono" }))))))))))));
}

function legend() {
  return h("section", { id: "legend", "aria-labelledby": "legend-name" }, h("h2", { id: "legend-name" }, "What the verdicts mean"),
    h("ul", { class: "legend" }, ORDER.map((verdict) => h("li", {}, badge(verdict), h("span", {}, VERDICTS[verdict][2])))));
}

/** Fills a <details> when it is opened for the first time. */
function lazily(details, make) {
  const fill = () => {
    if (details.dataset.filled) return;
    details.dataset.filled = "1";
    details.append(make());
  };
  details.fill = fill;
  details.addEventListener("toggle", () => { if (details.open) fill(); });
}
