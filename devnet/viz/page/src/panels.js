// Panels beside the scene: how many cells fire, learning, what the pools tell, and paths to scrub along.
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const make = (tag, text, attributes = {}) => {
  const node = document.createElement(tag);
  if (text !== undefined) node.textContent = text;
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
};
const fixed = (x, digits) => (x === null || x === undefined ? "–" : x.toFixed(digits).replace("-", "−"));

export function chart(place, { x, series, height = 150, left, right, words, click }) {
  const axis = (label, extra) => ({
    label, labelSize: 16, labelFont: "12px system-ui", font: "11px system-ui", stroke: css("--muted"), size: 46,
    grid: { stroke: css("--rule"), width: 0.5 }, ticks: { stroke: css("--rule"), width: 0.5 }, ...extra,
  });
  const axes = [axis(x, { size: 34 }), axis(left.label, { scale: "l" })];
  if (right) axes.push(axis(right.label, { scale: "r", side: 1, grid: { show: false } }));
  const range = ({ low, high }) => (u, min, max) => [low ?? min, high ?? Math.max(1.08 * max, 1e-9)];
  const box = make("div", undefined, { role: "img", "aria-label": words, class: "chart" });
  place.append(box);
  const plot = new uPlot({
    width: Math.max(240, box.clientWidth), height, legend: { show: false }, axes,
    cursor: { y: false, drag: { x: false, y: false }, points: { size: 7 } },
    scales: { x: { time: false }, l: { range: range(left) }, ...(right ? { r: { range: range(right) } } : {}) },
    series: [{}, ...series.map((s) => ({
      label: s.label, scale: s.scale ?? "l", stroke: css(s.color), width: s.width ?? 1.5, points: { show: Boolean(s.points), size: 5 },
      fill: s.fill ? `${css(s.color)}33` : undefined, dash: s.dash,
    }))],
  }, [[0, 1], ...series.map(() => [null, null])], box);
  const observer = new ResizeObserver(() => plot.setSize({ width: Math.max(240, box.clientWidth), height }));
  observer.observe(box);
  box.close = () => { observer.disconnect(); plot.destroy(); };
  if (click) plot.over.addEventListener("click", () => { if (plot.cursor.idx !== null) click(plot.cursor.idx); });
  plot.at = (value) => plot.setCursor({ left: plot.valToPos(value, "x"), top: 10 }, false);
  return plot;
}

function clear(place) { // with its charts, which listen to the window otherwise
  for (const box of place.querySelectorAll(".chart")) box.close();
  place.replaceChildren();
}

export function legend(place, entries) {
  const list = make("ul", undefined, { class: "legend" });
  for (const [color, text, dash] of entries) {
    const item = make("li", text);
    const mark = make("span", undefined, { class: dash ? "key dashed" : "key", "aria-hidden": "true" });
    mark.style.borderColor = `var(${color})`;
    item.prepend(mark);
    list.append(item);
  }
  place.append(list);
}

export function rows(place, entries) {
  const list = make("dl", undefined, { class: "numbers" });
  for (const [name, value] of entries) list.append(make("dt", name), make("dd", value));
  place.append(list);
}

export function panel(place, id, title, text) {
  let box = document.getElementById(`panel-${id}`);
  if (box) clear(box);
  else { box = make("section", undefined, { class: "panel", id: `panel-${id}`, "aria-labelledby": `panel-${id}-title` }); place.append(box); }
  box.append(make("h3", title, { id: `panel-${id}-title` }));
  if (text) box.append(make("p", text));
  return box;
}

export function wavesPanel(place, waves, jump) {
  const m = waves.meta, s = m.numbers;
  const part = m.steps < m.all_steps ? `, the first ${m.steps} of ${m.all_steps} steps` : "";
  const box = panel(place, "waves", "Waves", `Active cells in each step${part}; ${m.title}. Click to go there.`);
  const plot = chart(box, {
    x: "step", left: { label: "active cells", low: 0 }, click: jump, series: [{ color: "--fire", fill: true, width: 1 }],
    words: `Number of active cells over ${m.steps} steps, at most ${Math.max(...waves.count)}.`,
  });
  plot.setData([Float64Array.from(waves.count, (_, i) => i), Float64Array.from(waves.count)]);
  if (s.waves !== undefined) {
    rows(box, [
      ["separate waves", String(s.waves)], ["steps with a wave", `${fixed(100 * s.active_share_of_steps, 0)} %`],
      ["radius, length", fixed(s.radius_mean, 1)], ["speed, length per step", fixed(s.speed, 2)],
      ["cells visited", `${fixed(100 * s.visited, 0)} %`],
    ]);
  }
  return plot;
}

export function learningPanel(place, wiring, jump) {
  const m = wiring.meta;
  const box = panel(place, "learning", "Pools forming", "Share of units whose connections hold together as one patch.");
  const last = m.organized.length - 1;
  const plot = chart(box, {
    x: "learning step", left: { label: "units with a pool, %", low: 0, high: 105 }, click: jump,
    series: [{ color: "--ours", points: true }],
    words: `Units with a pool: ${fixed(m.organized[0], 0)} % before, ${fixed(m.organized[last], 0)} % after ${m.steps} steps.`,
  });
  plot.setData([m.time, m.organized]);
  return plot;
}

const KINDS = { grown: "grown", hand_made: "hand-made", random_discs: "random discs", random_scattered: "random scattered", raw: "raw pixels" };

export function readoutPanel(place, readout) {
  const all = readout.meta.rows.filter((row) => KINDS[row.kind]);
  const box = panel(place, "readout", "What the pools tell", `Images of ${readout.meta.data} told apart by a linear read-out through the pools, test accuracy in per cent `
    + "(a dot is a seed, the bar their mean). Below the grown pools stand controls.");
  const values = all.flatMap((row) => row.accuracy.values);
  const low = Math.floor(Math.min(...values) - 1), high = Math.ceil(Math.max(...values) + 1);
  const table = make("table", undefined, { class: "dots" });
  const head = make("tr");
  for (const text of ["pools", `accuracy, ${low} to ${high} %`, "mean ± sd"]) head.append(make("th", text, { scope: "col" }));
  table.append(make("thead"), make("tbody"));
  table.tHead.append(head);
  for (const row of all) {
    const line = make("tr", undefined, { class: row.kind === "grown" ? "own" : "" });
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("viewBox", "0 0 120 14");
    svg.setAttribute("aria-hidden", "true");
    const add = (tag, attributes) => {
      const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
      for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
      svg.append(node);
    };
    const x = (v) => 4 + (112 * (v - low)) / (high - low);
    add("line", { x1: 2, x2: 118, y1: 7, y2: 7, class: "rail" });
    row.accuracy.values.forEach((v) => add("circle", { cx: x(v), cy: 7, r: 2.4 }));
    add("line", { x1: x(row.accuracy.mean), x2: x(row.accuracy.mean), y1: 1.5, y2: 12.5, class: "mean" });
    const cell = make("td");
    cell.append(svg);
    const name = row.kind === "raw" ? KINDS.raw : `${row.units} ${KINDS[row.kind]}`;
    const spread = row.accuracy.values.length > 1 ? ` ± ${fixed(row.accuracy.sd, 1)}` : "";
    line.append(make("th", name, { scope: "row" }), cell, make("td", fixed(row.accuracy.mean, 1) + spread));
    table.tBodies[0].append(line);
  }
  box.append(table);
}

const small = (x) => (x < 1e-6 ? "nothing" : x.toPrecision(2));
const TITLES = (name) => (name.startsWith("sparsify") ? `to ${name.slice(8)} % of the weights at zero` : "recover from lost units");

export function pathsPanel(place, part) {
  const paths = part.meta.paths, before = document.getElementById("path-choice")?.value ?? 0;
  const box = panel(place, "paths", "Along a path", "The network changes its weights step by step while its answers stay. Drag along the path.");
  const choose = make("select", undefined, { id: "path-choice" });
  paths.forEach((path, i) => choose.append(make("option", TITLES(path.name), { value: i })));
  choose.value = before;
  const label = make("label", "Path ", { for: "path-choice" });
  const slider = make("input", undefined, { type: "range", id: "path-point", min: 0, step: 1, value: 0 });
  const told = make("output", "", { id: "path-told", for: "path-point" });
  const bar = make("div", undefined, { class: "controls" });
  const hold = make("div");
  bar.append(label, choose);
  box.append(bar, hold);
  const scrub = make("label", "Way-point ", { for: "path-point" });
  const line = make("div", undefined, { class: "controls" });
  line.append(scrub, slider);
  box.append(line, told);
  let plot, path;
  const show = () => {
    const k = Number(slider.value);
    plot.at(path.step[k]);
    const right = path.accuracy ? `${fixed(path.accuracy[k], 1)} % of test images right, ` : "";
    told.textContent = `Step ${path.step[k]}: ${right}${fixed(path.sparsity[k], 1)} % of the weights at zero, outputs changed by `
      + small(path.distance[k]);
    slider.setAttribute("aria-valuetext", told.textContent);
  };
  const load = () => {
    path = paths[Number(choose.value)];
    clear(hold);
    const series = [{ color: "--ours", points: true }, { color: "--theirs", points: true }, { color: "--fire", points: true, scale: "r", dash: [4, 3] }];
    plot = chart(hold, {
      x: "step", height: 190, left: { label: "%", low: 0, high: 103 }, right: { label: "change of outputs", low: 0 }, series,
      words: `Along the path: accuracy ${path.accuracy ? `${fixed(path.accuracy[0], 1)} to ${fixed(path.accuracy.at(-1), 1)} %` : "unknown"}, `
        + `weights at zero ${fixed(path.sparsity[0], 0)} to ${fixed(path.sparsity.at(-1), 0)} %.`,
      click: (k) => { slider.value = k; show(); },
    });
    plot.setData([path.step, path.accuracy ?? path.step.map(() => null), path.sparsity, path.distance]);
    legend(hold, [["--ours", "test accuracy, %"], ["--theirs", "weights at zero, %"], ["--fire", "change of outputs (right)", true]]);
    slider.max = path.step.length - 1;
    slider.value = 0;
    show();
  };
  choose.addEventListener("change", load);
  slider.addEventListener("input", show);
  load();
}
