// The skeleton viewer: clips are chosen, played and drawn here. The kernel sends each clip once.
//
// T frames, V joints. The points of a figure are T × V × (x, y, score); a joint is missing where its score is 0.

const ROW_HEIGHT = 24; // of the list of clips, in CSS pixels
const POINTER_REACH = 12; // largest distance from the pointer to a joint that it points at, in CSS pixels
const TRAIL_LENGTH = 10; // in frames
const KERNEL_TIMEOUT = 3000; // in milliseconds; after it a message says that the kernel has not answered
const SPEEDS = [0.1, 0.25, 0.5, 1, 2, 4];
const SIDES = ["middle", "left", "right"];
const HELP = "Skeleton viewer. Space plays, arrow keys step, Home and End jump, brackets change the speed.";

export default { render };

// Replace the still picture in a page without a kernel by the viewer.
export function playAlone(id) {
  const bytes = (text) => new DataView(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer);
  const revive = (key, value) => (value?.base64 === undefined ? value : bytes(value.base64));
  const state = JSON.parse(document.getElementById(`${id}-state`).textContent, revive);
  const el = make("div");
  document.getElementById(id).replaceChildren(make("style", {}, state.css), el);
  render({ model: { alone: true, get: (name) => state[name], on() {}, off() {} }, el });
}

function render({ model, el }) {
  const list = model.get("_list");
  const looks = { layout: list.layouts[list.shown], scores: "size", heat: "off", trails: false, speed: 1, playing: false, at: 0 };
  const stages = [makeStage(), makeStage()];
  const message = make("div", { class: "miga-message", role: "status" });
  const bars = make("div", { class: "miga-bars" });
  const clips = makeClips(list, (row) => request({ row }));
  const controls = makeControls(list, model.get("_choice").beside, looks, { go, toggle, request, prepare, redraw });
  const canvases = make("div", { class: "miga-stages" }, ...stages.map((stage) => stage.panel));
  const parts = [clips.filters, message, clips.panel, canvases, controls.transport, controls.options, makeLegend(list), bars];
  const root = make("div", { class: "miga-viewer", role: "group", tabindex: 0, "aria-label": HELP }, ...parts);
  root.setAttribute("data-lm-suppress-shortcuts", "true"); // else JupyterLab takes the keys
  root.draws = { count: 0, milliseconds: 0 }; // read by the benchmark
  let clip, frames, scheduled, before, timeout, colours;

  function receive() {
    clearTimeout(timeout);
    clip = model.get("_clip");
    frames = Math.max(clip.main?.frames ?? 1, 1);
    looks.at = 0;
    say(clip.messages);
    clips.choose(clip.row);
    showBars(bars, clip.bars);
    prepare();
  }
  function say(lines) {
    message.replaceChildren(...lines.map((line) => make("p", {}, line)));
  }
  function request(change) {
    clearTimeout(timeout);
    if (model.alone) return say([...clip.messages, "Another clip or comparison needs a running kernel. This clip can be played."]);
    const choice = { ...model.get("_choice"), ...change };
    if (choice.row === clip.row && choice.beside === clip.requested) return;
    model.set("_choice", choice);
    model.save_changes();
    const text = "The kernel does not answer: it is busy or was stopped. This clip can be played.";
    timeout = setTimeout(() => say([...clip.messages, text]), KERNEL_TIMEOUT);
  }
  function prepare() {
    for (const [stage, sent] of [[stages[0], clip.main], [stages[1], clip.beside]]) {
      stage.figure = sent && makeFigure(sent, looks.layout);
      stage.pointed = -1;
      stage.panel.hidden = !sent && stage !== stages[0];
    }
    redraw();
  }
  function redraw() {
    scheduled ??= requestAnimationFrame(tick);
  }
  function go(frame) {
    looks.at = ((frame % frames) + frames) % frames;
    redraw();
  }
  function toggle() {
    looks.playing = !looks.playing;
    before = undefined;
    redraw();
  }
  function tick(now) {
    scheduled = undefined;
    if (looks.playing) {
      looks.at = (looks.at + ((now - (before ?? now)) / 1000) * list.rate * looks.speed) % frames;
      before = now;
    }
    if (looks.playing || !root.isConnected) redraw();
    if (root.isConnected) draw();
  }
  function draw() {
    const start = performance.now();
    const t = Math.floor(looks.at);
    colours ??= findColours(root, list); // computed styles exist only once the viewer is in the page
    controls.show(t, frames);
    for (const stage of stages) if (!stage.panel.hidden) drawStage(stage, t, frames, looks, colours);
    root.draws.count += 1;
    root.draws.milliseconds += performance.now() - start;
  }
  function refit() {
    colours = undefined; // the theme may have changed
    clips.refresh();
    redraw();
  }
  function key(event) {
    const t = Math.floor(looks.at);
    const acts = { ArrowLeft: () => go(t - 1), ArrowRight: () => go(t + 1), Home: () => go(0), End: () => go(frames - 1), " ": toggle };
    const act = { ...acts, "[": () => controls.faster(-1), "]": () => controls.faster(1) }[event.key];
    const ownKeys = "select, input:not([type=range]), [role=listbox]" + (event.key === " " ? ", button" : "");
    if (!act || event.target.matches(ownKeys) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    act();
  }

  root.addEventListener("keydown", key);
  for (const stage of stages) {
    stage.canvas.addEventListener("pointerdown", () => root.focus({ preventScroll: true }));
    stage.canvas.addEventListener("pointermove", (event) => pointAt(stage, event.offsetX, event.offsetY));
    stage.canvas.addEventListener("pointerleave", () => pointAt(stage, Infinity, Infinity));
  }
  const sizes = new ResizeObserver(refit);
  for (const node of [clips.panel, ...stages.map((stage) => stage.canvas)]) sizes.observe(node);
  const themes = new MutationObserver(refit);
  for (const node of [document.documentElement, document.body]) themes.observe(node, { attributes: true });
  model.on("change:_clip", receive);
  el.replaceChildren(root);
  receive();
  return () => {
    clearTimeout(timeout);
    cancelAnimationFrame(scheduled);
    for (const observer of [sizes, themes]) observer.disconnect();
    model.off("change:_clip", receive);
  };
}

// ---- The list of clips: all are filtered, only the visible ones are in the page.

function makeClips(list, pick) {
  const ids = list.ids === "" ? [] : list.ids.split("\n");
  const sought = ids.map((id) => id.toLowerCase());
  const [labels, predicted] = [numbers(list.labels, Int16Array), numbers(list.predicted, Int16Array)];
  const [splits, lengths] = [numbers(list.splits, Uint8Array), numbers(list.frames, Int32Array)];
  const verdicts = ids.map((_, row) => (predicted[row] < 0 || labels[row] < 0 ? "none" : predicted[row] === labels[row] ? "right" : "wrong"));
  const nameOf = (label) => (label < 0 ? "unknown" : list.classes[label]);
  const wanted = { split: "all", label: "all", verdict: "all", text: "" };
  let [rows, chosen, cursor] = [[], -1, 0];

  const count = make("output");
  const all = make("div", { class: "miga-all", role: "presentation" });
  const panel = make("div", { class: "miga-list", role: "listbox", tabindex: 0, "aria-label": "Clips" }, all);
  const name = `miga-${Math.random().toString(36).slice(2)}`;
  const find = make("input", { type: "search", placeholder: "part of an id", size: 12 });
  const filter = (key, label, options) => makeSelect(label, [["all", "all"], ...options], "all", (value) => narrow({ [key]: value }));
  const present = [...new Set(labels)].sort((a, b) => a - b);
  const selects = [filter("split", "Split", [...list.split_names.entries()])];
  selects.push(filter("label", "Class", present.map((label) => [label, nameOf(label)])));
  if (verdicts.some((verdict) => verdict !== "none")) selects.push(filter("verdict", "Predicted", same("right", "wrong")));
  const filters = make("div", { class: "miga-filters" }, ...selects, make("label", {}, "Find", find), count);

  function narrow(change) {
    Object.assign(wanted, change);
    const fits = (key, value) => wanted[key] === "all" || wanted[key] === String(value);
    const keep = (row) => fits("split", splits[row]) && fits("label", labels[row]) && fits("verdict", verdicts[row]);
    rows = [...ids.keys()].filter((row) => keep(row) && sought[row].includes(wanted.text));
    count.value = rows.length || !ids.length ? `${rows.length} of ${ids.length} clips` : "no clip matches";
    all.style.height = `${rows.length * ROW_HEIGHT}px`;
    cursor = Math.max(rows.indexOf(chosen), 0);
    reveal();
  }
  function reveal() {
    panel.scrollTop = Math.min(Math.max(panel.scrollTop, (cursor + 1) * ROW_HEIGHT - panel.clientHeight), cursor * ROW_HEIGHT);
    refresh();
  }
  function refresh() {
    const first = Math.max(Math.floor(panel.scrollTop / ROW_HEIGHT) - 2, 0);
    const last = Math.min(first + Math.ceil(panel.clientHeight / ROW_HEIGHT) + 5, rows.length);
    all.replaceChildren(...rows.slice(first, last).map((row, i) => option(row, first + i)));
    panel.setAttribute("aria-activedescendant", rows.length ? `${name}-${cursor}` : "");
  }
  function option(row, place) {
    const texts = [{ right: "✓ ", wrong: "✗ ", none: "" }[verdicts[row]] + ids[row], nameOf(labels[row]), lengths[row]];
    const aria = { "aria-selected": row === chosen, "aria-setsize": rows.length, "aria-posinset": place + 1 };
    const node = make("div", { role: "option", id: `${name}-${place}`, ...aria }, ...texts.map((text) => make("span", {}, text)));
    node.style.top = `${place * ROW_HEIGHT}px`;
    node.title = `${texts[0]}, ${texts[1]}, ${texts[2]} frames`;
    node.classList.toggle("miga-cursor", place === cursor);
    node.addEventListener("click", () => move(place));
    return node;
  }
  function move(place) {
    cursor = Math.max(Math.min(place, rows.length - 1), 0);
    reveal();
    if (rows.length) pick(rows[cursor]);
  }
  function choose(row) {
    chosen = row;
    cursor = Math.max(rows.indexOf(row), 0);
    reveal();
  }
  find.addEventListener("input", () => narrow({ text: find.value.trim().toLowerCase() }));
  panel.addEventListener("scroll", refresh);
  panel.addEventListener("keydown", (event) => {
    const page = Math.max(Math.floor(panel.clientHeight / ROW_HEIGHT) - 1, 1);
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -rows.length, End: rows.length }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    move(cursor + step);
  });
  narrow({});
  return { filters, panel, refresh, choose };
}

// ---- Controls

function makeControls(list, beside, looks, { go, toggle, request, prepare, redraw }) {
  const set = (name, act) => (value) => act((looks[name] = value));
  const step = (by) => () => go(Math.floor(looks.at) + by);
  const play = makeButton("Play or pause (space)", "▶", toggle);
  const slider = make("input", { type: "range", min: 0, step: 1, "aria-label": "Frame", class: "miga-frame" });
  const place = make("span", { class: "miga-place" });
  const speed = makeSelect("Speed", SPEEDS.map((value) => [value, `${value} ×`]), 1, set("speed", redraw));
  const trails = make("input", { type: "checkbox" });
  slider.addEventListener("input", () => go(Number(slider.value)));
  trails.addEventListener("change", () => set("trails", redraw)(trails.checked));
  const layouts = list.layouts.map((layout, i) => [i, `${layout.name} (${layout.rows.length})`]);
  const options = [
    makeSelect("Layout", layouts, list.shown, (value) => set("layout", prepare)(list.layouts[value])),
    makeSelect("Beside", list.comparisons, beside, (value) => request({ beside: value })),
    makeSelect("Score", same("size", "colour", "off"), "size", set("scores", redraw)),
    makeSelect("Heatmap", same("off", "joints", "limbs"), "off", set("heat", redraw)),
  ];
  const back = makeButton("One frame back (left arrow)", "◂", step(-1));
  const on = makeButton("One frame on (right arrow)", "▸", step(1));
  return {
    transport: make("div", { class: "miga-transport" }, back, play, on, slider, place, speed),
    options: make("div", { class: "miga-options" }, ...options, make("label", {}, trails, "Trails")),
    show(t, frames) {
      slider.max = frames - 1;
      slider.value = t;
      slider.setAttribute("aria-valuetext", `frame ${t + 1} of ${frames}`);
      place.textContent = `${t + 1} / ${frames}`;
      play.textContent = looks.playing ? "❚❚" : "▶";
      play.setAttribute("aria-pressed", looks.playing);
    },
    faster(by) {
      const choice = speed.querySelector("select");
      choice.selectedIndex = Math.min(Math.max(choice.selectedIndex + by, 0), SPEEDS.length - 1);
      choice.dispatchEvent(new Event("change"));
    },
  };
}

function makeLegend(list) {
  const texts = { left: "subject’s left", right: "subject’s right", middle: "middle", missing: "missing: position nearest in time" };
  const spots = Object.entries(texts).map(([name, text]) => make("span", { class: `miga-${name}` }, text));
  const scale = make("span", { class: "miga-scale", style: `--miga-scale: linear-gradient(to right, ${list.scale})` }, "score from 0 to 1");
  return make("div", { class: "miga-legend" }, ...spots, scale);
}

function showBars(panel, bars) {
  panel.hidden = !bars;
  if (!bars?.length) return panel.replaceChildren("There is no prediction of this clip.");
  const lines = bars.map(({ name, probability, rank, truth }) => {
    const bar = make("div", { class: "miga-bar", style: `width: ${100 * probability}%` });
    const parts = [make("span", {}, `${rank}. ${name}${truth ? " ✓ true class" : ""}`), make("div", { class: "miga-track" }, bar)];
    return make("li", { class: truth ? "miga-truth" : "" }, ...parts, make("span", {}, `${(100 * probability).toFixed(1)} %`));
  });
  panel.replaceChildren(make("p", {}, "Predicted"), make("ol", {}, ...lines));
}

// ---- Figures

function makeFigure(sent, layout) {
  const [all, T, V] = [numbers(sent.keypoints, Float32Array), sent.frames, layout.rows.length];
  const width = all.length / T;
  const points = new Float32Array(3 * T * V);
  for (let i = 0; i < 3 * T * V; i++) points[i] = all[Math.floor(i / (3 * V)) * width + 3 * layout.rows[Math.floor(i / 3) % V] + (i % 3)];
  return { title: sent.title, layout, T, V, points, box: cropBox(points), seen: nearestSeen(points, T, V) };
}

// The square of a clip that is the input of the models, as miga_lib.augmentation.crop_box.
export function cropBox(points) {
  let [x0, y0, x1, y1] = [Infinity, Infinity, -Infinity, -Infinity];
  for (let i = 0; i < points.length; i += 3) {
    if (!(points[i + 2] > 0)) continue;
    [x0, x1] = [Math.min(x0, points[i]), Math.max(x1, points[i])];
    [y0, y1] = [Math.min(y0, points[i + 1]), Math.max(y1, points[i + 1])];
  }
  if (x0 > x1) return { x: -5, y: -5, side: 10 };
  const side = Math.max(1.25 * Math.max(x1 - x0, y1 - y0), 10);
  return { x: (x0 + x1 - side) / 2, y: (y0 + y1 - side) / 2, side };
}

// For each frame and joint the frame nearest in time in which the joint is present, −1 where there is none.
function nearestSeen(points, T, V) {
  const seen = new Int32Array(T * V).fill(-1);
  for (let v = 0; v < V; v++) {
    const present = [...Array(T).keys()].filter((t) => points[3 * (t * V + v) + 2] > 0);
    for (let t = 0, i = 0; t < T && present.length; t++) {
      while (i + 1 < present.length && Math.abs(present[i + 1] - t) < Math.abs(present[i] - t)) i++;
      seen[t * V + v] = present[i];
    }
  }
  return seen;
}

// The maximum over the maps of miga_lib.heatmaps, of all joints or, if given, of all limbs: size × size, for points in pixels of the map.
export function heatmap(points, limbs, size, sigma) {
  const map = new Float64Array(size * size);
  const joints = Array.from({ length: points.length / 3 }, (_, v) => [v, v]);
  const low = (p, q) => Math.max(Math.trunc(Math.min(p, q) - 3 * sigma), 0);
  const high = (p, q) => Math.min(Math.trunc(Math.max(p, q) + 3 * sigma) + 1, size);
  for (const [a, b] of limbs ?? joints) {
    const [ax, ay, start] = points.subarray(3 * a, 3 * a + 3);
    let [bx, by, end] = points.subarray(3 * b, 3 * b + 3);
    const short = (bx - ax) ** 2 + (by - ay) ** 2 < 1;
    const peak = short ? start : Math.min(start, end);
    if (!(Math.min(start, end) >= 1e-3)) continue;
    if (short) [bx, by] = [ax, ay];
    const [dx, dy] = [bx - ax, by - ay];
    for (let y = low(ay, by); y < high(ay, by); y++)
      for (let x = low(ax, bx); x < high(ax, bx); x++) {
        const along = short ? 0 : Math.min(Math.max(((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy), 0), 1);
        const distance = (x - ax - along * dx) ** 2 + (y - ay - along * dy) ** 2;
        map[y * size + x] = Math.max(map[y * size + x], peak * Math.exp(-distance / (2 * sigma * sigma)));
      }
  }
  return map;
}

// ---- Drawing

function makeStage() {
  const canvas = make("canvas", { role: "img" });
  const [title, caption] = [make("figcaption"), make("div", { class: "miga-caption" })];
  return { canvas, title, caption, pointed: -1, panel: make("figure", {}, title, canvas, caption) };
}

// Draw the frame at the same relative time as frame t of the clip.
function drawStage(stage, t, frames, looks, colours) {
  const { canvas, figure } = stage;
  const [ratio, width, height] = [window.devicePixelRatio || 1, canvas.clientWidth, canvas.clientHeight];
  const size = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== size[0] || canvas.height !== size[1]) [canvas.width, canvas.height] = size;
  const brush = canvas.getContext("2d");
  brush.setTransform(ratio, 0, 0, ratio, 0, 0);
  brush.clearRect(0, 0, width, height);
  if (!figure) return;
  const { points, V, T, box, seen } = figure;
  // The person fills 4/5 of the box, and 9/10 of the canvas.
  const scale = (1.125 * Math.min(width, height)) / box.side;
  const left = width / 2 - (box.x + box.side / 2) * scale;
  const top = height / 2 - (box.y + box.side / 2) * scale;
  const at = (v, frame) => [points[3 * (frame * V + v)] * scale + left, points[3 * (frame * V + v) + 1] * scale + top];
  const score = (v, frame) => points[3 * (frame * V + v) + 2];
  const here = T === frames ? t : Math.round((t / Math.max(frames - 1, 1)) * (T - 1));
  const nearby = (v) => seen[here * V + v];
  Object.assign(stage, { brush, at, score, here, nearby });
  if (looks.heat !== "off") drawHeat(stage, looks.heat, colours, box.x * scale + left, box.y * scale + top, box.side * scale);
  if (looks.trails) drawTrails(stage, colours);
  drawLimbs(stage, colours);
  drawJoints(stage, looks.scores, colours);
  describe(stage);
}

function describe({ canvas, title, caption, pointed, score, here, nearby, figure: { V, T, layout, ...figure } }) {
  const missing = layout.joints.filter((_, v) => !(score(v, here) > 0)).length;
  const never = layout.joints.filter((_, v) => nearby(v) < 0).length;
  const text = `${here + 1}/${T}: ${missing} of ${V} joints missing${never ? ` (${never} always)` : ""}`;
  const found = score(pointed, here) > 0 ? `score ${score(pointed, here).toFixed(2)}` : "missing";
  title.textContent = figure.title;
  caption.textContent = pointed < 0 ? text : `${layout.joints[pointed].replaceAll("_", " ")}: ${found}`;
  canvas.setAttribute("aria-label", `${figure.title}, ${layout.name}, ${text}`);
}

function pointAt(stage, x, y) {
  if (!stage.figure || !stage.at) return;
  const distance = stage.figure.layout.joints.map((_, v) => {
    const place = stage.nearby(v) < 0 ? [Infinity, Infinity] : stage.at(v, stage.nearby(v));
    return Math.hypot(place[0] - x, place[1] - y);
  });
  const least = Math.min(...distance);
  stage.pointed = least < POINTER_REACH ? distance.indexOf(least) : -1;
  describe(stage);
}

function drawHeat(stage, kind, colours, left, top, side) {
  const { points, V, box, layout } = stage.figure;
  const { size, sigma, rgb } = colours.heatmap;
  const toPixels = (value, i) => (i % 3 === 2 ? value : ((value - (i % 3 ? box.y : box.x)) * size) / box.side);
  const pixels = points.subarray(3 * stage.here * V, 3 * (stage.here + 1) * V).map(toPixels);
  const image = new ImageData(size, size);
  heatmap(pixels, kind === "limbs" ? layout.limbs : null, size, sigma).forEach((value, i) => image.data.set([...rgb, 255 * value], 4 * i));
  stage.sheet ??= make("canvas", { width: size, height: size });
  stage.sheet.getContext("2d").putImageData(image, 0, 0);
  stage.brush.imageSmoothingEnabled = false;
  // The centre of a pixel is at a whole number, so the map begins half a pixel before the left and upper edge of the box.
  stage.brush.drawImage(stage.sheet, left - side / size / 2, top - side / size / 2, side, side);
}

function drawTrails({ brush, at, score, here, figure: { V, layout } }, colours) {
  brush.lineWidth = 1.2;
  for (let age = Math.min(TRAIL_LENGTH, here); age > 0; age--) {
    const from = here - age;
    brush.globalAlpha = 0.6 * (1 - (age - 1) / TRAIL_LENGTH);
    const kept = [...Array(V).keys()].filter((v) => score(v, from) > 0 && score(v, from + 1) > 0);
    drawLines(brush, colours, kept.map((v) => [layout.sides[v], at(v, from), at(v, from + 1)]));
  }
  brush.globalAlpha = 1;
}

function drawLimbs({ brush, at, score, here, figure: { V, layout } }, colours) {
  brush.lineWidth = V > 60 ? 1.2 : 2;
  const kept = layout.limbs.filter(([a, b]) => score(a, here) > 0 && score(b, here) > 0);
  drawLines(brush, colours, kept.map(([a, b]) => [layout.sides[b], at(a, here), at(b, here)]));
}

function drawLines(brush, colours, lines) {
  for (const side of SIDES) {
    brush.beginPath();
    for (const [of, from, to] of lines) {
      if (of !== side) continue;
      brush.moveTo(...from);
      brush.lineTo(...to);
    }
    brush.strokeStyle = colours[side];
    brush.stroke();
  }
}

function drawJoints({ brush, at, score, here, nearby, figure: { V, layout } }, scores, colours) {
  const radius = V > 60 ? 1.5 : 3.5;
  brush.lineWidth = 1;
  for (let v = 0; v < V; v++) {
    if (nearby(v) < 0) continue;
    const confidence = Math.min(score(v, here), 1);
    const found = confidence > 0;
    brush.beginPath();
    brush.arc(...at(v, nearby(v)), found && scores === "size" ? radius * (0.4 + confidence) : radius, 0, 2 * Math.PI);
    brush.fillStyle = scores === "colour" ? colours.scale[Math.round(confidence * (colours.scale.length - 1))] : colours[layout.sides[v]];
    brush.strokeStyle = found ? colours.text : colours.missing;
    if (found) brush.fill();
    if (!found || scores === "colour") brush.stroke();
  }
}

// Colours that suit the theme of the page. The legend and the bars take them from the style.
function findColours(root, list) {
  const style = getComputedStyle(root);
  const [red, green, blue] = style.backgroundColor.match(/[\d.]+/g).map(Number);
  const dark = 0.3 * red + 0.6 * green + 0.1 * blue < 128;
  const colours = { ...list.colours[dark ? "dark" : "light"], scale: list.scale, heatmap: list.heatmap, text: style.color };
  root.style.colorScheme = dark ? "dark" : "light";
  for (const name of [...SIDES, "missing"]) root.style.setProperty(`--miga-${name}`, colours[name]);
  return colours;
}

// ---- Parts of the page, and bytes

function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

function same(...values) {
  return values.map((value) => [value, value]);
}

function makeSelect(label, options, value, act) {
  const node = make("select", {}, ...options.map(([key, text]) => make("option", { value: key }, text)));
  node.value = value;
  node.addEventListener("change", () => act(node.value));
  return make("label", {}, label, node);
}

function makeButton(label, text, act) {
  const node = make("button", { type: "button", "aria-label": label, title: label }, text);
  node.addEventListener("click", act);
  return node;
}

// Numbers from the bytes that the kernel sent. They can start at any position in their buffer, so they are copied.
function numbers(view, Type) {
  return new Type(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));
}
