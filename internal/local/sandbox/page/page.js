// The sandbox page: follows /api/live and shows one handset per number and one
// inbox per address. Everything that came from a message goes through
// textContent; a mail's HTML only ever loads inside a sandboxed frame.
"use strict";

const most = 600; // messages kept here
const first = 24; // handsets and inboxes shown before "more"
const messages = new Map(); // id → message, oldest first
const drawn = new Map(); // id → {message, node}
const places = new Map(); // channel kind + number or address → node
const all = { phones: false, boxes: false };
let total = 0;
let wanted = 0;

const $ = (id) => document.getElementById(id);
const node = (tag, name, text) => {
  const n = document.createElement(tag);
  if (name) n.className = name;
  if (text !== undefined) n.textContent = text;
  return n;
};
const clock = (t) => (t ? new Date(t).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false }) : "");
const failed = (m) => Boolean(m.error_code);
const why = (m) => {
  const status = m.status.replace("_", " ");
  return [status === m.error_code ? status : `${status}: ${m.error_code}`, m.error].filter(Boolean).join(", ");
};

function bubble(m) {
  const mine = m.status === "received"; // written on the handset
  const b = node("div", `bubble ${mine ? "mine " : ""}${m.channel}${failed(m) ? " failed" : ""}${m.status === "read" ? " read" : ""}`);
  b.append(node("span", "by", `${m.channel === "whatsapp" ? "WhatsApp" : "SMS"} ${mine ? "to" : "from"} ${mine ? m.to : m.from}`), node("p", "", m.text));
  const at = node("span", "at");
  at.append(node("span", "", clock(m.created_at)));
  if (!failed(m)) {
    at.append(node("span", "", m.status));
    const ticks = { sent: "✓", delivered: "✓✓", read: "✓✓" }[m.status];
    if (ticks) at.append(node("span", "ticks", ticks));
  }
  b.append(at);
  for (const x of m.buttons || []) {
    const press = node("button", "press", x.text);
    press.addEventListener("click", () => write(m, x.text, x.payload));
    b.append(press);
  }
  if (failed(m)) b.append(node("div", "why", why(m)));
  b.title = Object.entries(m.ids || {}).map(([k, v]) => `${k} ${v}`).join("\n");
  return b;
}

// write answers a message from its handset.
function write(m, text, button) {
  const body = { channel: m.channel, from: m.to, to: m.from, text, button };
  fetch("/api/texts", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
}

// answering is the line at the bottom of a handset; who writes from a name takes no
// answers.
function answering(p) {
  const line = node("input", "answer");
  line.setAttribute("aria-label", "Answer");
  line.addEventListener("keydown", (e) => {
    if (e.key !== "Enter" || !line.value || !p.last) return;
    write(p.last, line.value);
    line.value = "";
  });
  return line;
}

function row(m) {
  const r = node("button", `mail${failed(m) ? " failed" : ""}`);
  r.append(
    node("b", "", m.subject || "(no subject)"), node("span", "", clock(m.created_at)),
    node("span", "start", `${m.from} · ${m.text || ""}`.slice(0, 200)), node("span", "", failed(m) ? "" : m.status),
  );
  if (failed(m)) r.append(node("span", "why", why(m)));
  r.addEventListener("click", () => read(m.id));
  return r;
}

function callRow(m) {
  const r = node("article", `call ${m.hook === "lost" ? "lost" : ""}${failed(m) ? "failed" : ""}`);
  r.append(
    node("b", "", `${m.from || "web"} → ${m.to || "agent"}`), node("span", "", clock(m.created_at)),
    node("span", "", m.text || m.id), node("span", "hook", `hook ${m.hook}${m.error ? `, ${m.error}` : ""}`),
  );
  r.title = m.id;
  return r;
}

function postbackRow(m) {
  const r = node("article", "call");
  r.append(node("b", "", m.subject), node("span", "", clock(m.created_at)), node("span", "", m.text), node("span", "", m.ids?.key ? `key ${m.ids.key}` : "no key"));
  return r;
}

function place(kind, key) {
  let p = places.get(kind + key);
  if (!p) {
    p = node("article", kind);
    p.append(node("h3", "", key));
    if (kind === "phone") p.append(answering(p));
    p.append(node("div", kind === "phone" ? "talk" : "list"));
    places.set(kind + key, p);
  }
  return p;
}

// draw shows one group of messages: nodes are made once and kept, so that
// nothing jumps while one reads.
function draw(kind, list, into, more, empty) {
  const groups = new Map();
  for (const m of list) {
    const key = m.status === "received" ? m.from : m.to;
    const g = groups.get(key) || [];
    g.push(m);
    groups.delete(key); // the last one written to comes first
    groups.set(key, g);
  }
  const keys = [...groups.keys()].reverse();
  const shown = all[into] ? keys : keys.slice(0, first);
  const articles = shown.map((key) => {
    const p = place(kind, key), talk = p.lastElementChild, g = groups.get(key);
    if (kind === "phone") {
      const site = g.at(-1).ids?.site;
      p.firstElementChild.replaceChildren(key, node("small", "", site || ""));
      p.last = g.findLast((m) => m.status !== "received" && m.from.startsWith("+"));
      p.children[1].disabled = !p.last;
      p.children[1].placeholder = p.last ? `Answer ${p.last.from}` : "This sender takes no answers";
    }
    const nodes = g.map((m) => {
      let d = drawn.get(m.id);
      if (!d || d.message !== m) {
        d = { message: m, node: kind === "phone" ? bubble(m) : row(m) };
        drawn.set(m.id, d);
      }
      return d.node;
    });
    if (kind === "box") nodes.reverse();
    if (nodes.length !== talk.children.length || nodes.some((n, i) => n !== talk.children[i])) {
      const grew = nodes.length !== talk.children.length;
      talk.replaceChildren(...nodes);
      if (kind === "phone" && grew) p.dataset.scroll = "1";
    }
    return p;
  });
  const holder = $(into);
  if (articles.length !== holder.children.length || articles.some((a, i) => a !== holder.children[i])) holder.replaceChildren(...articles);
  for (const p of articles) {
    if (!p.dataset.scroll) continue;
    delete p.dataset.scroll;
    p.lastElementChild.scrollTop = p.lastElementChild.scrollHeight;
  }
  $(empty).hidden = keys.length > 0;
  $(more).hidden = shown.length === keys.length;
  $(more).textContent = `Show ${keys.length - shown.length} more`;
}

function show() {
  wanted = 0;
  const words = $("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  const hit = (m) => {
    if (!words.length) return true;
    const text = [m.to, m.from, m.subject, m.text, m.status, m.error_code, m.error, m.id, m.hook, ...Object.values(m.ids || {})].join(" ").toLowerCase();
    return words.every((w) => text.includes(w));
  };
  const list = [...messages.values()].filter(hit);
  const calls = list.filter((m) => m.channel === "call");
  $("callsection").hidden = calls.length === 0;
  $("calls").replaceChildren(...calls.reverse().map(callRow));
  const postbacks = list.filter((m) => m.channel === "postback");
  $("postbacksection").hidden = postbacks.length === 0;
  $("postbacks").replaceChildren(...postbacks.reverse().map(postbackRow));
  draw("phone", list.filter((m) => !["email", "call", "postback"].includes(m.channel)), "phones", "morephones", "nophones");
  draw("box", list.filter((m) => m.channel === "email"), "boxes", "moreboxes", "noboxes");
  const told = list.length - calls.length - postbacks.length;
  const failures = list.filter((m) => failed(m) && m.channel !== "call").length;
  $("counted").textContent = `${total} message${total === 1 ? "" : "s"}${failures ? `, ${failures} failed` : ""}${told < total ? `, ${told} shown` : ""}`;
}

function soon() {
  if (!wanted) wanted = requestAnimationFrame(show);
}

function keepMessages(data) {
  total = data.total;
  for (const m of data.messages) messages.set(m.id, m);
  for (const id of messages.keys()) {
    if (messages.size <= most) break;
    messages.delete(id);
    drawn.delete(id);
  }
  soon();
}

function read(id) {
  const m = messages.get(id);
  if (!m) return;
  $("mailsubject").textContent = m.subject || "(no subject)";
  const meta = { From: m.from, To: m.to, At: new Date(m.created_at).toLocaleString(), Status: failed(m) ? why(m) : m.status, Thread: m.thread, Lead: m.ids?.lead };
  $("mailmeta").replaceChildren(...Object.entries(meta).filter(([, v]) => v).flatMap(([k, v]) => [node("dt", "", k), node("dd", "", v)]));
  const part = (html) => {
    $("showhtml").setAttribute("aria-pressed", html);
    $("showtext").setAttribute("aria-pressed", !html);
    if (!html) return $("mailbody").replaceChildren(node("pre", "", m.text || "(no text part)"));
    const frame = node("iframe");
    frame.setAttribute("sandbox", "");
    frame.title = "mail";
    frame.src = `/mail/${encodeURIComponent(m.id)}`;
    $("mailbody").replaceChildren(frame);
  };
  $("showhtml").disabled = !m.html;
  $("showhtml").onclick = () => part(true);
  $("showtext").onclick = () => part(false);
  part(Boolean(m.html));
  if (!$("mail").open) $("mail").showModal();
}

$("filter").addEventListener("input", soon);
$("mailclose").addEventListener("click", () => $("mail").close());
$("mail").addEventListener("click", (e) => { if (e.target === $("mail")) $("mail").close(); });
for (const into of ["phones", "boxes"]) {
  $(`more${into}`).addEventListener("click", () => { all[into] = true; soon(); });
}

const live = new EventSource("/api/live");
live.addEventListener("open", () => { $("state").className = ""; });
live.addEventListener("error", () => { $("state").className = "off"; $("counted").textContent = "sandbox stopped; waiting for it…"; });
live.addEventListener("start", (e) => { messages.clear(); drawn.clear(); keepMessages(JSON.parse(e.data)); });
live.addEventListener("change", (e) => keepMessages(JSON.parse(e.data)));
