// Follow a run folder: ask which parts there are, and fetch those that are new.
const PAUSE = 700;

export async function view(app) {
  const { story, $ } = app;
  const known = {};
  let failed = "";
  const get = (path) => fetch(path, { cache: "no-store" }).catch(() => null); // null: nobody answers

  async function look() {
    const answer = await get("/parts");
    if (!answer) { $("status").textContent = "The server has stopped; what was read stays."; return; }
    if (!answer.ok) { $("status").textContent = `The server refuses this page (HTTP ${answer.status}).`; return; }
    const { parts, stages, errors } = await answer.json();
    let last = null;
    for (const [id, version] of Object.entries(parts)) {
      if (known[id] === version) continue;
      const part = await get(`/part/${id}`);
      if (!part?.ok) continue; // gone or damaged: the next list says so
      const bytes = new Uint8Array(await part.arrayBuffer());
      known[id] = version; // whether it can be shown or not
      await story.take(id, bytes);
      last = id;
    }
    if (last) {
      app.begin();
      app.refresh();
      app.autoplay();
    }
    const done = stages.length ? `Finished so far: ${stages.join(", ")}.` : "The run has not finished a stage yet.";
    $("status").textContent = [done, ...errors, failed].join(" ").trim();
    app.ready = true;
  }

  for (;;) {
    await look().catch((error) => { failed = `This page failed: ${error.message}.`; console.error(error); });
    await new Promise((done) => setTimeout(done, PAUSE));
  }
}
