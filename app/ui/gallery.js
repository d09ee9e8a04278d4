"use strict";
/* All that was made, newest first, from /v1/outputs. */
darkroom.gallery = ({element, trigger}) => {
  const {el, ask, url, TASKS, TITLES} = darkroom, PAGE = 48;
  const root = element.firstElementChild;
  let shown = [], busy = false, seen = false, asked = 0;
  const filter = el("select", {"aria-label": "Show"}, el("option", {value: ""}, "Everything"), ...[...TASKS, "grid"].map((task) => el("option", {value: task}, TITLES[task])));
  const refresh = el("button", {type: "button", class: "dr-small", onclick: () => load(true)}, "Refresh");
  const grid = el("div", {class: "dr-grid"});
  const note = el("p", {class: "dr-empty", role: "status"}, "Loading …");
  const more = el("button", {type: "button", class: "dr-small dr-more-button", hidden: true, onclick: () => load(false)}, "Load more");
  root.append(el("div", {class: "dr-gallery-bar"}, filter, refresh), note, grid, more);

  async function load(fresh) {
    if (busy && !fresh) return;
    const turn = ++asked;
    busy = true;
    refresh.disabled = true;
    try {
      const before = !fresh && shown.length ? `&before=${encodeURIComponent(shown.at(-1).id)}` : "";
      const answer = await ask("GET", `/v1/outputs?limit=${PAGE}&task=${filter.value}${before}`);
      if (turn !== asked) return;
      const found = Array.isArray(answer) ? answer : answer.outputs;
      shown = fresh ? found : [...shown, ...found];
      if (fresh) grid.replaceChildren();
      grid.append(...found.map(tile));
      more.hidden = found.length < PAGE;
      note.hidden = shown.length > 0;
      note.textContent = "Nothing here yet. What you make in the other tabs is kept and shown here.";
    } catch (error) {
      note.hidden = false;
      note.textContent = error.message;
    } finally { if (turn === asked) { busy = false; refresh.disabled = false; } }
  }
  function tile(output) {
    const title = output.request?.prompt || output.infotext || TITLES[output.task] || "";
    return el("button", {type: "button", class: "dr-tile " + output.kind, "data-id": output.id, title: title.slice(0, 300), "aria-label": title.slice(0, 80) || "picture",
      onclick: () => darkroom.viewer.open(shown, shown.findIndex((item) => item.id === output.id), {trigger, onDelete: remove})}, el("img", {src: url(output.thumb), alt: "", loading: "lazy"}));
  }
  async function remove(output) {
    if (!confirm(output.foreign ? "Take this picture out of the gallery? Its file stays in the folder of the other program." : "Delete this picture for good?")) return;
    try {
      await ask("DELETE", `/v1/outputs/${output.id}`);
      shown = shown.filter((item) => item.id !== output.id);
      grid.querySelector(`[data-id="${output.id}"]`)?.remove();
      note.hidden = shown.length > 0;
      darkroom.viewer.drop(output.id);
    } catch (error) { darkroom.say(error.message); }
  }
  filter.addEventListener("change", () => load(true));
  new IntersectionObserver((entries) => {
    const visible = entries.some((entry) => entry.isIntersecting);
    if (visible && !seen) load(true);
    seen = visible;
  }).observe(root);
};
