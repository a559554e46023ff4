// The picker: subject, model, picture (an example or the visitor's own), and one of the paper's holes.

const page = window.inpainter;
let pick, ticket = 0, shownSubject = "", shownModel = "";

const find = (selector) => pick.querySelector(selector);

page.mountPick = (element) => {
  pick = element.querySelector("#pick");
  page.picked = true;
  page.onChange(show);
  page.mountFrame(find("#frame"));
  find("#upload").addEventListener("click", () => find("#upload-file").click());
  find("#upload-mask").addEventListener("click", () => find("#mask-file").click());
  find("#upload-file").addEventListener("change", (event) => take(event.target, (file) => bringFile(file)));
  find("#mask-file").addEventListener("change", (event) => take(event.target, readMask));
  find("#webcam").hidden = !navigator.mediaDevices?.getUserMedia;
  find("#webcam").addEventListener("click", camera);
  find("#another").addEventListener("click", another);
  for (const input of pick.querySelectorAll("#presets input[type=radio]")) {
    input.addEventListener("change", () => page.choosePreset(input.value));
  }
  document.addEventListener("paste", (event) => fromClipboard(event));
  document.addEventListener("dragover", (event) => { if (event.target.closest?.("#stage")) event.preventDefault(); });
  document.addEventListener("drop", (event) => {
    if (!event.target.closest?.("#stage")) return;
    event.preventDefault();
    bringFile(event.dataTransfer.files[0]);
  });
};

function take(input, use) {
  const [file] = input.files;
  input.value = "";
  if (file) use(file);
}

// Models and examples

const models = () => Object.entries(page.config.models);
const own = () => page.config.models[page.scene.model];
const firstOf = (model) => Object.keys(page.config.models[model].examples)[0];

function chooseModel(name) {
  ticket++; // ignore a photo that is still on its way
  closeCamera();
  const same = page.config.models[name].subject === own().subject;
  if (same && page.scene.picture.startsWith("photo:")) return page.change({ model: name });
  page.change({ model: name, picture: `example:${firstOf(name)}`, square: null });
}

function chooseExample(name) {
  ticket++;
  closeCamera();
  page.note = "";
  page.change({ picture: `example:${name}`, square: null });
}

function show() {
  const { subject } = own();
  const subjects = new Map(models().reverse().map(([name, model]) => [model.subject, name]));
  if (!shownSubject) {
    find("#subjects .cards").replaceChildren(...[...subjects].reverse().map(([title, name]) => {
      const cover = Object.values(page.config.models[name].examples)[0];
      return page.choice("subject", title, cover, title, title, () => chooseModel(name), name);
    }));
  }
  if (shownSubject !== subject) {
    const siblings = models().filter(([, model]) => model.subject === subject);
    find("#models").hidden = siblings.length < 2;
    find("#models .chips").replaceChildren(...siblings.map(([name, model]) => {
      const label = document.createElement("label"), input = document.createElement("input");
      Object.assign(input, { type: "radio", name: "model", value: name });
      input.addEventListener("change", () => chooseModel(name));
      label.append(input, model.family === "dcgan" ? ` ${model.size} pixels, as in the paper` : ` ${model.size} pixels, newer`);
      label.append(Object.assign(document.createElement("small"), { textContent: name }));
      return label;
    }));
  }
  if (shownModel !== page.scene.model) {
    find("#examples .strip").replaceChildren(...Object.entries(own().examples).map(([name, path], i) =>
      page.choice("example", name, path, `${subject}, example ${i + 1}`, "", () => chooseExample(name))));
  }
  [shownSubject, shownModel] = [subject, page.scene.model];
  const [preset] = (page.scene.preset || "").split(":");
  check("subject", subject);
  check("model", page.scene.model);
  check("example", page.scene.picture.slice("example:".length));
  check("preset", preset);
  find("#another").hidden = !["pattern", "random", "half"].includes(preset);
  find("#note").textContent = page.note;
  find("#note").hidden = !page.note || !page.scene.picture.startsWith("photo:");
}

function check(group, value) {
  for (const input of pick.querySelectorAll(`input[name=${group}]`)) input.checked = input.value === value;
}

// Holes

const SIDES = ["left", "right", "top", "bottom"];

page.choosePreset = (kind) => page.usePreset({ center: "center", half: "half:left" }[kind] ?? `${kind}:0`);

function another() {
  const [kind, which] = page.scene.preset.split(":");
  const next = kind === "half" ? SIDES[(SIDES.indexOf(which) + 1) % 4] : (Number(which) + 1) % page.config.variants;
  page.usePreset(`${kind}:${next}`);
}

async function readMask(file) { // white = missing
  try {
    const bitmap = await createImageBitmap(file), size = page.size();
    const [left, top, part] = framed(bitmap), canvas = document.createElement("canvas");
    canvas.width = canvas.height = part;
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(bitmap, -left, -top);
    const { data } = context.getImageData(0, 0, part, part);
    page.commit(page.resized((i) => data[4 * i] >= 128 && data[4 * i + 3] >= 128, part, size));
    page.uncover();
  } catch { page.fail(`${file.name}: this is not an image that your browser can read.`); }
}

function framed({ width, height }) { // the square of a mask that the model sees: that of the photo if it has its shape
  const { square } = page.scene, photo = page.photo, size = page.size(), part = Math.min(width, height);
  const scale = square ? width / photo.width : 0, exact = width === size && height === size;
  if (!exact && square && Math.abs(photo.height * scale - height) < 1) return square.map((at) => Math.round(at * scale));
  return [Math.round((width - part) / 2), Math.round((height - part) / 2), part];
}

// The visitor's own picture

async function bringFile(file) {
  if (!file) return;
  const mine = ++ticket;
  closeCamera();
  page.say("Reading your picture");
  try {
    const { path } = await page.sendFile(file);
    if (mine === ticket) page.bring({ path }, mine);
  } catch { if (mine === ticket) page.fail("The upload failed: try again with a picture of at most 64 MB."); }
}

page.bring = (what, mine = ++ticket) => {
  page.channels.photo.value = JSON.stringify({ ticket: mine, model: page.scene.model, ...what });
};

page.hearers.brought = (told) => {
  if (told.ticket !== ticket) return; // something else has been picked since
  if (told.error) return page.fail(told.error);
  page.photo = told;
  page.note = told.note;
  page.message = "";
  const exact = told.width === page.size() && told.height === page.size();
  const changes = { picture: `photo:${told.token}`, square: exact ? null : told.square };
  page.remember();
  page.change({ ...changes, hole: page.blank(), preset: "" });
};

page.blank = () => btoa("\0".repeat(Math.ceil(page.size() ** 2 / 8)));

function fromClipboard(event) {
  const file = [...event.clipboardData?.files ?? []].find(({ type }) => type.startsWith("image/"));
  if (!file) return;
  event.preventDefault();
  bringFile(file);
}

async function camera() {
  const video = find("#camera"), button = find("#webcam");
  if (!video.hidden) {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
    canvas.getContext("2d").drawImage(video, 0, 0);
    closeCamera();
    return canvas.toBlob((blob) => bringFile(new File([blob], "camera.png", { type: "image/png" })));
  }
  button.disabled = true; // a second stream would never be stopped
  try {
    video.srcObject = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "user" } });
    video.hidden = false;
    video.play();
    button.textContent = "Take picture";
  } catch { page.fail("No camera found, or access to it was denied."); }
  button.disabled = false;
}

function closeCamera() {
  const video = find("#camera");
  video.srcObject?.getTracks().forEach((track) => track.stop());
  video.srcObject = null;
  video.hidden = true;
  find("#webcam").textContent = "Camera";
}
