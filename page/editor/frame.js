// The frame: the square of an uploaded picture that the model sees. Drag it, drag its corner, or use the keyboard.

const page = window.inpainter;
const LEAST = 8; // minimum side in pixels of the photo
let box, square, image, shown = "", pointer = null;

page.mountFrame = (element) => {
  box = element;
  square = box.querySelector(".square");
  image = box.querySelector("img");
  square.addEventListener("pointerdown", begin);
  square.addEventListener("keydown", keys);
  page.onChange(show);
};

function show() {
  const framed = page.scene.picture.startsWith("photo:") && page.scene.square;
  box.hidden = !framed;
  if (!framed) return;
  if (shown !== page.scene.picture) {
    shown = page.scene.picture;
    image.src = page.url(page.photo.path);
  }
  lay(page.scene.square);
}

function lay([left, top, side]) {
  const { width, height } = page.photo;
  Object.assign(square.style, {
    left: `${100 * left / width}%`, top: `${100 * top / height}%`, width: `${100 * side / width}%`, height: `${100 * side / height}%`,
  });
  square.setAttribute("aria-valuenow", Math.round(100 * side / Math.min(width, height)));
}

function inside([left, top, side]) {
  const { width, height } = page.photo, clamp = (value, most) => Math.round(Math.min(Math.max(0, value), most));
  side = Math.round(Math.min(Math.max(side, LEAST), width, height));
  return [clamp(left, width - side), clamp(top, height - side), side];
}

function begin(event) {
  event.preventDefault();
  if (pointer !== null) return; // a second finger
  pointer = event.pointerId;
  square.focus();
  square.setPointerCapture(pointer);
  const [left, top, side] = page.scene.square, scale = page.photo.width / box.getBoundingClientRect().width;
  const resize = event.target !== square, from = [event.clientX, event.clientY];
  let now = page.scene.square;
  const move = ({ pointerId, clientX, clientY }) => {
    if (pointerId !== pointer) return;
    const [dx, dy] = [(clientX - from[0]) * scale, (clientY - from[1]) * scale];
    now = inside(resize ? [left, top, side + Math.max(dx, dy)] : [left + dx, top + dy, side]);
    lay(now);
  };
  const end = ({ pointerId }) => {
    if (pointerId !== pointer) return;
    pointer = null;
    square.removeEventListener("pointermove", move);
    for (const last of ["pointerup", "pointercancel"]) square.removeEventListener(last, end);
    page.change({ square: now });
  };
  square.addEventListener("pointermove", move);
  for (const last of ["pointerup", "pointercancel"]) square.addEventListener(last, end);
}

function keys(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return; // the browser's own shortcuts, such as zooming
  const [left, top, side] = page.scene.square, pace = side / 20;
  const moves = {
    ArrowLeft: [-pace, 0, 0], ArrowRight: [pace, 0, 0], ArrowUp: [0, -pace, 0], ArrowDown: [0, pace, 0],
    "+": [-pace / 2, -pace / 2, pace], "-": [pace / 2, pace / 2, -pace],
  };
  const move = moves[event.key];
  if (!move) return;
  event.preventDefault();
  page.change({ square: inside([left + move[0], top + move[1], side + move[2]]) });
}
