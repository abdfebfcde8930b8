// The page: from disk (parts lie in it), beside a running simulation (parts are fetched), or as a playground (spikes
// are streamed). One scene, one story, the same panels.
import { fromBase64 } from "./pack.js";
import { learningPanel, pathsPanel, readoutPanel, wavesPanel } from "./panels.js";
import { play } from "./play.js";
import { SheetScene } from "./scene.js";
import { Story } from "./story.js";
import { view } from "./view.js";

const $ = (id) => document.getElementById(id);
const mode = document.body.dataset.mode;
const story = new Story();
const hint = $("told").textContent;
const frames = new Float64Array(600);
const app = { story, mode, playing: false, charts: {}, charted: {}, frames: 0, touched: false, $, begin, refresh, autoplay };
let scene;

function begin() {
  if (scene || !story.parts.sheet) return;
  try {
    scene = new SheetScene($("scene"), story.parts.sheet);
  } catch (error) {
    $("scene-none").hidden = false;
    $("scene").hidden = $("told").hidden = true;
    return;
  }
  app.scene = scene;
  for (const bar of document.querySelectorAll(".stage > .controls")) bar.hidden = false;
  $("unit").max = scene.m - 1;
  $("cell").max = scene.n - 1;
  story.start(scene);
  pointer();
  keys();
  requestAnimationFrame(frame);
}

function refresh() { // after new parts came
  const line = $("time");
  line.max = story.length;
  for (const name of ["growth", "waves", "pools"]) {
    $(`go-${name}`).disabled = !story.chapters.includes(name);
  }
  $("go-growth").hidden = Boolean(story.parts.sheet?.meta.scattered);
  const place = $("panels");
  const step = (k) => go(story.begin("waves") + (1000 * k) / story.waves.meta.steps);
  const snapshot = (k) => go(story.begin("pools") + (1000 * k) / (story.wiring.meta.time.length - 1));
  const { wiring, readout, paths } = story.parts;
  for (const [name, part, draw] of [
    ["waves", story.waves, wavesPanel], ["learning", wiring, learningPanel], ["readout", readout, readoutPanel], ["paths", paths, pathsPanel],
  ]) {
    if (!part || app.charted[name] === part) continue;
    app.charted[name] = part;
    app.charts[name] = draw(place, part, name === "waves" ? step : snapshot);
  }
  cursor = "";
  const forms = $("dynamics");
  const known = story.forms;
  if (forms.options.length !== known.length) {
    forms.replaceChildren(...known.map((id) => new Option(story.parts[id].meta.title, id.slice(6))));
    forms.value = String(story.dynamics);
    forms.parentElement.hidden = known.length < 2;
  }
  tell();
}

function go(value) {
  app.touched = true;
  pause();
  story.value = Math.max(0, Math.min(story.length, value));
  tell();
}

function pause() { if (app.playing) toggle(); }

function toggle() {
  if (!app.playing && story.value >= story.length) story.value = 0;
  app.playing = !app.playing;
  $("play").textContent = app.playing ? "❚❚ Pause" : "▶ Play";
  tell();
  if (!app.playing) say();
}

function press() { app.touched = true; toggle(); } // from now on nothing plays by itself

function autoplay() {
  if (scene && !app.touched && !app.playing && !window.matchMedia("(prefers-reduced-motion: reduce)").matches) toggle();
}

function say() {
  const words = mode === "play" ? [$("caption-title").textContent, $("caption").textContent] : story.words;
  $("spoken").textContent = story.focus ? story.spoken : words.join(". ");
}

let told = "";
function tell() { // the words that follow the time
  if (!story.parts.sheet || mode === "play") return;
  const [title, text] = story.words;
  $("time").value = story.value;
  if (title + text === told) return;
  told = title + text;
  $("caption-title").textContent = title;
  $("caption").textContent = text;
  $("time").setAttribute("aria-valuetext", `${title}: ${text}`);
  for (const name of ["growth", "waves", "pools"]) $(`go-${name}`).setAttribute("aria-pressed", String(story.chapter === name));
}

let before = 0;
function frame(now) {
  requestAnimationFrame(frame); // first: whatever goes wrong in one frame, the next comes
  const start = performance.now();
  const seconds = Math.min(0.1, (now - before) / 1000);
  before = now;
  if (app.playing && !story.advance(seconds)) toggle();
  if (app.stream) app.stream.frame();
  story.show();
  if (app.playing) tell();
  cursors();
  frames[app.frames++ % frames.length] = performance.now() - start;
}

let cursor = "";
function cursors() {
  const key = `${story.chapter},${story.value}`;
  if (key === cursor || mode === "play") return;
  cursor = key;
  if (app.charts.waves && story.step >= 0) app.charts.waves.at(Math.floor(story.step));
  if (app.charts.learning && story.chapter === "pools") app.charts.learning.at(story.learned);
}

function focus(found) {
  const same = found?.kind === story.focus?.kind && found?.id === story.focus?.id;
  if (same) return;
  story.focus = found;
  story.paint();
}

function pointer() {
  const canvas = $("scene");
  let pinned = false, where = null, down = null;
  const look = () => {
    const at = where;
    where = null; // in any case: the next move asks for a look only then
    if (!pinned) focus(scene.pick(...at));
  };
  canvas.addEventListener("pointermove", (event) => {
    if (event.buttons) return;
    if (!where) requestAnimationFrame(look);
    where = [event.offsetX, event.offsetY];
  });
  canvas.addEventListener("pointerdown", (event) => { down = [event.offsetX, event.offsetY]; });
  canvas.addEventListener("pointerup", (event) => {
    if (!down || Math.hypot(event.offsetX - down[0], event.offsetY - down[1]) > 4) return;
    const found = scene.pick(event.offsetX, event.offsetY); // a click keeps it lit; on nothing, lets go
    pinned = found !== null;
    focus(found);
    say();
  });
  canvas.addEventListener("pointerleave", () => { if (!pinned) focus(null); });
  for (const kind of ["unit", "cell"]) {
    $(kind).addEventListener("input", () => {
      const text = $(kind).value, id = Number(text);
      $(kind === "unit" ? "cell" : "unit").value = "";
      pinned = text !== "" && Number.isInteger(id) && id >= 0 && id <= Number($(kind).max);
      focus(pinned ? { kind, id } : null);
      say();
    });
  }
}

const MOVES = {
  ArrowLeft: () => scene.turn(-0.12, 0), ArrowRight: () => scene.turn(0.12, 0), ArrowUp: () => scene.turn(0, 0.1),
  ArrowDown: () => scene.turn(0, -0.1), "+": () => scene.zoom(0.88), "-": () => scene.zoom(1.14), Home: () => scene.home(),
  " ": () => $("play").click(),
};

function keys() {
  $("scene").addEventListener("keydown", (event) => {
    if (!MOVES[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    MOVES[event.key]();
  });
  const buttons = { left: "ArrowLeft", right: "ArrowRight", up: "ArrowUp", down: "ArrowDown", near: "+", far: "-", home: "Home" };
  for (const [id, key] of Object.entries(buttons)) $(`look-${id}`).addEventListener("click", MOVES[key]);
}

function controls() {
  if (mode !== "play") {
    $("play").addEventListener("click", press);
    $("time").addEventListener("input", () => go(Number($("time").value)));
    $("time").addEventListener("change", say);
    for (const name of ["growth", "waves", "pools"]) $(`go-${name}`).addEventListener("click", () => { go(story.begin(name)); toggle(); });
  }
  $("dynamics").addEventListener("change", () => { story.dynamics = Number($("dynamics").value); story.seen = {}; refresh(); });
  $("threshold").addEventListener("input", () => {
    story.threshold = Number($("threshold").value);
    const text = `${Math.round(100 * story.threshold)} % of a unit’s largest`;
    $("threshold-told").textContent = text;
    $("threshold").setAttribute("aria-valuetext", text);
    story.paint();
  });
}

async function main() {
  if (mode !== "report") history.replaceState(null, "", "/"); // the token does not stay in the address
  controls();
  story.painted = () => { $("told").textContent = story.spoken || hint; };
  window.devnet = app; // for people at the console, and for tests
  app.milliseconds = () => Array.from(frames.subarray(0, Math.min(app.frames, frames.length))).sort((a, b) => a - b);
  if (mode === "view") { await view(app); return; }
  if (mode === "play") { await play(app); return; }
  for (const block of document.querySelectorAll("script[data-part]")) {
    await story.take(block.dataset.part, fromBase64(block.textContent));
    block.remove(); // what was read is not kept twice
  }
  begin();
  refresh();
  app.ready = true;
  autoplay();
}

main();
