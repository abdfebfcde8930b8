// Follow a run folder: ask which parts there are, and fetch those that are new.
const PAUSE = 700;

export async function view(app) {
  const { story, $ } = app;
  const known = {};
  for (;;) {
    try {
      const answer = await fetch("/parts", { cache: "no-store" });
      if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
      const { parts, stages } = await answer.json();
      let last = null;
      for (const [id, version] of Object.entries(parts)) {
        if (known[id] === version) continue;
        const part = await fetch(`/part/${id}`, { cache: "no-store" });
        if (!part.ok) continue; // it changes just now: next time
        await story.take(id, new Uint8Array(await part.arrayBuffer()));
        known[id] = version;
        last = id;
      }
      $("status").textContent = stages.length ? `Finished so far: ${stages.join(", ")}.` : "The run has not finished a stage yet.";
      if (last) {
        app.begin();
        app.refresh();
        if (!app.touched && !app.playing) $("play").click();
      }
      app.ready = true;
    } catch (error) {
      $("status").textContent = "The server has stopped; what was read stays.";
    }
    await new Promise((done) => setTimeout(done, PAUSE));
  }
}
