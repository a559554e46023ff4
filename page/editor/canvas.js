// The canvas: the visitor draws on it, and the result appears there.

const page = window.inpainter;
const HOLE = [255, 60, 140]; // a colour that no face has
const SIDE = 768; // approximate side of the canvas in pixels
const UNDO = 60; // steps

const view = page.view = { divider: 0.5, original: false, erase: false, brush: 8, cursor: null, painting: null };
const undone = [], done = [];
const layers = { hole: null, rim: null, patch: null, of: null };
let canvas, context, picture, pictureAt = "", pointer = null;

page.mountCanvas = (element) => {
  canvas = element;
  context = canvas.getContext("2d");
  canvas.addEventListener("pointerdown", begin);
  canvas.addEventListener("pointermove", move);
  canvas.addEventListener("pointerup", end);
  canvas.addEventListener("pointercancel", end);
  canvas.addEventListener("pointerleave", () => { if (!view.painting) { view.cursor = null; page.draw(); } });
  canvas.addEventListener("keydown", keys);
  document.addEventListener("keydown", shortcuts);
  page.onChange(sceneChanged);
};

// Drawing the hole

function begin(event) {
  if (event.button > 0 || !page.scene || view.painting) return; // a second finger or a palm does not draw
  pointer = event.pointerId;
  canvas.setPointerCapture(pointer);
  view.painting = { hole: page.hole.slice(), at: place(event), value: view.erase || event.shiftKey ? 0 : 1 };
  if (page.current() && view.divider > 0) page.setDivider(0);
  move(event);
}

function move(event) {
  if (view.painting && event.pointerId !== pointer) return;
  view.cursor = place(event);
  if (view.painting) {
    for (const late of event.getCoalescedEvents?.() ?? []) stroke(place(late));
    stroke(view.cursor);
  }
  page.draw();
}

function end(event) {
  if (!view.painting || (event && event.pointerId !== pointer)) return;
  const { hole } = view.painting;
  view.painting = null;
  page.commit(hole);
}

page.commit = (hole, preset = "") => { // sets a new hole; can be undone
  const same = hole.every((missing, i) => missing === page.hole[i]);
  if (same && (!preset || preset === page.scene.preset)) return page.draw();
  if (!same) page.remember();
  page.setHole(hole, preset);
};

page.remember = () => { // the hole, for undo
  done.push(page.hole.slice());
  if (done.length > UNDO) done.shift();
  undone.length = 0;
};

page.undo = () => step(done, undone);
page.redo = () => step(undone, done);
page.canUndo = () => latest(done) >= 0;
const latest = (holes) => holes.findLastIndex((hole) => hole.length === page.hole.length); // others are of another model
function step(from, to) {
  const at = latest(from);
  if (at < 0) return;
  const [hole] = from.splice(at, 1);
  to.push(page.hole.slice());
  page.setHole(hole);
}

function place(event) { // in model pixels
  const box = canvas.getBoundingClientRect(), size = page.size();
  return [(event.clientX - box.left) / box.width * size, (event.clientY - box.top) / box.height * size];
}

function stroke([x, y]) { // paints every pixel whose centre the brush covers on its way here
  const { hole, at: [u, v], value } = view.painting, size = page.size(), radius = view.brush / 2;
  const dx = x - u, dy = y - v, length = dx * dx + dy * dy;
  const low = (a, b) => Math.max(0, Math.floor(Math.min(a, b) - radius));
  const high = (a, b) => Math.min(size - 1, Math.ceil(Math.max(a, b) + radius));
  for (let row = low(y, v); row <= high(y, v); row++) {
    for (let column = low(x, u); column <= high(x, u); column++) {
      const px = column + 0.5 - u, py = row + 0.5 - v;
      const along = length ? Math.min(1, Math.max(0, (px * dx + py * dy) / length)) : 0;
      if (Math.hypot(px - along * dx, py - along * dy) <= Math.max(radius, 0.75)) hole[row * size + column] = value;
    }
  }
  view.painting.at = [x, y];
  layers.hole = layers.rim = null;
}

function keys(event) { // arrows move the brush, space paints
  if (event.ctrlKey || event.metaKey || event.altKey) return; // the browser's own shortcuts
  const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  const size = page.size();
  if (moves[event.key]) {
    const pace = Math.max(1, view.brush / 2), [x, y] = view.cursor ?? [size / 2, size / 2];
    view.cursor = [x + moves[event.key][0] * pace, y + moves[event.key][1] * pace]
      .map((value) => Math.min(size, Math.max(0, value)));
  } else if (event.key === " ") {
    view.cursor ??= [size / 2, size / 2];
    view.painting = { hole: page.hole.slice(), at: view.cursor, value: view.erase ? 0 : 1 };
    stroke(view.cursor);
    end();
  } else return;
  event.preventDefault();
  page.draw();
}

function shortcuts(event) {
  if (event.target.closest?.("input:not([type=range]):not([type=radio]):not([type=checkbox]), textarea, .cm-editor")) return;
  const key = event.key.toLowerCase();
  if ((event.ctrlKey || event.metaKey) && key === "z") event.shiftKey ? page.redo() : page.undo();
  else if ((event.ctrlKey || event.metaKey) && key === "y") page.redo();
  else if ((key === "[" || key === "]") && !event.metaKey) page.setBrush(view.brush + (key === "]" ? 1 : -1) * Math.max(1, view.brush / 6));
  else return;
  event.preventDefault();
}

page.setBrush = (diameter) => {
  view.brush = Math.min(page.size() / 2, Math.max(1, Math.round(diameter)));
  page.refresh();
};

// Showing

function sceneChanged() {
  const path = source();
  if (path !== pictureAt) load(path);
  layers.hole = layers.rim = null;
  page.draw();
}

function source() { // the path of the picture; models of several sizes have examples of the same name
  const [kind, ...name] = page.scene.picture.split(":");
  return kind === "photo" ? page.photo.path : page.config.models[page.scene.model].examples[name.join(":")];
}

function load(path) {
  const image = new Image();
  pictureAt = path;
  picture = null;
  image.onload = () => { if (pictureAt === path) { picture = image; page.draw(); } };
  image.src = page.url(path);
}

function frame() { // the visible part of the picture: [x, y, side] in its own pixels
  if (!page.scene.square) return [0, 0, picture.naturalWidth];
  const ratio = picture.naturalWidth / page.photo.width;
  return page.scene.square.map((value) => value * ratio);
}

let waiting = false;
page.draw = () => {
  if (!waiting) { waiting = true; requestAnimationFrame(() => { waiting = false; if (page.scene) paint(); }); }
};

function paint() {
  const size = page.size(), side = size * Math.round(SIDE / size);
  if (canvas.width !== side) canvas.width = canvas.height = side;
  const hole = view.painting?.hole ?? page.hole, pixel = side / size;
  context.imageSmoothingQuality = "high";
  context.fillStyle = "#888";
  context.fillRect(0, 0, side, side);
  if (picture) {
    const [x, y, part] = frame();
    context.imageSmoothingEnabled = part > 100; // show the pixels of a 64-pixel picture
    context.drawImage(picture, x, y, part, part, 0, 0, side, side);
  }
  if (view.original) return;
  layers.hole ??= pixels(size, (i) => hole[i] ? [...HOLE, 255] : null);
  const left = page.answer ? view.divider * side : 0;
  const shown = page.answer && page.answer.place === page.place() && page.answer.hole.length === size * size ? page.answer : null;
  clipped(0, left, side, () => flat(layers.hole, side));
  clipped(left, side, side, () => {
    if (!shown) return flat(layers.hole, side);
    const fresh = shown.id === page.id && !view.painting;
    filled(shown, size, side);
    if (fresh) return;
    layers.fresh = pixels(size, (i) => hole[i] ? [...HOLE, shown.hole[i] ? 110 : 255] : null);
    flat(layers.fresh, side);
  });
  if (shown && shown.id === page.id) outline(hole, size, pixel, left, side);
  if (page.answer && left > 0 && left < side) {
    context.fillStyle = "rgb(255 255 255 / 90%)";
    context.fillRect(left - 1.5, 0, 3, side);
  }
  if (view.cursor) cursor(pixel);
}

function filled(shown, size, side) { // draws the filling inside the hole, or the whole frame of a photo
  const made = shown.images[page.chosen] ?? shown.images[0];
  if (!made?.complete || !made.naturalWidth) return;
  if (made.naturalWidth > size) {
    context.imageSmoothingEnabled = true;
    context.drawImage(made, 0, 0, side, side);
    return;
  }
  const patch = document.createElement("canvas");
  patch.width = patch.height = size;
  const brush = patch.getContext("2d");
  brush.drawImage(made, 0, 0);
  brush.globalCompositeOperation = "destination-in";
  brush.drawImage(pixels(size, (i) => shown.hole[i] ? [0, 0, 0, 255] : null), 0, 0);
  context.imageSmoothingEnabled = size > 100;
  context.drawImage(patch, 0, 0, side, side);
}

function outline(hole, size, pixel, left, side) {
  if (!layers.rim) {
    const missing = (x, y) => x >= 0 && y >= 0 && x < size && y < size && hole[y * size + x];
    const path = new Path2D();
    let pieces = 0;
    for (let y = 0; y <= size; y++) {
      for (let x = 0; x <= size; x++) {
        const here = missing(x, y);
        if (here !== missing(x - 1, y) && y < size) { path.moveTo(x * pixel, y * pixel); path.lineTo(x * pixel, (y + 1) * pixel); pieces++; }
        if (here !== missing(x, y - 1) && x < size) { path.moveTo(x * pixel, y * pixel); path.lineTo((x + 1) * pixel, y * pixel); pieces++; }
      }
    }
    layers.rim = pieces < size * 12 ? path : new Path2D();
  }
  clipped(left, side, side, () => {
    context.lineWidth = 1.5;
    context.strokeStyle = "rgb(255 255 255 / 35%)";
    context.stroke(layers.rim);
  });
}

function cursor(pixel) {
  const [x, y] = view.cursor.map((value) => value * pixel);
  for (const [width, colour] of [[4, "rgb(0 0 0 / 55%)"], [2, "white"]]) {
    context.beginPath();
    context.lineWidth = width;
    context.strokeStyle = colour;
    context.arc(x, y, Math.max(3, view.brush / 2 * pixel), 0, 7);
    context.stroke();
  }
}

function pixels(size, colour) { // makes a canvas of model pixels; null is transparent
  const made = document.createElement("canvas");
  made.width = made.height = size;
  const data = new ImageData(size, size);
  for (let i = 0; i < size * size; i++) { const value = colour(i); if (value) data.data.set(value, 4 * i); }
  made.getContext("2d").putImageData(data, 0, 0);
  return made;
}

function flat(layer, side) {
  context.imageSmoothingEnabled = false;
  context.drawImage(layer, 0, 0, side, side);
}

function clipped(from, to, side, draw) {
  if (to <= from) return;
  context.save();
  context.beginPath();
  context.rect(from, 0, to - from, side);
  context.clip();
  draw();
  context.restore();
}
