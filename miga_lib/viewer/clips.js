// The list of clips: all are filtered and sorted, only the visible ones are in the page.

const ROW_HEIGHT = 38; // of the list, in CSS pixels
const ALL = { low: 0, high: 1, labelled: false, text: "", order: "table" }; // a filter that takes all clips
const ORDERS = [["table", "as in the table"], ["shortest", "shortest first"], ["longest", "longest first"]];
const CONFIDENCE_ORDERS = [["surest", "most confident first"], ["unsure", "least confident first"]];
const VERDICTS = [["right", "✓ correct"], ["wrong", "✗ wrong"]];
const MARKS = { right: "✓ ", wrong: "✗ ", none: "" };
// The key that goes to a choice of the list, and what the list of keys says of it.
const CHOICES = {
  split: ["d", "go to the split"],
  label: ["y", "to the class"],
  predicted: ["r", "to the predicted class"],
  verdict0: ["w", "to correct or wrong"],
  verdict1: ["W", "the same of run B"],
  run: ["m", "to the run of the list"],
  order: ["q", "to the order"],
};

// The columns that the kernel sent. The probabilities of a run are of its most probable class.
function readTable(list) {
  const labels = numbers(list.labels, Int16Array);
  const runs = list.runs.map(({ name, ...columns }, k) => {
    const predicted = numbers(columns.predicted, Int16Array);
    const verdict = (row) => {
      if (predicted[row] < 0 || labels[row] < 0) return "none";
      return predicted[row] === labels[row] ? "right" : "wrong";
    };
    const title = `${String.fromCharCode(65 + k)}: ${name}`;
    return { name, title, predicted, confidence: numbers(columns.confidence, Float64Array), verdict };
  });
  return {
    ids: list.ids === "" ? [] : list.ids.split("\n"),
    labels,
    splits: numbers(list.splits, Uint8Array),
    lengths: numbers(list.frames, Int32Array),
    runs,
  };
}

// The rows that a filter takes, in its order. As in miga_lib.metrics.calibration_bins, `low` is excluded and
// `high` included.
function matching({ ids, labels, splits, lengths, runs }, textOf, filter) {
  const { predicted, confidence } = runs[filter.run] ?? {};
  const fits = (key, value) =>
    (filter[key] ?? "all") === "all" || filter[key].split(",").includes(String(value));
  const inBin = (row) => confidence?.[row] <= filter.high && (!filter.low || confidence[row] > filter.low);
  const rows = [...ids.keys()].filter(
    (row) =>
      fits("split", splits[row]) &&
      fits("label", labels[row]) &&
      fits("predicted", predicted?.[row]) &&
      (!filter.labelled || (labels[row] >= 0 && predicted?.[row] >= 0)) &&
      runs.every(({ verdict }, k) => fits(`verdict${k}`, verdict(row))) &&
      ((filter.low === 0 && filter.high === 1) || inBin(row)) &&
      (!filter.text || textOf(row).includes(filter.text)),
  );
  const keys = {
    surest: (row) => -confidence[row],
    unsure: (row) => confidence[row],
    shortest: (row) => lengths[row],
    longest: (row) => -lengths[row],
  };
  const key = keys[filter.order];
  return key ? rows.sort((a, b) => key(a) - key(b) || a - b) : rows;
}

// The list and its filters. `pick` shows a clip, `atHand` says whether it can be shown without a kernel,
// `noteOf` gives the note of an id.
function makeClips(list, { pick, atHand, noteOf }) {
  const table = readTable(list);
  const { ids, labels, lengths, runs } = table;
  const nameOf = (label) => (label < 0 ? "unknown" : list.classes[label]);
  const texts = ids.map((id, row) => {
    const predicted = runs.map((run) => run.predicted[row]).filter((label) => label >= 0);
    return [id, ...[labels[row], ...predicted].map(nameOf)].join("\n").toLowerCase();
  });
  const textOf = (row) => `${texts[row]}\n${noteOf(ids[row]).toLowerCase()}`;
  let [rows, chosen, cursor, filter] = [[], -1, 0, { ...ALL, run: 0 }];

  const [count, selects] = [make("output"), {}];
  const content = make("div", { class: "miga-all", role: "presentation" });
  const attributes = { class: "miga-list", role: "listbox", tabindex: 0, "aria-label": "Clips" };
  const panel = make("div", attributes, content);
  const name = `miga-${Math.random().toString(36).slice(2)}`;
  const hint = "id, class or note";
  const search = make("input", { type: "search", placeholder: hint, size: 14, "aria-label": "Find" });
  const clear = makeButton("Show all clips again (c)", "Clear", clearAll);
  function addChoice(key, label, options, read = String) {
    const act = (value) => narrow({ [key]: read(value) });
    selects[key] = makeSelect(label, options, options[0][0], act, CHOICES[key]?.[0]);
  }
  const addFilter = (key, label, options) => addChoice(key, label, [["all", "all"], ...options]);
  const named = (values) => [...new Set(values)].sort((a, b) => a - b).map((label) => [label, nameOf(label)]);
  addFilter("split", "Split", [...list.split_names.entries()]);
  addFilter("label", "Class", named(labels));
  const predicted = runs.flatMap((run) => [...run.predicted.filter((label) => label >= 0)]);
  if (runs.length) addFilter("predicted", "Predicted", named(predicted));
  runs.forEach(({ name, title }, k) => {
    addFilter(`verdict${k}`, runs.length > 1 ? title[0] : "Correct", VERDICTS);
    selects[`verdict${k}`].parentNode.title = name;
    if (runs.length > 1) selects[`verdict${k}`].setAttribute("aria-label", title);
  });
  if (runs.length > 1) addChoice("run", "List shows", runs.map(({ title }, k) => [k, title]), Number);
  addChoice("order", "Sort", runs.length ? [ORDERS[0], ...CONFIDENCE_ORDERS, ...ORDERS.slice(1)] : ORDERS);
  const fields = Object.values(selects).map((select) => select.parentNode);
  const find = make("label", {}, "Find", search);
  const filters = make("div", { class: "miga-filters" }, ...fields, find, clear, count);

  function clearAll() {
    show({ ...ALL, run: filter.run });
  }
  function narrow(change) {
    show({ ...filter, ...change });
  }
  function show(next) {
    filter = next;
    for (const [key, select] of Object.entries(selects)) setSelect(select, filter[key] ?? "all");
    if (search.value.trim().toLowerCase() !== filter.text) search.value = filter.text;
    rows = matching(table, textOf, filter);
    const [low, high] = [filter.low, filter.high].map((share) => Math.round(100 * share));
    count.value = rows.length || !ids.length ? `${rows.length} of ${ids.length} clips` : "no clip matches";
    if (rows.length && (filter.low > 0 || filter.high < 1)) count.value += `, confidence ${low} to ${high} %`;
    clear.hidden = rows.length === ids.length && filter.order === "table";
    content.style.height = `${rows.length * ROW_HEIGHT}px`;
    choose(chosen);
    if (chosen >= 0 && rows.length && rows[cursor] !== chosen) pick(rows.find(atHand) ?? rows[0]);
  }
  function reveal() {
    const [top, low] = [cursor * ROW_HEIGHT, (cursor + 1) * ROW_HEIGHT - panel.clientHeight];
    panel.scrollTop = Math.min(Math.max(panel.scrollTop, low), top);
    refresh();
  }
  function refresh() {
    const first = Math.max(Math.floor(panel.scrollTop / ROW_HEIGHT) - 2, 0);
    const last = Math.min(first + Math.ceil(panel.clientHeight / ROW_HEIGHT) + 5, rows.length);
    content.replaceChildren(...rows.slice(first, last).map((row, i) => makeOption(row, first + i)));
    panel.setAttribute("aria-activedescendant", rows.length ? `${name}-${cursor}` : "");
  }
  function makeOption(row, place) {
    const run = runs[filter.run];
    const verdict = run?.verdict(row) ?? "none";
    let [predicted, confidence] = ["", ""];
    if (run?.predicted[row] >= 0)
      [predicted, confidence] = [nameOf(run.predicted[row]), `${Math.round(100 * run.confidence[row])} %`];
    const [title, frames, label] = [MARKS[verdict] + ids[row], `${lengths[row]} frames`, nameOf(labels[row])];
    const note = noteOf(ids[row]);
    const span = (text) => make("span", {}, text);
    const line = (...texts) => make("div", {}, ...texts.filter(Boolean).map(span));
    const other = predicted && verdict !== "right" && `→ ${predicted}`;
    const lines = [line(title + (note && " ✎"), frames), line(label, other, confidence)];
    const aria = { "aria-selected": row === chosen, "aria-setsize": rows.length, "aria-posinset": place + 1 };
    const node = make("div", { role: "option", id: `${name}-${place}`, ...aria }, ...lines);
    const predictedText = predicted && `; predicted ${predicted} ${confidence}`;
    node.title = `${title}: ${label}, ${frames}${predictedText}${note && `; ${note}`}`;
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
  function mistake(direction) {
    for (let i = 1; i <= rows.length; i++) {
      const place = (cursor + direction * i + rows.length * i) % rows.length;
      if (runs[filter.run]?.verdict(rows[place]) === "wrong") return move(place);
    }
  }
  function choose(row) {
    chosen = row;
    cursor = Math.max(rows.indexOf(row), 0);
    reveal();
  }
  search.addEventListener("input", () => narrow({ text: search.value.trim().toLowerCase() }));
  panel.addEventListener("scroll", refresh);
  panel.addEventListener("keydown", (event) => {
    const [page, end] = [Math.max(Math.floor(panel.clientHeight / ROW_HEIGHT) - 1, 1), rows.length];
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -end, End: end };
    if (!(event.key in steps)) return;
    event.preventDefault();
    event.stopPropagation();
    move(cursor + steps[event.key]);
  });
  narrow({});
  return {
    filters, panel, search, runs, reveal, refresh, choose, mistake,
    step: (by) => move(cursor + by),
    clear: clearAll,
    focus: (key) => selects[key]?.focus(),
    // The clips of a number in a figure or table, all of which are of a known class and predicted by the run.
    showOnly: (change) => show({ ...ALL, ...change, labelled: true }),
    idOf: (row) => ids[row],
  };
}
