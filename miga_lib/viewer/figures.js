// The figures of the viewer: what is computed of a clip once, and how a frame of it is drawn.
// T frames, V joints. The points of a figure are T × V × (x, y, score); score 0 is a missing joint.

const TRAIL_LENGTH = 10; // in frames
const SMOOTHING = 5; // frames before and after a frame over which a view that follows a region is averaged
const FILLED = 1.125; // side of a box by side of a pane: the person fills 4/5 of a box, 9/10 of a pane
const MAX_DISC = 16; // radius of the disc of the joint that counted most, in CSS pixels
const MAX_ZOOM = 60;
const SIDES = ["middle", "left", "right"];

function makeFigure(sent, layout) {
  const figure = { title: sent.title, layout, T: sent.frames, V: layout.rows.length, windows: new Map() };
  figure.points = selectJoints(figure, numbers(sent.keypoints, Float32Array), 3);
  figure.box = cropBox(figure.points);
  figure.seen = nearestSeen(figure);
  figure.motion = motionEnergy(figure);
  figure.missing = missingShare(figure);
  if (sent.source) figure.source = numbers(sent.source, Float32Array);
  if (sent.filled) figure.filled = selectJoints(figure, numbers(sent.filled, Uint8Array));
  return figure;
}

// The values of a figure’s joints, T × V × size, of those of all joints of the clip.
function selectJoints({ T, V, layout }, values, size = 1) {
  const selected = new values.constructor(T * V * size);
  const joints = values.length / T / size;
  for (let i = 0; i < T * V; i++) {
    const start = (Math.floor(i / V) * joints + layout.rows[i % V]) * size;
    selected.set(values.subarray(start, start + size), i * size);
  }
  return selected;
}

// Give a figure the importance of its joints, from the values of all joints of the clip.
function showUsed(figure, values) {
  figure.used = selectJoints(figure, values);
  figure.maxUsed = figure.used.reduce((max, value) => Math.max(max, value), 1e-12);
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
function nearestSeen({ points, T, V }) {
  const seen = new Int32Array(T * V).fill(-1);
  for (let v = 0; v < V; v++) {
    const present = [...Array(T).keys()].filter((t) => points[3 * (t * V + v) + 2] > 0);
    for (let t = 0, i = 0; t < T && present.length; t++) {
      while (Math.abs(present[i + 1] - t) < Math.abs(present[i] - t)) i++;
      seen[t * V + v] = present[i];
    }
  }
  return seen;
}

// For each frame the mean distance that the joints present in it and in the frame before it moved, in sides
// of the box.
export function motionEnergy({ points, T, V, box }) {
  return Float32Array.from({ length: T }, (_, t) => {
    let [sum, count] = [0, 0];
    for (let i = 3 * t * V; t > 0 && i < 3 * (t + 1) * V; i += 3) {
      const before = i - 3 * V;
      if (!(points[i + 2] > 0 && points[before + 2] > 0)) continue;
      sum += Math.hypot(points[i] - points[before], points[i + 1] - points[before + 1]);
      count += 1;
    }
    return sum / Math.max(count, 1) / box.side;
  });
}

function missingShare({ points, T, V }) {
  const shares = new Float32Array(T);
  for (let i = 0; i < T * V; i++) if (!(points[3 * i + 2] > 0)) shares[Math.floor(i / V)] += 1;
  return shares.map((count) => count / V);
}

// For each frame of a clip the frame of its alignment that shows it, −1 where it was left out. `source` has
// the place in the clip of each frame of the alignment, −1 for empty ones; the nearest one counts.
export function shownAt(source, T) {
  const shown = new Int32Array(T).fill(-1);
  const distance = new Float32Array(T).fill(0.5 + 1e-4);
  source.forEach((place, k) => {
    for (const t of [Math.floor(place), Math.ceil(place)])
      if (place >= 0 && Math.abs(place - t) < distance[t])
        [shown[t], distance[t]] = [k, Math.abs(place - t)];
  });
  return shown;
}

// The square that a view shows in a frame: the box, or one of constant size that follows some joints.
export function windowOf(figure, view, t) {
  const joints = figure.layout.views.find(([name]) => name === view)?.[1] ?? [];
  if (!figure.windows.has(view)) figure.windows.set(view, follow(figure, joints));
  const { side, x, y } = figure.windows.get(view);
  return side ? { x: x[t] - side / 2, y: y[t] - side / 2, side } : figure.box;
}

function follow({ points, T, V, seen }, joints) {
  const [x, y, sides] = [new Float32Array(T), new Float32Array(T), new Float32Array(T)];
  const present = joints.filter((v) => seen[v] >= 0);
  if (!present.length) return { side: 0 };
  for (let t = 0; t < T; t++) {
    const places = present.map((v) => 3 * (seen[t * V + v] * V + v));
    const [xs, ys] = [places.map((i) => points[i]), places.map((i) => points[i + 1])];
    const [left, right, top, low] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
    [x[t], y[t], sides[t]] = [(left + right) / 2, (top + low) / 2, Math.max(right - left, low - top)];
  }
  // A joint found far away in a few frames must not make the view small in all.
  const side = Math.max(1.25 * sides.sort()[Math.floor(0.9 * (T - 1))], 10);
  return { side, x: smoothed(x), y: smoothed(y) };
}

function smoothed(values) {
  return values.map((_, t) => {
    const reach = Math.min(SMOOTHING, t, values.length - 1 - t); // equal on both sides, so that nothing lags
    const near = values.subarray(t - reach, t + reach + 1);
    return near.reduce((sum, value) => sum + value) / near.length;
  });
}

// A zoom, k times around the place x, y, after one by a factor around a point of the pane, which stays where
// it is. Both are relative to the centre, in sides of the window.
function zoomed({ k, x, y }, factor, dx, dy) {
  const next = Math.min(Math.max(k * factor, 0.5), MAX_ZOOM);
  return { k: next, x: x + dx / k - dx / next, y: y + dy / k - dy / next };
}

// The maximum over the maps of miga_lib.heatmaps, of all joints or, if given, of all limbs: size × size, for
// points in its pixels.
export function heatmap(points, limbs, size, sigma) {
  const map = new Float64Array(size * size);
  const low = (p, q) => Math.max(Math.trunc(Math.min(p, q) - 3 * sigma), 0);
  const high = (p, q) => Math.min(Math.trunc(Math.max(p, q) + 3 * sigma) + 1, size);
  for (const [a, b] of limbs ?? Array.from({ length: points.length / 3 }, (_, v) => [v, v])) {
    const [ax, ay, start] = points.subarray(3 * a, 3 * a + 3);
    let [bx, by, end] = points.subarray(3 * b, 3 * b + 3);
    if (!(Math.min(start, end) >= 1e-3)) continue;
    const short = (bx - ax) ** 2 + (by - ay) ** 2 < 1;
    if (short) [bx, by, end] = [ax, ay, start];
    const [dx, dy, peak] = [bx - ax, by - ay, Math.min(start, end)];
    const square = short ? 1 : dx * dx + dy * dy;
    for (let y = low(ay, by); y < high(ay, by); y++)
      for (let x = low(ax, bx); x < high(ax, bx); x++) {
        const along = Math.min(Math.max(((x - ax) * dx + (y - ay) * dy) / square, 0), 1);
        const distance = (x - ax - along * dx) ** 2 + (y - ay - along * dy) ** 2;
        const value = peak * Math.exp(-distance / (2 * sigma * sigma));
        map[y * size + x] = Math.max(map[y * size + x], value);
      }
  }
  return map;
}

// ---- Drawing, with the brush of a canvas or of an SVG

// How a frame of a figure lies on a pane of this size: where its points are, in CSS pixels.
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

// Draw what a pane of this size shows. A frame that was left out has neither colours nor heatmap nor trails.
function paint(brush, { figure, frame, leftOut }, width, height, looks, colours) {
  const projected = projection(figure, frame, looks, width, height);
  if (leftOut) {
    const grey = Object.fromEntries([...SIDES, "text"].map((name) => [name, colours.missing]));
    [looks, colours] = [{ ...looks, heat: "off", trails: false }, { ...colours, ...grey }];
  }
  if (looks.video && projected.figure.video) drawVideo(brush, projected);
  if (looks.used && projected.figure.used) drawUsed(brush, projected, colours);
  if (looks.heat !== "off") drawHeat(brush, projected, looks.heat, colours);
  if (looks.trails) drawTrails(brush, projected, colours);
  drawLimbs(brush, projected, colours);
  drawJoints(brush, projected, looks.scores, colours);
  return projected;
}

function drawHeat(brush, { figure, frame, scale, left, top }, kind, colours) {
  const { points, V, box, layout } = figure;
  const { size, sigma, rgb } = colours.heatmap;
  const pixels = points.slice(3 * frame * V, 3 * (frame + 1) * V);
  for (let i = 0; i < pixels.length; i += 3) {
    pixels[i] = ((pixels[i] - box.x) * size) / box.side;
    pixels[i + 1] = ((pixels[i + 1] - box.y) * size) / box.side;
  }
  const image = new ImageData(size, size);
  const map = heatmap(pixels, kind === "limbs" ? layout.limbs : null, size, sigma);
  map.forEach((value, i) => image.data.set([...rgb, Math.round(255 * value)], 4 * i));
  figure.sheet ??= make("canvas", { width: size, height: size });
  figure.sheet.getContext("2d").putImageData(image, 0, 0);
  brush.imageSmoothingEnabled = false;
  // The centre of a pixel is at a whole number, so the map begins half a pixel before the edge of the box.
  const [shift, side] = [box.side / size / 2, box.side * scale];
  brush.drawImage(figure.sheet, (box.x - shift) * scale + left, (box.y - shift) * scale + top, side, side);
}

function drawVideo(brush, { frame, scale, left, top, figure: { video } }) {
  const picture = video.pictures[frame];
  if (!picture?.complete || !picture.naturalWidth) return;
  brush.imageSmoothingEnabled = true;
  brush.drawImage(picture, left, top, video.size[0] * scale, video.size[1] * scale);
}

// A disc at each joint that counted for the class; its area is the share of the largest value of the clip.
function drawUsed(brush, { at, frame, nearby, figure: { V, used, maxUsed } }, colours) {
  brush.beginPath();
  for (let v = 0; v < V; v++) {
    const radius = MAX_DISC * Math.sqrt(Math.max(used[frame * V + v], 0) / maxUsed);
    if (radius > 1 && nearby(v) >= 0) addDisc(brush, ...at(v, nearby(v)), radius);
  }
  brush.globalAlpha = 0.6;
  brush.fillStyle = colours.used;
  brush.fill();
  brush.globalAlpha = 1;
}

function drawTrails(brush, { at, score, frame, figure: { V, layout } }, colours) {
  brush.lineWidth = 1.2;
  for (let age = Math.min(TRAIL_LENGTH, frame); age > 0; age--) {
    const t = frame - age;
    const present = [...Array(V).keys()].filter((v) => score(v, t) > 0 && score(v, t + 1) > 0);
    brush.globalAlpha = 0.6 * (1 - (age - 1) / TRAIL_LENGTH);
    drawLines(brush, colours, present.map((v) => [layout.sides[v], at(v, t), at(v, t + 1)]));
  }
  brush.globalAlpha = 1;
}

function drawLimbs(brush, { at, score, frame, figure: { V, layout } }, colours) {
  brush.lineWidth = V > 60 ? 1.2 : 2;
  const present = layout.limbs.filter(([a, b]) => score(a, frame) > 0 && score(b, frame) > 0);
  drawLines(brush, colours, present.map(([a, b]) => [layout.sides[b], at(a, frame), at(b, frame)]));
}

function drawLines(brush, colours, lines) {
  for (const side of SIDES) {
    brush.beginPath();
    for (const [, start, end] of lines.filter((line) => line[0] === side)) {
      brush.moveTo(...start);
      brush.lineTo(...end);
    }
    brush.strokeStyle = colours[side];
    brush.stroke();
  }
}

// Joints of one colour are one path, which is several times faster than a path each.
function drawJoints(brush, { at, score, frame, nearby, figure: { V, layout, filled } }, scores, colours) {
  const [size, groups] = [V > 60 ? 1.5 : 3.5, new Map()];
  for (let v = 0; v < V; v++) {
    if (nearby(v) < 0) continue;
    const confidence = Math.min(score(v, frame), 1);
    const hollow = !(confidence > 0) || filled?.[frame * V + v];
    let colour = colours[layout.sides[v]];
    if (scores === "colour") colour = colours.scale[Math.round(confidence * (colours.scale.length - 1))];
    if (!(confidence > 0)) colour = colours.missing;
    const radius = !hollow && scores === "size" ? size * (0.4 + confidence) : size;
    const key = `${colour} ${hollow}`;
    if (!groups.has(key)) groups.set(key, { colour, hollow, discs: [] });
    groups.get(key).discs.push([...at(v, nearby(v)), radius]);
  }
  brush.lineWidth = 1;
  for (const { colour, hollow, discs } of groups.values()) {
    brush.beginPath();
    for (const disc of discs) addDisc(brush, ...disc);
    [brush.fillStyle, brush.strokeStyle] = [colour, hollow ? colour : colours.text];
    if (!hollow) brush.fill();
    if (hollow || scores === "colour") brush.stroke();
  }
}

function addDisc(brush, x, y, radius) {
  brush.moveTo(x + radius, y);
  brush.arc(x, y, radius, 0, 2 * Math.PI);
}

// The brush of an SVG: what a canvas would draw, as elements.
class SvgBrush {
  globalAlpha = 1;
  constructor(parent) {
    this.parent = parent;
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
    const halves = [2 * r, -2 * r].map((width) => `a${r} ${r} 0 1 0 ${width} 0`);
    this.path += `M${(x - r).toFixed(2)} ${y.toFixed(2)}${halves.join("")}`;
  }
  fill() {
    this.draw({ fill: this.fillStyle });
  }
  stroke() {
    this.draw({ fill: "none", stroke: this.strokeStyle, "stroke-width": this.lineWidth });
  }
  draw(style) {
    if (this.path) this.parent.append(makeSvg("path", { d: this.path, ...style, opacity: this.globalAlpha }));
  }
  drawImage(sheet, x, y, width, height) {
    const style = this.imageSmoothingEnabled ? "" : "image-rendering: pixelated";
    const place = { x, y, width, height, style, preserveAspectRatio: "none" };
    this.parent.append(makeSvg("image", { href: sheet.src ?? sheet.toDataURL(), ...place }));
  }
}

// Numbers from the bytes that the kernel sent, copied, since they can start anywhere in their buffer.
function numbers(view, Type) {
  return new Type(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));
}
