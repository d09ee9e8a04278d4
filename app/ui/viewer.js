"use strict";
/* A picture large over the page: arrows, parameters, download, send to. Used by the results and by the gallery. */
darkroom.media = (output, large = true) => {
  const {el, url} = darkroom;
  if (output.kind === "video" && /\.mp4$/.test(output.url)) return el("video", {src: url(output.url), controls: large, autoplay: true, loop: true, muted: true, playsinline: true});
  return el("img", {src: url(large ? output.url : output.thumb), alt: output.alt || "result", loading: large ? "eager" : "lazy", draggable: "true"});
};

darkroom.describe = (request, output) => {
  if (!request) return "";
  const pairs = [["Steps", request.steps], ["Sampler", request.sampler], ["Schedule type", request.schedule], ["CFG scale", request.cfg_scale],
    ["Seed", output?.seed ?? request.seed], ["Size", output ? `${output.width}x${output.height}` : null], ["Denoising strength", request.denoising_strength], ["Model", request.checkpoint]];
  const negative = request.negative_prompt ? `\nNegative prompt: ${request.negative_prompt}` : "";
  if (request.task === "upscale") return request.parameters;
  return `${request.prompt}${negative}\n` + pairs.filter(([, value]) => value != null && value !== "").map(([name, value]) => `${name}: ${value}`).join(", ");
};

/* Shows what is known at once, then the text that was saved with the picture. */
darkroom.tellParameters = async (face, output, request) => {
  if (face.dataset.id === output.id) return;
  face.dataset.id = output.id;
  face.textContent = output.infotext || darkroom.describe(request, output);
  if (output.infotext) return;
  try {
    output.infotext = (await darkroom.ask("GET", `/v1/outputs/${output.id}/request`)).infotext;
    if (output.infotext && face.dataset.id === output.id) face.textContent = output.infotext;
  } catch { /* deleted meanwhile: the short text stays */ }
};

darkroom.sendButtons = (trigger, current, skip) => {
  const {el, TASKS, TITLES} = darkroom;
  return el("div", {class: "dr-send"}, el("span", {class: "dr-hint"}, "Send to"),
    ...TASKS.filter((task) => task !== skip).map((task) => el("button", {type: "button", class: "dr-small", "data-send": task, onclick: () => {
      const output = current();
      if (output) { darkroom.viewer.close(); trigger("send_" + task, {id: output.id}); }
    }}, TITLES[task])));
};

/* One click: a job that makes the picture four times as large begins, and its tab is shown. */
darkroom.upscaleButton = (trigger, current) => {
  const button = darkroom.el("button", {type: "button", class: "dr-small dr-upscale", title: "Make it four times as wide and as high", onclick: async () => {
    const output = current();
    if (!output || output.kind === "video") { darkroom.say("Pick a picture to enlarge; videos stay as they are.", "note"); return; }
    button.disabled = true;
    try {
      const {ask, url, hand_in, store} = darkroom;
      const {id} = await hand_in(await (await fetch(url(output.url))).blob());
      const {infotext} = await ask("GET", `/v1/outputs/${output.id}/request`);
      const order = JSON.stringify({task: "upscale", image: id, scale: 4, parameters: infotext.slice(0, 32768)});
      const job = await ask("POST", "/v1/jobs", new Blob([order], {type: "application/json"}));
      const view = darkroom.views.upscale;  // a tab is drawn when it is first shown: until then its jobs are remembered only
      if (view) view.attach(job.id); else store.set("jobs.upscale", [job.id, ...store.get("jobs.upscale", [])]);
      darkroom.viewer.close();
      trigger("send_upscale", {id: output.id});
    } catch (error) { darkroom.say(error.message); }
    button.disabled = false;
  }}, "Upscale x4");
  return button;
};

darkroom.viewer = (() => {
  const {el, url} = darkroom;
  let dialog = null, items = [], index = 0, options = {};
  const current = () => items[index];
  function make() {
    dialog = el("dialog", {class: "dr-viewer", "aria-label": "Picture"});
    dialog.addEventListener("click", (event) => { if (event.target === dialog || event.target.classList.contains("dr-viewer-stage")) dialog.close(); });
    dialog.addEventListener("keydown", (event) => {
      if (event.key === "ArrowLeft" || event.key === "ArrowRight") { event.preventDefault(); move(event.key === "ArrowLeft" ? -1 : 1); }
      if (event.key === "Escape") event.stopPropagation();
    });
    dialog.addEventListener("close", () => { dialog.replaceChildren(); options.onclose?.(current()); });
    document.body.append(dialog);
  }
  function move(by) {
    const next = index + by;
    if (next < 0 || next >= items.length) return;
    index = next;
    draw();
  }
  function draw() {
    const output = current();
    const text = el("pre", {class: "dr-infotext"});
    darkroom.tellParameters(text, output, output.request);
    const copy = el("button", {type: "button", class: "dr-small", onclick: async () => {
      try { await navigator.clipboard.writeText(text.textContent); copy.textContent = "Copied"; } catch { darkroom.say("The browser did not allow copying.", "note"); }
    }}, "Copy parameters");
    dialog.replaceChildren(
      el("div", {class: "dr-viewer-stage"}, darkroom.media(output)),
      el("aside", {class: "dr-viewer-side"},
        el("div", {class: "dr-viewer-bar"},
          el("button", {type: "button", class: "dr-small", "aria-label": "Previous picture", disabled: index === 0, onclick: () => move(-1)}, "←"),
          el("span", {class: "dr-hint"}, `${index + 1} of ${items.length}`),
          el("button", {type: "button", class: "dr-small", "aria-label": "Next picture", disabled: index === items.length - 1, onclick: () => move(1)}, "→"),
          el("button", {type: "button", class: "dr-small dr-close", "aria-label": "Close", onclick: () => dialog.close()}, "✕")),
        text,
        el("div", {class: "dr-send"}, copy,
          el("a", {class: "dr-small", href: url(output.url), download: output.url.split("/").pop()}, "Download"),
          options.trigger ? darkroom.upscaleButton(options.trigger, current) : null,
          output.kind === "image" && output.task !== "upscale" ? darkroom.sampleButton(current) : null,
          options.onDelete ? el("button", {type: "button", class: "dr-small dr-danger", onclick: () => options.onDelete(output)}, "Delete") : null),
        options.trigger ? darkroom.sendButtons(options.trigger, current, null) : null));
    dialog.querySelector(".dr-close").focus();
  }
  return {
    open(list, at, more = {}) {
      if (!dialog) make();
      [items, index, options] = [list, at, more];
      if (!items.length) return;
      draw();
      if (!dialog.open) dialog.showModal();
    },
    close() { if (dialog?.open) dialog.close(); },
    drop(id) {
      items = items.filter((item) => item.id !== id);
      index = Math.min(index, items.length - 1);
      if (items.length) draw(); else this.close();
    },
  };
})();
