// The list of clips: all are filtered and sorted, only the visible ones are in the page.

const ROW_HEIGHT = 38; // of the list, in CSS pixels
const ALL = { split: "all", label: "all", predicted: "all", verdicts: {}, low: 0, high: 1, known: false, text: "", order: "table" };
const ORDERS = { table: "as in the table", surest: "most confident first", unsure: "least confident first" };
const LENGTHS = { shortest: "shortest first", longest: "longest first" };
export const KEYS = { split: "d", label: "y", predicted: "r", verdict0: "w", verdict1: "W", run: "m", order: "q" }; // go to a choice of the list
const MARKS = { right: "✓ ", wrong: "✗ ", none: "" };

// The columns that the kernel sent, and what follows from them for a row of the table.
function readTable(list) {
  const ids = list.ids === "" ? [] : list.ids.split("\n");
  const [labels, splits, lengths] = [numbers(list.labels, Int16Array), numbers(list.splits, Uint8Array), numbers(list.frames, Int32Array)];
  const runs = list.runs.map(({ name, ...sent }) => {
    const [predicted, confidence] = [numbers(sent.predicted, Int16Array), numbers(sent.confidence, Float64Array)];
    const verdict = (row) => (predicted[row] < 0 || labels[row] < 0 ? "none" : predicted[row] === labels[row] ? "right" : "wrong");
    return { name, predicted, confidence, verdict };
  });
  const nameOf = (label) => (label < 0 ? "unknown" : list.classes[label]);
  return { ids, labels, splits, lengths, runs, nameOf, classes: list.classes, splitNames: list.split_names };
}

// The rows that fit what is wanted, in the order wanted. `low` is excluded and `high` included, as in miga_lib.metrics.calibration_bins.
export function matching({ ids, labels, splits, lengths, runs }, sought, wanted, run) {
  const { predicted, confidence } = runs[run] ?? {};
  const fits = (key, value) => wanted[key] === "all" || wanted[key].split(",").includes(String(value));
  const verdicts = Object.entries(wanted.verdicts).filter(([, verdict]) => verdict !== "all");
  const sure = (row) => (wanted.low === 0 && wanted.high === 1) || (confidence?.[row] <= wanted.high && (!wanted.low || confidence[row] > wanted.low));
  const keep = (row) =>
    fits("split", splits[row]) &&
    fits("label", labels[row]) &&
    fits("predicted", predicted?.[row]) &&
    (!wanted.known || (labels[row] >= 0 && predicted?.[row] >= 0)) &&
    verdicts.every(([k, verdict]) => runs[k].verdict(row) === verdict) &&
    sure(row) &&
    (!wanted.text || sought(row).includes(wanted.text));
  const rows = [...ids.keys()].filter(keep);
  const by = { surest: (row) => -confidence[row], unsure: (row) => confidence[row], shortest: (row) => lengths[row], longest: (row) => -lengths[row] };
  const key = by[wanted.order];
  return key ? rows.sort((a, b) => key(a) - key(b) || a - b) : rows;
}

// The list and its filters. `pick` shows a clip, `atHand` says whether it can be shown without a kernel, `noteOf` gives the note of an id.
function makeClips(list, { pick, atHand, noteOf }) {
  const table = readTable(list);
  const { ids, labels, lengths, runs, nameOf } = table;
  const texts = ids.map((id, row) => [id, nameOf(labels[row]), ...runs.map((run) => (run.predicted[row] < 0 ? "" : nameOf(run.predicted[row])))]);
  const lower = texts.map((parts) => parts.join("\n").toLowerCase());
  const sought = (row) => `${lower[row]}\n${noteOf(ids[row]).toLowerCase()}`;
  let [rows, chosen, cursor, wanted, run] = [[], -1, 0, { ...ALL }, 0];

  const [count, selects] = [make("output"), {}];
  const all = make("div", { class: "miga-all", role: "presentation" });
  const panel = make("div", { class: "miga-list", role: "listbox", tabindex: 0, "aria-label": "Clips" }, all);
  const name = `miga-${Math.random().toString(36).slice(2)}`;
  const find = make("input", { type: "search", placeholder: "id, class or note", size: 14, "aria-label": "Find" });
  const clear = makeButton("Show all clips again (c)", "Clear", () => narrow(ALL));
  const filter = (key, label, options) => (selects[key] = makeSelect(label, [["all", "all"], ...options], "all", (value) => narrow({ [key]: value }), KEYS[key]));
  const ordered = (values) => [...new Set(values)].sort((a, b) => a - b);
  filter("split", "Split", [...list.split_names.entries()]);
  filter("label", "Class", ordered(labels).map((label) => [label, nameOf(label)]));
  if (runs.length) filter("predicted", "Predicted", ordered(runs.flatMap((one) => [...one.predicted])).filter((k) => k >= 0).map((k) => [k, nameOf(k)]));
  runs.forEach((one, k) => {
    const narrowed = (value) => narrow({ verdicts: { ...wanted.verdicts, [k]: value } });
    selects[`verdict${k}`] = makeSelect(runs.length > 1 ? letter(k) : "Correct", [["all", "all"], ["right", "✓ correct"], ["wrong", "✗ wrong"]], "all", narrowed, KEYS[`verdict${k}`]);
    if (runs.length > 1) selects[`verdict${k}`].querySelector("select").setAttribute("aria-label", `${letter(k)}: ${one.name}`);
    selects[`verdict${k}`].title = one.name;
  });
  if (runs.length > 1) selects.run = makeSelect("List shows", runs.map((one, k) => [k, `${letter(k)}: ${one.name}`]), 0, (value) => narrow({}, Number(value)), KEYS.run);
  selects.order = makeSelect("Sort", Object.entries({ ...(runs.length ? ORDERS : { table: ORDERS.table }), ...LENGTHS }), "table", (order) => narrow({ order }), KEYS.order);
  const filters = make("div", { class: "miga-filters" }, ...Object.values(selects), make("label", {}, "Find", find), clear, count);

  function narrow(change, shown = run) {
    [wanted, run] = [{ ...wanted, ...change }, shown];
    for (const key of ["split", "label", "predicted", "order"]) if (selects[key]) setSelect(selects[key], wanted[key]);
    runs.forEach((_, k) => setSelect(selects[`verdict${k}`], wanted.verdicts[k] ?? "all"));
    if (selects.run) setSelect(selects.run, run);
    if (find.value.trim().toLowerCase() !== wanted.text) find.value = wanted.text;
    rows = matching(table, sought, wanted, run);
    const sure = wanted.low > 0 || wanted.high < 1 ? `, confidence ${Math.round(100 * wanted.low)} to ${Math.round(100 * wanted.high)} %` : "";
    count.value = rows.length || !ids.length ? `${rows.length} of ${ids.length} clips${sure}` : "no clip matches";
    clear.hidden = rows.length === ids.length && wanted.order === "table";
    all.style.height = `${rows.length * ROW_HEIGHT}px`;
    cursor = Math.max(rows.indexOf(chosen), 0);
    reveal();
    if (chosen >= 0 && rows.length && rows[cursor] !== chosen) pick(rows.find(atHand) ?? rows[0]);
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
    const one = runs[run];
    const verdict = one?.verdict(row) ?? "none";
    const [predicted, sure] = one?.predicted[row] >= 0 ? [nameOf(one.predicted[row]), `${Math.round(100 * one.confidence[row])} %`] : ["", ""];
    const [mark, frames, truth] = [MARKS[verdict] + ids[row], `${lengths[row]} frames`, nameOf(labels[row])];
    const note = noteOf(ids[row]);
    const aria = { "aria-selected": row === chosen, "aria-setsize": rows.length, "aria-posinset": place + 1 };
    const line = (...texts) => make("div", {}, ...texts.filter(Boolean).map((text) => make("span", {}, text)));
    const lines = [line(mark + (note && " ✎"), frames), line(truth, predicted && verdict !== "right" && `→ ${predicted}`, sure)];
    const node = make("div", { role: "option", id: `${name}-${place}`, ...aria }, ...lines);
    node.title = `${mark}: ${truth}, ${frames}${predicted && `; predicted ${predicted} ${sure}`}${note && `; ${note}`}`;
    node.style.top = `${place * ROW_HEIGHT}px`;
    node.classList.toggle("miga-cursor", place === cursor);
    node.classList.toggle("miga-away", !atHand(row));
    node.addEventListener("click", () => move(place));
    return node;
  }
  function move(place) {
    cursor = Math.max(Math.min(place, rows.length - 1), 0);
    reveal();
    if (rows.length) pick(rows[cursor]);
  }
  function mistake(by) {
    for (let i = 1; i <= rows.length; i++) {
      const place = (cursor + by * i + rows.length * i) % rows.length;
      if (runs[run]?.verdict(rows[place]) === "wrong") return move(place);
    }
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
    event.stopPropagation();
    move(cursor + step);
  });
  narrow({});
  return {
    filters, panel, find, reveal, refresh, choose, mistake,
    step: (by) => move(cursor + by),
    clear: () => narrow(ALL),
    focus: (name) => selects[name]?.querySelector("select").focus(),
    runNamed: (name) => (name ? runs.findIndex((one) => one.name === name) : 0),
    // The clips of a number in a figure or table, all of which are of a known class and predicted by the run.
    only: (change, shown) => narrow({ ...ALL, ...change, known: true }, shown),
    idOf: (row) => ids[row],
  };
}

function letter(k) {
  return String.fromCharCode(65 + k);
}
