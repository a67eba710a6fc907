// The operator's page: asks for new verdicts, shows them, and keeps what people say of them.
"use strict";

const EVERY = 700; // milliseconds between two questions for new verdicts
const EVERY_DRIFT = 20000;
const MOST_IMAGES = 60; // as many as the server remembers
const MOST_POINTS = 200; // of the chart
const WORDS = { good: "good", defective: "defective", unknown: "no verdict" };

const element = (id) => document.getElementById(id);
const kindOf = (verdict) => verdict.verdict ?? "unknown";
const number = (value) => Number(value.toPrecision(4)).toString();
const clock = (time) => new Date(time).toLocaleTimeString();

let started = null; // when the server started; another one has other ids
let lastId = 0;
let points = []; // verdicts of the chart, oldest first
let parts = [];
let counts = {};
let chosen = null; // name of a part; null shows all
let feedback = { kept: false, labels: {} };
let latest = null; // the verdict that is shown large

// Switches stay as they were; a private window may not keep them.
const kept = {
  read(key) { try { return localStorage.getItem(key); } catch { return null; } },
  write(key, value) { try { localStorage.setItem(key, value); } catch { /* for this time only */ } },
};
for (const id of ["heat", "sound", "only"]) {
  const box = element(id);
  const before = kept.read(id);
  if (before !== null) box.checked = before === "true";
  box.addEventListener("change", () => {
    kept.write(id, box.checked);
    if (id === "heat") showLayers();
    if (id === "only") showOnly();
    if (id === "sound" && box.checked) beep();
  });
}

async function ask(path, options) {
  const answer = await fetch(path, options);
  const content = await answer.json();
  if (!answer.ok) throw Object.assign(new Error(content.error), { isAnswer: true });
  return content;
}

async function poll() {
  try {
    const found = await ask(`/recent?after=${lastId}`);
    const isOther = started !== null && (found.started !== started || found.last_id < lastId);
    if (started === null || isOther) {
      if (isOther) forget();
      started = found.started;
      feedback = await ask("/feedback");
    }
    if (isOther) {
      lastId = 0;
    } else {
      parts = found.parts;
      counts = found.counts;
      const isFirst = lastId === 0;
      for (const verdict of found.verdicts) add(verdict, !isFirst);
      lastId = Math.max(lastId, found.last_id);
      showParts();
      showCounts();
      drawChart();
    }
    connection("connected", "connected");
  } catch (error) {
    connection("lost", error.isAnswer ? error.message : "no connection to the server");
  }
  setTimeout(poll, EVERY);
}

function connection(state, words) {
  const shown = element("connection");
  if (shown.dataset.state === state && shown.textContent === words) return;
  shown.dataset.state = state;
  shown.textContent = words;
}

function forget() {
  points = [];
  latest = null;
  element("images").replaceChildren();
}

function add(verdict, isNew) {
  points.push(verdict);
  if (points.length > MOST_POINTS) points.shift();
  const images = element("images");
  images.prepend(makeShot(verdict));
  while (images.children.length > MOST_IMAGES) images.lastElementChild.remove();
  if (!isChosen(verdict)) return;
  showLast(verdict);
  if (isNew && verdict.verdict === "defective") alarm();
}

const isChosen = (verdict) => chosen === null || verdict.part === chosen;
const layer = () => (element("heat").checked ? "heat" : "plain");
const pictureOf = (verdict) => `/verdicts/${verdict.id}/${layer()}.jpg`;

function makeShot(verdict) {
  const shot = element("shot").content.firstElementChild.cloneNode(true);
  const find = (selector) => shot.querySelector(selector);
  shot.dataset.id = verdict.id;
  shot.dataset.part = verdict.part;
  shot.dataset.verdict = kindOf(verdict);
  shot.hidden = !isChosen(verdict);
  find("a").href = `/verdicts/${verdict.id}/overlay.png`;
  const image = find("img");
  image.alt = `${verdict.name}, ${WORDS[kindOf(verdict)]}`;
  image.loading = "lazy";
  image.src = pictureOf(verdict);
  find(".word").textContent = WORDS[kindOf(verdict)];
  find(".score").textContent = `score ${number(verdict.score)}`;
  find(".name").textContent = verdict.name;
  find(".time").textContent = clock(verdict.time);
  for (const button of shot.querySelectorAll("button")) {
    button.addEventListener("click", () => say(shot, verdict.id, button.dataset.label));
  }
  showLabel(shot, feedback.labels[verdict.id]);
  return shot;
}

function showLabel(shot, label) {
  for (const button of shot.querySelectorAll("button")) {
    button.hidden = !feedback.kept;
    button.setAttribute("aria-pressed", String(button.dataset.label === label));
  }
}

async function say(shot, id, label) {
  const before = feedback.labels[id];
  const body = JSON.stringify({ label: before === label ? null : label }); // again: taken back
  const answer = shot.querySelector(".answer");
  answer.textContent = "";
  try {
    const headers = { "Content-Type": "application/json" };
    const found = await ask(`/verdicts/${id}/feedback`, { method: "POST", headers, body });
    feedback.labels[id] = found.label;
  } catch (error) {
    answer.textContent = error.isAnswer ? error.message : "not kept: no connection to the server";
  }
  showLabel(shot, feedback.labels[id]);
}

function showLast(verdict) {
  latest = verdict;
  const image = element("last-image");
  image.hidden = false;
  image.alt = verdict.name;
  image.src = pictureOf(verdict);
  element("last").dataset.verdict = kindOf(verdict);
  element("last-verdict").textContent = WORDS[kindOf(verdict)];
  const limit = verdict.threshold === null ? "" : `, threshold ${number(verdict.threshold)}`;
  const where = parts.length > 1 ? `${verdict.part}: ` : "";
  element("last-words").textContent =
    `${where}${verdict.name}, ${clock(verdict.time)}: score ${number(verdict.score)}${limit}`;
}

function showLayers() {
  if (latest) element("last-image").src = pictureOf(latest);
  for (const shot of element("images").children) {
    shot.querySelector("img").src = `/verdicts/${shot.dataset.id}/${layer()}.jpg`;
  }
}

function showOnly() {
  element("images").dataset.only = element("only").checked;
}

function showParts() {
  const names = parts.map((part) => part.name);
  element("parts").textContent = chosen ?? names.join(", ");
  const select = element("part");
  element("chooser").hidden = names.length < 2;
  if (select.options.length !== names.length + 1) {
    select.replaceChildren(new Option("all", ""), ...names.map((name) => new Option(name, name)));
  }
  const limits = parts.filter((part) => chosen === null || part.name === chosen);
  const words = limits.map((part) => {
    const limit = part.threshold === null ? "no threshold" : `threshold ${number(part.threshold)}`;
    return limits.length > 1 ? `${part.name}: ${limit}` : limit;
  });
  element("threshold").textContent = `(${words.join("; ")})`;
}

element("part").addEventListener("change", (event) => {
  chosen = event.target.value || null;
  for (const shot of element("images").children) {
    shot.hidden = chosen !== null && shot.dataset.part !== chosen;
  }
  const last = points.findLast(isChosen);
  if (last) showLast(last);
  showParts();
  showCounts();
  drawChart();
});

// Counts of the shift: those of the server less what they were when the shift began.
function totals() {
  const all = { good: 0, defective: 0, unknown: 0 };
  for (const [part, numbers] of Object.entries(counts)) {
    if (chosen !== null && part !== chosen) continue;
    for (const kind in all) all[kind] += numbers[kind];
  }
  return all;
}

function shift() {
  try {
    const found = JSON.parse(kept.read("shift") ?? "null");
    if (found && found.started === started) return found;
  } catch { /* damaged: as if none was begun */ }
  return { started, since: started, counts: {} };
}

function showCounts() {
  const begun = shift();
  const now = totals();
  for (const kind in now) {
    let before = 0;
    for (const [part, numbers] of Object.entries(begun.counts)) {
      if (chosen === null || part === chosen) before += numbers[kind] ?? 0;
    }
    element(`num-${kind}`).textContent = now[kind] - before;
    if (kind === "unknown") element("unknown").hidden = now[kind] - before === 0;
  }
  element("since").textContent = `since ${new Date(begun.since).toLocaleString()}`;
}

element("new-shift").addEventListener("click", () => {
  if (!confirm("Count from zero? Verdicts and files stay as they are.")) return;
  const since = new Date().toISOString();
  kept.write("shift", JSON.stringify({ started, since, counts }));
  showCounts();
});

function drawChart() {
  const chart = element("chart");
  const { width, height } = chart.getBoundingClientRect();
  const margin = 16;
  chart.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const shown = points.filter(isChosen);
  const limits = new Set(shown.map((one) => one.threshold).filter((limit) => limit !== null));
  const highest = Math.max(...shown.map((one) => one.score), ...limits, 0) * 1.1 || 1;
  const lowest = Math.min(...shown.map((one) => one.score), 0);
  const y = (score) =>
    height - margin - ((score - lowest) / (highest - lowest)) * (height - 2 * margin);
  const step = (width - 2 * margin) / Math.max(shown.length, 40);
  const nodes = [];
  const svg = (name, attributes, text) => {
    const node = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    if (text !== undefined) node.textContent = text;
    nodes.push(node);
    return node;
  };
  for (const limit of limits) {
    svg("line", { class: "limit", x1: margin, x2: width - margin, y1: y(limit), y2: y(limit) });
    if (limits.size > 1) svg("text", { x: margin, y: y(limit) - 5 }, number(limit));
  }
  shown.forEach((verdict, index) => {
    const kind = kindOf(verdict);
    const [x, at] = [margin + (index + 0.5) * step, y(verdict.score)];
    const mark =
      kind === "defective"
        ? svg("path", { class: kind, d: `M${x - 6} ${at + 5}h12l-6 -11z` })
        : svg("circle", { class: kind, cx: x, cy: at, r: 4 });
    const title = document.createElementNS("http://www.w3.org/2000/svg", "title");
    title.textContent = `${verdict.name}: ${number(verdict.score)}, ${WORDS[kind]}`;
    mark.append(title);
  });
  chart.replaceChildren(...nodes);
}

async function askForDrift() {
  try {
    const { parts: found } = await ask("/drift");
    const changed = Object.entries(found).filter(([, one]) => one.has_changed);
    const words = changed.map(([part, one]) => (parts.length > 1 ? `${part}: ` : "") + one.words);
    element("drift").hidden = words.length === 0;
    element("drift").textContent = words.join(" ");
  } catch { /* the other question says that there is no connection */ }
  setTimeout(askForDrift, EVERY_DRIFT);
}

function alarm() {
  document.body.classList.remove("flash");
  void document.body.offsetWidth; // so that the animation starts again
  document.body.classList.add("flash");
  setTimeout(() => document.body.classList.remove("flash"), 1200);
  if (element("sound").checked) beep();
}

let audio = null;
function beep() {
  audio ??= new AudioContext();
  audio.resume();
  for (const start of [0, 0.25]) {
    const [tone, loudness] = [audio.createOscillator(), audio.createGain()];
    tone.frequency.value = 880;
    loudness.gain.value = 0.2;
    tone.connect(loudness).connect(audio.destination);
    tone.start(audio.currentTime + start);
    tone.stop(audio.currentTime + start + 0.15);
  }
}

showOnly();
poll();
askForDrift();
