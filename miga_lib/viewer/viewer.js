// The page of the viewer: one state, one function that draws it, and a table of the keys. The kernel sends
// each clip once.

const POINTER_REACH = 12; // largest distance from the pointer to a joint that it points at, in CSS pixels
const KERNEL_TIMEOUT = 3000; // in milliseconds; after it a message says that the kernel has not answered
const SPEEDS = [0.1, 0.25, 0.5, 1, 2, 4];
const WHOLE = "whole body";
const LINK = "#miga?"; // begins the links of figures and tables to clips, as in miga_lib.plots.links
const NO_ZOOM = { k: 1, x: 0, y: 0 };
const NEEDS_KERNEL = "needs a running kernel";
const NO_ANSWER = "The kernel does not answer: it is busy or was stopped.";
// What the kernel computes of a clip when it is asked, and what is said where it cannot.
const EXTRAS = {
  used: "No network was given that tells what it used: pass `saliency=` to the viewer.",
  video: "No video was given: pass `video=` to the viewer.",
};
const LEGEND = {
  left: "subject’s left",
  right: "subject’s right",
  middle: "middle",
  missing: "missing: position nearest in time",
  used: "what the network used",
  scale: "score from 0 to 1",
  energy: "motion",
  absent: "missing joints",
  kept: "frames kept by the alignment",
};

export default { render };

// Play in place of the still picture; in JupyterLab only if the output before it has an error in place of the
// live viewer.
function playUnlessLive(id) {
  const output = document.getElementById(id).closest(".jp-OutputArea-child");
  const live = output?.previousElementSibling?.querySelector(".lm-Panel.jp-OutputArea-output");
  if (!live) return playAlone(id);
  output.style.display = "none";
  const observer = new MutationObserver(() => {
    if (!live.firstChild?.data?.startsWith("Error")) return;
    observer.disconnect();
    [output.style.display, live.style.display] = ["", "none"];
    playAlone(id);
  });
  observer.observe(live, { childList: true });
}

// Replace the still picture by the viewer in a page without a kernel, which has some of the clips, by row.
function playAlone(id) {
  const bytes = (text) => new DataView(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer);
  const revive = (key, value) => (value?.base64 === undefined ? value : bytes(value.base64));
  const state = JSON.parse(document.getElementById(`${id}-state`).textContent, revive);
  const acts = {};
  const model = {
    exported: state._exported,
    get: (name) => state[name],
    set: (name, value) => (state[name] = value),
    save_changes() {
      state._clip = state._exported[state._choice.row];
      acts["change:_clip"]();
    },
    on: (event, act) => (acts[event] = act),
    off() {},
  };
  const el = make("div");
  document.getElementById(id).replaceChildren(make("style", {}, state.css), el);
  render({ model, el });
}

function render({ model, el }) {
  const list = model.get("_list");
  const state = {
    layout: list.layouts[list.shown], view: WHOLE, zoom: NO_ZOOM, scores: "size", heat: "off", speed: 1,
    trails: false, used: false, video: false, playing: false, at: 0, loop: null,
  };
  const stages = [makeStage(), makeStage()];
  const around = make("p", { class: "miga-around" });
  const title = "Motion, missing joints, kept frames. Drag to set a loop.";
  const strip = make("canvas", { class: "miga-strip", role: "img", title });
  const message = make("div", { class: "miga-message", role: "status" });
  const bars = make("div", { class: "miga-bars" });
  const noteOf = (id) => model.get("_notes")[id] ?? "";
  const clips = makeClips(list, { pick: (row) => request({ row }), atHand, noteOf });
  const actions = makeActions();
  const keyTexts = actions.map(([key, text]) => make("p", {}, make("kbd", {}, nameKey(key)), text));
  const help = make("div", { class: "miga-help", hidden: "" }, ...keyTexts);
  const controls = makeControls();
  const panes = make("div", { class: "miga-stages" }, ...stages.map((stage) => stage.panel));
  const player = make("div", { class: "miga-player" }, panes, strip, around, controls.transport);
  const parts = [clips.filters, message, help, clips.panel, player, controls.options, makeLegend(list), bars];
  const label = "Skeleton viewer. Space plays, arrow keys step, a question mark lists all keys.";
  const attributes = { class: "miga-viewer", role: "group", tabindex: 0, "aria-label": label };
  const root = make("div", attributes, ...parts);
  root.setAttribute("data-lm-suppress-shortcuts", "true"); // else JupyterLab takes the keys
  root.draws = { count: 0, milliseconds: 0 }; // read by the benchmark
  let clip, film, frames, scheduled, before, timeout, colours, notebook;

  // ---- What comes from the kernel and goes to it

  function receive() {
    if (clip?.row !== model.get("_clip").row) change({ at: 0, loop: null });
    clip = model.get("_clip");
    frames = Math.max(clip.main?.frames ?? 1, 1);
    say();
    write(around, clip.around ?? "");
    showBars(bars, clip.bars, clips.runs);
    takeChoice();
    prepare();
    for (const name in EXTRAS) if (list[name] && clip.main && !model.exported) askExtra(name);
  }
  // Show the messages about the clip, and another.
  function say(...lines) {
    clearTimeout(timeout);
    message.replaceChildren(...[...clip.messages, ...lines].map((line) => make("p", {}, line)));
  }
  function expectAnswer(more = "") {
    clearTimeout(timeout);
    timeout = setTimeout(() => say(NO_ANSWER + more), KERNEL_TIMEOUT);
  }
  function atHand(row) {
    return !model.exported || row in model.exported;
  }
  // Ask for another clip, or for another figure beside it.
  function request(part) {
    const [last, choice] = [model.get("_choice"), { ...model.get("_choice"), ...part }];
    if (choice.row === last.row && choice.beside === last.beside) return say();
    if (model.exported && model.exported[choice.row]?.requested !== choice.beside)
      return say(`Another clip or comparison ${NEEDS_KERNEL}. Clips that are not grey can be played.`);
    model.set("_choice", choice);
    model.save_changes();
    if (!model.exported) expectAnswer(" This clip can be played.");
  }
  function ask(name, content = {}) {
    if (model.exported) return say(`This ${NEEDS_KERNEL}.`);
    model.send({ ask: name, row: clip.row, ...content });
    expectAnswer();
  }
  function askExtra(name) {
    if (!state[name] || stages[0].figure?.[name]) return;
    if (list[name]) ask(name);
    else say(EXTRAS[name]);
  }
  function takeChoice() {
    clips.choose(clip.row);
    setSelect(controls.selects.beside, clip.requested);
    controls.note.value = noteOf(clips.idOf(clip.row));
  }
  // Each picture is drawn once it is read.
  function takeVideo() {
    const { row, pictures, size } = model.get("_video");
    const images = pictures.map((src) => Object.assign(new Image(), { onload: redraw, src }));
    film = { row, size, pictures: images };
    prepare();
  }

  // ---- What is shown, and when

  function prepare() {
    stages.forEach((stage, k) => {
      const sent = k ? clip.beside : clip.main;
      stage.figure = sent && makeFigure(sent, state.layout);
      stage.pointed = -1;
      stage.panel.hidden = !sent && k > 0;
    });
    const [main, beside] = stages.map((stage) => stage.figure);
    const used = model.get("_used");
    if (main && film?.row === clip.row) main.video = film;
    if (main && used?.row === clip.row) showUsed(main, numbers(used.values, Float32Array));
    if (beside?.source) beside.shown = shownAt(beside.source, main.T);
    if (beside?.filled) Object.assign(beside, { box: main.box, windows: main.windows }); // at the same place
    const views = [WHOLE, ...state.layout.views.map(([name]) => name)];
    if (!views.includes(state.view)) state.view = WHOLE;
    controls.selects.view.replaceChildren(...views.map((name) => make("option", {}, name)));
    setSelect(controls.selects.view, state.view);
    redraw();
  }
  function redraw() {
    scheduled ??= requestAnimationFrame(tick);
  }
  function change(part) {
    Object.assign(state, part);
    redraw();
  }
  function go(frame) {
    change({ at: wrap(frame, frames) });
  }
  function togglePlay() {
    before = undefined;
    change({ playing: !state.playing });
  }
  function toggle(name) {
    change({ [name]: !state[name] });
    controls.toggles[name]?.setAttribute("aria-pressed", state[name]);
    if (name in EXTRAS) askExtra(name);
  }
  function tick(now) {
    scheduled = undefined;
    if (state.playing) {
      const [first, last] = state.loop ?? [0, frames - 1];
      const passed = ((now - (before ?? now)) / 1000) * list.rate * Number(state.speed);
      state.at = first + wrap(state.at - first + passed, last + 1 - first);
      before = now;
    }
    if (state.playing || !root.isConnected) redraw();
    if (root.isConnected) draw();
  }
  function draw() {
    const start = performance.now();
    const t = Math.floor(state.at);
    if (!colours) {
      colours = findColours(root, list); // computed styles exist only once the viewer is in the page
      notebook = notebookOf(root);
      clips.reveal();
    }
    controls.show(t);
    const [main, beside] = stages.map((stage) => stage.figure);
    stages[0].shows = main && { figure: main, frame: t };
    stages[1].shows = beside && inStep(main, beside, t);
    for (const stage of stages) if (!stage.panel.hidden) drawStage(stage, state, colours);
    if (main) drawStrip(strip, main, beside?.shown, t, state.loop, colours);
    root.draws.count += 1;
    root.draws.milliseconds += performance.now() - start;
  }
  function refit() {
    colours = undefined; // the theme may have changed
    redraw();
  }

  // ---- Zoom, loop, files

  function zoomBy(factor, { canvas } = stages[0], x = canvas.clientWidth / 2, y = canvas.clientHeight / 2) {
    const [dx, dy] = [x - canvas.clientWidth / 2, y - canvas.clientHeight / 2];
    change({ zoom: zoomed(state.zoom, factor, dx / unitOf(canvas), dy / unitOf(canvas)) });
  }
  function pan(dx, dy, { canvas } = stages[0]) {
    const [{ k, x, y }, unit] = [state.zoom, unitOf(canvas)];
    change({ zoom: { k, x: x - dx / unit / k, y: y - dy / unit / k } });
  }
  function look(view) {
    if (![...controls.selects.view.options].some((option) => option.value === view)) return;
    change({ view, zoom: NO_ZOOM });
    setSelect(controls.selects.view, view);
  }
  function limit(end) {
    const [t, [first, last]] = [Math.floor(state.at), state.loop ?? [0, frames - 1]];
    change({ loop: end ? [Math.min(first, t), t] : [t, Math.max(last, t)] });
  }
  function focusRoot() {
    root.focus({ preventScroll: true });
  }
  function fullScreen() {
    const changed = document.fullscreenElement ? document.exitFullscreen() : root.requestFullscreen();
    changed.catch(() => say("The browser refuses full screen here."));
  }
  async function save(kind) {
    if (!stages[0].figure) return;
    const page = getComputedStyle(root).backgroundColor;
    const svg = drawSvg(stages.filter((stage) => !stage.panel.hidden), state, colours, page);
    const name = `${clips.idOf(clip.row)}-${Math.floor(state.at) + 1}`.replace(/[^\w.+-]+/g, "-");
    const picture = new Blob([new XMLSerializer().serializeToString(svg)], { type: "image/svg+xml" });
    download(kind === "png" ? await rasterise(picture, svg) : picture, `${name}.${kind}`);
  }

  // ---- Keys, controls, pointer

  // Each with its key, what it does in words, and its function.
  function makeActions() {
    const step = (by) => () => go(Math.floor(state.at) + by);
    const cycle = (name) => () => controls.cycle(name);
    const closeUps = [...list.layouts].reverse().flatMap((layout) => layout.views.map(([name]) => name));
    const views = [...new Set([WHOLE, ...closeUps])].slice(0, 9);
    return [
      [" ", "play or pause", togglePlay],
      ["ArrowLeft", "one frame back", step(-1)],
      ["ArrowRight", "one frame on", step(1)],
      ["Home", "first frame", () => go(0)],
      ["End", "last frame", () => go(frames - 1)],
      ["[", "slower", () => controls.cycle("speed", -1)],
      ["]", "faster", () => controls.cycle("speed", 1)],
      ["i", "loop from this frame", () => limit(0)],
      ["o", "loop to this frame", () => limit(1)],
      ["u", "no loop", () => change({ loop: null })],
      ["j", "next clip", () => clips.step(1)],
      ["k", "previous clip", () => clips.step(-1)],
      ["n", "next mistake", () => clips.mistake(1)],
      ["N", "previous mistake", () => clips.mistake(-1)],
      ["/", "find", () => clips.search.focus()],
      ["c", "clear all filters", clips.clear],
      ["+", "zoom in", () => zoomBy(1.25)],
      ["-", "zoom out", () => zoomBy(0.8)],
      ["0", "no zoom", () => change({ zoom: NO_ZOOM })],
      ["Shift+ArrowLeft", "move the picture left", () => pan(-40, 0)],
      ["Shift+ArrowRight", "move it right", () => pan(40, 0)],
      ["Shift+ArrowUp", "move it up", () => pan(0, -40)],
      ["Shift+ArrowDown", "move it down", () => pan(0, 40)],
      ...views.map((view, k) => [String(k + 1), `view: ${view}`, () => look(view)]),
      ["f", "full screen", fullScreen],
      ["l", "next layout", cycle("layout")],
      ["b", "next comparison beside", cycle("beside")],
      ["s", "next way to show scores", cycle("scores")],
      ["h", "next heatmap", cycle("heat")],
      ["t", "trails", () => toggle("trails")],
      ["x", "what the network used", () => toggle("used")],
      ["v", "video behind the skeleton", () => toggle("video")],
      ...Object.entries(CHOICES).map(([name, [key, text]]) => [key, text, () => clips.focus(name)]),
      ["e", "write a note on the clip", () => controls.note.focus()],
      ["p", "save the frame as PNG", () => save("png")],
      ["g", "save the frame as SVG", () => save("svg")],
      ["a", "save the clip as GIF", () => ask("film", { layout: state.layout.name })],
      ["?", "this list", () => (help.hidden = !help.hidden)],
      ["Escape", "leave a field; close this list", leave],
    ];
  }
  function makeControls() {
    const actionOf = Object.fromEntries(actions.map(([key, ...action]) => [key, action]));
    const button = (key, text) => makeButton(`${actionOf[key][0]} (${nameKey(key)})`, text, actionOf[key][1]);
    const [play, back, on] = [button(" ", "▶"), button("ArrowLeft", "◂"), button("ArrowRight", "▸")];
    const slider = make("input", { type: "range", min: 0, "aria-label": "Frame", class: "miga-frame" });
    const place = make("span", { class: "miga-place" });
    const placeholder = model.exported ? `a note ${NEEDS_KERNEL}` : "tags and remarks on this clip";
    const note = make("input", { type: "text", size: 30, maxlength: 1000, placeholder });
    note.disabled = Boolean(model.exported);
    const toggles = { trails: button("t", "Trails") };
    if (list.used) toggles.used = button("x", "Used");
    if (list.video) toggles.video = button("v", "Video");
    for (const node of Object.values(toggles)) node.setAttribute("aria-pressed", false);
    slider.addEventListener("input", () => go(Number(slider.value)));
    note.addEventListener("keydown", (event) => event.key === "Enter" && focusRoot()); // which is a change
    note.addEventListener("change", () => ask("note", { note: note.value }));
    const layouts = list.layouts.map(({ name, rows }, i) => [i, `${name} (${rows.length})`]);
    const speeds = SPEEDS.map((value) => [value, `${value} ×`]);
    const compare = (beside) => request({ beside });
    const set = (key) => (value) => change({ [key]: value });
    const setLayout = (i) => {
      state.layout = list.layouts[i];
      prepare();
    };
    const selects = {
      layout: makeSelect("Layout", layouts, list.shown, setLayout, "l"),
      view: makeSelect("View", [], WHOLE, look, "1"),
      beside: makeSelect("Beside", list.comparisons, model.get("_choice").beside, compare, "b"),
      scores: makeSelect("Score", [["size"], ["colour"], ["off"]], state.scores, set("scores"), "s"),
      heat: makeSelect("Heatmap", [["off"], ["joints"], ["limbs"]], state.heat, set("heat"), "h"),
    };
    const fields = Object.values(selects).map((select) => select.parentNode);
    fields.push(...Object.values(toggles), make("label", {}, "Note", note));
    const files = [button("p", "PNG"), button("g", "SVG"), button("a", "GIF")];
    const options = [...fields, ...files, button("f", "Full screen"), button("?", "?")];
    selects.speed = makeSelect("Speed", speeds, state.speed, set("speed"), "]");
    const steps = [back, play, on, slider, place, selects.speed.parentNode];
    return {
      transport: make("div", { class: "miga-transport" }, ...steps),
      options: make("div", { class: "miga-options" }, ...options),
      selects, toggles, note,
      show(t) {
        slider.max = frames - 1;
        slider.value = t;
        slider.setAttribute("aria-valuetext", `frame ${t + 1} of ${frames}`);
        write(place, `${t + 1} / ${frames}`);
        write(play, state.playing ? "❚❚" : "▶");
        play.setAttribute("aria-pressed", state.playing);
      },
      cycle(name, by) {
        const { options, selectedIndex } = selects[name];
        const next = by ? Math.min(Math.max(selectedIndex + by, 0), options.length - 1) : selectedIndex + 1;
        selects[name].selectedIndex = next % options.length;
        selects[name].dispatchEvent(new Event("change"));
      },
    };
  }
  function press(event) {
    let typed = event.shiftKey && event.key.startsWith("Arrow") ? `Shift+${event.key}` : event.key;
    if (typed === "=") typed = "+"; // without shift
    const action = actions.find(([key]) => key === typed);
    const writing = event.target.matches("input[type=search], input[type=text]") && typed !== "Escape";
    const choosing = event.target.matches("select") && ![" ", "Escape"].includes(typed);
    if (!action || writing || choosing || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    action[2]();
  }
  function followLink(event) {
    const node = event.target.closest?.("a");
    const link = node?.getAttribute("href") ?? node?.getAttribute("xlink:href");
    if (!link?.startsWith(LINK)) return;
    if (notebookOf(event.target) !== notebook) return; // its own may be scrolled out of the page
    event.preventDefault();
    event.stopPropagation();
    const values = Object.fromEntries(new URLSearchParams(link.slice(LINK.length)));
    const { label, predicted, low = 0, high = 1 } = values;
    const run = values.run ? clips.runs.findIndex(({ name }) => name === values.run) : 0;
    if (run < 0) return;
    clips.showOnly({ label, predicted, low: Number(low), high: Number(high), run });
    root.scrollIntoView({ block: "nearest" });
    focusRoot();
  }
  function leave() {
    help.hidden = true;
    focusRoot();
  }

  root.addEventListener("keydown", press);
  root.addEventListener("keyup", (event) => {
    if (event.key === " " && event.target.matches("button")) event.preventDefault(); // for Firefox
  });
  const resetZoom = () => change({ zoom: NO_ZOOM });
  for (const stage of stages) listen(stage, { focusRoot, zoomBy, pan, resetZoom });
  listenStrip(strip, () => frames, { go, change });
  document.addEventListener("click", followLink, true); // before JupyterLab, which follows links
  document.addEventListener("fullscreenchange", refit);
  const sizes = new ResizeObserver(refit);
  for (const node of [clips.panel, strip, ...stages.map((stage) => stage.canvas)]) sizes.observe(node);
  const themes = new MutationObserver(refit);
  for (const node of [document.documentElement, document.body]) themes.observe(node, { attributes: true });
  const events = {
    "change:_clip": receive,
    "change:_notes": takeChoice,
    "change:_used": prepare,
    "change:_video": takeVideo,
    "msg:custom": ({ text }) => say(text),
  };
  for (const [event, act] of Object.entries(events)) model.on(event, act);
  for (const node of document.getElementsByClassName(list.viewer)) node.hidden ||= !model.exported;
  el.classList.add("miga-place-of-viewer");
  el.replaceChildren(root);
  receive();
  return () => {
    clearTimeout(timeout);
    cancelAnimationFrame(scheduled);
    for (const observer of [sizes, themes]) observer.disconnect();
    document.removeEventListener("click", followLink, true);
    document.removeEventListener("fullscreenchange", refit);
    for (const [event, act] of Object.entries(events)) model.off(event, act);
  };
}

function wrap(value, length) {
  return ((value % length) + length) % length;
}

// JupyterLab shows several notebooks in one page; a figure concerns the viewers of its own.
function notebookOf(node) {
  return node.closest(".jp-Notebook") ?? document.body;
}

function nameKey(key) {
  const arrows = { Left: "←", Right: "→", Up: "↑", Down: "↓" };
  if (key === " ") return "space";
  return key.replace("Shift+", "shift ").replace(/Arrow(\w+)/, (_, direction) => arrows[direction]);
}

function makeLegend(list) {
  const names = Object.keys(LEGEND).filter((name) => name !== "used" || list.used);
  const parts = names.map((name) => make("span", { class: `miga-${name}` }, LEGEND[name]));
  const style = `--miga-scale: linear-gradient(to right, ${list.scale})`;
  return make("div", { class: "miga-legend", style }, ...parts);
}

// A line for each class: its probability by each run, side by side.
function showBars(panel, bars, runs) {
  panel.hidden = !bars;
  if (!bars?.length) return panel.replaceChildren("There is no prediction of this clip.");
  const lines = bars.map(({ name, truth, probabilities, ranks }) => {
    const values = probabilities.flatMap((probability, k) => {
      const bar = make("div", { class: "miga-bar", style: `width: ${100 * Math.max(probability, 0)}%` });
      const rank = ranks[k] > 5 ? `, rank ${ranks[k]}` : "";
      const text = probability < 0 ? "–" : `${(100 * probability).toFixed(1)} %${rank}`;
      const label = make("span", { class: ranks[k] === 1 ? "miga-first" : "" }, text);
      return [make("div", { class: "miga-track" }, bar), label];
    });
    const head = make("span", {}, name, truth ? " (true class)" : "");
    return make("div", { role: "listitem", class: truth ? "miga-truth" : "" }, head, ...values);
  });
  const heads = runs.map(({ name, title }) => make("span", { class: "miga-head", title: name }, title));
  if (runs.length > 1) lines.unshift(make("span"), ...heads);
  const table = make("div", { role: "list", style: `--miga-runs: ${runs.length}` }, ...lines);
  panel.replaceChildren(make("p", {}, "Predicted"), table);
}

// ---- A pane

function makeStage() {
  const canvas = make("canvas", { role: "img" });
  const [title, caption] = [make("figcaption"), make("div", { class: "miga-caption" })];
  return { canvas, title, caption, pointed: -1, panel: make("figure", {}, title, canvas, caption) };
}

// What the second pane shows while the clip is at frame t: a frame that an alignment left out as it is in the
// clip. `origin` says where the frame comes from.
function inStep(main, beside, t) {
  if (!beside.shown) {
    const share = t / Math.max(main.T - 1, 1); // of another clip, which has another length
    return { figure: beside, frame: Math.round(share * (beside.T - 1)) };
  }
  const [k, origin] = [beside.shown[t], `frame ${t + 1}`];
  return k < 0 ? { figure: main, frame: t, leftOut: true, origin } : { figure: beside, frame: k, origin };
}

// CSS pixels by the side of the window, without zoom.
function unitOf(canvas) {
  return FILLED * Math.min(canvas.clientWidth, canvas.clientHeight);
}

function drawStage(stage, state, colours) {
  const { canvas, shows } = stage;
  const brush = fitted(canvas);
  if (!shows) return;
  stage.projected = paint(brush, shows, canvas.clientWidth, canvas.clientHeight, state, colours);
  describe(stage);
}

function describe({ canvas, title, caption, pointed, figure, shows, projected: { score, nearby, frame } }) {
  const { origin, leftOut, figure: { V, T, layout, filled: allFilled } } = shows;
  const missing = layout.joints.filter((_, v) => !(score(v, frame) > 0)).length;
  const never = layout.joints.filter((_, v) => nearby(v) < 0).length;
  const filled = allFilled?.subarray(frame * V, (frame + 1) * V);
  let text = `${frame + 1}/${T}: ${missing} of ${V} missing`;
  if (never && !origin) text += ` (${never} always)`;
  if (filled) text += `, ${filled.reduce((sum, value) => sum + value, 0)} filled in (○)`;
  else if (origin) text = leftOut ? `${origin} is left out` : `${origin} → ${text}`;
  let joint = score(pointed, frame) > 0 ? `score ${score(pointed, frame).toFixed(2)}` : "missing";
  if (filled?.[pointed]) joint = "filled in";
  write(title, figure.title);
  write(caption, pointed < 0 ? text : `${layout.joints[pointed].replaceAll("_", " ")}: ${joint}`);
  for (const node of [title, caption]) node.title = node.textContent; // for where they are cut
  canvas.classList.toggle("miga-left-out", Boolean(leftOut));
  canvas.setAttribute("aria-label", `${figure.title}, ${layout.name}, ${text}`);
}

function pointAt(stage, x, y) {
  if (!stage.projected) return;
  const { at, nearby, figure } = stage.projected;
  const distances = figure.layout.joints.map((_, v) => {
    if (nearby(v) < 0) return Infinity;
    const [jointX, jointY] = at(v, nearby(v));
    return Math.hypot(jointX - x, jointY - y);
  });
  const least = Math.min(...distances);
  stage.pointed = least < POINTER_REACH ? distances.indexOf(least) : -1;
  describe(stage);
}

// The wheel and two fingers zoom around the pointer; a drag moves the picture, a double click resets it.
function listen(stage, { focusRoot, zoomBy, pan, resetZoom }) {
  const { canvas } = stage;
  const down = new Map(); // the place of each pointer
  const on = (name, act) => canvas.addEventListener(name, act, { passive: false });
  const mean = (i) => [...down.values()].reduce((sum, place) => sum + place[i] / down.size, 0);
  const spread = () => {
    const [first, second = first] = down.values();
    return Math.hypot(first[0] - second[0], first[1] - second[1]) || 1;
  };
  on("wheel", (event) => {
    event.preventDefault();
    const pixels = event.deltaY * (event.deltaMode === 1 ? 16 : 1);
    const rate = event.ctrlKey ? 0.01 : 0.0015; // a pinch comes with ctrlKey
    zoomBy(Math.exp(-pixels * rate), stage, event.offsetX, event.offsetY);
  });
  on("pointerdown", (event) => {
    focusRoot();
    canvas.setPointerCapture(event.pointerId);
    down.set(event.pointerId, [event.offsetX, event.offsetY]);
  });
  on("pointermove", (event) => {
    if (!down.has(event.pointerId)) return pointAt(stage, event.offsetX, event.offsetY);
    const [x, y, distance] = [mean(0), mean(1), spread()];
    down.set(event.pointerId, [event.offsetX, event.offsetY]);
    pan(mean(0) - x, mean(1) - y, stage);
    if (down.size > 1) zoomBy(spread() / distance, stage, mean(0), mean(1));
  });
  for (const name of ["pointerup", "pointercancel"]) on(name, (event) => down.delete(event.pointerId));
  on("pointerleave", () => pointAt(stage, Infinity, Infinity));
  on("dblclick", resetZoom);
}

// ---- The strip under the panes

function drawStrip(strip, figure, shown, t, loop, colours) {
  const [brush, width, height, T] = [fitted(strip), strip.clientWidth, strip.clientHeight, figure.T];
  const step = width / T;
  // What does not change from frame to frame is stored as a picture: it has hundreds of columns.
  const sources = [figure, shown, colours, strip.width, strip.height];
  if (!sources.every((source, i) => source === strip.sources?.[i])) {
    [strip.sources, strip.sheet] = [sources, make("canvas", { width: strip.width, height: strip.height })];
    drawColumns(strip.sheet.getContext("2d"), figure, shown, width, height, strip.width / width, colours);
  }
  brush.drawImage(strip.sheet, 0, 0, width, height);
  brush.fillStyle = colours.text;
  if (loop) {
    brush.globalAlpha = 0.25;
    brush.fillRect(0, 0, loop[0] * step, height);
    brush.fillRect((loop[1] + 1) * step, 0, width, height);
    brush.globalAlpha = 1;
  }
  brush.fillRect((t + 0.5) * step - 1, 0, 2, height);
  let text = `Frame ${t + 1} of ${T}; ${loop ? `loop from ${loop[0] + 1} to ${loop[1] + 1}` : "no loop"}`;
  if (shown) text += `; ${shown.filter((k) => k >= 0).length} frames kept`;
  strip.setAttribute("aria-label", text);
}

// The joints missing, the motion and the frames that an alignment shows, a column for each frame.
function drawColumns(brush, { T, motion, missing }, shown, width, height, ratio, colours) {
  const [step, top, low] = [width / T, 10, height - 6];
  const wide = Math.max(step - (step > 3), 0.5);
  brush.setTransform(ratio, 0, 0, ratio, 0, 0);
  brush.fillStyle = colours.missing;
  missing.forEach((share, t) => brush.fillRect(t * step, 0, wide, top * share));
  brush.fillStyle = colours.text;
  brush.globalAlpha = 0.45;
  const scale = (low - 1 - top) / motion.reduce((max, value) => Math.max(max, value), 1e-3);
  motion.forEach((value, t) => brush.fillRect(t * step, low - 1 - value * scale, wide, value * scale));
  brush.globalAlpha = 1;
  shown?.forEach((k, t) => k >= 0 && brush.fillRect(t * step, low, wide, 5));
}

// A click goes to a frame, a drag sets the loop, a double click removes it.
function listenStrip(strip, frames, { go, change }) {
  let start;
  const frameAt = ({ offsetX }) =>
    Math.min(Math.max(Math.floor((offsetX / strip.clientWidth) * frames()), 0), frames() - 1);
  strip.addEventListener("pointerdown", (event) => {
    strip.setPointerCapture(event.pointerId);
    start = frameAt(event);
    go(start);
  });
  strip.addEventListener("pointermove", (event) => {
    const end = frameAt(event);
    if (start !== undefined && end !== start) change({ loop: [Math.min(start, end), Math.max(start, end)] });
  });
  for (const name of ["pointerup", "pointercancel"]) strip.addEventListener(name, () => (start = undefined));
  strip.addEventListener("dblclick", () => change({ loop: null }));
}

// ---- Files

function drawSvg(stages, state, colours, page) {
  const [gap, margin] = [10, 20];
  const tall = stages[0].canvas.clientHeight + 2 * margin;
  const svg = makeSvg("svg", { xmlns: "http://www.w3.org/2000/svg" });
  svg.append(makeSvg("rect", { width: "100%", height: tall, fill: page }));
  let x = 0;
  for (const { canvas, title, caption, shows } of stages) {
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    const pane = makeSvg("svg", { x, y: margin, width, height });
    paint(new SvgBrush(pane), shows, width, height, state, colours);
    const style = { x: x + 4, fill: colours.text, "font-family": "sans-serif", "font-size": 12 };
    const line = (y, text) => makeSvg("text", { y, ...style }, text);
    svg.append(pane, line(14, title.textContent), line(tall - 6, caption.textContent));
    x += width + gap;
  }
  const size = { width: x - gap, height: tall, viewBox: `0 0 ${x - gap} ${tall}` };
  for (const [name, value] of Object.entries(size)) svg.setAttribute(name, value);
  return svg;
}

async function rasterise(picture, svg) {
  const image = new Image();
  image.src = URL.createObjectURL(picture);
  await image.decode();
  const [width, height] = ["width", "height"].map((name) => 3 * svg.getAttribute(name));
  const canvas = make("canvas", { width, height });
  canvas.getContext("2d").drawImage(image, 0, 0, width, height);
  URL.revokeObjectURL(image.src);
  return new Promise((done) => canvas.toBlob(done));
}

function download(blob, name) {
  const link = make("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

// ---- Parts of the page

// A cleared canvas in the resolution of the screen, as its brush.
function fitted(canvas) {
  const ratio = window.devicePixelRatio || 1;
  const [width, height] = [canvas.clientWidth, canvas.clientHeight].map((side) => Math.round(side * ratio));
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
  const brush = canvas.getContext("2d");
  brush.setTransform(ratio, 0, 0, ratio, 0, 0);
  brush.clearRect(0, 0, width, height);
  return brush;
}

// Colours that suit the theme of the page. The legend and the bars take them from the style.
function findColours(root, list) {
  const style = getComputedStyle(root);
  const [red, green, blue] = style.backgroundColor.match(/[\d.]+/g).map(Number);
  const theme = 0.3 * red + 0.6 * green + 0.1 * blue < 128 ? "dark" : "light";
  const colours = list.colours[theme];
  root.style.colorScheme = theme;
  for (const [name, colour] of Object.entries(colours)) root.style.setProperty(`--miga-${name}`, colour);
  return { ...colours, scale: list.scale, heatmap: list.heatmap, text: style.color };
}

// An equal text is not set again, since that would make the browser lay out the page in every frame.
function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function make(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

function makeSvg(tag, attributes, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

// A list of choices, with or without texts, in its label; `key` goes to it or on in it.
function makeSelect(label, options, value, act, key = "") {
  const nodes = options.map(([value, text = value]) => make("option", { value }, text));
  const select = make("select", { "aria-keyshortcuts": key, title: key && `key ${key}` }, ...nodes);
  select.value = value;
  select.addEventListener("change", () => act(select.value));
  make("label", {}, label, select);
  return select;
}

function setSelect(select, value) {
  if (String(value).includes(",")) select.append(make("option", { value }, "several")); // of a link
  select.value = value;
}

function makeButton(label, text, act) {
  const node = make("button", { type: "button", "aria-label": label, title: label }, text);
  node.addEventListener("click", act);
  return node;
}
