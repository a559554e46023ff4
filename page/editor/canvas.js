// Says what is drawn in the hole editor, once a stroke, undo or new hole is finished.
//
// An editor that is an input of an event uploads its layers, and again at every step of every later event.
// All that is needed of it is where the hole is: "width,height" of the canvas, then the lengths of the runs of
// known and missing pixels in turn, row by row, known ones first.

const SETTLED = 30; // milliseconds: of changes that come this close, what is left by the last one counts
const EMPTIED = 400; // the editor empties itself before it shows another picture: that is not told

let editor, timer, last = 0;
let shown = false; // whether the editor has taken up the hole that the page has given it

watch("value", () => { shown = false; }); // given by the page: what is set here is not watched
const draw = (event) => { shown ||= Boolean(event.target.closest?.("#editor")); };
document.addEventListener("pointerdown", draw, { capture: true });
document.addEventListener("keydown", draw, { capture: true });

setInterval(() => {
  if (!window.editor || window.editor === editor) return;
  editor = window.editor; // Gradio's image editor, a new one whenever it is shown again
  editor.on("change", changed);
  later(SETTLED);
}, 200);

function changed() {
  const alone = performance.now() - last > SETTLED;
  last = performance.now();
  if (alone) tell(); // before the editor's next frame, which can take long
  else later(SETTLED);
}

function later(milliseconds, emptied = false) {
  clearTimeout(timer);
  timer = setTimeout(() => tell(emptied), milliseconds);
}

function tell(emptied = false) {
  const runs = runsOf(drawn());
  const text = [editor.width, editor.height, ...runs].join(",");
  if (text === props.value) shown = true;
  else if (shown && runs.length === 1 && !emptied) later(EMPTIED, true);
  else if (shown) {
    props.value = text;
    // The editor draws on for a second after every stroke. One more frame is enough: without a GPU, each takes the
    // processor from what fills the hole.
    requestAnimationFrame(() => editor.app.ticker.stop());
  }
}

function drawn() {
  // As the editor's own get_blobs, which takes eight times as long: it makes a PNG of every layer, of the
  // picture and of both together.
  const missing = new Uint8Array(editor.width * editor.height);
  for (const { container } of editor.layer_manager?.get_layers() ?? []) {
    const { pixels } = editor.app.renderer.extract.pixels({ target: container, resolution: 1 });
    if (pixels.length !== 4 * missing.length) continue; // not laid out yet
    for (let i = 0; i < missing.length; i++) if (pixels[4 * i + 3] > 127) missing[i] = 1;
  }
  return missing;
}

function runsOf(pixels) {
  const runs = [];
  let value = 0, start = 0;
  for (let i = 0; i <= pixels.length; i++) {
    if (i < pixels.length && pixels[i] === value) continue;
    runs.push(i - start);
    start = i;
    value = 1 - value;
  }
  return runs;
}
