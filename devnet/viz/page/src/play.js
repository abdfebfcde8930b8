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
  $("learn").hidden = !setup.units;
  app.latencies = [];
  app.versions = { sent: 0, seen: 0 };
  app.begin();
  if (!app.scene) return;

  let step = -1, sweep = 0, learned = null, paused = false;
  let since = 0; // the change with which the sheet last began anew: earlier weights are of the one before
  const sent = new Map();
  const active = [new Float64Array(KEEP), new Float64Array(KEEP)];
  const socket = new WebSocket(`ws://${location.host}/stream`);
  socket.binaryType = "arraybuffer";
  socket.onmessage = ({ data }) => { // taken in at once: a tab in the background draws no frames, and nothing may pile up
    if (typeof data === "string") {
      const { error, again } = JSON.parse(data);
      $("status").textContent = error;
      if (again) reset();
    } else {
      const part = unpack(data);
      if (part.meta.kind !== "weights") spikes(part);
      else if (part.meta.version >= since) weights(part);
    }
  };
  socket.onclose = () => {
    $("status").textContent = step < 0 ? "The server takes no more pages: close one that plays, and load this one again."
      : "The server has stopped. Start `devnet play` again to go on.";
    app.closed = true;
  };

  const sliders = $("sliders");
  for (const { name, title, low, high, by, value, help } of setup.sliders) {
    const label = document.createElement("label");
    label.htmlFor = `set-${name}`;
    label.textContent = title;
    const input = Object.assign(document.createElement("input"), { type: "range", id: `set-${name}`, min: low, max: high, step: by, value });
    const told = Object.assign(document.createElement("output"), { id: `told-${name}`, textContent: value });
    const note = Object.assign(document.createElement("small"), { textContent: help });
    input.addEventListener("input", () => {
      const set = { [name]: Number(input.value) };
      const other = { r_i: "r_o", r_o: "r_i" }[name]; // excitation ends where inhibition begins or before: one moves the other
      if (other && Number($("set-r_i").value) > Number($("set-r_o").value)) set[other] = set[name];
      place(set);
      send({ set });
    });
    const row = document.createElement("div");
    row.className = "slider";
    row.append(label, input, told, note);
    sliders.append(row);
  }
  function place(values) {
    for (const [name, value] of Object.entries(values)) $(`set-${name}`).value = $(`told-${name}`).textContent = value;
  }
  function send(wish) {
    if (socket.readyState !== WebSocket.OPEN) return;
    $("status").textContent = "";
    app.versions.sent += 1;
    sent.set(app.versions.sent, performance.now());
    socket.send(JSON.stringify({ ...wish, version: app.versions.sent }));
  }

  function learning(on) {
    $("learn").setAttribute("aria-pressed", String(on));
    $("learn").textContent = on ? "Stop learning" : "Let pools form";
  }
  $("learn").addEventListener("click", () => {
    const on = $("learn").getAttribute("aria-pressed") !== "true";
    learning(on);
    send({ learn: on });
  });
  $("play").addEventListener("click", () => {
    paused = !paused;
    $("play").textContent = paused ? "▶ Go on" : "❚❚ Pause";
    send({ pause: paused });
  });
  function reset() {
    since = app.versions.sent + 1;
    place(Object.fromEntries(setup.sliders.map(({ name, value }) => [name, value])));
    learning(false);
    learned = null;
    delete story.parts.wiring;
    app.scene.lines.visible = app.scene.picked.visible = false;
  }
  $("again").addEventListener("click", () => { reset(); send({ again: true }); });

  const box = panel($("panels"), "waves", "Active cells", `The last ${KEEP} steps.`);
  const plot = chart(box, {
    x: "step", left: { label: "active cells", low: 0 }, series: [{ color: "--fire", fill: true, width: 1 }],
    words: "Number of active cells over the last steps, as they come.",
  });

  function spikes(part) {
    const ages = app.scene.fired.array;
    if (part.meta.step < step) { // begun anew
      app.scene.forget();
      for (const list of active) list.fill(0);
    }
    let k = 0;
    part.count.forEach((count, i) => {
      step = part.meta.step + i;
      for (const end = k + count; k < end; k++) ages[part.cell[k]] = step;
      active[0].copyWithin(0, 1); active[1].copyWithin(0, 1);
      active[0][KEEP - 1] = step; active[1][KEEP - 1] = count;
    });
    app.scene.fired.needsUpdate = true;
    app.scene.fresh = true;
    app.versions.seen = part.meta.version;
  }

  function weights(part) {
    const first = !story.parts.wiring;
    part.meta.time = [part.meta.learned];
    part.meta.own = true;
    part.version = part.meta.step;
    learned = part.meta;
    if (first) story.put("wiring", part);
    else { Object.assign(story.parts.wiring, part); story.ends = null; story.seen.low = undefined; story.seen.paint = null; }
  }

  let drawn = 0;
  story.show = () => {}; // the stream tells what is shown
  const growth = { done: window.matchMedia("(prefers-reduced-motion: reduce)").matches };
  app.stream = {
    frame() {
      const { scene } = app;
      if (!paused) sweep = growth.done ? 1e6 : sweep + 1.6;
      if (sweep > story.parts.sheet.meta.sweeps) growth.done = true;
      story.value = story.wiring ? story.begin("pools") + 1 : 0;
      if (story.wiring) story.connections();
      story.paint();
      if (!paused) scene.time(sweep, Math.max(step, 0), 5);
      scene.draw();
      const now = performance.now();
      for (const [version, when] of sent) { // the wave that answers is drawn
        if (version > app.versions.seen) break;
        app.latencies.push(now - when);
        sent.delete(version);
      }
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
