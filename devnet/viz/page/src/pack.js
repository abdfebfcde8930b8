// Parts as devnet/viz/scene.py packs them: header length, header, arrays padded to 4 bytes.
const TYPES = { u1: Uint8Array, u2: Uint16Array, u4: Uint32Array, f4: Float32Array };

export function unpack(buffer) {
  const size = new DataView(buffer).getUint32(0, true);
  const { meta, arrays } = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, size)));
  const part = { meta };
  let at = 4 + size;
  for (const [name, type, shape] of arrays) {
    const count = shape.reduce((a, b) => a * b, 1);
    part[name] = new TYPES[type](buffer, at, count);
    at += Math.ceil(part[name].byteLength / 4) * 4;
  }
  return part;
}

export async function inflate(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return unpack(await new Response(stream).arrayBuffer());
}

export function fromBase64(text) {
  const raw = atob(text);
  const bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
  return bytes;
}
