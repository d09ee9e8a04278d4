"use strict";
/* What all parts of the page share: addresses, requests, remembered fields, keyboard, drops. */
window.darkroom = window.darkroom || (() => {
  const views = {}, editors = {}, pictures = {}, others = {}, counters = {}, drops = {}, pastes = {}, picked = {}, told = {}, values = {}, restored = {}, fresh = {};
  const TASKS = ["txt2img", "img2img", "inpaint", "outpaint", "zoom", "upscale"];
  const TITLES = {txt2img: "txt2img", img2img: "img2img", inpaint: "Inpaint", outpaint: "Outpaint", zoom: "Infinite zoom", upscale: "Upscale", grid: "Grids"};

  /* ---- small tools */
  function el(tag, attributes = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
      else if (value === true) made.setAttribute(name, "");
      else if (value !== false && value != null) made.setAttribute(name, value);
    }
    made.append(...children.filter((child) => child != null));
    return made;
  }
  const url = (path) => new URL(path.replace(/^\//, ""), document.baseURI).href;
  /* Seeds go to 2^64-1, numbers in JavaScript are exact to 2^53: seeds stay text. */
  const parse = (text) => JSON.parse(text.replace(/("(?:sub)?seed":\s*)(-?\d+)/g, '$1"$2"'));
  const store = {
    get(key, otherwise) { try { return JSON.parse(localStorage.getItem("darkroom." + key)) ?? otherwise; } catch { return otherwise; } },
    set(key, value) { try { localStorage.setItem("darkroom." + key, JSON.stringify(value)); } catch { /* private window: nothing is remembered */ } },
  };
  async function ask(method, path, body) {
    let answer;
    try { answer = await fetch(url(path), {method, body, headers: {Accept: "application/json"}}); }
    catch { throw Object.assign(new Error("Darkroom does not answer. Is it still running?"), {status: 0}); }
    const text = await answer.text();
    let found = null;
    try { found = text ? parse(text) : null; } catch { found = null; }
    if (!answer.ok) throw Object.assign(new Error([found?.error, found?.hint].filter(Boolean).join(" ") || `Darkroom answered with status ${answer.status}.`), {status: answer.status});
    return found;
  }
  const hand_in = (file) => ask("POST", "/v1/pictures", file);
  function say(sentence, kind = "error") {
    let corner = document.querySelector(".dr-toasts");
    if (!corner) corner = el("div", {class: "dr-toasts", role: "status", "aria-live": "polite"});
    const place = [...document.querySelectorAll("dialog[open]")].at(-1) || document.body;  // a dialog lies over everything else
    if (corner.parentElement !== place) place.append(corner);
    const toast = el("div", {class: "dr-toast " + kind}, sentence);
    corner.append(toast);
    setTimeout(() => toast.remove(), 9000);
    toast.addEventListener("click", () => toast.remove());
  }
  function duration(seconds) {
    const whole = Math.max(0, Math.round(seconds));
    return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)} min ${whole % 60} s`;
  }
  function visibleTask() {
    const button = [...document.querySelectorAll(".dr-go")].find((found) => found.offsetParent !== null || found.getClientRects().length);
    return button ? button.id.replace(/_go$/, "") : null;
  }

  /* The tab with a prompt that was used last, also while another one is shown. */
  let last = "txt2img";
  function lastTask() {
    const task = visibleTask();
    if (task && values[task]?.prompt !== undefined) last = task;
    return last;
  }
  for (const event of ["pointerdown", "keydown", "focusin"]) addEventListener(event, lastTask, true);

  /* ---- remembered fields: only in this browser, no request to the server */
  const pending = {};
  function remember(task, names, current) {
    values[task] = Object.fromEntries(names.map((name, index) => [name, current[index]]));
    for (const counter of counters[task] || []) counter(values[task]);
    if (!restored[task]) return;
    clearTimeout(pending[task]);
    pending[task] = setTimeout(() => keep(task), 250);
  }
  function keep(task) { delete pending[task]; store.set("fields." + task, values[task]); }
  addEventListener("pagehide", () => Object.keys(pending).forEach(keep));
  /* What was remembered may be damaged, or from another version: it must be of the kind that the field has now. */
  function fits(kept, now) {
    if (kept == null) return false;
    return now == null || now === "" || (typeof kept === typeof now && Array.isArray(kept) === Array.isArray(now));
  }
  function restore(task, names, current) {
    restored[task] = true;
    const kept = store.get("fields." + task, {});
    fresh[task] = !Object.keys(kept).length;
    const found = names.map((name, index) => (fits(kept[name], current[index]) ? kept[name] : current[index]));
    remember(task, names, found);
    return found;
  }
  async function beforeSubmit(task, names, current) {
    const holder = editors[task] || pictures[task];  // a picture or mask may still be on its way to the server
    if (holder) current[names.indexOf("image")] = await holder.flush();
    for (const [field, other] of Object.entries(others[task] || {})) current[names.indexOf(field)] = await other.flush();
    if (matchMedia("(max-width: 767px)").matches) document.getElementById(task + "_job")?.scrollIntoView({behavior: "smooth", block: "start"});
    return current;
  }

  /* ---- keyboard */
  addEventListener("keydown", (event) => {
    if (event.isComposing) return;  // an input method takes Enter and Esc for itself
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      const task = visibleTask();
      if (!task || document.querySelector("dialog[open]")) return;
      event.preventDefault();
      document.getElementById(task + "_go").click();
    } else if (event.key === "Escape" && !event.defaultPrevented && !document.querySelector("dialog[open], ul[role=listbox]")) {
      views[visibleTask()]?.stop();
    }
  });

  /* ---- files dropped or pasted anywhere */
  const files = (transfer) => [...(transfer?.files || [])].filter((file) => file.type.startsWith("image/"));
  addEventListener("dragover", (event) => { if ([...(event.dataTransfer?.types || [])].includes("Files")) event.preventDefault(); });
  addEventListener("drop", (event) => {
    if (event.defaultPrevented) return;
    const [file] = files(event.dataTransfer);
    if (![...(event.dataTransfer?.types || [])].includes("Files")) return;
    event.preventDefault();
    const task = visibleTask();
    if (file && task && event.target.closest?.(`#${task}_prompt, #${task}_negative_prompt`)) drops[task]?.(file);
  });
  const INFOTEXT = /(^|\n)\s*Steps: *\d+ *, .*\w: /;  // as app.parameters reads it, roughly: the server decides
  addEventListener("paste", (event) => {
    const task = visibleTask(), [file] = files(event.clipboardData);
    const text = file ? "" : event.clipboardData?.getData("text/plain") || "";
    if (pastes[task] && INFOTEXT.test(text.slice(0, 65536)) && event.target.closest?.(`#${task}_prompt`)) {
      event.preventDefault();
      pastes[task](text);
      return;
    }
    const target = editors[task] || pictures[task];
    if (!file || !target) return;
    event.preventDefault();
    target.open(file);
  });

  /* ---- help texts of narrow fields are tooltips, see style.css */
  addEventListener("mouseover", (event) => {
    const field = event.target.closest?.(".dr-row .block");
    if (field && !field.title) field.title = field.querySelector(".info-text")?.textContent.trim() || "";
  });

  /* ---- theme asked for at start */
  function applyTheme() {
    if (!window.darkroomTheme || new URL(location.href).searchParams.has("__theme")) return;
    document.body?.classList.toggle("dark", window.darkroomTheme === "dark");
  }
  if (window.darkroomTheme) {
    applyTheme();
    addEventListener("load", applyTheme);
    new MutationObserver(() => { if (document.body.classList.contains("dark") !== (window.darkroomTheme === "dark")) applyTheme(); })
      .observe(document.body, {attributes: true, attributeFilter: ["class"]});
  }

  /* ---- the smaller parts */
  function tokenCounter({element, props, server}) {
    const face = el("span", {class: "dr-tokens", title: "Tokens of the prompt, and how many fit before another chunk begins"});
    element.firstElementChild.append(face);
    let asked = null, timer = 0;
    async function count(checkpoint, text) {
      asked = checkpoint + "\n" + text;
      try {
        const [used, limit] = await server.count({checkpoint: checkpoint || "", text, field: props.field});
        if (asked !== checkpoint + "\n" + text) return;
        face.textContent = used === undefined ? "" : `${used}/${limit}`;
        face.classList.toggle("over", limit > 75);
      } catch { face.textContent = ""; }
    }
    (counters[props.task] ||= []).push((current) => {
      const text = current[props.field] || "", key = (current.checkpoint || "") + "\n" + text;
      clearTimeout(timer);
      if (!text.trim()) { face.textContent = ""; asked = null; return; }
      if (key !== asked) timer = setTimeout(() => count(current.checkpoint, text), 600);
    });
    if (values[props.task]) counters[props.task].at(-1)(values[props.task]);
  }
  /* The size that hires fix makes of a first pass; the same rule as in app/hires.py. */
  function hiresTarget(width, height, now) {
    const wide = Number(now.hr_resize_x) || 0, high = Number(now.hr_resize_y) || 0, cells = (pixels) => Math.floor(pixels / 8) * 8;
    if (!wide && !high) return [cells(Math.floor(width * now.hr_scale)), cells(Math.floor(height * now.hr_scale))];
    return [cells(wide || Math.floor(high * width / height)), cells(high || Math.floor(wide * height / width))];
  }
  function hiresSize({element, props}) {
    const face = el("span", {class: "dr-hint"}), heading = element.closest(".dr-group")?.querySelector("button > span");
    element.firstElementChild.append(face);
    (counters[props.task] ||= []).push((now) => {
      const {width, height} = now;
      if (!width || !height) { face.textContent = ""; return; }
      const [to_width, to_height] = hiresTarget(width, height, now);
      face.textContent = `From ${width}x${height} to ${to_width}x${to_height}`;
      if (heading) heading.dataset.state = now.enable_hr ? ` · ${width}x${height} → ${to_width}x${to_height}` : "";
    });
    if (values[props.task]) counters[props.task].at(-1)(values[props.task]);
  }
  function examples({element, props, trigger}) {
    const list = element.firstElementChild;
    list.append(el("span", {class: "dr-hint"}, "Try"));
    for (const prompt of props.prompts) {
      const short = prompt.length > 44 ? prompt.slice(0, 42).replace(/[ ,]+\S*$/, "") + " …" : prompt;
      list.append(el("button", {type: "button", class: "dr-chip", title: prompt, onclick: () => { picked[props.task] = prompt; trigger("pick"); }}, short));
    }
  }
  function parameterDrop({element, props, trigger}) {
    const input = el("input", {type: "file", accept: "image/png,image/jpeg,image/webp", class: "dr-file"});
    const zone = el("label", {class: "dr-drop", tabindex: "0"}, "Drop a picture here, or on the prompt, to read its parameters", input);
    async function read(file) {
      try {
        const found = await hand_in(file);
        if (found.request) trigger("parameters", {request: found.request, notes: found.notes});
        else say(["There are no parameters in this picture.", ...found.notes].join(" "), "note");
      } catch (error) { say(error.message); }
    }
    input.addEventListener("change", () => { if (input.files[0]) read(input.files[0]); input.value = ""; });
    zone.addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); input.click(); } });
    zone.addEventListener("dragover", (event) => { event.preventDefault(); zone.classList.add("over"); });
    zone.addEventListener("dragleave", () => zone.classList.remove("over"));
    zone.addEventListener("drop", (event) => {
      event.preventDefault();
      zone.classList.remove("over");
      const [file] = files(event.dataTransfer);
      if (file) read(file); else say("That is not a picture.", "note");
    });
    drops[props.task] = read;
    pastes[props.task] = (text) => trigger("parameters", {text});
    const arrow = el("button", {type: "button", class: "dr-chip", id: props.task + "_paste", title: "Read parameters from the prompt, or from the last picture when it is empty",
      onclick: () => pastes[props.task](document.querySelector(`#${props.task}_prompt textarea`)?.value || "")}, "↙ Parameters");
    element.firstElementChild.append(el("div", {class: "dr-recall"}, arrow, zone));
  }

  return {
    TASKS, TITLES, views, editors, counters, pictures, others, picked, told, values, fresh, el, url, parse, ask, hand_in, say, store, duration, files, visibleTask,
    lastTask, remember, restore, beforeSubmit, tokenCounter, hiresSize, examples, parameterDrop,
    stop: (task) => views[task]?.stop(),
    lastSeed: (task, name, current) => views[task]?.seed(name) ?? current,
  };
})();
