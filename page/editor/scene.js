// The scene: picture, hole, model and settings. This is the only place that holds it.
//
// Every change makes a new id. Requests to Python and its answers carry the id, and an answer is shown only while the
// scene still has that id. Other elements with an id (data-scene) are marked out of date when it no longer matches.

const SETTLE = 40; // milliseconds: changes this close together are sent as one request
const SILENCE = 90000; // milliseconds without an answer from the server before giving up

const page = window.inpainter;
page.channels = {};
page.scene = null; // {model, picture, square, hole, preset, settings}
page.id = "";
page.answer = null; // the last answer that matched the scene when it arrived
page.live = true;
page.busy = false; // whether a request for this scene is in progress
page.note = ""; // a sentence about the picture
page.photo = null; // Python's description of the visitor's own picture

let number = 0, heard = 0, taken = 0, ended = 0, timer, watchdog;
let failure = ""; // what was last said of a fill that failed
const listeners = [];

page.onChange = (listener) => listeners.push(listener);
page.refresh = () => { listeners.forEach((listener) => listener()); markStale(); };

// Identifies the picture on show, whatever the hole.
page.place = () => page.scene.picture + JSON.stringify([page.scene.square, page.size()]);
page.size = () => page.config.models[page.scene.model].size;
page.current = () => page.answer?.id === page.id ? page.answer : null;
page.finished = () => page.current()?.state === "done";
page.empty = () => !page.hole.some(Boolean);

// Changes

page.change = (changes, effort = "live") => {
  const before = page.id, size = page.size();
  Object.assign(page.scene, changes);
  if (page.size() !== size && !("hole" in changes)) resample(size);
  page.id = hash(JSON.stringify(page.scene));
  if ("hole" in changes || before === "") page.hole = unpack(page.scene.hole, page.size());
  if (page.id !== before) {
    page.busy = false;
    page.message = page.progress = "";
    clearTimeout(timer);
    const wanted = effort === "live" && page.live && !page.empty();
    if (wanted) { page.busy = true; timer = setTimeout(() => ask("live"), SETTLE); }
    else page.channels.halt.value = String(++number); // any running search is obsolete
  }
  page.refresh();
};

page.setHole = (hole, preset = "") => page.change({ hole: pack(hole), preset });
page.usePreset = (name) => {
  page.commit(unpack(page.config.holes[page.size()][name], page.size()), name);
  page.uncover();
};

function resample(from) {
  const to = page.size(), preset = page.config.holes[to][page.scene.preset];
  if (preset) { page.scene.hole = preset; page.hole = unpack(preset, to); return; }
  const old = page.hole;
  page.hole = page.resized((i) => old[i], from, to);
  page.scene.hole = pack(page.hole);
}

page.resized = (missing, from, to) => { // a pixel of the resized hole is missing if any part of it is
  const hole = new Uint8Array(to * to);
  for (let i = 0; i < from * from; i++) {
    if (!missing(i)) continue;
    const [y0, x0] = [Math.floor(i / from), i % from].map((at) => Math.floor(at * to / from));
    const [y1, x1] = [Math.floor(i / from), i % from].map((at) => Math.ceil((at + 1) * to / from));
    for (let y = y0; y < y1; y++) for (let x = x0; x < x1; x++) hole[y * to + x] = 1;
  }
  return hole;
};

// Requests and answers

page.describe = (effort = "run") => // the request that the tabs send to Python; it supersedes running searches
  JSON.stringify({ id: page.id, number: ++number, effort, scene: page.scene });

page.compare = () => { // the same for a comparison; a fill that it supersedes will not be answered
  clearTimeout(timer);
  clearTimeout(watchdog);
  page.busy = false;
  page.progress = "";
  const request = page.describe();
  ended = number;
  page.refresh();
  return request;
};

page.showcase = ({ example, settings }) => { // an example with a centre hole; its settings apply to this request only
  const names = Object.keys(page.config.models[page.scene.model].examples);
  const preset = "center", hole = page.config.holes[page.size()][preset];
  page.remember();
  page.change({ picture: `example:${names[example % names.length]}`, square: null, hole, preset }, "none");
  return JSON.stringify({ ...JSON.parse(page.compare()), scene: { ...page.scene, settings } });
};

page.ask = ask;
function ask(effort) {
  clearTimeout(timer);
  page.effort = effort;
  page.busy = true;
  if (effort === "run") page.message = "";
  page.channels.ask.value = page.describe(effort);
  expectWord();
  page.refresh();
}

page.run = () => {
  if (page.empty()) return page.fail("Nothing is erased yet: draw over the part to fill, or choose a hole.");
  ask("run");
};

page.stop = () => { page.channels.stop.value = String(++number); };

page.say = (text, failed = false) => { Object.assign(page, { message: text, failed }); page.refresh(); };
page.fail = (text) => page.say(text, true);

function expectWord() {
  clearTimeout(watchdog);
  watchdog = setTimeout(() => {
    page.busy = false;
    page.fail(failure = "The server is not responding: press Run to try again.");
  }, SILENCE);
}

const hearers = {
  answer(told) {
    if (told.id === "first" && page.answer === null) told.id = page.firstId;
    if (late(told)) return;
    expectWord();
    told.order = ++heard;
    told.place = page.place();
    told.hole = page.hole.slice();
    told.images = (told.candidates ?? []).map(({ filled, large }) => Object.assign(new Image(), { src: large ?? filled }));
    // Replace the result only once the new pictures are decoded, or the original would flash up.
    Promise.allSettled(told.images.map((image) => image.decode())).then(() => take(told));
  },
};
page.hearers = hearers;
page.hear = (name, text) => { if (text) hearers[name]?.(JSON.parse(text)); };

function late(told) { // the scene has changed since, or the fill has been superseded and will not be finished
  return (told.id && told.id !== page.id) || (told.number < ended && told.state !== "done");
}

function take(told) {
  if (late(told) || told.order < taken) return;
  taken = told.order;
  if (told.state === "failed") Object.assign(page, { message: failure = told.text, failed: true });
  else if (page.message === failure) page.message = ""; // what is said of an upload or a download stays
  page.progress = told.text ?? "";
  page.busy = !["done", "failed"].includes(told.state);
  if (!page.busy) clearTimeout(watchdog);
  if (told.candidates) { page.answer = told; page.chosen = 0; }
  page.refresh();
}

page.comparing = () => document.querySelector(".of-scene .progress progress") !== null;

function markStale() {
  for (const part of document.querySelectorAll("[data-scene]:not(#stage)")) {
    part.classList.toggle("stale", part.dataset.scene !== page.id);
  }
}
new MutationObserver(() => { if (page.scene) { markStale(); page.stoppable(); } })
  // Gradio changes attributes in place where the old and new HTML are similar.
  .observe(document.documentElement, { childList: true, subtree: true, attributeFilter: ["data-scene", "class"] });

// Settings and links

page.settings = (...values) => { // takes the values of Gradio's fields, in the order of `names`
  if (!page.ready) return;
  const { names, words, usual } = page.config.fields;
  const settings = {};
  names.forEach((name, i) => {
    const value = words[name] ? words[name][values[i]] : values[i];
    if (value !== usual[name]) settings[name] = value ?? (name === "window" ? null : usual[name]);
  });
  if (JSON.stringify(settings) !== JSON.stringify(page.scene.settings)) page.change({ settings });
};

page.fieldValues = () => { // the values of Gradio's fields on opening: those of the link, if it is one to a scene
  const { names, words, usual } = page.config.fields, settings = linked()?.settings ?? {};
  return names.map((name) => {
    const value = name in settings ? settings[name] : usual[name];
    const label = (of) => Object.keys(words[name]).find((key) => words[name][key] === of);
    if (words[name]) return label(value) ?? label(usual[name]);
    return typeof value === "number" ? value : usual[name];
  });
};

page.link = () => {
  if (page.scene.picture.startsWith("photo:")) return null; // never share the visitor's own picture
  const text = btoa(JSON.stringify(page.scene)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  return `${location.origin}${location.pathname}?scene=${text}`;
};

function linked() {
  const text = new URLSearchParams(location.search).get("scene");
  try {
    const scene = JSON.parse(atob(text.replaceAll("-", "+").replaceAll("_", "/")));
    const model = page.config.models[scene.model];
    const known = model && scene.picture.slice("example:".length) in model.examples;
    return known && unpack(scene.hole, model.size) ? scene : null;
  } catch { return null; }
}

page.start = (config) => {
  page.config = config;
  page.scene = structuredClone(config.first);
  page.change({});
  page.firstId = page.id;
  const scene = linked();
  page.ready = true;
  hearFirst();
  if (scene) { page.change(scene); page.uncover(); }
};

function hearFirst() {
  const first = page.channels.answer?.value;
  if (first) page.hear("answer", first);
  else setTimeout(hearFirst, 20);
}

// URLs, and holes as bits, packed as in `runs/scene.py`

page.url = (path) => path.startsWith("data:") || !path ? path
  : `${window.gradio_config?.root ?? location.origin}/gradio_api/file=${path.split("/").map(encodeURIComponent).join("/")}`;

function pack(hole) {
  const bytes = new Uint8Array(Math.ceil(hole.length / 8));
  hole.forEach((missing, i) => { if (missing) bytes[i >> 3] |= 128 >> (i & 7); });
  return btoa(String.fromCharCode(...bytes));
}

function unpack(text, size) {
  const bytes = atob(text), hole = new Uint8Array(size * size);
  if (bytes.length !== Math.ceil(hole.length / 8)) throw new Error("the hole has the wrong size");
  for (let i = 0; i < hole.length; i++) hole[i] = (bytes.charCodeAt(i >> 3) >> (7 - (i & 7))) & 1;
  return hole;
}

function hash(text) { // FNV-1a, twice
  let a = 0x811c9dc5, b = 0x1b873593;
  for (let i = 0; i < text.length; i++) {
    a = Math.imul(a ^ text.charCodeAt(i), 0x01000193);
    b = Math.imul(b ^ text.charCodeAt(i), 0x85ebca6b);
  }
  return [a, b].map((part) => (part >>> 0).toString(16).padStart(8, "0")).join("");
}
