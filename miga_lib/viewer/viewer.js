// The page of the viewer: one state, one function that draws it, and a table of the keys. The kernel sends each clip once.

const POINTER_REACH = 12; // largest distance from the pointer to a joint that it points at, in CSS pixels
const KERNEL_TIMEOUT = 3000; // in milliseconds; after it a message says that the kernel has not answered
const SPEEDS = [0.1, 0.25, 0.5, 1, 2, 4];
const WHOLE = "whole body";
const LINK = "#miga?"; // begins the links of figures and tables to clips, as in miga_lib.plots.links
const NO_ZOOM = { k: 1, x: 0, y: 0 };
const NEEDS_KERNEL = "needs a running kernel";

export default { render };

// Play in place of the still picture; in JupyterLab only if the output before it has an error in place of the live viewer.
export function playUnlessLive(id) {
  const own = document.getElementById(id).closest(".jp-OutputArea-child");
  const live = own?.previousElementSibling?.querySelector(".lm-Panel.jp-OutputArea-output");
  if (!live) return playAlone(id);
  own.style.display = "none";
  const observer = new MutationObserver(() => {
    if (!live.firstChild?.data?.startsWith("Error")) return;
    observer.disconnect();
    [own.style.display, live.style.display] = ["", "none"];
    playAlone(id);
  });
  observer.observe(live, { childList: true });
}

// Replace the still picture in a page without a kernel by the viewer. Of the clips, those in `_kept` can be shown, by their rows.
function playAlone(id) {
  const bytes = (text) => new DataView(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer);
  const revive = (key, value) => (value?.base64 === undefined ? value : bytes(value.base64));
  const state = JSON.parse(document.getElementById(`${id}-state`).textContent, revive);
  const el = make("div");
  let receive;
  const model = {
    kept: state._kept,
    get: (name) => state[name],
    set: (name, value) => (state[name] = value),
    save_changes() {
      state._clip = state._kept[state._choice.row];
      receive();
    },
    on: (name, act) => (receive = name === "change:_clip" ? act : receive),
    off() {},
  };
  document.getElementById(id).replaceChildren(make("style", {}, state.css), el);
  render({ model, el });
}

function render({ model, el }) {
  const list = model.get("_list");
  const state = { layout: list.layouts[list.shown], view: WHOLE, zoom: NO_ZOOM, scores: "size", heat: "off", trails: false, used: false, video: false, speed: 1 };
  Object.assign(state, { playing: false, at: 0, loop: null });
  const stages = [makeStage(), makeStage()];
  const around = make("p", { class: "miga-around" });
  const strip = make("canvas", { class: "miga-strip", role: "img", title: "Motion, missing joints, kept frames. Drag to set a loop." });
  const message = make("div", { class: "miga-message", role: "status" });
  const bars = make("div", { class: "miga-bars" });
  const clips = makeClips(list, { pick: (row) => request({ row }), atHand, noteOf: (id) => model.get("_notes")[id] ?? "" });
  const actions = makeActions();
  const controls = makeControls();
  const help = make("div", { class: "miga-help", hidden: "" }, ...actions.map(([keys, text]) => make("p", {}, make("kbd", {}, nameKeys(keys)), text)));
  const canvases = make("div", { class: "miga-stages" }, ...stages.map((stage) => stage.panel));
  const player = make("div", { class: "miga-player" }, canvases, strip, around, controls.transport);
  const parts = [clips.filters, message, help, clips.panel, player, controls.options, makeLegend(list), bars];
  const label = "Skeleton viewer. Space plays, arrow keys step, a question mark lists all keys.";
  const root = make("div", { class: "miga-viewer", role: "group", tabindex: 0, "aria-label": label }, ...parts);
  root.setAttribute("data-lm-suppress-shortcuts", "true"); // else JupyterLab takes the keys
  root.draws = { count: 0, milliseconds: 0 }; // read by the benchmark
  let clip, film, frames, scheduled, before, timeout, colours, notebook;

  // ---- What comes from the kernel and goes to it

  function receive() {
    clearTimeout(timeout);
    const stays = clip?.row === model.get("_clip").row;
    clip = model.get("_clip");
    frames = Math.max(clip.main?.frames ?? 1, 1);
    if (!stays) Object.assign(state, { at: 0, loop: null });
    say([]);
    clips.choose(clip.row);
    write(around, clip.around ?? "");
    showBars(bars, clip.bars, list);
    controls.take(clip);
    prepare();
    if (state.used && list.explains && !model.kept && stages[0].figure && !stages[0].figure.used) askUsed();
    if (state.video && list.videos && !model.kept && stages[0].figure && !stages[0].figure.video) askVideo();
  }
  function say(lines) {
    message.replaceChildren(...[...clip.messages, ...lines].map((line) => make("p", {}, line)));
  }
  function atHand(row) {
    return !model.kept || row in model.kept;
  }
  function request(change) {
    clearTimeout(timeout);
    const [asked, choice] = [model.get("_choice"), { ...model.get("_choice"), ...change }];
    if (choice.row === asked.row && choice.beside === asked.beside) return say([]);
    if (model.kept && !(atHand(choice.row) && model.kept[choice.row].requested === choice.beside))
      return say([`Another clip or comparison ${NEEDS_KERNEL}. Clips that are not grey can be played.`]);
    model.set("_choice", choice);
    model.save_changes();
    if (!model.kept) expect("The kernel does not answer: it is busy or was stopped. This clip can be played.");
  }
  function ask(content) {
    if (model.kept) return say([`This ${NEEDS_KERNEL}.`]);
    clearTimeout(timeout);
    model.send(content);
    expect("The kernel does not answer: it is busy or was stopped.");
  }
  function expect(text) {
    timeout = setTimeout(() => say([text]), KERNEL_TIMEOUT);
  }
  function explain() {
    change({ used: !state.used });
    controls.used?.setAttribute("aria-pressed", state.used);
    if (state.used && !stages[0].figure?.used) askUsed();
  }
  function askUsed() {
    if (list.explains) ask({ used: clip.row });
    else say(["No network was given that tells what it used: pass `saliency=` to the viewer."]);
  }
  function watch() {
    change({ video: !state.video });
    controls.video?.setAttribute("aria-pressed", state.video);
    if (state.video && !stages[0].figure?.video) askVideo();
  }
  function askVideo() {
    if (list.videos) ask({ video: clip.row });
    else say(["No video was given: pass `video=` to the viewer."]);
  }
  // Pictures that are read one by one; each is drawn once it is there.
  function takeVideo() {
    const { row, pictures, size } = model.get("_video");
    film = { row, size, pictures: pictures.map((bytes) => makePicture(bytes, redraw)) };
    prepare();
  }
  function answer({ text }) {
    clearTimeout(timeout);
    say([text]);
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
    if (beside?.filled) Object.assign(beside, { box: main.box, windows: main.windows }); // in the same place of both panes
    if (state.view !== WHOLE && !state.layout.views.some(([name]) => name === state.view)) state.view = WHOLE;
    controls.offerViews();
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
  function toggle() {
    before = undefined;
    change({ playing: !state.playing });
  }
  function tick(now) {
    scheduled = undefined;
    if (state.playing) {
      const [first, last] = state.loop ?? [0, frames - 1];
      state.at = first + wrap(state.at - first + ((now - (before ?? now)) / 1000) * list.rate * state.speed, last + 1 - first);
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
    stages[0].shows = stages[0].figure && { figure: stages[0].figure, frame: t };
    stages[1].shows = stages[1].figure && inStep(stages[0].figure, stages[1].figure, t);
    for (const stage of stages) if (!stage.panel.hidden) drawStage(stage, state, colours);
    if (stages[0].figure) drawStrip(strip, stages[0].figure, stages[1].figure?.shown, t, state.loop, colours);
    root.draws.count += 1;
    root.draws.milliseconds += performance.now() - start;
  }
  function refit() {
    colours = undefined; // the theme may have changed
    redraw();
  }

  // ---- Zoom, loop, files

  function zoomBy(factor, stage = stages[0], x = stage.canvas.clientWidth / 2, y = stage.canvas.clientHeight / 2) {
    const unit = unitOf(stage);
    change({ zoom: zoomed(state.zoom, factor, (x - stage.canvas.clientWidth / 2) / unit, (y - stage.canvas.clientHeight / 2) / unit) });
  }
  function pan(dx, dy, stage = stages[0]) {
    const { k, x, y } = state.zoom;
    change({ zoom: { k, x: x - dx / unitOf(stage) / k, y: y - dy / unitOf(stage) / k } });
  }
  function look(view) {
    if (view === WHOLE || state.layout.views.some(([name]) => name === view)) change({ view, zoom: NO_ZOOM });
    controls.offerViews();
  }
  function limit(end) {
    const [t, [first, last]] = [Math.floor(state.at), state.loop ?? [0, frames - 1]];
    change({ loop: end ? [Math.min(first, t), t] : [t, Math.max(last, t)] });
  }
  function fullScreen() {
    (document.fullscreenElement ? document.exitFullscreen() : root.requestFullscreen()).catch(() => say(["The browser refuses full screen here."]));
  }
  async function save(kind) {
    if (!stages[0].figure) return;
    const svg = drawSvg(stages.filter((stage) => !stage.panel.hidden), state, colours, getComputedStyle(root).backgroundColor);
    const name = `${clips.idOf(clip.row)}-${Math.floor(state.at) + 1}`.replace(/[^\w.+-]+/g, "-");
    const picture = new Blob([new XMLSerializer().serializeToString(svg)], { type: "image/svg+xml" });
    download(kind === "png" ? await rasterise(picture, svg) : picture, `${name}.${kind}`);
  }

  // ---- Keys, controls, pointer

  function makeActions() {
    const step = (by) => () => go(Math.floor(state.at) + by);
    const cycle = (name) => () => controls.cycle(name);
    const goes = { split: "go to the split", label: "to the class", predicted: "to the predicted class", verdict0: "to correct or wrong" };
    Object.assign(goes, { verdict1: "the same of run B", run: "to the run of the list", order: "to the order" });
    const views = [...new Set([WHOLE, ...[...list.layouts].reverse().flatMap((layout) => layout.views.map(([name]) => name))])].slice(0, 9);
    return [
      [[" "], "play or pause", toggle],
      [["ArrowLeft"], "one frame back", step(-1)],
      [["ArrowRight"], "one frame on", step(1)],
      [["Home"], "first frame", () => go(0)],
      [["End"], "last frame", () => go(frames - 1)],
      [["["], "slower", () => controls.cycle("speed", -1)],
      [["]"], "faster", () => controls.cycle("speed", 1)],
      [["i"], "loop from this frame", () => limit(0)],
      [["o"], "loop to this frame", () => limit(1)],
      [["u"], "no loop", () => change({ loop: null })],
      [["j"], "next clip", () => clips.step(1)],
      [["k"], "previous clip", () => clips.step(-1)],
      [["n"], "next mistake", () => clips.mistake(1)],
      [["N"], "previous mistake", () => clips.mistake(-1)],
      [["/"], "find", () => clips.find.focus()],
      [["c"], "clear all filters", () => clips.clear()],
      [["+", "="], "zoom in", () => zoomBy(1.25)],
      [["-"], "zoom out", () => zoomBy(0.8)],
      [["0"], "no zoom", () => change({ zoom: NO_ZOOM })],
      [["Shift+ArrowLeft"], "move the picture left", () => pan(-40, 0)],
      [["Shift+ArrowRight"], "move it right", () => pan(40, 0)],
      [["Shift+ArrowUp"], "move it up", () => pan(0, -40)],
      [["Shift+ArrowDown"], "move it down", () => pan(0, 40)],
      ...views.map((view, k) => [[String(k + 1)], `view: ${view}`, () => look(view)]),
      [["f"], "full screen", fullScreen],
      [["l"], "next layout", cycle("layout")],
      [["b"], "next comparison beside", cycle("beside")],
      [["s"], "next way to show scores", cycle("scores")],
      [["h"], "next heatmap", cycle("heat")],
      [["t"], "trails", () => controls.trails.click()],
      [["x"], "what the network used", explain],
      [["v"], "video behind the skeleton", watch],
      ...Object.entries(goes).map(([name, text]) => [[KEYS[name]], text, () => clips.focus(name)]),
      [["e"], "write a note on the clip", () => controls.note.focus()],
      [["p"], "save the frame as PNG", () => save("png")],
      [["g"], "save the frame as SVG", () => save("svg")],
      [["a"], "save the clip as GIF", () => controls.film.click()],
      [["?"], "this list", () => (help.hidden = !help.hidden)],
      [["Escape"], "leave a field; close this list", () => ((help.hidden = true), root.focus({ preventScroll: true }))],
    ];
  }
  function makeControls() {
    const press = (key) => () => actions.find(([keys]) => keys.includes(key))[2]();
    const button = (key, text) => makeButton(`${actions.find(([keys]) => keys.includes(key))[1]} (${nameKeys([key])})`, text, press(key));
    const set = (key) => (value) => change({ [key]: value });
    const [play, back, on] = [button(" ", "▶"), button("ArrowLeft", "◂"), button("ArrowRight", "▸")];
    const slider = make("input", { type: "range", min: 0, step: 1, "aria-label": "Frame", class: "miga-frame" });
    const place = make("span", { class: "miga-place" });
    const note = make("input", { type: "text", size: 30, maxlength: 1000, placeholder: model.kept ? `a note ${NEEDS_KERNEL}` : "tags and remarks on this clip" });
    note.disabled = Boolean(model.kept);
    const trails = makeButton("trails (t)", "Trails", () => {
      change({ trails: !state.trails });
      trails.setAttribute("aria-pressed", state.trails);
    });
    trails.setAttribute("aria-pressed", false);
    const used = list.explains && makeButton("what the network used (x)", "Used", explain);
    const video = list.videos && makeButton("video behind the skeleton (v)", "Video", watch);
    for (const toggle of [used, video]) if (toggle) toggle.setAttribute("aria-pressed", false);
    const film = makeButton("save the clip as GIF (a)", "GIF", () => ask({ film: clip.row, layout: state.layout.name }));
    slider.addEventListener("input", () => go(Number(slider.value)));
    note.addEventListener("keydown", (event) => event.key === "Enter" && root.focus({ preventScroll: true })); // which is a change
    note.addEventListener("change", () => ask({ note: note.value, row: clip.row }));
    const layouts = list.layouts.map((layout, i) => [i, `${layout.name} (${layout.rows.length})`]);
    const selects = {
      layout: makeSelect("Layout", layouts, list.shown, (value) => ((state.layout = list.layouts[value]), prepare()), "l"),
      view: makeSelect("View", [], WHOLE, look, "1"),
      beside: makeSelect("Beside", list.comparisons, model.get("_choice").beside, (value) => request({ beside: value }), "b"),
      scores: makeSelect("Score", same("size", "colour", "off"), state.scores, set("scores"), "s"),
      heat: makeSelect("Heatmap", same("off", "joints", "limbs"), state.heat, set("heat"), "h"),
      speed: makeSelect("Speed", SPEEDS.map((value) => [value, `${value} ×`]), state.speed, (value) => change({ speed: Number(value) }), "]"),
    };
    const { speed, ...looks } = selects;
    const files = [button("p", "PNG"), button("g", "SVG"), film];
    return {
      transport: make("div", { class: "miga-transport" }, back, play, on, slider, place, speed),
      options: make("div", { class: "miga-options" }, ...Object.values(looks), trails, ...[used, video].filter(Boolean), make("label", {}, "Note", note), ...files, button("f", "Full screen"), button("?", "?")),
      trails, used, video, note, film,
      take(sent) {
        setSelect(selects.beside, sent.requested);
        note.value = model.get("_notes")[clips.idOf(sent.row)] ?? "";
      },
      offerViews() {
        const views = [WHOLE, ...state.layout.views.map(([name]) => name)];
        selects.view.querySelector("select").replaceChildren(...views.map((name) => make("option", { value: name }, name)));
        setSelect(selects.view, state.view);
      },
      show(t) {
        slider.max = frames - 1;
        slider.value = t;
        slider.setAttribute("aria-valuetext", `frame ${t + 1} of ${frames}`);
        write(place, `${t + 1} / ${frames}`);
        write(play, state.playing ? "❚❚" : "▶");
        play.setAttribute("aria-pressed", state.playing);
      },
      cycle(name, by) {
        const choice = selects[name].querySelector("select");
        const [count, next] = [choice.options.length, choice.selectedIndex + (by ?? 1)];
        choice.selectedIndex = by ? Math.min(Math.max(next, 0), count - 1) : next % count;
        choice.dispatchEvent(new Event("change"));
      },
    };
  }
  function key(event) {
    const typing = event.target.matches("input[type=search], input[type=text]");
    const own = typing ? event.key !== "Escape" : event.target.matches("select") && ![" ", "Escape"].includes(event.key);
    const name = event.shiftKey && event.key.startsWith("Arrow") ? `Shift+${event.key}` : event.key;
    const action = actions.find(([keys]) => keys.includes(name));
    if (!action || own || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    action[2]();
  }
  function follows(event) {
    const node = event.target.closest?.("a");
    const link = node?.getAttribute("href") ?? node?.getAttribute("xlink:href");
    if (!link?.startsWith(LINK) || notebookOf(event.target) !== notebook) return; // it may have been scrolled out of the page
    event.preventDefault();
    event.stopPropagation();
    const { run = "", label = "all", predicted = "all", low = 0, high = 1 } = Object.fromEntries(new URLSearchParams(link.slice(LINK.length)));
    const shown = clips.runNamed(run);
    if (shown < 0) return;
    clips.only({ label, predicted, low: Number(low), high: Number(high) }, shown);
    root.scrollIntoView({ block: "nearest" });
    root.focus({ preventScroll: true });
  }

  root.addEventListener("keydown", key);
  root.addEventListener("keyup", (event) => event.key === " " && event.target.matches("button") && event.preventDefault()); // Firefox
  for (const stage of stages) listen(stage, { focus: () => root.focus({ preventScroll: true }), zoomBy, pan, reset: () => change({ zoom: NO_ZOOM }) });
  listenStrip(strip, () => frames, { go, change });
  document.addEventListener("click", follows, true); // before JupyterLab, which follows links
  document.addEventListener("fullscreenchange", refit);
  const sizes = new ResizeObserver(refit);
  for (const node of [clips.panel, strip, ...stages.map((stage) => stage.canvas)]) sizes.observe(node);
  const themes = new MutationObserver(refit);
  for (const node of [document.documentElement, document.body]) themes.observe(node, { attributes: true });
  const noted = () => (clips.refresh(), controls.take(clip));
  const events = { "change:_clip": receive, "change:_notes": noted, "change:_used": prepare, "change:_video": takeVideo, "msg:custom": answer };
  for (const [event, act] of Object.entries(events)) model.on(event, act);
  for (const alone of document.getElementsByClassName(list.viewer)) alone.hidden ||= !model.kept;
  el.classList.add("miga-place-of-viewer");
  el.replaceChildren(root);
  receive();
  return () => {
    clearTimeout(timeout);
    cancelAnimationFrame(scheduled);
    for (const observer of [sizes, themes]) observer.disconnect();
    document.removeEventListener("click", follows, true);
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

function nameKeys(keys) {
  const names = { " ": "space", ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", "Shift+ArrowLeft": "shift ←" };
  Object.assign(names, { "Shift+ArrowRight": "shift →", "Shift+ArrowUp": "shift ↑", "Shift+ArrowDown": "shift ↓" });
  return names[keys[0]] ?? keys[0];
}

function makeLegend(list) {
  const texts = { left: "subject’s left", right: "subject’s right", middle: "middle", missing: "missing: position nearest in time" };
  const spots = Object.entries(texts).map(([name, text]) => make("span", { class: `miga-${name}` }, text));
  const scale = make("span", { class: "miga-scale", style: `--miga-scale: linear-gradient(to right, ${list.scale})` }, "score from 0 to 1");
  if (list.explains) spots.push(make("span", { class: "miga-used" }, "what the network used"));
  const parts = { "miga-energy": "motion", "miga-absent": "missing joints", "miga-kept": "frames kept by the alignment" };
  const strip = Object.entries(parts).map(([name, text]) => make("span", { class: name }, text));
  return make("div", { class: "miga-legend" }, ...spots, scale, ...strip);
}

// A line for each class: its probability by each run, side by side.
function showBars(panel, bars, list) {
  panel.hidden = !bars;
  if (!bars?.length) return panel.replaceChildren("There is no prediction of this clip.");
  const several = list.runs.length > 1;
  const cells = bars.flatMap(({ name, truth, probabilities, ranks }) => {
    const values = probabilities.flatMap((probability, k) => {
      const bar = make("div", { class: "miga-bar", style: `width: ${100 * (probability ?? 0)}%` });
      const text = probability === null ? "–" : `${(100 * probability).toFixed(1)} %${ranks[k] > 5 ? `, rank ${ranks[k]}` : ""}`;
      return [make("div", { class: "miga-track" }, bar), make("span", { class: ranks[k] === 1 ? "miga-first" : "" }, text)];
    });
    return make("div", { role: "listitem", class: truth ? "miga-truth" : "" }, make("span", {}, name, truth ? " (true class)" : ""), ...values);
  });
  const heads = several ? [make("span"), ...list.runs.map((run, k) => make("span", { class: "miga-head", title: run.name }, `${letter(k)}: ${run.name}`))] : [];
  const lines = make("div", { role: "list", style: `--miga-runs: ${list.runs.length}` }, ...heads, ...cells);
  panel.replaceChildren(make("p", {}, "Predicted"), lines);
}

// ---- A pane

function makeStage() {
  const canvas = make("canvas", { role: "img" });
  const [title, caption] = [make("figcaption"), make("div", { class: "miga-caption" })];
  return { canvas, title, caption, pointed: -1, panel: make("figure", {}, title, canvas, caption) };
}

// What the second pane shows while the clip is at frame t. A frame that an alignment left out is shown as it is in the clip.
export function inStep(main, beside, t) {
  if (!beside.shown) return { figure: beside, frame: Math.round((t / Math.max(main.T - 1, 1)) * (beside.T - 1)) };
  const [k, of] = [beside.shown[t], `frame ${t + 1}`];
  return k < 0 ? { figure: main, frame: t, leftOut: true, of } : { figure: beside, frame: k, of };
}

// CSS pixels by the side of the window, without zoom.
function unitOf({ canvas }) {
  return FILLED * Math.min(canvas.clientWidth, canvas.clientHeight);
}

// Nothing of a frame that was left out has a colour.
function coloursOf({ leftOut }, colours) {
  return leftOut ? { ...colours, left: colours.missing, right: colours.missing, middle: colours.missing, text: colours.missing } : colours;
}

function drawStage(stage, state, colours) {
  const { canvas, shows } = stage;
  const brush = fitted(canvas);
  if (!shows) return;
  stage.projected = projection(shows.figure, shows.frame, state, canvas.clientWidth, canvas.clientHeight);
  paint(brush, stage.projected, shows.leftOut ? { ...state, heat: "off", trails: false } : state, coloursOf(shows, colours));
  describe(stage);
}

function describe({ canvas, title, caption, pointed, figure, shows, projected: { score, nearby, frame } }) {
  const { V, T, layout } = shows.figure;
  const missing = layout.joints.filter((_, v) => !(score(v, frame) > 0)).length;
  const never = layout.joints.filter((_, v) => nearby(v) < 0).length;
  const filled = shows.figure.filled?.subarray(frame * V, (frame + 1) * V);
  const place = `${shows.of && !filled ? `${shows.of} → ` : ""}${frame + 1}/${T}`;
  const of = `${place}: ${missing} of ${V} missing${never && !shows.of ? ` (${never} always)` : ""}`;
  const text = shows.leftOut ? `${shows.of} is left out` : filled ? `${of}, ${filled.reduce((sum, one) => sum + one, 0)} filled in (○)` : of;
  const known = score(pointed, frame) > 0 ? `score ${score(pointed, frame).toFixed(2)}` : "missing";
  const found = filled?.[pointed] ? "filled in" : known;
  write(title, figure.title);
  write(caption, pointed < 0 ? text : `${layout.joints[pointed].replaceAll("_", " ")}: ${found}`);
  for (const node of [title, caption]) node.title = node.textContent; // for where they are cut
  canvas.classList.toggle("miga-left-out", Boolean(shows.leftOut));
  canvas.setAttribute("aria-label", `${figure.title}, ${layout.name}, ${text}`);
}

function pointAt(stage, x, y) {
  if (!stage.projected) return;
  const { at, nearby, figure } = stage.projected;
  const distance = figure.layout.joints.map((_, v) => {
    const place = nearby(v) < 0 ? [Infinity, Infinity] : at(v, nearby(v));
    return Math.hypot(place[0] - x, place[1] - y);
  });
  const least = Math.min(...distance);
  stage.pointed = least < POINTER_REACH ? distance.indexOf(least) : -1;
  describe(stage);
}

// The wheel zooms around the pointer, and so do two fingers; a drag moves the picture, a double click resets it.
function listen(stage, { focus, zoomBy, pan, reset }) {
  const { canvas } = stage;
  const down = new Map();
  const on = (name, act) => canvas.addEventListener(name, act, { passive: false });
  const middle = () => [...down.values()].reduce(([x, y], [a, b]) => [x + a / down.size, y + b / down.size], [0, 0]);
  const spread = () => (down.size < 2 ? 1 : Math.hypot(...[0, 1].map((i) => [...down.values()][0][i] - [...down.values()][1][i])) || 1);
  on("wheel", (event) => {
    event.preventDefault();
    const pixels = event.deltaY * (event.deltaMode === 1 ? 16 : 1);
    zoomBy(Math.exp(-pixels * (event.ctrlKey ? 0.01 : 0.0015)), stage, event.offsetX, event.offsetY); // a pinch comes with ctrlKey
  });
  on("pointerdown", (event) => {
    focus();
    canvas.setPointerCapture(event.pointerId);
    down.set(event.pointerId, [event.offsetX, event.offsetY]);
  });
  on("pointermove", (event) => {
    if (!down.has(event.pointerId)) return pointAt(stage, event.offsetX, event.offsetY);
    const [[x, y], apart] = [middle(), spread()];
    down.set(event.pointerId, [event.offsetX, event.offsetY]);
    const [newX, newY] = middle();
    pan(newX - x, newY - y, stage);
    if (down.size > 1) zoomBy(spread() / apart, stage, newX, newY);
  });
  for (const name of ["pointerup", "pointercancel"]) on(name, (event) => down.delete(event.pointerId));
  on("pointerleave", () => pointAt(stage, Infinity, Infinity));
  on("dblclick", reset);
}

// ---- The strip under the panes

function drawStrip(strip, figure, kept, t, loop, colours) {
  const [brush, width, height, T] = [fitted(strip), strip.clientWidth, strip.clientHeight, figure.T];
  const step = width / T;
  // What does not change from frame to frame is kept as a picture: it has hundreds of columns.
  const of = [figure, kept, colours, strip.width, strip.height];
  if (!of.every((one, i) => one === strip.of?.[i])) {
    [strip.of, strip.sheet] = [of, make("canvas", { width: strip.width, height: strip.height })];
    drawColumns(strip.sheet.getContext("2d"), figure, kept, width, height, strip.width / width, colours);
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
  const said = `Frame ${t + 1} of ${T}; ${loop ? `loop from ${loop[0] + 1} to ${loop[1] + 1}` : "no loop"}`;
  strip.setAttribute("aria-label", kept ? `${said}; ${kept.filter((k) => k >= 0).length} frames kept` : said);
}

// The joints missing, the motion and the frames kept, a column for each frame.
function drawColumns(brush, { T, motion, missing }, kept, width, height, ratio, colours) {
  const [step, top, low] = [width / T, 10, height - 6];
  brush.setTransform(ratio, 0, 0, ratio, 0, 0);
  const most = motion.reduce((most, value) => Math.max(most, value), 1e-3);
  const columns = (values, draw) => values.forEach((value, i) => value > 0 && draw(i * step, Math.max(step - (step > 3), 0.5), value));
  brush.fillStyle = colours.missing;
  columns(missing, (x, wide, value) => brush.fillRect(x, 0, wide, top * value));
  brush.fillStyle = colours.text;
  brush.globalAlpha = 0.45;
  columns(motion, (x, wide, value) => brush.fillRect(x, low - 1 - ((low - 1 - top) * value) / most, wide, ((low - 1 - top) * value) / most));
  brush.globalAlpha = 1;
  if (kept) columns(Array.from(kept, (k) => k + 1), (x, wide) => brush.fillRect(x, low, wide, 5));
}

// A click goes to a frame, a drag sets the loop, a double click removes it.
function listenStrip(strip, frames, { go, change }) {
  const frameAt = (event) => Math.min(Math.max(Math.floor((event.offsetX / strip.clientWidth) * frames()), 0), frames() - 1);
  let from;
  strip.addEventListener("pointerdown", (event) => {
    strip.setPointerCapture(event.pointerId);
    go((from = frameAt(event)));
  });
  strip.addEventListener("pointermove", (event) => {
    if (from === undefined || frameAt(event) === from) return;
    change({ loop: [Math.min(from, frameAt(event)), Math.max(from, frameAt(event))] });
  });
  for (const name of ["pointerup", "pointercancel"]) strip.addEventListener(name, () => (from = undefined));
  strip.addEventListener("dblclick", () => change({ loop: null }));
}

// ---- Files

function drawSvg(stages, state, colours, page) {
  const [gap, above, below] = [10, 20, 20];
  const widths = stages.map((stage) => stage.canvas.clientWidth);
  const tall = above + stages[0].canvas.clientHeight + below;
  const wide = widths.reduce((sum, width) => sum + width + gap, -gap);
  const svg = makeSvg("svg", { xmlns: "http://www.w3.org/2000/svg", width: wide, height: tall, viewBox: `0 0 ${wide} ${tall}` });
  svg.append(makeSvg("rect", { width: wide, height: tall, fill: page }));
  stages.forEach(({ canvas, title, caption, shows }, k) => {
    const x = widths.slice(0, k).reduce((sum, width) => sum + width + gap, 0);
    const [width, height] = [widths[k], canvas.clientHeight];
    const pane = makeSvg("svg", { x, y: above, width, height });
    const looks = shows.leftOut ? { ...state, heat: "off", trails: false } : state;
    paint(new SvgBrush(pane), projection(shows.figure, shows.frame, state, width, height), looks, coloursOf(shows, colours));
    const line = (y, text) => makeSvg("text", { x: x + 4, y, fill: colours.text, "font-family": "sans-serif", "font-size": 12 }, text);
    svg.append(pane, line(14, title.textContent), line(tall - 6, caption.textContent));
  });
  return svg;
}

async function rasterise(picture, svg) {
  const image = new Image();
  image.src = URL.createObjectURL(picture);
  await image.decode();
  const canvas = make("canvas", { width: 3 * svg.getAttribute("width"), height: 3 * svg.getAttribute("height") });
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
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
  const [ratio, width, height] = [window.devicePixelRatio || 1, canvas.clientWidth, canvas.clientHeight];
  const size = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== size[0] || canvas.height !== size[1]) [canvas.width, canvas.height] = size;
  const brush = canvas.getContext("2d");
  brush.setTransform(ratio, 0, 0, ratio, 0, 0);
  brush.clearRect(0, 0, width, height);
  return brush;
}

// Colours that suit the theme of the page. The legend and the bars take them from the style.
function findColours(root, list) {
  const style = getComputedStyle(root);
  const [red, green, blue] = style.backgroundColor.match(/[\d.]+/g).map(Number);
  const dark = 0.3 * red + 0.6 * green + 0.1 * blue < 128;
  const colours = { ...list.colours[dark ? "dark" : "light"], scale: list.scale, heatmap: list.heatmap, text: style.color };
  root.style.colorScheme = dark ? "dark" : "light";
  for (const name of [...SIDES, "missing", "used"]) root.style.setProperty(`--miga-${name}`, colours[name]);
  return colours;
}

// A JPEG picture from the bytes that the kernel sent.
function makePicture(view, loaded) {
  let text = "";
  for (const byte of numbers(view, Uint8Array)) text += String.fromCharCode(byte);
  const picture = new Image();
  picture.onload = loaded;
  picture.src = `data:image/jpeg;base64,${btoa(text)}`;
  return picture;
}

// An equal text is not set again, since that would make the browser lay out the page in every frame.
function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

function same(...values) {
  return values.map((value) => [value, value]);
}

// A list of choices; `key` goes to it or on in it.
function makeSelect(label, options, value, act, key = "") {
  const node = make("select", { "aria-keyshortcuts": key, title: key && `key ${key}` }, ...options.map(([key, text]) => make("option", { value: key }, text)));
  node.value = value;
  node.addEventListener("change", () => act(node.value));
  return make("label", {}, label, node);
}

function setSelect(label, value) {
  const select = label.querySelector("select");
  if (String(value).includes(",")) select.append(make("option", { value }, "several")); // of a link
  select.value = value;
}

function makeButton(label, text, act) {
  const node = make("button", { type: "button", "aria-label": label, title: label }, text);
  node.addEventListener("click", act);
  return node;
}
