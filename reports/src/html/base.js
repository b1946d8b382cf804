"use strict";
// What every part stands on: the data, elements made of text only, and how bytes are shown.

const DATA = JSON.parse(document.getElementById("data").textContent);

const VERDICTS = {
  failed: ["✕", "failed", "Broken, and the specification requires it. Fails the run."],
  warned: ["!", "warned", "Broken, and the specification recommends it. Fails the run only with --strict."],
  excused: ["~", "excused", "Broken, and the baseline expects it, with a reason."],
  info: ["i", "info", "Not what is usual, but allowed. Never fails a run."],
  passed: ["✓", "passed", "Exercised, and always kept."],
  "not-exercised": ["○", "not exercised", "Nobody asked the server for it. Never counts as kept."],
  "not-applicable": ["–", "not applicable", "Cannot apply: another transport, or a capability that the server does not have."],
};
const ORDER = Object.keys(VERDICTS);
const LEVELS = ["MUST", "MUST NOT", "SHOULD", "SHOULD NOT", "MAY"];

/** An element. Strings become text nodes; nothing is ever parsed as markup. */
function h(tag, props, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "class") element.className = value;
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false).map((child) => (child instanceof Node ? child : plain(child))));
  return element;
}

/** Text in which characters that would change how the rest is shown are written out. */
function plain(text) {
  return document.createTextNode(visible(String(text)));
}

const DANGEROUS = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]|[\u{e0000}-\u{e007f}]/gu;
function visible(text) {
  return text.replace(DANGEROUS, (character) => "\\u{" + character.codePointAt(0).toString(16) + "}");
}

/** The same, each of them marked, for bytes. */
function marked(text, kind) {
  const parts = [];
  let end = 0;
  for (const match of text.matchAll(DANGEROUS)) {
    if (match.index > end) parts.push(span(text.slice(end, match.index), kind));
    parts.push(h("span", { class: "x" }, "\\u{" + match[0].codePointAt(0).toString(16) + "}"));
    end = match.index + match[0].length;
  }
  if (end < text.length) parts.push(span(text.slice(end), kind));
  return parts;
}
function span(text, kind) {
  return kind ? h("span", { class: kind }, text) : document.createTextNode(text);
}

const TOKEN = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null|[{}[\],:]|\s+/gy;

/** The tokens of a JSON text exactly as they stand, or null where it is none. No number loses a digit, no key is dropped. */
function tokens(text) {
  const found = [];
  let at = 0;
  TOKEN.lastIndex = 0;
  for (let match = TOKEN.exec(text); match; match = TOKEN.exec(text)) {
    found.push(match[0]);
    at = TOKEN.lastIndex;
  }
  return at === text.length && /^\s*[[{]/.test(text) ? found : null;
}

/** Bytes as code: JSON indented and coloured, anything else as it is. */
function bytes(text, props) {
  const code = h("pre", { tabindex: "0", ...props });
  const parts = tokens(text);
  if (!parts) {
    code.append(...marked(text));
    return code;
  }
  let depth = 0;
  const words = parts.filter((part) => part.trim() !== "");
  words.forEach((part, at) => {
    const next = words[at + 1];
    if (part === "{" || part === "[") {
      const empty = next === "}" || next === "]";
      if (!empty) depth += 1;
      code.append(part + (empty ? "" : "\n" + "  ".repeat(depth)));
    } else if (part === "}" || part === "]") {
      const before = words[at - 1];
      if (before === "{" || before === "[") code.append(part);
      else {
        depth = Math.max(0, depth - 1);
        code.append("\n" + "  ".repeat(depth) + part);
      }
    } else if (part === ",") code.append(",\n" + "  ".repeat(depth));
    else if (part === ":") code.append(": ");
    else code.append(...marked(part, part[0] !== '"' ? (/[-\d]/.test(part[0]) ? "d" : "l") : next === ":" ? "k" : "s"));
  });
  return code;
}

/** A piece of evidence or of a trace, with a note where it is cut. */
function piece(event, props) {
  return [
    bytes(event.text, props),
    event.bytes ? h("p", { class: "more" }, "Cut here; there were " + event.bytes.toLocaleString("en") + " bytes.") : null,
  ];
}

function badge(verdict, extra) {
  const [glyph, word] = VERDICTS[verdict] || ["?", verdict];
  return h("span", { class: "v " + verdict }, h("span", { "aria-hidden": "true" }, glyph), extra || word);
}

/** A verdict as one sign, with words for those who cannot see it. */
function cell(verdict, where, withDate) {
  const [glyph, word] = VERDICTS[verdict] || ["?", verdict];
  return h("span", { class: "v glyph " + verdict, title: where + ": " + word },
    h("span", { "aria-hidden": "true" }, glyph), withDate ? h("span", { class: "when", "aria-hidden": "true" }, where) : null,
    h("span", { class: "sr" }, " " + where + " " + word + " "));
}

function link(href, text, props) {
  return h("a", { href, ...props }, text);
}

/** A link to the specification; what is no address is shown as it is. */
function place(text) {
  if (!/^https:\/\//.test(text)) return h("span", { class: "muted" }, text);
  const name = text.replace(/^https:\/\/modelcontextprotocol\.io\//, "").replace(/^specification\//, "");
  return link(text, name, { rel: "noreferrer noopener", target: "_blank" });
}

function copyButton(text, name) {
  const said = h("span", {}, "Copy");
  return h("button", { type: "button", class: "plain no-print", "aria-label": "Copy " + name, onclick: async () => {
    try {
      await navigator.clipboard.writeText(text);
      said.textContent = "Copied";
    } catch {
      said.textContent = "Select it, then copy";
    }
    setTimeout(() => { said.textContent = "Copy"; }, 1600);
  } }, said);
}

function time(us) {
  if (us < 1000) return us + " µs";
  if (us < 1e6) return (us / 1000).toFixed(us < 10000 ? 1 : 0) + " ms";
  return (us / 1e6).toFixed(us < 1e7 ? 2 : 1) + " s";
}

function many(count, one, more) {
  return count.toLocaleString("en") + " " + (count === 1 ? one : more || one + "s");
}

function words(list) {
  return list.length < 2 ? list.join("") : list.slice(0, -1).join(", ") + " and " + list[list.length - 1];
}

function serverName(record) {
  const server = record.server || {};
  const name = [server.title || server.name, server.version].filter((word) => typeof word === "string" && word.trim()).join(" ");
  return name || record.target;
}

/** Verdicts counted, in the order of the legend. */
function tally(verdicts) {
  const counts = {};
  for (const verdict of verdicts) counts[verdict] = (counts[verdict] || 0) + 1;
  return ORDER.filter((verdict) => counts[verdict]).map((verdict) => [verdict, counts[verdict]]);
}

function worst(verdicts) {
  const rank = ["failed", "warned", "excused", "info", "passed", "not-exercised", "not-applicable"];
  return rank.find((verdict) => verdicts.includes(verdict));
}

function areaOf(id) {
  return id.split("/")[0];
}

function anchor(kind, name, index) {
  return "#/" + (index === undefined ? state.at : index) + "/" + kind + "/" + encodeURIComponent(name).replace(/%2F/g, "/");
}
