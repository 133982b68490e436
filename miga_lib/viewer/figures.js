// The figures of the viewer: what is computed of a clip once, and how a frame of it is drawn. No function here changes the page.
//
// T frames, V joints. The points of a figure are T × V × (x, y, score); a joint is missing where its score is 0.

const TRAIL_LENGTH = 10; // in frames
const SMOOTHING = 5; // frames before and after a frame over which a view that follows a region is averaged
const FILLED = 1.125; // of the shorter side of a pane by the side of a box: the person fills 4/5 of the box, and 9/10 of the pane
const LARGEST_DISC = 16; // radius of the disc of the joint that counted most, in CSS pixels
const SIDES = ["middle", "left", "right"];

function makeFigure(sent, layout) {
  const [all, T, V] = [numbers(sent.keypoints, Float32Array), sent.frames, layout.rows.length];
  const width = all.length / T;
  const points = new Float32Array(3 * T * V);
  for (let i = 0; i < 3 * T * V; i++) points[i] = all[Math.floor(i / (3 * V)) * width + 3 * layout.rows[Math.floor(i / 3) % V] + (i % 3)];
  const source = sent.source && numbers(sent.source, Float32Array);
  const figure = { title: sent.title, layout, T, V, points, source, box: cropBox(points), seen: nearestSeen(points, T, V), windows: new Map() };
  if (sent.filled) figure.filled = ofJoints(numbers(sent.filled, Uint8Array), figure);
  return Object.assign(figure, { motion: motionEnergy(figure), missing: missingShare(figure) });
}

// The values of a figure’s joints, T × V, of those of all joints of the clip.
function ofJoints(values, { T, V, layout }) {
  const all = values.length / T;
  return values.constructor.from({ length: T * V }, (_, i) => values[Math.floor(i / V) * all + layout.rows[i % V]]);
}

// Give a figure the importance of its joints, from the values of all joints of the clip: T × all joints.
function showUsed(figure, values) {
  figure.used = ofJoints(values, figure);
  figure.mostUsed = figure.used.reduce((most, value) => Math.max(most, value), 1e-12);
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

// For each frame the mean distance that the joints present in it and in the frame before it moved, in sides of the box.
export function motionEnergy({ points, T, V, box }) {
  return Float32Array.from({ length: T }, (_, t) => {
    let [sum, count] = [0, 0];
    for (let i = 3 * t * V, j = i - 3 * V; t > 0 && i < 3 * (t + 1) * V; i += 3, j += 3)
      if (points[i + 2] > 0 && points[j + 2] > 0) [sum, count] = [sum + Math.hypot(points[i] - points[j], points[i + 1] - points[j + 1]), count + 1];
    return count ? sum / count / box.side : 0;
  });
}

function missingShare({ points, T, V }) {
  const missing = (t, v) => !(points[3 * (t * V + v) + 2] > 0);
  return Float32Array.from({ length: T }, (_, t) => [...Array(V).keys()].filter((v) => missing(t, v)).length / V);
}

// For each frame of the source the output frame that shows it, −1 where an alignment left it out. `source` has the place in the source
// of each output frame, −1 for empty ones; between two frames of a short clip, the nearest output frame counts.
export function shownAt(source, T) {
  const shown = new Int32Array(T).fill(-1);
  const apart = new Float32Array(T).fill(0.5 + 1e-4);
  source.forEach((place, k) => {
    for (const t of new Set([Math.floor(place), Math.ceil(place)]))
      if (place >= 0 && Math.abs(place - t) < apart[t]) [shown[t], apart[t]] = [k, Math.abs(place - t)];
  });
  return shown;
}

// The square that a view shows in a frame: the box, or one around some joints that follows them, of one size in all frames.
export function windowOf(figure, view, t) {
  const { box, layout, windows } = figure;
  const joints = layout.views.find(([name]) => name === view)?.[1];
  if (!windows.has(view)) windows.set(view, joints ? follow(figure, joints) : { side: 0 });
  const { side, x, y } = windows.get(view);
  return side ? { x: x[t] - side / 2, y: y[t] - side / 2, side } : box;
}

function follow({ points, T, V, seen }, joints) {
  const [x, y, sides] = [new Float32Array(T), new Float32Array(T), new Float32Array(T)];
  const found = joints.filter((v) => seen[v] >= 0);
  if (!found.length) return { side: 0 };
  for (let t = 0; t < T; t++) {
    const places = found.map((v) => 3 * (seen[t * V + v] * V + v));
    const [xs, ys] = [places.map((i) => points[i]), places.map((i) => points[i + 1])];
    const [low, high] = [[Math.min(...xs), Math.min(...ys)], [Math.max(...xs), Math.max(...ys)]];
    [x[t], y[t], sides[t]] = [(low[0] + high[0]) / 2, (low[1] + high[1]) / 2, Math.max(high[0] - low[0], high[1] - low[1])];
  }
  // A joint found far away in a few frames must not make the view small in all.
  const side = Math.max(1.25 * sides.sort()[Math.floor(0.9 * (T - 1))], 10);
  return { side, x: smoothed(x), y: smoothed(y) };
}

function smoothed(values) {
  return values.map((_, t) => {
    const reach = Math.min(SMOOTHING, t, values.length - 1 - t); // the same on both sides, so that the view does not lag behind
    const near = values.subarray(t - reach, t + reach + 1);
    return near.reduce((sum, value) => sum + value) / near.length;
  });
}

// A zoom { k, x, y }, k times around a place x, y from the centre in sides of the window, after one by a factor around a point of the
// pane, which is dx, dy from its centre in the same unit: what is at this point stays there.
export function zoomed({ k, x, y }, factor, dx, dy) {
  const next = Math.min(Math.max(k * factor, 0.5), 60);
  return { k: next, x: x + dx / k - dx / next, y: y + dy / k - dy / next };
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

// ---- Drawing, with the brush of a canvas or of an SVG

// How a frame of a figure lies on a pane of this size: where its points are, and how long the side of its window is, in CSS pixels.
function projection(figure, frame, { view, zoom }, width, height) {
  const { points, V, T, seen } = figure;
  const window = windowOf(figure, view, frame);
  const scale = (FILLED * Math.min(width, height) * zoom.k) / window.side;
  const left = width / 2 - (window.x + window.side * (0.5 + zoom.x)) * scale;
  const top = height / 2 - (window.y + window.side * (0.5 + zoom.y)) * scale;
  const at = (v, t) => [points[3 * (t * V + v)] * scale + left, points[3 * (t * V + v) + 1] * scale + top];
  const score = (v, t) => points[3 * (t * V + v) + 2];
  const nearby = (v) => seen[frame * V + v];
  return { figure, frame, T, scale, left, top, at, score, nearby };
}

function paint(brush, projected, looks, colours) {
  if (looks.video && projected.figure.video) drawVideo(brush, projected);
  if (looks.used && projected.figure.used) drawUsed(brush, projected, colours);
  if (looks.heat !== "off") drawHeat(brush, projected, looks.heat, colours);
  if (looks.trails) drawTrails(brush, projected, colours);
  drawLimbs(brush, projected, colours);
  drawJoints(brush, projected, looks.scores, colours);
}

function drawHeat(brush, { figure, frame, scale, left, top }, kind, colours) {
  const { points, V, box, layout } = figure;
  const { size, sigma, rgb } = colours.heatmap;
  const toPixels = (value, i) => (i % 3 === 2 ? value : ((value - (i % 3 ? box.y : box.x)) * size) / box.side);
  const pixels = points.subarray(3 * frame * V, 3 * (frame + 1) * V).map(toPixels);
  const image = new ImageData(size, size);
  const [words, colour] = [new Uint32Array(image.data.buffer), (rgb[2] << 16) | (rgb[1] << 8) | rgb[0]]; // a pixel each: alpha, blue, green, red
  heatmap(pixels, kind === "limbs" ? layout.limbs : null, size, sigma).forEach((value, i) => (words[i] = (Math.round(255 * value) << 24) | colour));
  figure.sheet ??= make("canvas", { width: size, height: size });
  figure.sheet.getContext("2d").putImageData(image, 0, 0);
  brush.imageSmoothingEnabled = false;
  // The centre of a pixel is at a whole number, so the map begins half a pixel before the left and upper edge of the box.
  const shift = box.side / size / 2;
  brush.drawImage(figure.sheet, (box.x - shift) * scale + left, (box.y - shift) * scale + top, box.side * scale, box.side * scale);
}

function drawVideo(brush, { frame, scale, left, top, figure: { video } }) {
  const picture = video.pictures[frame];
  if (!picture?.complete || !picture.naturalWidth) return;
  brush.imageSmoothingEnabled = true;
  brush.drawImage(picture, left, top, video.size[0] * scale, video.size[1] * scale);
}

// A disc at each joint that counted for the class; its area is the share of the largest value of the clip.
function drawUsed(brush, { at, frame, nearby, figure: { V, used, mostUsed } }, colours) {
  brush.beginPath();
  for (let v = 0; v < V; v++) {
    const radius = LARGEST_DISC * Math.sqrt(Math.max(used[frame * V + v], 0) / mostUsed);
    if (!(radius > 1) || nearby(v) < 0) continue;
    const [x, y] = at(v, nearby(v));
    brush.moveTo(x + radius, y);
    brush.arc(x, y, radius, 0, 2 * Math.PI);
  }
  brush.globalAlpha = 0.6;
  brush.fillStyle = colours.used;
  brush.fill();
  brush.globalAlpha = 1;
}

function drawTrails(brush, { at, score, frame, figure: { V, layout } }, colours) {
  brush.lineWidth = 1.2;
  for (let age = Math.min(TRAIL_LENGTH, frame); age > 0; age--) {
    const from = frame - age;
    brush.globalAlpha = 0.6 * (1 - (age - 1) / TRAIL_LENGTH);
    const kept = [...Array(V).keys()].filter((v) => score(v, from) > 0 && score(v, from + 1) > 0);
    drawLines(brush, colours, kept.map((v) => [layout.sides[v], at(v, from), at(v, from + 1)]));
  }
  brush.globalAlpha = 1;
}

function drawLimbs(brush, { at, score, frame, figure: { V, layout } }, colours) {
  brush.lineWidth = V > 60 ? 1.2 : 2;
  const kept = layout.limbs.filter(([a, b]) => score(a, frame) > 0 && score(b, frame) > 0);
  drawLines(brush, colours, kept.map(([a, b]) => [layout.sides[b], at(a, frame), at(b, frame)]));
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

function drawJoints(brush, { at, score, frame, nearby, figure: { V, layout, filled } }, scores, colours) {
  const radius = V > 60 ? 1.5 : 3.5;
  const groups = new Map(); // joints of one colour are one path, which is several times faster than a path each
  for (let v = 0; v < V; v++) {
    if (nearby(v) < 0) continue;
    const confidence = Math.min(score(v, frame), 1);
    const found = confidence > 0;
    const fill = scores === "colour" ? colours.scale[Math.round(confidence * (colours.scale.length - 1))] : colours[layout.sides[v]];
    const hollow = !found || filled?.[frame * V + v];
    const key = `${hollow ? "hollow " : ""}${found ? fill : colours.missing}`;
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push([...at(v, nearby(v)), !hollow && scores === "size" ? radius * (0.4 + confidence) : radius]);
  }
  brush.lineWidth = 1;
  for (const [key, dots] of groups) {
    brush.beginPath();
    for (const [x, y, r] of dots) {
      brush.moveTo(x + r, y);
      brush.arc(x, y, r, 0, 2 * Math.PI);
    }
    const [colour, hollow] = key.split(" ").reverse();
    [brush.fillStyle, brush.strokeStyle] = [colour, hollow ? colour : colours.text];
    if (!hollow) brush.fill();
    if (hollow || scores === "colour") brush.stroke();
  }
}

// The brush of an SVG: what a canvas would draw, as elements.
class SvgBrush {
  constructor(parent) {
    this.parent = parent;
    this.globalAlpha = 1;
  }
  beginPath() {
    this.path = "";
  }
  moveTo(x, y) {
    this.path += `M${x.toFixed(2)} ${y.toFixed(2)}`;
  }
  lineTo(x, y) {
    this.path += `L${x.toFixed(2)} ${y.toFixed(2)}`;
  }
  arc(x, y, r) {
    this.path += `M${(x - r).toFixed(2)} ${y.toFixed(2)}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0`;
  }
  fill() {
    if (this.path) this.parent.append(makeSvg("path", { d: this.path, fill: this.fillStyle, opacity: this.globalAlpha }));
  }
  stroke() {
    const line = { fill: "none", stroke: this.strokeStyle, "stroke-width": this.lineWidth, opacity: this.globalAlpha };
    if (this.path) this.parent.append(makeSvg("path", { d: this.path, ...line }));
  }
  drawImage(sheet, x, y, width, height) {
    const style = this.imageSmoothingEnabled ? "" : "image-rendering: pixelated";
    this.parent.append(makeSvg("image", { href: sheet.src ?? sheet.toDataURL(), x, y, width, height, style, preserveAspectRatio: "none" }));
  }
}

function makeSvg(tag, attributes, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

// Numbers from the bytes that the kernel sent. They can start at any position in their buffer, so they are copied.
function numbers(view, Type) {
  return new Type(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));
}
