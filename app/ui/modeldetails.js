"use strict";
/* All about one model, in a dialog: what it says of itself, what its user says of it, its picture and what it brings along. */
darkroom.ModelDetails = class {
  constructor(shelf) {
    this.shelf = shelf;
    this.dialog = darkroom.el("dialog", {class: "dr-model-details", "aria-label": "Model"});
    this.dialog.addEventListener("click", (event) => { if (event.target === this.dialog) this.dialog.close(); });
    this.dialog.addEventListener("keydown", (event) => { if (event.key === "Escape") event.stopPropagation(); });
    this.dialog.addEventListener("close", () => { this.shelf.card(this.model)?.querySelector(".dr-more-about")?.focus(); this.dialog.replaceChildren(); });
  }

  open(model) {
    this.model = model;
    this.draw();
    this.dialog.showModal();
    this.dialog.querySelector(".dr-close").focus();
  }

  draw() {
    const {el, models} = darkroom, {model, shelf} = this, picture = models.picture(model), said = models.reason(model, shelf.about);
    this.saved = el("span", {class: "dr-hint", role: "status", "aria-live": "polite"});
    this.strip = el("div", {class: "dr-pick-strip", hidden: true});
    const face = el("div", {class: "dr-details-face"}, picture ? el("img", {src: picture, alt: `Sample picture of ${models.title(model)}`}) : el("span", {class: "dr-empty"}, "No sample picture yet."));
    this.dialog.replaceChildren(
      el("div", {class: "dr-details-head"}, el("h3", {}, models.title(model)), el("button", {type: "button", class: "dr-small dr-close", "aria-label": "Close", onclick: () => this.dialog.close()}, "✕")),
      el("div", {class: "dr-details-columns"},
        el("div", {class: "dr-details-side"}, face,
          shelf.mayWrite ? el("button", {type: "button", class: "dr-small dr-choose-picture", onclick: () => this.offer()}, "Choose a picture of yours …") : null, this.strip,
          !models.usable(model) ? null : el("button", {type: "button", class: "dr-small on dr-details-use", onclick: () => { shelf.use(model); this.dialog.close(); }}, shelf.doing(model))),
        el("div", {class: "dr-details-main"}, said ? el("p", {class: model.problem ? "dr-model-problem" : "dr-model-reason"}, said) : null,
          this.facts(), this.words(), this.notes(), model.defaults ? this.defaults() : null,
          model.description ? el("details", {open: model.description.length < 400}, el("summary", {}, "What it says of itself"), el("p", {class: "dr-description"}, model.description)) : null)),
      this.saved);
  }

  facts() {
    const {el, models} = darkroom, {model} = this;
    const kinds = {epsilon: "noise (epsilon)", v_prediction: "velocity (v)", sample: "the picture"};
    const rows = [["Kind", models.ONE[model.kind] || model.kind], ["Made for", model.family_label || "not known"], ["Variant", model.variant], ["Predicts", model.kind === "checkpoint" ? kinds[model.prediction] : ""],
      ["Native size", model.kind === "checkpoint" && model.native ? `${model.native} × ${model.native}` : ""], ["Stored as", model.precision], ["Size", models.size(model.size)],
      ["Hash", model.hash], ["File", model.path || model.file]];
    return el("dl", {class: "dr-facts"}, ...rows.filter(([, value]) => value).flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
  }

  field(label, input, hint) {
    const {el} = darkroom;
    input.disabled = !this.shelf.mayWrite;
    return el("label", {class: "dr-field"}, el("span", {class: "dr-label"}, label), input, hint ? el("span", {class: "dr-hint"}, hint) : null);
  }

  words() {
    const {el} = darkroom, {model, shelf} = this, own = model.own.triggers;
    if (!["lora", "checkpoint", "embedding"].includes(model.kind)) return null;
    const input = el("input", {type: "text", class: "dr-text dr-own-words", value: own.join(", "), placeholder: own.length ? "" : model.triggers.join(", ")});
    input.addEventListener("change", () => this.keep({triggers: input.value.split(",")}));
    this.chips = el("div", {class: "dr-words"});
    this.drawChips();
    const negative = model.negative ? el("div", {class: "dr-words"}, el("span", {class: "dr-hint"}, "For the negative prompt:"), shelf.chip(model.negative, "negative_prompt")) : null;
    const weight = el("input", {type: "number", class: "dr-text dr-own-weight", step: "0.05", min: "-10", max: "10", value: String(Number(model.weight.toPrecision(4)))});
    weight.addEventListener("change", () => this.keep({weight: Number(weight.value) || 0}));
    return el("div", {class: "dr-details-words"}, this.chips, negative,
      this.field("Trigger words", input, own.length ? "Yours, separated by commas. Empty: what the file says." : "Separated by commas. Yours go before what the file says."),
      model.kind === "lora" ? this.field("Weight in the prompt", weight) : null);
  }

  drawChips() { this.chips?.replaceChildren(...this.model.triggers.map((word) => this.shelf.chip(word))); }

  notes() {
    const area = darkroom.el("textarea", {class: "dr-text dr-own-notes", rows: "4", maxlength: "20000", placeholder: "What you want to remember about it"});
    area.value = this.model.notes;
    area.addEventListener("change", () => this.keep({notes: area.value}));
    return this.field("Notes", area, this.model.notes && !this.model.own.notes ? "From the file beside the model; what you write here goes before it." : "");
  }

  defaults() {
    const {el} = darkroom, {model, shelf} = this, {labels} = shelf.props, own = model.own.defaults;
    const rows = Object.entries(model.defaults).map(([name, value]) => el("li", {}, `${labels[name] || name}: ${value === "" ? "empty" : value}`, name in own ? el("span", {class: "dr-hint"}, " yours") : null));
    if (model.kind === "lora") return rows.length ? el("section", {}, el("div", {class: "dr-label"}, "Goes with"), el("ul", {class: "dr-defaults"}, ...rows)) : null;
    const forget = el("button", {type: "button", class: "dr-small dr-forget", onclick: () => this.keep({defaults: {}}, true)}, "Forget mine");
    return el("section", {}, el("div", {class: "dr-label"}, "Sets when chosen"), rows.length ? el("ul", {class: "dr-defaults"}, ...rows) : el("p", {class: "dr-hint"}, "Nothing."),
      Object.keys(own).length && shelf.mayWrite ? forget : el("p", {class: "dr-hint"}, "To save your own, set up a tab and press “Save the current settings as this checkpoint's defaults” under its checkpoint."));
  }

  /* Fields stay as they are while somebody types in the next one. */
  async keep(changes, redraw = false) {
    const {model} = this;
    try {
      const now = this.shelf.put(await darkroom.models.put(model.kind, model.name, changes));
      if (this.model !== model || !this.dialog.open) return;
      this.model = now;
      if (redraw) this.draw(); else this.drawChips();
      if (redraw) this.dialog.querySelector(".dr-close").focus();
      this.saved.textContent = "Saved.";
    } catch (error) { this.saved.textContent = error.message; darkroom.say(error.message); }
  }

  /* The newest pictures, those that this model made first. */
  async offer() {
    const {el, ask, url, models} = darkroom, {model} = this;
    this.strip.hidden = false;
    this.strip.replaceChildren(el("span", {class: "dr-hint"}, "Looking …"));
    try {
      const answer = await ask("GET", "/v1/outputs?limit=200");
      const mark = model.kind === "checkpoint" ? `Model: ${models.short(model.name)}` : models.short(model.name);
      const images = answer.filter((output) => output.kind === "image" && output.task !== "grid"), its = images.filter((output) => output.infotext.includes(mark));
      const list = [...its, ...images.filter((output) => !its.includes(output))].slice(0, 24);
      this.strip.replaceChildren(...(list.length ? list.map((output, index) => el("button", {type: "button", class: "dr-pick-picture", "aria-label": `Use picture ${index + 1}`, onclick: () => this.choose(output)},
        el("img", {src: url(`${output.thumb}?side=128`), alt: "", loading: "lazy"}))) : [el("span", {class: "dr-hint"}, "Nothing was made yet.")]));
      this.strip.querySelector("button")?.focus();
    } catch (error) { this.strip.replaceChildren(el("span", {class: "dr-hint"}, error.message)); }
  }

  async choose(output) {
    try {
      this.model = this.shelf.put(await darkroom.models.usePicture(this.model.kind, this.model.name, output.id));
      this.draw();
      this.saved.textContent = "This picture is its sample now.";
      this.dialog.querySelector(".dr-choose-picture")?.focus();
    } catch (error) { this.saved.textContent = error.message; }
  }
};
