"use strict";
/* The tab "Models": everything on the shelf as cards, from /v1/models. Strangers' texts go into the page as text, never as HTML. */
darkroom.models = (() => {
  const {ask} = darkroom;
  const KINDS = {checkpoint: "Checkpoints", lora: "LoRAs", embedding: "Embeddings", vae: "VAEs", "text encoder": "Text encoders", other: "Other files"};
  const ONE = {checkpoint: "checkpoint", lora: "LoRA", embedding: "embedding", vae: "VAE", "text encoder": "text encoder", other: "other file"};
  const FIELD = {checkpoint: "checkpoint", vae: "vae", "text encoder": "text_encoder"};
  const address = (kind, name) => `/v1/models/${[kind, ...name.split("/")].map(encodeURIComponent).join("/")}`;
  const json = (body) => new Blob([JSON.stringify(body)], {type: "application/json"});
  const put = (kind, name, changes) => ask("PUT", address(kind, name), json(changes));
  const usePicture = (kind, name, picture) => ask("POST", `${address(kind, name)}/preview`, json({picture}));
  const size = (bytes) => (bytes >= 1e9 ? `${(bytes / 1e9).toFixed(1)} GB` : bytes >= 1e6 ? `${Math.round(bytes / 1e6)} MB` : `${Math.max(1, Math.round(bytes / 1e3))} KB`);
  const short = (name) => name.split("/").at(-1);
  const title = (model) => model.label || short(model.name);
  const picture = (model) => (model.version ? darkroom.url(`${address(model.kind, model.name)}/preview?v=${model.version}`) : "");
  /* What goes into a prompt for it; the folder is named only where two have the same name. */
  const alone = (model, all) => !all.some((other) => other !== model && other.kind === model.kind && short(other.name) === short(model.name));
  const called = (model, all) => (alone(model, all) ? short(model.name) : model.name);
  const piece = (model, all) => (model.kind === "lora" ? `<lora:${called(model, all)}:${Number(model.weight.toPrecision(4))}>` : short(model.name));
  function reason(model, about) {
    if (model.problem) return model.problem;
    if (model.fits === false && about) return `Made for ${model.family_label || "something else"}; ${about.name} is ${about.label}.`;
    if (model.missing.length) return `Has no ${model.missing.join(" and no ")} of its own: choose ${model.missing.length > 1 ? "them" : "one"} under More.`;
    return "";
  }
  /* What cannot be picked at all (a ControlNet, a file of no kind that is known) is told, too. */
  const group = (model) => (model.kind in KINDS ? model.kind : "other");
  const usable = (model) => !model.problem && model.kind in KINDS;
  const facts = (model) => [size(model.size), model.precision, model.hash].filter(Boolean).join(" · ");
  return {KINDS, ONE, FIELD, put, usePicture, address, size, title, short, picture, piece, called, reason, facts, group, usable};
})();

darkroom.shelf = (host) => { darkroom.theShelf = new darkroom.Shelf(host); };

darkroom.Shelf = class {
  static PAGE = 60;

  constructor({element, props, trigger}) {
    Object.assign(this, {root: element.firstElementChild, props, trigger, all: [], found: [], drawn: 0, about: null, mayWrite: false, picks: new Map(), asked: 0});
    this.kind = darkroom.store.get("models.kind", "checkpoint");
    if (!(this.kind in darkroom.models.KINDS)) this.kind = "checkpoint";
    this.build();
    let seen = false;
    new IntersectionObserver((entries) => {
      const visible = entries.some((entry) => entry.isIntersecting);
      if (visible && !seen) this.load();
      seen = visible;
    }).observe(this.root);
  }

  build() {
    const {el, models} = darkroom;
    this.kinds = el("div", {class: "dr-kinds", role: "group", "aria-label": "Kind of model"}, ...Object.entries(models.KINDS).map(([kind, label]) => el("button",
      {type: "button", class: "dr-small", "data-kind": kind, onclick: () => { this.kind = kind; darkroom.store.set("models.kind", kind); this.filter(); }}, label, el("span", {class: "dr-count"}))));
    this.search = el("input", {type: "search", class: "dr-search", placeholder: "Search names, words and notes", "aria-label": "Search models", spellcheck: "false"});
    this.search.addEventListener("input", () => this.filter());
    this.fitting = el("input", {type: "checkbox", onchange: () => this.filter()});
    this.fittingLabel = el("label", {class: "dr-check"}, this.fitting, "Only what fits");
    this.refresh = el("button", {type: "button", class: "dr-small dr-shelf-refresh", title: "Look through the model folders again", onclick: () => this.load(true)}, "⟳ Refresh");
    this.count = el("p", {class: "dr-hint dr-shelf-count", role: "status", "aria-live": "polite"}, "Loading …");
    this.grid = el("div", {class: "dr-models-grid"});
    this.end = el("div", {class: "dr-models-end", "aria-hidden": "true"});
    this.empty = el("p", {class: "dr-empty", hidden: true});
    this.compare = el("div", {class: "dr-compare", role: "region", "aria-label": "Compare", hidden: true});
    this.details = new darkroom.ModelDetails(this);
    this.root.append(el("div", {class: "dr-shelf-bar"}, this.kinds, this.search, this.fittingLabel, this.refresh), this.count, this.grid, this.end, this.empty, this.compare, this.details.dialog);
    new IntersectionObserver((entries) => { if (entries.some((entry) => entry.isIntersecting)) this.more(); }, {rootMargin: "900px"}).observe(this.end);
  }

  /* ---- what there is */
  now() { return darkroom.values[darkroom.lastTask()] || {}; }

  async load(again = false) {
    const turn = ++this.asked, query = `?checkpoint=${encodeURIComponent(this.now().checkpoint || "")}`;
    this.refresh.disabled = true;
    try {
      const answer = again ? await darkroom.ask("POST", "/v1/models/refresh" + query) : await darkroom.ask("GET", "/v1/models" + query);
      if (turn !== this.asked) return;
      this.take(answer);
      if (again) this.trigger("refreshed");
    } catch (error) {
      if (turn === this.asked) this.count.textContent = error.message;
    } finally { if (turn === this.asked) this.refresh.disabled = false; }
  }

  take(answer) {
    const text = JSON.stringify(answer);
    if (text === this.taken) { this.mark(); return; }  // nothing changed: scroll and focus stay where they are
    this.taken = text;
    Object.assign(this, {all: answer.models, about: answer.checkpoint, mayWrite: answer.may_write});
    for (const model of this.all) model.sought = [model.name, model.label, model.notes, model.family_label, ...model.triggers].join("\n").toLowerCase();
    this.root.classList.toggle("read-only", !this.mayWrite);
    this.filter();
    this.drawCompare();
  }

  /* One that was changed, as the server has it now. */
  put(model) {
    const old = this.all.find((other) => other.kind === model.kind && other.name === model.name);
    this.taken = null;
    if (!old) return model;
    if (model.fits == null) model.fits = old.fits;
    Object.assign(old, model);
    old.sought = [old.name, old.label, old.notes, old.family_label, ...old.triggers].join("\n").toLowerCase();
    this.card(old)?.replaceWith(this.draw(old));
    return old;
  }

  /* ---- what is shown */
  filter() {
    const {models} = darkroom, words = this.search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const matching = this.all.filter((model) => words.every((word) => model.sought.includes(word)));
    for (const button of this.kinds.children) {
      const number = matching.filter((model) => models.group(model) === button.dataset.kind).length;
      button.lastChild.textContent = number ? ` ${number}` : "";
      button.classList.toggle("on", button.dataset.kind === this.kind);
      button.setAttribute("aria-pressed", String(button.dataset.kind === this.kind));
      button.hidden = !this.all.some((model) => models.group(model) === button.dataset.kind) && button.dataset.kind !== this.kind;
    }
    this.fittingLabel.hidden = this.kind === "checkpoint";
    const ranks = (model) => [model.favourite ? 0 : 1, model.problem ? 1 : 0];
    this.found = matching.filter((model) => models.group(model) === this.kind && !(this.fitting.checked && this.kind !== "checkpoint" && model.fits === false))
      .map((model, index) => [ranks(model), index, model]).sort(([one, at], [other, to]) => one[0] - other[0] || one[1] - other[1] || at - to).map(([, , model]) => model);
    this.grid.replaceChildren();
    this.drawn = 0;
    this.more();
    this.tell(words.length > 0);
  }

  tell(searching) {
    const {KINDS, ONE} = darkroom.models, number = this.found.length, name = number === 1 ? ONE[this.kind] : KINDS[this.kind].replace(/^(Ch|Em|Te|Ot)/, (start) => start.toLowerCase());
    const about = this.about && this.kind !== "checkpoint" ? ` Bright ones fit ${this.about.name} (${this.about.label}), the checkpoint of ${darkroom.TITLES[darkroom.lastTask()]}.` : "";
    this.count.textContent = `${number} ${name}.${number ? about : ""}`;
    this.empty.hidden = number > 0;
    this.empty.textContent = searching ? "Nothing has these words." : `There are no ${KINDS[this.kind]} here yet. Put files into the folder models and press Refresh.`;
  }

  more() {
    if (this.drawn >= this.found.length) return;
    this.grid.append(...this.found.slice(this.drawn, this.drawn + this.constructor.PAGE).map((model) => this.draw(model)));
    this.drawn = Math.min(this.found.length, this.drawn + this.constructor.PAGE);
    this.mark();
    requestAnimationFrame(() => { if (this.root.getClientRects().length && this.end.getBoundingClientRect().top < innerHeight + 900) this.more(); });
  }

  card(model) { return [...this.grid.children].find((card) => card.dataset.name === model.name && card.dataset.kind === model.kind); }

  draw(model) {
    const {el, models} = darkroom, picture = models.picture(model), said = models.reason(model, this.about), name = models.title(model);
    const face = picture ? el("img", {src: picture, alt: "", loading: "lazy", decoding: "async"}) : el("span", {class: "dr-model-letter", "aria-hidden": "true"}, name.slice(0, 1).toUpperCase());
    if (picture) face.addEventListener("error", () => face.replaceWith(el("span", {class: "dr-model-letter", "aria-hidden": "true"}, name.slice(0, 1).toUpperCase())), {once: true});
    const star = el("button", {type: "button", class: "dr-star" + (model.favourite ? " on" : ""), "aria-pressed": String(model.favourite), "aria-label": `Favourite: ${name}`, disabled: !this.mayWrite,
      onclick: () => this.favour(model)}, model.favourite ? "★" : "☆");
    const words = model.triggers.slice(0, 3).map((word) => this.chip(word));
    const more = model.triggers.length > 3 ? el("span", {class: "dr-hint"}, `+${model.triggers.length - 3}`) : null;
    const badge = model.family_label ? el("span", {class: "dr-badge"}, model.family_label) : null;
    return el("article", {class: "dr-model" + (model.problem ? " broken" : model.fits === false ? " dim" : ""), "data-kind": model.kind, "data-name": model.name, "aria-label": name},
      el("button", {type: "button", class: "dr-model-use", title: this.doing(model), "aria-label": `${this.doing(model)}: ${name}`, disabled: !models.usable(model), onclick: () => this.use(model)},
        el("span", {class: "dr-model-face"}, face), el("span", {class: "dr-model-name"}, name)),
      el("div", {class: "dr-model-badges"}, badge, model.variant ? el("span", {class: "dr-badge"}, model.variant) : null), star,
      el("div", {class: "dr-model-body"},
        el("div", {class: "dr-hint dr-model-facts"}, ...[model.label ? model.name : "", models.facts(model)].filter(Boolean).map((line) => el("div", {}, line))),
        said ? el("div", {class: model.problem ? "dr-model-problem" : "dr-model-reason"}, said) : null,
        words.length ? el("div", {class: "dr-words"}, ...words, more) : null,
        model.notes ? el("div", {class: "dr-model-notes"}, model.notes) : null,
        el("div", {class: "dr-model-foot"},
          !models.usable(model) ? el("span") : el("label", {class: "dr-check"}, el("input", {type: "checkbox", class: "dr-pick", checked: this.picks.has(this.key(model)), onchange: (event) => this.pick(model, event.target.checked)}), "Compare"),
          el("button", {type: "button", class: "dr-small dr-more-about", "aria-label": `Details: ${name}`, onclick: () => this.details.open(model)}, "Details"))));
  }

  doing(model) {
    const {FIELD, ONE} = darkroom.models;
    if (model.kind === "checkpoint") return "Choose in all tabs";
    return FIELD[model.kind] ? `Choose as ${ONE[model.kind]} in all tabs` : "Put into the prompt";
  }

  chip(word, field) {
    return darkroom.el("button", {type: "button", class: "dr-chip", title: `Put into the prompt: ${word}`, onclick: () => this.insert(word, word, field)}, word);
  }

  /* What is chosen or in the prompt carries a frame. */
  mark() {
    const {models, prompts} = darkroom, now = this.now(), text = `${now.prompt || ""}\n${now.negative_prompt || ""}`;
    for (const card of this.grid.children) {
      const {kind, name} = card.dataset, field = models.FIELD[kind];
      const model = field ? null : this.all.find((other) => other.kind === kind && other.name === name);
      const on = field ? now[field] === name : Boolean(model && prompts.holds(text, models.piece(model, this.all), models.called(model, this.all)));
      card.classList.toggle("on", on);
      card.querySelector(".dr-model-use").setAttribute("aria-pressed", String(on));
    }
  }

  /* ---- acting */
  key(model) { return `${model.kind}/${model.name}`; }

  async favour(model) {
    try {
      const had = this.card(model)?.contains(document.activeElement);
      this.put(await darkroom.models.put(model.kind, model.name, {favourite: !model.favourite}));
      if (had) this.card(model)?.querySelector(".dr-star").focus();
    } catch (error) { darkroom.say(error.message); }
  }

  use(model) {
    const {models} = darkroom, field = models.FIELD[model.kind];
    if (!field) {
      const piece = models.piece(model, this.all), name = models.called(model, this.all), {text} = darkroom.prompts.target();
      if (!darkroom.prompts.holds(text, piece, name)) darkroom.checkpoints.offer(darkroom.lastTask(), models.title(model), model.defaults || {});
      this.insert(piece, name);
      return;
    }
    const again = model.kind !== "checkpoint" && this.now()[field] === model.name;
    darkroom.picked.models = {field, name: again ? "" : model.name};
    this.trigger("choose");
    darkroom.say(again ? `The ${models.ONE[model.kind]} is the checkpoint's own again.` : `${models.title(model)} is chosen in all tabs.`, "note");
    setTimeout(() => (model.kind === "checkpoint" ? this.load() : this.mark()), 400);
  }

  insert(text, name, field) {
    darkroom.picked.piece = {text, name, field};
    this.trigger("insert");
    setTimeout(() => this.mark(), 300);
  }

  /* ---- compare */
  pick(model, on) {
    const other = [...this.picks.values()].find((picked) => picked.kind !== model.kind);
    if (on && other) {
      this.picks.clear();
      darkroom.say("Models of one kind are compared; the others were left out.", "note");
    }
    if (on) this.picks.set(this.key(model), model); else this.picks.delete(this.key(model));
    this.drawCompare();
  }

  drawCompare() {
    const {el, models} = darkroom;
    for (const [key, model] of this.picks) if (!this.all.includes(model)) {
      const now = this.all.find((other) => this.key(other) === key);
      if (now) this.picks.set(key, now); else this.picks.delete(key);
    }
    for (const box of this.grid.querySelectorAll(".dr-pick")) { const card = box.closest(".dr-model"); box.checked = this.picks.has(`${card.dataset.kind}/${card.dataset.name}`); }
    const picked = [...this.picks.values()], few = picked.length < 2;
    this.compare.hidden = !picked.length;
    this.compare.replaceChildren(
      el("span", {class: "dr-compare-names"}, picked.map((model) => models.title(model)).join(", ")),
      el("button", {type: "button", class: "dr-small on dr-compare-go", disabled: few, onclick: () => this.start(picked)}, few ? "Choose one more to compare" : `Compare these ${picked.length} with one prompt and seed`),
      el("button", {type: "button", class: "dr-small", onclick: () => { this.picks.clear(); this.drawCompare(); }}, "Clear"));
  }

  /* A grid of the last txt2img settings, one picture for each; its job is shown on that tab. */
  order(picked) {
    const {models, prompts, values} = darkroom, kind = picked[0].kind, base = {task: "txt2img"};
    for (const [name, value] of Object.entries(values.txt2img || {})) if (!name.startsWith("grid_") && value != null && value !== "" && !((name === "width" || name === "height") && !value)) base[name] = value;
    Object.assign(base, {batch_count: 1, batch_size: 1});
    if (models.FIELD[kind]) return {task: "grid", base, x: {field: models.FIELD[kind], values: picked.map((model) => model.name)}};
    const pieces = picked.map((model) => models.piece(model, this.all));
    let text = base.prompt || "";
    picked.forEach((model, index) => { if (prompts.holds(text, pieces[index], models.called(model, this.all))) text = prompts.without(text, pieces[index], models.called(model, this.all)); });
    base.prompt = prompts.joined(text, pieces[0], text.length, text.length).join("");
    return {task: "grid", base, x: {field: "prompt_sr", values: pieces}};
  }

  async start(picked) {
    try {
      const job = await darkroom.ask("POST", "/v1/jobs", new Blob([JSON.stringify(this.order(picked))], {type: "application/json"}));
      const view = darkroom.views.txt2img;
      if (view) view.attach(job.id); else darkroom.store.set("jobs.txt2img", [job.id, ...darkroom.store.get("jobs.txt2img", [])]);
      this.picks.clear();
      this.drawCompare();
      this.trigger("show_txt2img");
    } catch (error) { darkroom.say(error.message); }
  }
};

/* In the large view of a picture: it becomes the sample of the checkpoint that painted it, or of a LoRA in its prompt. */
darkroom.sampleButton = (current) => {
  const {el, ask, models, say} = darkroom, place = el("span", {class: "dr-sample"});
  async function use(model) {
    try {
      const now = await models.usePicture(model.kind, model.name, current().id);
      darkroom.theShelf?.put(now);
      say(`This is the sample picture of ${models.title(now)} now.`, "note");
    } catch (error) { say(error.message); }
    draw();
  }
  async function offer() {
    try {
      const {request} = await ask("GET", `/v1/outputs/${current().id}/request`), asked = request?.base || request || {}, {models: all} = await ask("GET", "/v1/models");
      const tags = [...(asked.prompt || "").matchAll(/<(?:lora|lyco):([^:>]+)/gi)].map((found) => found[1].toLowerCase());
      const found = all.filter((model) => (model.kind === "checkpoint" ? model.name === asked.checkpoint : model.kind === "lora" && [model.name, models.short(model.name)].some((name) => tags.includes(name.toLowerCase()))));
      if (!found.length) say("The model that made this picture is not on the shelf.", "note");
      else if (found.length === 1) await use(found[0]);
      else place.replaceChildren(el("span", {class: "dr-hint"}, "Of which?"), ...found.map((model) => el("button", {type: "button", class: "dr-small", onclick: () => use(model)}, models.title(model))));
    } catch (error) { say(error.message); }
  }
  const draw = () => place.replaceChildren(el("button", {type: "button", class: "dr-small", title: "The card of its model shows this picture from now on", onclick: offer}, "Use as the model's sample"));
  draw();
  return place;
};
