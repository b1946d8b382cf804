// A stretch of a trace as a sequence diagram: client on the left, server on the right, stderr beside it, each message opens.

function sequences(record, entry) {
  const parts = (entry.stretches || []).map((stretch) => {
    const trace = record.traces.find((one) => one.name === stretch.trace);
    const events = trace ? trace.events.filter((event) => event.event >= stretch.from && event.event <= stretch.to) : [];
    return events.some((event) => !["case", "case end"].includes(event.what)) ? sequence(record, trace, events) : null;
  }).filter(Boolean);
  if (parts.length) return parts;
  return (entry.stretches || []).length ? h("p", { class: "muted" }, "The trace of this case was left out to keep the report small.") : null;
}

const MOST_EVENTS = 200;

function sequence(record, trace, events) {
  const proofs = new Set(record.findings.flatMap((finding) => finding.evidence.filter((event) => event.trace === trace.name && !event.context).map((event) => event.event)));
  const shown = events.filter((event) => !["case", "case end"].includes(event.what));
  const withErrors = shown.some((event) => event.what === "stderr");
  const began = shown[0].at_us;
  const methods = new Map();
  const box = h("div", { class: "seq" + (withErrors ? "" : " quiet") },
    h("div", { class: "ends" }, h("span", {}, h("span", { class: "sr" }, "time")), h("span", { class: "two" }, h("span", {}, "client"), h("span", {}, "server")), withErrors ? h("span", { class: "errs" }, "stderr") : null));
  let from = 0;
  const more = h("button", { type: "button", class: "plain pager", onclick: () => draw() });
  const draw = () => {
    for (const event of shown.slice(from, from + MOST_EVENTS)) box.append(eventRow(event, began, methods, proofs.has(event.event)));
    from = Math.min(shown.length, from + MOST_EVENTS);
    more.textContent = "Show " + Math.min(MOST_EVENTS, shown.length - from) + " more of " + shown.length + " events";
    more.hidden = from >= shown.length;
  };
  draw();
  return h("div", {}, h("h4", {}, trace.name + ", " + many(shown.length, "event") + (trace.omitted ? ", more left out" : "")), box, more);
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** What a message is, in a few words. */
function named(text, outgoing, methods) {
  const message = parsed(text);
  if (Array.isArray(message)) return ["batch of " + message.length, false];
  if (!message || typeof message !== "object") return [text.length > 60 ? text.slice(0, 60) + "…" : text, !outgoing];
  const id = message.id === undefined ? "" : " #" + JSON.stringify(message.id);
  if (typeof message.method === "string") {
    if (message.id !== undefined) methods.set((outgoing ? ">" : "<") + JSON.stringify(message.id), message.method);
    const name = message.params && typeof message.params === "object" ? message.params.name || message.params.uri : "";
    return [message.method + (typeof name === "string" && name ? " " + name : "") + id, false];
  }
  const method = methods.get((outgoing ? "<" : ">") + JSON.stringify(message.id)) || "";
  if (message.error && typeof message.error === "object") return ["error " + String(message.error.code) + (method ? " to " + method : "") + id, false];
  if (message.result === undefined) return [text.length > 60 ? text.slice(0, 60) + "…" : text, false];
  const failed = message.result && message.result.isError === true;
  return [(failed ? "tool error" : "result") + (method ? " of " + method : "") + id, false];
}

function eventRow(event, began, methods, proof) {
  const at = h("span", { class: "at" }, "+" + time(Math.max(0, event.at_us - began)));
  const row = (lane, err) => h("div", { class: "ev" + (proof ? " proof" : "") }, at, lane, err || null);
  if (event.what === "stderr") return row(h("div", { class: "lane" }), h("div", { class: "err" }, event.text));
  const [outgoing, thin] = [["sent", "request"].includes(event.what), ["request", "response", "body", "stream event"].includes(event.what)];
  if (!outgoing && !thin && event.what !== "received") {
    return row(h("div", { class: "lane" }, h("p", { class: "chipline" }, event.what + (event.text ? ": " + event.text : ""))));
  }
  let [name, fault] = thin ? [event.text.split("\n")[0].slice(0, 120) || event.what, false] : named(event.text, outgoing, methods);
  if (event.what === "response") name = "HTTP " + name;
  const lane = h("div", { class: "lane" });
  const text = h("span", { class: "text" }, name || "(empty)", proof ? h("span", { class: "sr" }, " (proves a finding)") : null);
  const line = h("span", { class: "line", "aria-hidden": "true" });
  const button = h("button", { type: "button", class: "arrow " + (outgoing ? "to" : "from") + (thin ? " thin" : "") + (fault ? " fault" : ""), "aria-expanded": "false",
    "aria-label": (outgoing ? "client: " : "server: ") + visible(name), onclick: () => {
      const open = button.getAttribute("aria-expanded") === "true";
      button.setAttribute("aria-expanded", String(!open));
      if (open) while (lane.children.length > 1) lane.lastElementChild.remove();
      else lane.append(...piece(event).filter(Boolean));
    } }, outgoing ? [text, line] : [line, text]);
  lane.append(button);
  return row(lane);
}

/** Traces that belong to no case: recordings, and what happened between cases. */
function loose(record) {
  if (!record.traces.length || record.runs.some((run) => run.cases.length)) return null;
  return record.traces.map((trace) => trace.events.length ? sequence(record, trace, trace.events) : null);
}
