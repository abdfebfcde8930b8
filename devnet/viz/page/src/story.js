// What is shown at which time: three chapters on one line, each told in a sentence.
import { inflate } from "./pack.js";

const ONE = 1000; // length of a chapter on the time line
const SECONDS = { growth: 14, waves: 26, pools: 24 };
const MOST_DRAWN = 6000; // connections drawn at once
const LOOK_BACK = 40; // steps of spikes applied after a jump
const number = (x) => Math.round(x).toLocaleString("en-US");

export class Story {
  constructor() {
    this.parts = {};
    this.value = 0;
    this.threshold = 0.5;
    this.dynamics = 0;
    this.focus = null; // what is lit: { kind: "unit" | "cell", id }
    this.lit = { cells: [], units: [] };
    this.seen = {};
    this.lined = false; // whether connections can be drawn
    this.painted = () => {};
    this.plain = false; // cells without the colors of their descent
  }

  async take(id, bytes) { this.put(id, await inflate(bytes)); }

  put(id, part) {
    this.parts[id] = part;
    if (id.startsWith("waves-")) {
      part.first = new Uint32Array(part.count.length + 1);
      part.count.forEach((k, i) => { part.first[i + 1] = part.first[i] + k; });
    }
    if (id === "wiring") { this.ends = null; this.join(); }
    this.seen = {};
  }

  start(scene) {
    this.scene = scene;
    this.join();
    this.show();
  }

  get forms() { return Object.keys(this.parts).filter((id) => id.startsWith("waves-")).sort(); }
  get waves() { return this.parts[`waves-${this.dynamics}`] ?? this.parts[this.forms[0]]; }
  get wiring() { return this.parts.wiring; }
  get scattered() { return this.parts.sheet.meta.scattered; }
  get chapters() {
    const later = [this.waves && "waves", this.wiring && "pools"].filter(Boolean);
    const grew = this.parts.sheet && !(this.scattered && later.length); // what did not grow has no such chapter
    return grew ? ["growth", ...later] : later;
  }
  get length() { return ONE * this.chapters.length; }
  get chapter() { return this.chapters[Math.min(this.chapters.length - 1, Math.floor(this.value / ONE))]; }
  get share() { return Math.min(1, this.value / ONE - this.chapters.indexOf(this.chapter)); }
  begin(chapter) { return ONE * this.chapters.indexOf(chapter); }
  advance(seconds) {
    this.value = Math.min(this.length, this.value + (ONE * seconds) / SECONDS[this.chapter]);
    return this.value < this.length;
  }

  get sweep() { return this.chapter === "growth" ? this.share ** 1.7 * this.parts.sheet.meta.sweeps : this.parts.sheet.meta.sweeps + 999; }
  get step() {
    if (!this.waves || this.chapter === "growth") return -1;
    return Math.min(this.waves.meta.steps - 1, this.share * this.waves.meta.steps);
  }
  // Between which two kept weights the time lies; outside the last chapter, the last.
  get between() {
    const last = this.wiring.meta.time.length - 1;
    if (this.chapter !== "pools") return [last, last, 0];
    const at = this.share * last, low = Math.min(Math.floor(at), last);
    return [low, Math.min(low + 1, last), at - low];
  }
  get snapshot() { const [low, high, part] = this.between; return part < 0.5 ? low : high; }
  get learned() {
    const [low, high, part] = this.between, t = this.wiring.meta.time;
    return t[low] + part * (t[high] - t[low]);
  }

  // ------------------------------------------------------------------ connections

  join() {
    const { scene, wiring } = this;
    if (!scene || !wiring) return;
    this.column = new Map(Array.from(wiring.unit, (unit, k) => [unit, k]));
    this.lined = wiring.meta.own;
    if (!this.lined) return;
    const { n } = scene, { shown, color, unit } = wiring, count = n * shown.length;
    const units = new Uint32Array(count), cells = new Uint32Array(count);
    for (let k = 0; k < count; k++) { units[k] = unit[shown[Math.floor(k / n)]]; cells[k] = k % n; }
    scene.connect(scene.lines, units, cells, (k, tint, at) => tint.set(color.subarray(3 * Math.floor(k / n), 3 * Math.floor(k / n) + 3), at));
    for (let k = 0; k < wiring.meta.time.length; k++) this.drawn(k);
    scene.warm();
    this.seen = {};
  }

  // Levels of all cells' weights to the k-th unit that travelled, 0 to 252 of 256.
  levels(snapshot, k) {
    const { n } = this.scene, first = (snapshot * this.wiring.unit.length + k) * n;
    return this.wiring.share.subarray(first, first + n);
  }

  // Levels of the connections that can be drawn, each at both of its ends, and how many reach each level. Made once: to
  // take other weights up is then to hand over an array.
  drawn(snapshot) {
    this.ends ??= [];
    return this.ends[snapshot] ??= (() => {
      const { shown } = this.wiring, level = new Uint8Array(2 * this.scene.n * shown.length), reach = new Uint32Array(257);
      let at = 0;
      for (const k of shown) for (const w of this.levels(snapshot, k)) { level[at++] = level[at++] = w; reach[w] += 1; }
      for (let w = 255; w >= 0; w--) reach[w] += reach[w + 1];
      return { level, reach };
    })();
  }

  connections() {
    const { scene } = this, lines = scene.lines;
    const there = this.chapter === "pools" && this.lined && !this.focus;
    if (lines.visible !== there) { lines.visible = there; scene.fresh = true; }
    if (!there) return;
    const [low, high, part] = this.between;
    const ends = [this.drawn(low), this.drawn(high)];
    if (this.seen.low !== low) {
      ["before", "after"].forEach((name, i) => scene.weigh(lines, name, ends[i].level));
      this.seen.low = low;
      this.seen.visible = null;
    }
    const u = lines.material.uniforms;
    u.part.value = part;
    u.threshold.value = (256 * this.threshold - 0.5) / 255;
    if (this.seen.visible !== this.threshold) {
      const count = ends.map(({ reach }) => reach[Math.ceil(256 * this.threshold)]);
      this.seen.keep = count.map((c) => Math.min(1, MOST_DRAWN / (c + 1))); // of more lines a part tells as much
      this.seen.strength = count.map((c) => Math.min(0.5, Math.max(0.06, 700 / (c + 1))));
      this.seen.visible = this.threshold;
    }
    u.keep.value = this.seen.keep[0] + part * (this.seen.keep[1] - this.seen.keep[0]);
    u.strength.value = this.seen.strength[0] + part * (this.seen.strength[1] - this.seen.strength[0]);
  }

  // ------------------------------------------------------------------ colors of cells and units

  paint() {
    const { scene, wiring, focus } = this;
    const snapshot = wiring ? this.snapshot : 0;
    const key = [this.chapter, snapshot, this.threshold, focus && focus.kind, focus && focus.id, wiring && wiring.version].join();
    if (this.seen.paint === key) return;
    this.seen.paint = key;
    const cells = scene.marks(scene.cells), units = scene.marks(scene.units);
    cells.array.fill(0);
    units.array.fill(0);
    this.lit = { cells: [], units: [] };
    if (focus && wiring) this.light(cells.array, units.array, snapshot);
    else if (this.chapter === "pools" && wiring) this.pools(cells.array, units.array, snapshot);
    else if (this.chapter === "growth" && !this.plain && !this.scattered) this.descent(cells.array);
    cells.needsUpdate = units.needsUpdate = true;
    scene.picked.visible = Boolean(focus && wiring && wiring.meta.own && this.lit.cells.length);
    scene.fresh = true;
    this.painted(); // the words follow what is lit, also when weights change under it
  }

  descent(cells) {
    this.parts.sheet.clone.forEach((clone, i) => cells.set(CLONES[clone % CLONES.length], 4 * i));
  }

  pools(cells, units, snapshot) {
    const { wiring, scene } = this, bar = 256 * this.threshold;
    const best = new Uint8Array(scene.n);
    if (wiring.meta.own) flood(units, [96, 86, 58, 200]);
    wiring.shown.forEach((k, s) => {
      const [r, g, b] = wiring.color.subarray(3 * s, 3 * s + 3), levels = this.levels(snapshot, k);
      for (let i = 0; i < levels.length; i++) {
        const w = levels[i];
        if (w >= bar && w > best[i]) { best[i] = w; cells[4 * i] = r; cells[4 * i + 1] = g; cells[4 * i + 2] = b; cells[4 * i + 3] = 225; }
      }
      if (wiring.meta.own) units.set([r, g, b, 255], 4 * wiring.unit[k]);
    });
  }

  light(cells, units, snapshot) {
    const { wiring, scene, focus } = this, bar = 256 * this.threshold;
    flood(cells, [54, 64, 76, 215]);
    flood(units, [84, 78, 52, 225]);
    const from = [], to = [];
    const bright = (array, i, w) => array.set([255, 236, 150, 70 + 0.72 * w], 4 * i);
    if (focus.kind === "unit") {
      const k = wiring.meta.own ? this.column.get(focus.id) : undefined;
      if (k !== undefined) this.levels(snapshot, k).forEach((w, i) => {
        if (w < bar) return;
        this.lit.cells.push(i);
        bright(cells, i, w);
        from.push(focus.id);
        to.push(i);
      });
      this.lit.units.push(focus.id);
      bright(units, focus.id, 255);
    } else {
      bright(cells, focus.id, 255);
      this.lit.cells.push(focus.id);
      for (const [unit, k] of this.column) {
        if (this.levels(snapshot, k)[focus.id] < bar) continue;
        this.lit.units.push(unit);
        from.push(unit);
        to.push(focus.id);
      }
    }
    if (!wiring.meta.own) return;
    for (const unit of this.lit.units) bright(units, unit, 255);
    scene.connect(scene.picked, from, to, (k, tint, at) => tint.set(LIT, at));
    const u = scene.picked.material.uniforms;
    u.strength.value = from.length > 400 ? 0.2 : 0.6;
    u.keep.value = Math.min(1, MOST_DRAWN / from.length);
  }

  // ------------------------------------------------------------------ spikes

  fire(from, to) { // steps from..to of the recording
    const { waves, scene } = this, ages = scene.fired.array;
    for (let s = from; s <= to; s++) for (let k = waves.first[s]; k < waves.first[s + 1]; k++) ages[waves.cell[k]] = s;
    if (to >= from) { scene.fired.needsUpdate = true; scene.fresh = true; }
  }

  spikes() {
    const step = Math.floor(this.step), last = this.seen.step ?? -2;
    if (step < 0) { if (last >= 0) this.scene.forget(); this.seen.step = -1; return; }
    if (step < last || step - last > 4 * LOOK_BACK || last < 0) {
      this.scene.forget();
      this.fire(Math.max(0, step - LOOK_BACK), step);
    } else this.fire(last + 1, step);
    this.seen.step = step;
  }

  show() {
    if (!this.scene) return;
    this.connections();
    this.paint();
    this.spikes();
    const now = this.step < 0 ? 0 : this.step;
    if (this.seen.sweep !== this.sweep || this.seen.now !== now) {
      this.scene.time(this.sweep, now, 5);
      Object.assign(this.seen, { sweep: this.sweep, now });
    }
    this.scene.draw();
  }

  // ------------------------------------------------------------------ words

  get count() {
    const { born, emitted } = this.parts.sheet, sweep = this.sweep;
    if (!this.sorted) this.sorted = [Float64Array.from(born).sort(), Float64Array.from(emitted).sort()];
    return this.sorted.map((list) => { // how many came by now
      let low = 0, high = list.length;
      while (low < high) { const mid = (low + high) >> 1; if (list[mid] <= sweep) low = mid + 1; else high = mid; }
      return low;
    });
  }

  get words() {
    if (this.chapter === "growth") {
      const [cells, units] = this.count;
      if (this.scattered) return ["Sheet", `${number(cells)} cells, placed at random.`];
      const up = units ? ` ${number(units)} of them have sent up a unit of the second layer (yellow).` : "";
      const colors = " Colors: descendants of the first eight cells.";
      return [`Growth, sweep ${Math.floor(this.sweep)}`, cells < 2
        ? "One cell. It will divide as long as there is room around it."
        : `${number(cells)} cells, all descended from one, spread inside the outline.${up}${colors}`];
    }
    if (this.chapter === "waves") {
      const step = Math.floor(this.step), n = this.waves.count[step];
      return [`Waves, step ${number(step)}`, `${number(n)} cells fire (orange). Nothing is shown to the sheet: noise starts a wave, `
        + "it travels, tires its cells and dies out, and another starts elsewhere."];
    }
    const w = this.wiring, [low, high, part] = this.between;
    const good = w.meta.organized[low] + part * (w.meta.organized[high] - w.meta.organized[low]);
    const first = this.learned < 1;
    return [`Pools, learning step ${number(this.learned)} of ${number(w.meta.steps)}`, first
      ? "At first every unit is connected to every cell (a part of the connections is drawn), so no color has a place."
      : `At each wave one unit wins and strengthens what fired: connections thin out to patches. ${Math.round(good)} % of `
        + `${number(w.meta.units)} units have one (${w.shown.length} shown in color).`];
  }

  get spoken() {
    const f = this.focus;
    if (!f) return "";
    const s = this.parts.sheet;
    const when = this.chapter === "pools" ? `at learning step ${number(this.learned)}` : "at the end of learning";
    const share = `${Math.round(100 * this.threshold)} %`;
    if (f.kind === "unit") {
      const own = `Unit ${f.id}, risen from cell ${s.unit_parent[f.id]} in sweep ${s.emitted[f.id]}.`;
      if (!this.wiring?.meta.own) return own; // other units were wired
      if (!this.column.has(f.id)) return `${own} Its weights are not in this page.`;
      return `${own} Its pool ${when}: ${number(this.lit.cells.length)} cells (weight at least ${share} of its largest).`;
    }
    const own = this.scattered ? `Cell ${f.id}.`
      : `Cell ${f.id}, born in sweep ${s.born[f.id]}${s.born[f.id] ? `, daughter of cell ${s.parent[f.id]}` : ""}.`;
    if (!this.wiring) return own;
    const list = this.lit.units.slice(0, 12).join(", ") + (this.lit.units.length > 12 ? ", …" : "");
    const { unit, meta } = this.wiring;
    const some = unit.length < meta.units ? ` of the ${number(unit.length)} units in this page` : " units"; // in play all are
    return `${own} It is in the pools of ${this.lit.units.length}${some} ${when}${list ? `: ${list}` : ""}.`;
  }
}

const LIT = [255, 226, 120];
const CLONES = [[95, 126, 214], [221, 170, 51], [47, 184, 146], [214, 120, 135], [122, 184, 228], [178, 106, 194], [176, 186, 70], [232, 148, 98]].map((c) => [...c, 150]);
const flood = (colors, color) => { // the same four bytes for all
  if (colors.length) colors.set(color);
  for (let done = 4; done < colors.length; done *= 2) colors.copyWithin(done, 0, done);
};
