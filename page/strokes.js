// Says what is drawn in the hole editor, once a stroke, undo or new hole is finished.
//
// As an input of an event the editor uploads all its layers several times. What a live run needs of it is
// where the hole is: "width,height" of the canvas, then the lengths of the runs of known and missing pixels
// in turn, row by row, known ones first.

const SETTLED = 30; // milliseconds without another change
const EMPTIED = 400; // the editor empties itself before it shows another hole: that is not told

let editor, timer, reading = 0;
let told = props.value;
let begun = false; // until then the editor is loading the hole that the page begins with

const begin = () => { begun = true; };
document.addEventListener("pointerdown", begin, { capture: true, once: true });
document.addEventListener("keydown", begin, { capture: true, once: true });

setInterval(() => {
  if (!window.editor || window.editor === editor) return;
  editor = window.editor; // Gradio's image editor, a new one whenever it is shown again
  editor.on("change", () => later(SETTLED));
  later(SETTLED);
}, 200);

function later(milliseconds, emptied = false) {
  clearTimeout(timer);
  timer = setTimeout(() => tell(emptied), milliseconds);
}

async function tell(emptied) {
  const turn = ++reading;
  const missing = await drawn();
  if (turn !== reading) return; // it has changed meanwhile
  const runs = runsOf(missing.pixels);
  if (runs.length === 1 && !emptied) return later(EMPTIED, true);
  const text = [missing.width, missing.height, ...runs].join(",");
  if (text === told) begun = true;
  else if (begun) {
    told = text;
    props.value = text;
    trigger("input");
  }
}

async function drawn() {
  const { layers } = await editor.get_blobs();
  let pixels, width, height;
  for (const layer of layers.filter(Boolean)) {
    const bitmap = await createImageBitmap(layer);
    ({ width, height } = bitmap);
    const canvas = new OffscreenCanvas(width, height).getContext("2d");
    canvas.drawImage(bitmap, 0, 0);
    const { data } = canvas.getImageData(0, 0, width, height);
    pixels ??= new Uint8Array(width * height);
    for (let i = 0; i < pixels.length; i++) if (data[4 * i + 3] > 127) pixels[i] = 1;
  }
  return { pixels: pixels ?? new Uint8Array(1), width: width ?? 1, height: height ?? 1 };
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
