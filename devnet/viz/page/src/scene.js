// Both layers in space. All that changes from frame to frame are uniforms, the ages of spikes, and colors when the
// reader asks for something else; the graphics card does the rest.
import {
  BufferAttribute, BufferGeometry, Color, ColorManagement, LinearSRGBColorSpace, LineLoop, LineBasicMaterial, LineSegments, PerspectiveCamera, Points,
  Scene, ShaderMaterial, Vector3, WebGLRenderer,
} from "three";
import { OrbitControls } from "three/examples/jsm/controls/OrbitControls.js";

ColorManagement.enabled = false; // the shaders write the colors as they stand here
const LIFT = 0.46; // distance of the layers, in extents of the sheet; not to scale
const FIRE = new Color("#ff5a1f"), CELL = new Color("#7f8fa3"), UNIT = new Color("#e3b341"), GROUND = new Color("#10151b");
const NEVER = -1e9;

const POINT_VERTEX = `
attribute vec3 mother; attribute float born; attribute float fired; attribute vec4 mark; attribute float top;
uniform float sweep, now, decay, radius, pixels, lift, rise, fade;
uniform vec3 rest, flash;
varying vec3 shade;
void main() {
  float age = sweep - born;
  float grown = smoothstep(0.0, 1.5, age);
  vec3 at = mix(mother, position, grown);
  at.y += lift * min(top, max(age, 0.0) * rise);
  float spark = now < fired ? 0.0 : exp((fired - now) / decay);
  vec3 own = mix(rest, vec3(1.0), 0.75 * exp(-0.5 * max(age - 1.0, 0.0)) * step(0.5, fade));
  own = mix(own, mark.rgb, mark.a);
  shade = mix(own, flash, spark);
  vec4 seen = modelViewMatrix * vec4(at, 1.0);
  gl_Position = age < 0.0 ? vec4(2.0, 2.0, 2.0, 1.0) : projectionMatrix * seen;
  float bright = smoothstep(0.33, 0.36, dot(mark.rgb, vec3(0.3333)));  // what is dimmed also shrinks
  gl_Position.z -= 0.01 * bright * mark.a * step(0.001, lift);
  gl_PointSize = radius * (0.55 + 0.45 * grown) * (1.0 + 0.7 * spark + mark.a * mix(-0.35, 0.35, bright)) * pixels / -seen.z;
}`;
const POINT_FRAGMENT = `
varying vec3 shade;
void main() {
  vec2 off = gl_PointCoord - 0.5;
  float d = dot(off, off);
  if (d > 0.25) discard;
  float light = 1.0 - 0.9 * dot(off - vec2(-0.12, -0.14), off - vec2(-0.12, -0.14)) * 2.2;
  gl_FragColor = vec4(shade * clamp(light, 0.25, 1.0), 1.0);
}`;
const LINE_VERTEX = `
attribute float before; attribute float after; attribute float rank; attribute vec3 tint;
uniform float part, threshold, strength, keep;
varying vec4 shade;
void main() {
  float w = mix(before, after, part);
  shade = vec4(tint, strength * (0.35 + 0.65 * w));
  gl_Position = w < threshold || rank > keep ? vec4(2.0, 2.0, 2.0, 1.0) : projectionMatrix * modelViewMatrix * vec4(position, 1.0);
}`;
const LINE_FRAGMENT = `
varying vec4 shade;
void main() { gl_FragColor = shade; }`;

const dynamic = (array, size, normalized = false) => {
  const attribute = new BufferAttribute(array, size, normalized);
  attribute.usage = 35048; // DYNAMIC_DRAW
  return attribute;
};

export class SheetScene {
  constructor(canvas, sheet) {
    this.sheet = sheet;
    this.canvas = canvas;
    this.n = sheet.meta.cells;
    this.m = sheet.meta.units;
    this.renderer = new WebGLRenderer({ canvas, antialias: true, powerPreference: "high-performance" });
    this.renderer.outputColorSpace = LinearSRGBColorSpace;
    this.renderer.setClearColor(GROUND);
    this.scene = new Scene();
    this.camera = new PerspectiveCamera(38, 1, 0.1, 20);
    const [w, h] = sheet.meta.size;
    this.place = new Float32Array(3 * this.n);
    for (let i = 0; i < this.n; i++) {
      this.place[3 * i] = sheet.place[2 * i] / 65535 - w / 2;
      this.place[3 * i + 2] = h / 2 - sheet.place[2 * i + 1] / 65535;
    }
    this.cells = this.points(this.place, sheet.parent, sheet.born, null, CELL, 0.95 * sheet.meta.spacing);
    this.foot = new Float32Array(3 * this.m);
    for (let j = 0; j < this.m; j++) this.foot.set(this.at(sheet.unit_parent[j]), 3 * j);
    this.units = this.points(this.foot, null, sheet.emitted, sheet.unit_height, UNIT, 1.5 * sheet.meta.spacing);
    this.outlines(sheet, w, h);
    this.lines = this.segments();
    this.picked = this.segments();
    this.picked.material.uniforms.strength.value = 0.85;
    this.controls = new OrbitControls(this.camera, canvas);
    Object.assign(this.controls, { enableDamping: false, enablePan: false, minDistance: 0.4, maxDistance: 6 });
    this.controls.enableZoom = false; // the wheel scrolls the page; buttons and keys zoom
    canvas.style.touchAction = "pan-y"; // and so does a finger that moves up or down
    this.controls.target.set(0, 0.14, 0);
    this.home();
    this.unitTop = (j) => LIFT * this.sheet.unit_height[j];
    this.scratch = new Vector3();
    this.fresh = true;
    if (this.m) this.connect(this.lines, [0], [0], () => {});
    this.warm();
    this.controls.addEventListener("change", () => { this.fresh = true; });
  }

  warm() { // a program is compiled and an array uploaded when it is first drawn: now, not in the middle of the story
    this.resize();
    this.lines.visible = this.lines.geometry.attributes.position !== undefined;
    this.renderer.render(this.scene, this.camera);
    this.lines.visible = false;
  }

  at(i) { return this.place.subarray(3 * i, 3 * i + 3); }

  points(place, parent, born, top, color, radius) {
    const n = place.length / 3;
    const mother = new Float32Array(3 * n);
    for (let i = 0; i < n; i++) {
      const k = parent ? parent[i] : i;
      mother.set(place.subarray(3 * k, 3 * k + 3), 3 * i);
    }
    const geometry = new BufferGeometry();
    geometry.setAttribute("position", new BufferAttribute(place, 3));
    geometry.setAttribute("mother", new BufferAttribute(mother, 3));
    geometry.setAttribute("born", new BufferAttribute(Float32Array.from(born), 1));
    geometry.setAttribute("top", new BufferAttribute(top ? Float32Array.from(top) : new Float32Array(n), 1));
    geometry.setAttribute("fired", dynamic(new Float32Array(n).fill(NEVER), 1));
    geometry.setAttribute("mark", dynamic(new Uint8Array(4 * n), 4, true));
    const material = new ShaderMaterial({
      vertexShader: POINT_VERTEX, fragmentShader: POINT_FRAGMENT,
      uniforms: {
        sweep: { value: 0 }, now: { value: 0 }, decay: { value: 4 }, radius: { value: radius }, pixels: { value: 1 },
        lift: { value: top ? LIFT : 0 }, rise: { value: this.sheet.meta.rise }, fade: { value: 1 },
        rest: { value: color.clone() }, flash: { value: FIRE.clone() },
      },
    });
    const points = new Points(geometry, material);
    points.frustumCulled = false;
    points.renderOrder = top ? 3 : 2;
    this.scene.add(points);
    return points;
  }

  outlines(sheet, w, h) {
    const material = new LineBasicMaterial({ color: "#46525f" });
    let first = 0;
    for (const count of sheet.meta.rings) {
      const ring = new Float32Array(3 * (count - 1));
      for (let i = 0; i < count - 1; i++) {
        ring[3 * i] = sheet.outline[2 * (first + i)] - w / 2;
        ring[3 * i + 2] = h / 2 - sheet.outline[2 * (first + i) + 1];
      }
      const geometry = new BufferGeometry().setAttribute("position", new BufferAttribute(ring, 3));
      this.scene.add(new LineLoop(geometry, material));
      first += count;
    }
  }

  segments() {
    const material = new ShaderMaterial({
      vertexShader: LINE_VERTEX, fragmentShader: LINE_FRAGMENT, transparent: true, depthWrite: false,
      uniforms: { part: { value: 0 }, threshold: { value: 0.5 }, strength: { value: 0.3 }, keep: { value: 1 } },
    });
    const lines = new LineSegments(new BufferGeometry(), material);
    lines.frustumCulled = false;
    lines.visible = false;
    this.scene.add(lines);
    return lines;
  }

  // Lines between the k-th unit and the k-th cell; color(k, tint) sets three numbers; weights follow by `weigh`.
  connect(lines, units, cells, color) {
    const count = units.length;
    const place = new Float32Array(6 * count), tint = new Uint8Array(6 * count), rank = new Uint8Array(2 * count);
    for (let k = 0; k < count; k++) {
      const unit = 3 * units[k], cell = 3 * cells[k], at = 6 * k;
      place[at] = this.foot[unit];
      place[at + 1] = this.unitTop(units[k]);
      place[at + 2] = this.foot[unit + 2];
      place[at + 3] = this.place[cell];
      place[at + 4] = this.place[cell + 1];
      place[at + 5] = this.place[cell + 2];
      color(k, tint, at);
      tint.copyWithin(at + 3, at, at + 3);
      rank[2 * k] = rank[2 * k + 1] = (k * 151) & 255;
    }
    lines.geometry.dispose();
    lines.geometry = new BufferGeometry();
    lines.geometry.setAttribute("position", new BufferAttribute(place, 3));
    lines.geometry.setAttribute("tint", new BufferAttribute(tint, 3, true));
    lines.geometry.setAttribute("rank", new BufferAttribute(rank, 1, true));
    for (const name of ["before", "after"]) lines.geometry.setAttribute(name, dynamic(new Uint8Array(2 * count).fill(255), 1, true));
    lines.visible = count > 0;
    this.fresh = true;
  }

  weigh(lines, name, level) { // level: weight of each connection at each of its ends, 0 to 255
    const attribute = lines.geometry.getAttribute(name);
    attribute.array = level;
    attribute.needsUpdate = true;
    this.fresh = true;
  }

  time(sweep, now, decay) {
    for (const points of [this.cells, this.units]) {
      const u = points.material.uniforms;
      u.sweep.value = sweep;
      u.now.value = now;
      u.decay.value = decay;
      u.fade.value = sweep < this.sheet.meta.sweeps ? 1 : 0;
    }
    this.fresh = true;
  }

  get fired() { return this.cells.geometry.getAttribute("fired"); }
  forget() { this.fired.array.fill(NEVER); this.fired.needsUpdate = true; this.fresh = true; }
  marks(points) { return points.geometry.getAttribute("mark"); }

  home() {
    this.camera.position.set(0.45, 0.9, 1.34);
    this.controls.update();
    this.fresh = true;
  }

  turn(around, up) {
    const off = this.camera.position.clone().sub(this.controls.target);
    const flat = Math.hypot(off.x, off.z), length = off.length();
    const azimuth = Math.atan2(off.x, off.z) + around;
    const height = Math.min(1.5, Math.max(-1.2, Math.atan2(off.y, flat) + up));
    off.set(Math.sin(azimuth) * Math.cos(height), Math.sin(height), Math.cos(azimuth) * Math.cos(height)).multiplyScalar(length);
    this.camera.position.copy(this.controls.target).add(off);
    this.controls.update();
    this.fresh = true;
  }

  zoom(factor) {
    const off = this.camera.position.clone().sub(this.controls.target);
    off.setLength(Math.min(6, Math.max(0.4, off.length() * factor)));
    this.camera.position.copy(this.controls.target).add(off);
    this.controls.update();
    this.fresh = true;
  }

  resize() {
    const w = this.canvas.clientWidth, h = this.canvas.clientHeight;
    if (this.w === w && this.h === h) return;
    this.w = w; this.h = h;
    const ratio = Math.min(2, window.devicePixelRatio || 1);
    this.renderer.setPixelRatio(ratio);
    this.renderer.setSize(w, h, false);
    this.camera.aspect = w / h;
    this.camera.fov = w / h < 1.1 ? 52 : 38;
    this.camera.updateProjectionMatrix();
    const pixels = (h * ratio) / (2 * Math.tan((this.camera.fov * Math.PI) / 360));
    for (const points of [this.cells, this.units]) points.material.uniforms.pixels.value = pixels;
    this.fresh = true;
  }

  draw() {
    this.resize();
    if (!this.fresh) return;
    this.fresh = false;
    this.renderer.render(this.scene, this.camera);
  }

  // Where a cell or unit appears, in CSS pixels of the canvas.
  screen(kind, i) {
    const v = this.scratch;
    if (kind === "cell") v.fromArray(this.place, 3 * i);
    else { v.fromArray(this.foot, 3 * i); v.y = this.unitTop(i); }
    v.project(this.camera);
    return [(v.x + 1) * 0.5 * this.w, (1 - v.y) * 0.5 * this.h];
  }

  // What lies under the pointer: units first, since they lie above.
  pick(x, y) {
    const sweep = this.cells.material.uniforms.sweep.value;
    this.camera.updateMatrixWorld();
    for (const [kind, count, born] of [["unit", this.m, this.sheet.emitted], ["cell", this.n, this.sheet.born]]) {
      let best = -1, near = kind === "unit" ? 100 : 81;
      for (let i = 0; i < count; i++) {
        if (born[i] > sweep) continue;
        const [px, py] = this.screen(kind, i);
        const d = (px - x) ** 2 + (py - y) ** 2;
        if (d < near) { near = d; best = i; }
      }
      if (best >= 0) return { kind, id: best };
    }
    return null;
  }
}
