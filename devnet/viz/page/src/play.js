// The playground: spikes come by WebSocket as packed parts; sliders go back as text.
import { inflate, unpack } from "./pack.js";
import { chart, panel } from "./panels.js";

const KEEP = 600; // steps of activity in the panel

export async function play(app) {
  const { story, $ } = app;
  const load = async (id) => inflate(new Uint8Array(await (await fetch(`/part/${id}`)).arrayBuffer()));
  story.plain = true;
  story.put("sheet", await load("sheet"));
  const setup = (await load("setup")).meta;
  app.latencies = [];
  app.versions = { sent: 0, seen: 0 };
  app.begin();
  if (!app.scene) return;

  let step = -1, sweep = 0, learned = null;
  const sent = new Map();
  const active = [new Float64Array(KEEP), new Float64Array(KEEP)];
  const queue = [];
  const socket = new WebSocket(`ws://${location.host}/stream`);
  socket.binaryType = "arraybuffer";
  socket.onmessage = ({ data }) => {
    if (typeof data === "string") { $("status").textContent = JSON.parse(data).error; return; }
    queue.push(unpack(data));
  };
  socket.onclose = () => { $("status").textContent = "The server has stopped. Start `devnet play` again to go on."; app.closed = true; };

  const sliders = $("sliders");
  for (const { name, title, low, high, by, value, help } of setup.sliders) {
    const label = document.createElement("label");
    label.htmlFor = `set-${name}`;
    label.textContent = title;
    const input = Object.assign(document.createElement("input"), { type: "range", id: `set-${name}`, min: low, max: high, step: by, value });
    const told = Object.assign(document.createElement("output"), { id: `told-${name}`, textContent: value });
    const note = Object.assign(document.createElement("small"), { textContent: help });
    input.addEventListener("input", () => {
      told.textContent = input.value;
      if (!$("set-r_o") || name !== "r_i" || Number(input.value) <= Number($("set-r_o").value)) send({ [name]: Number(input.value) });
      else { // the ring of excitation lies inside
        $("set-r_o").value = $("told-r_o").textContent = input.value;
        send({ r_i: Number(input.value), r_o: Number(input.value) });
      }
    });
    const row = document.createElement("div");
    row.className = "slider";
    row.append(label, input, told, note);
    sliders.append(row);
  }
  function send(set) {
    app.versions.sent += 1;
    sent.set(app.versions.sent, performance.now());
    socket.send(JSON.stringify({ set, version: app.versions.sent }));
  }

  $("learn").addEventListener("click", () => {
    const on = $("learn").getAttribute("aria-pressed") !== "true";
    $("learn").setAttribute("aria-pressed", String(on));
    $("learn").textContent = on ? "Stop learning" : "Let pools form";
    socket.send(JSON.stringify({ learn: on }));
  });
  $("again").addEventListener("click", () => {
    for (const { name, value } of setup.sliders) { $(`set-${name}`).value = value; $(`told-${name}`).textContent = value; }
    learned = null;
    delete story.parts.wiring;
    app.scene.lines.visible = app.scene.picked.visible = false;
    $("learn").setAttribute("aria-pressed", "false");
    $("learn").textContent = "Let pools form";
    app.versions.sent += 1;
    sent.set(app.versions.sent, performance.now());
    socket.send(JSON.stringify({ again: true, version: app.versions.sent }));
  });

  const box = panel($("panels"), "waves", "Active cells", `The last ${KEEP} steps.`);
  const plot = chart(box, {
    x: "step", left: { label: "active cells", low: 0 }, series: [{ color: "--fire", fill: true, width: 1 }],
    words: "Number of active cells over the last steps, as they come.",
  });

  function spikes(part) {
    const ages = app.scene.fired.array;
    let k = 0;
    part.count.forEach((count, i) => {
      step = part.meta.step + i;
      for (const end = k + count; k < end; k++) ages[part.cell[k]] = step;
      active[0].copyWithin(0, 1); active[1].copyWithin(0, 1);
      active[0][KEEP - 1] = step; active[1][KEEP - 1] = count;
    });
    app.scene.fired.needsUpdate = true;
    app.scene.fresh = true;
    const version = part.meta.version;
    if (version > app.versions.seen) {
      for (const [v, when] of sent) if (v <= version) { if (v === version) app.latencies.push(performance.now() - when); sent.delete(v); }
      app.versions.seen = version;
    }
  }

  function weights(part) {
    const first = !story.parts.wiring;
    part.meta.time = [part.meta.learned];
    part.meta.own = true;
    part.version = part.meta.step;
    learned = part.meta;
    if (first) story.put("wiring", part);
    else { Object.assign(story.parts.wiring, part); story.seen.low = undefined; story.seen.paint = null; }
  }

  let drawn = 0;
  story.show = () => {}; // the stream tells what is shown
  const growth = { done: window.matchMedia("(prefers-reduced-motion: reduce)").matches };
  app.stream = {
    frame() {
      const { scene } = app;
      for (const part of queue.splice(0)) (part.meta.kind === "weights" ? weights : spikes)(part);
      sweep = growth.done ? 1e6 : sweep + 1.6;
      if (sweep > story.parts.sheet.meta.sweeps) growth.done = true;
      story.value = story.wiring ? story.begin("pools") + 1 : 0;
      if (story.wiring) story.connections();
      story.paint();
      scene.time(sweep, Math.max(step, 0), 5);
      scene.draw();
      const now = performance.now();
      if (now - drawn > 150 && step >= 0) {
        drawn = now;
        const from = active[0].findIndex((s, i) => i === 0 ? s > 0 : s > active[0][i - 1]);
        plot.setData([active[0].subarray(from), active[1].subarray(from)]);
        $("caption-title").textContent = `Step ${step.toLocaleString("en-US")}: ${active[1][KEEP - 1]} cells fire`;
        $("caption").textContent = learned
          ? `Learning for ${learned.learned.toLocaleString("en-US")} steps: ${Math.round(learned.organized)} % of ${story.wiring.unit.length} units hold one patch of cells. Hover over a unit.`
          : setup.words;
      }
    },
  };
  app.ready = true;
}
