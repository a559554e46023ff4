// The stage: tools above the canvas, status and actions below it.

const page = window.inpainter;
let stage;

const find = (selector) => stage.querySelector(selector);

page.mountStage = (element, upload) => {
  stage = element.querySelector("#stage");
  page.sendFile = upload;
  page.mountCanvas(find("#canvas"));
  const clicks = {
    "#undo": page.undo,
    "#clear": () => page.commit(new Uint8Array(page.hole.length)),
    "#invert": () => page.commit(page.hole.map((missing) => 1 - missing)),
    "#run": page.run,
    "#stop": page.stop,
    "#eraser": () => { page.view.erase = !page.view.erase; page.refresh(); },
    "#download": () => download("best"),
    "#download-mask": () => download("mask"),
    "#download-all": () => download("all"),
    "#reuse": () => page.bring({ result: page.chosen, scene: page.id }),
    "#link": copyLink,
  };
  for (const [selector, act] of Object.entries(clicks)) find(selector).addEventListener("click", () => act());
  find("#live").addEventListener("change", (event) => {
    page.live = event.target.checked;
    if (page.live && !page.finished() && !page.empty() && !page.busy) page.ask("live");
    page.refresh();
  });
  find("#brush").addEventListener("input", (event) => page.setBrush(Number(event.target.value)));
  find("#divider").addEventListener("input", (event) => page.setDivider(event.target.value / 100));
  hold(find("#original"));
  menu(find("#more"));
  page.onChange(show);
  begin();
};

function begin() {
  if (page.config && page.picked && page.channels.answer) page.start(page.config);
  else setTimeout(begin, 20);
}

page.stoppable = () => { if (stage) find("#stop").disabled = !page.busy && !page.comparing(); };

page.setDivider = (share) => {
  page.view.divider = share;
  page.refresh();
};

page.uncover = () => { // moves the divider to the middle of a hole whose filling it would hide, such as the left half
  if (page.empty()) return;
  const size = page.size(), columns = Array.from(page.hole.keys()).filter((i) => page.hole[i]).map((i) => i % size);
  const first = Math.min(...columns), end = Math.max(...columns) + 1;
  if (page.view.divider >= end / size) page.setDivider((first + end) / 2 / size);
};

function menu(details) { // closes when something is chosen, as it covers the status, and on Escape or a click elsewhere
  const items = details.lastElementChild;
  details.addEventListener("toggle", () => { // opens upwards, or downwards where that is out of sight
    details.classList.remove("below");
    details.classList.toggle("below", details.open && items.getBoundingClientRect().top < 0);
    if (details.open) items.scrollIntoView({ block: "nearest" });
  });
  const close = () => { if (details.open) { details.open = false; details.querySelector("summary").focus(); } };
  details.addEventListener("click", (event) => { if (event.target.closest("button")) close(); });
  details.addEventListener("keydown", (event) => { if (event.key === "Escape") close(); });
  document.addEventListener("pointerdown", (event) => { if (!details.contains(event.target)) details.open = false; });
}

function hold(button) {
  const set = (held) => { page.view.original = held; button.setAttribute("aria-pressed", held); page.draw(); };
  button.addEventListener("pointerdown", () => set(true));
  for (const event of ["pointerup", "pointerleave", "pointercancel", "blur"]) button.addEventListener(event, () => set(false));
  button.addEventListener("keydown", (event) => { if (event.key === " " || event.key === "Enter") set(true); });
  button.addEventListener("keyup", () => set(false));
}

function show() {
  const current = page.current(), answer = page.answer, here = answer?.place === page.place();
  const state = page.empty() ? "empty" : page.busy ? "forming" : page.finished() ? "done" : "outdated";
  Object.assign(stage.dataset, { scene: page.id, result: current?.id ?? "", state, effort: current?.effort ?? "" });
  find("#brush").max = page.size() / 2;
  find("#brush").value = page.view.brush;
  find("#undo").disabled = !page.canUndo();
  find("#eraser").setAttribute("aria-pressed", page.view.erase);
  find("#run").disabled = page.busy && page.effort === "run";
  page.stoppable();
  for (const id of ["#download", "#download-mask", "#download-all", "#reuse"]) find(id).disabled = !page.finished();
  const stale = answer && here && !current && !page.empty(); // the filling on show is of another hole or other settings
  find(".badge").hidden = !stale;
  find("#divider").hidden = !(here && answer);
  find("#divider").value = 100 * page.view.divider;
  for (const tag of [".before", ".after"]) find(tag).hidden = !(current && page.view.divider > 0.15 && page.view.divider < 0.85);
  find("#canvas").setAttribute("aria-label", described(state));
  status(state, stale);
  candidates(state, current);
}

function described(state) {
  const share = Math.round(100 * page.hole.reduce((sum, missing) => sum + missing, 0) / page.hole.length);
  const end = { done: "filled", forming: "being filled", outdated: "not filled yet", empty: "nothing erased" }[state];
  const model = page.config.models[page.scene.model];
  return `${model.subject}, ${share}% erased, ${end}. Draw to erase; arrow keys move the brush, space erases.`;
}

function status(state, stale) {
  const words = {
    empty: "Draw over a part of the picture to erase it.",
    outdated: stale ? "Out of date: press Run." : "Press Run to fill the hole.",
    forming: page.progress || "Filling",
    done: page.answer?.text,
  };
  find("#status .text").textContent = page.message || words[state];
  find("#status").classList.toggle("failed", Boolean(page.message && page.failed));
  const bar = find("#status progress"), answer = page.current();
  bar.hidden = state !== "forming";
  if (answer?.steps) bar.value = answer.step / answer.steps;
}

function candidates(state, current) {
  const group = find("#candidates"), many = current?.state === "done" && current.candidates.length > 1;
  group.hidden = !many;
  if (!many) return;
  if (group.dataset.order !== String(current.order)) {
    group.dataset.order = current.order;
    group.dataset.scene = current.id;
    group.replaceChildren(...current.candidates.map((candidate, i) => {
      const name = `Candidate ${i + 1}: ${candidate.caption}`;
      return page.choice("candidate", i, candidate.filled, name, candidate.caption, () => { page.chosen = i; page.refresh(); });
    }));
  }
  const input = group.querySelectorAll("input")[page.chosen];
  if (input) input.checked = true;
}

// A radio button with a picture; arrow keys move between buttons, as usual.
page.choice = (group, value, picture, name, caption, act, small = "") => {
  const label = document.createElement("label"), input = document.createElement("input");
  const image = document.createElement("img"), text = document.createElement("span");
  Object.assign(input, { type: "radio", name: group, value });
  Object.assign(image, { src: page.url(picture), alt: name });
  label.className = "choice";
  text.textContent = caption;
  if (small) text.append(Object.assign(document.createElement("small"), { textContent: small }));
  label.append(input, image, ...(caption ? [text] : []));
  input.addEventListener("change", act);
  return label;
};

// Downloads and links

let ticket = 0;

function download(what) {
  page.channels.deliver.value = JSON.stringify({ ticket: ++ticket, what, scene: page.id, chosen: page.chosen });
  page.say("Preparing the file");
}

page.hearers.file = (told) => {
  if (told.ticket !== ticket) return;
  page.say(told.error ?? "", Boolean(told.error));
  if (told.error) return;
  const link = document.createElement("a");
  Object.assign(link, { href: page.url(told.path), download: told.name });
  link.click();
};

async function copyLink() {
  const link = page.link();
  if (!link) return page.fail("Your own picture stays private: only scenes with an example have a link.");
  history.replaceState(null, "", link);
  const copied = await navigator.clipboard?.writeText(link).then(() => true, () => false); // plain HTTP has no clipboard
  page.say(copied ? "Link copied; it is also in the address bar." : "The link is in the address bar.");
}
