"use strict";
/* Paint the part of a picture that is to be made anew. 2D canvas only; mouse, pen and touch; the mask goes to /v1/pictures. */
darkroom.maskEditor = (host) => { darkroom.editors[host.props.task] = new darkroom.MaskEditor(host); };

darkroom.MaskEditor = class {
  static COLOUR = "#ff8a1f";
  static UNDO_BYTES = 128 * 2 ** 20;

  constructor(host) {
    Object.assign(this, {host, tool: "brush", scale: 1, left: 0, top: 0, undone: [], done: [], pointers: new Map(), image: null, mask: null, dirty: false, saving: null});
    this.build();
    this.listen();
    host.watch("value", () => this.receive(host.props.value));
    new ResizeObserver(() => { if (!this.touched) this.fit(); }).observe(this.view);
    this.receive(host.props.value);
  }

  /* ---- drawing, once */
  build() {
    const {el} = darkroom;
    const act = (name, face, title) => el("button", {type: "button", class: "dr-small", "data-act": name, title, onclick: () => { this[name](); this.mark(); }}, face);
    this.size = el("input", {type: "range", min: "1", max: "256", value: "24", "aria-label": "Brush size", class: "dr-brush-size"});
    this.file = el("input", {type: "file", accept: "image/png,image/jpeg,image/webp", class: "dr-file"});
    this.maskFile = el("input", {type: "file", accept: "image/png,image/jpeg,image/webp", class: "dr-file"});
    this.bar = el("div", {class: "dr-tools", role: "toolbar", "aria-label": "Mask tools"},
      act("brush", "Brush", "Paint (B)"), act("erase", "Erase", "Erase (E)"),
      el("label", {class: "dr-range", title: "Size ([ and ])"}, "Size", this.size),
      act("undo", "↶", "Undo (Ctrl+Z)"), act("redo", "↷", "Redo (Ctrl+Shift+Z)"), act("clear", "Clear", "Remove the mask"), act("invert", "Invert", "Swap painted and unpainted"), act("fit", "Fit", "Show all (0)"));
    this.files = el("div", {class: "dr-tools"},
      el("label", {class: "dr-small", tabindex: "0"}, "Open picture", this.file), el("label", {class: "dr-small", tabindex: "0"}, "Open mask", this.maskFile), act("close", "Remove", "Remove the picture"),
      (this.note = el("span", {class: "dr-hint", role: "status"})));
    this.picture = el("canvas");
    this.paint = el("canvas", {class: "dr-mask"});
    this.ring = el("div", {class: "dr-ring", hidden: true});
    this.hint = el("div", {class: "dr-empty"}, "Drop, paste or click to choose a picture, then paint over the part to make anew");
    this.view = el("div", {class: "dr-view"}, this.picture, this.paint, this.ring, this.hint);
    this.root = el("div", {class: "dr-editor", tabindex: "0", role: "group", "aria-label": "Mask editor"}, el("div", {class: "dr-label"}, this.host.props.label || "Image"), this.view, this.bar, this.files);
    this.pen = this.paint.getContext("2d", {willReadFrequently: true});
    this.host.element.firstElementChild.append(this.root);
    this.mark();
  }

  listen() {
    const view = this.view;
    view.addEventListener("pointerdown", (event) => this.down(event));
    view.addEventListener("pointermove", (event) => this.move(event));
    for (const name of ["pointerup", "pointercancel"]) view.addEventListener(name, (event) => this.up(event));
    view.addEventListener("pointerleave", () => { this.ring.hidden = true; });
    view.addEventListener("click", () => { if (!this.image) this.file.click(); });
    view.addEventListener("wheel", (event) => {
      if (!this.image || !(event.ctrlKey || document.activeElement === this.root || this.root.contains(document.activeElement))) return;
      event.preventDefault();
      this.zoom(event.deltaY < 0 ? 1.15 : 1 / 1.15, ...this.at(event));
    }, {passive: false});
    view.addEventListener("dragover", (event) => { event.preventDefault(); view.classList.add("over"); });
    view.addEventListener("dragleave", () => view.classList.remove("over"));
    view.addEventListener("drop", async (event) => {
      event.preventDefault();
      view.classList.remove("over");
      const file = await darkroom.dropped(event.dataTransfer);
      if (file) this.open(file); else darkroom.say("That is not a picture.", "note");
    });
    this.file.addEventListener("change", () => { if (this.file.files[0]) this.open(this.file.files[0]); this.file.value = ""; });
    this.maskFile.addEventListener("change", () => { if (this.maskFile.files[0]) this.openMask(this.maskFile.files[0]); this.maskFile.value = ""; });
    for (const label of this.files.querySelectorAll("label")) label.addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); label.querySelector("input").click(); } });
    this.root.addEventListener("keydown", (event) => this.key(event));
  }

  key(event) {
    const key = event.key.toLowerCase(), steps = {"[": -4, "]": 4}, acts = {b: "brush", e: "erase", 0: "fit"};
    if (event.target.tagName === "INPUT" && event.target.type !== "range") return;
    if ((event.ctrlKey || event.metaKey) && key === "z") { event.preventDefault(); if (event.shiftKey) this.redo(); else this.undo(); }
    else if (event.ctrlKey || event.metaKey || event.altKey) return;
    else if (steps[key]) this.size.value = Number(this.size.value) + steps[key];
    else if (acts[key]) this[acts[key]]();
    else return;
    this.mark();
  }

  mark() {
    for (const button of this.bar.querySelectorAll("[data-act=brush], [data-act=erase]")) { const on = button.dataset.act === this.tool; button.classList.toggle("on", on); button.setAttribute("aria-pressed", on); }
    for (const [name, off] of [["undo", !this.done.length], ["redo", !this.undone.length], ["clear", !this.image], ["invert", !this.image], ["fit", !this.image]]) this.bar.querySelector(`[data-act=${name}]`).disabled = off;
    this.files.querySelector("[data-act=close]").disabled = !this.image;
  }

  /* ---- the picture */
  async receive(value) {
    if (!value?.image) { if (this.image) this.empty(); return; }
    if (value.image !== this.image) {
      try { await this.show(await this.load(value.image), value.image); }
      catch { this.empty(); this.tell(); return; }
    }
    if (value.mask && value.mask !== this.mask) {
      try { this.lay(await this.load(value.mask)); this.mask = value.mask; this.dirty = false; } catch { this.mask = null; }
      this.tell();
    }
  }

  async load(id) {
    const image = new Image();
    image.src = darkroom.url(`/v1/pictures/${id}`);
    await image.decode();
    return image;
  }

  async show(image, id) {
    for (const canvas of [this.picture, this.paint]) { canvas.width = image.naturalWidth; canvas.height = image.naturalHeight; }
    this.picture.getContext("2d").drawImage(image, 0, 0);
    Object.assign(this, {image: id, mask: null, done: [], undone: [], dirty: false, touched: false});
    this.size.max = Math.max(32, Math.round(Math.max(image.naturalWidth, image.naturalHeight) / 2));
    this.size.value = Math.max(4, Math.round(Math.min(image.naturalWidth, image.naturalHeight) / 8));
    this.hint.hidden = true;
    this.note.textContent = `${image.naturalWidth} × ${image.naturalHeight}`;
    this.fit();
    this.mark();
  }

  empty() {
    for (const canvas of [this.picture, this.paint]) canvas.width = canvas.height = 0;
    Object.assign(this, {image: null, mask: null, done: [], undone: [], dirty: false});
    this.hint.hidden = false;
    this.note.textContent = "";
    this.mark();
  }

  close() { this.empty(); this.tell(); }

  open(file) { return (this.opening = this.read(file)); }
  async read(file) {
    this.note.textContent = "Reading …";
    try {
      const {id} = await darkroom.hand_in(file);
      await this.show(await this.load(id), id);
      this.tell();
    } catch (error) { this.note.textContent = ""; darkroom.say(error.message); }
  }

  async openMask(file) {
    if (!this.image) { darkroom.say("Open the picture first, then its mask.", "note"); return; }
    try {
      const image = await this.load((await darkroom.hand_in(file)).id);
      if (image.naturalWidth !== this.paint.width || image.naturalHeight !== this.paint.height) {
        darkroom.say(`The mask is ${image.naturalWidth} × ${image.naturalHeight}, the picture ${this.paint.width} × ${this.paint.height}: they must be of one size.`);
        return;
      }
      this.keep();
      this.lay(image);
      this.changed();
    } catch (error) { darkroom.say(error.message); }
  }

  /* White of a mask picture becomes paint, black becomes nothing. */
  lay(image) {
    const {width, height} = this.paint;
    this.pen.globalCompositeOperation = "source-over";
    this.pen.clearRect(0, 0, width, height);
    this.pen.drawImage(image, 0, 0, width, height);
    const pixels = this.pen.getImageData(0, 0, width, height), data = pixels.data;
    for (let at = 0; at < data.length; at += 4) data[at + 3] = Math.round((0.299 * data[at] + 0.587 * data[at + 1] + 0.114 * data[at + 2]) * data[at + 3] / 255);
    this.pen.putImageData(pixels, 0, 0);
    this.tint();
  }

  tint() {
    this.pen.globalCompositeOperation = "source-in";
    this.pen.fillStyle = this.constructor.COLOUR;
    this.pen.fillRect(0, 0, this.paint.width, this.paint.height);
    this.pen.globalCompositeOperation = "source-over";
  }

  /* ---- tools */
  brush() { this.tool = "brush"; }
  erase() { this.tool = "erase"; }
  snapshot() { return this.pen.getImageData(0, 0, this.paint.width, this.paint.height); }
  keep() {
    this.done.push(this.snapshot());
    const most = Math.max(2, Math.min(30, Math.floor(this.constructor.UNDO_BYTES / (4 * this.paint.width * this.paint.height))));
    if (this.done.length > most) this.done.shift();
    this.undone = [];
  }
  undo() { if (this.done.length) { this.undone.push(this.snapshot()); this.pen.putImageData(this.done.pop(), 0, 0); this.changed(); } }
  redo() { if (this.undone.length) { this.done.push(this.snapshot()); this.pen.putImageData(this.undone.pop(), 0, 0); this.changed(); } }
  clear() { if (this.image) { this.keep(); this.pen.clearRect(0, 0, this.paint.width, this.paint.height); this.changed(); } }
  invert() {
    if (!this.image) return;
    this.keep();
    this.pen.globalCompositeOperation = "source-out";
    this.pen.fillStyle = this.constructor.COLOUR;
    this.pen.fillRect(0, 0, this.paint.width, this.paint.height);
    this.pen.globalCompositeOperation = "source-over";
    this.changed();
  }

  /* ---- pointer: one paints, two fingers (or the middle button, or Shift) move and zoom */
  at(event) { const box = this.view.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; }
  point(event) { const [x, y] = this.at(event); return [(x - this.left) / this.scale, (y - this.top) / this.scale]; }
  stroke(from, to) {
    const pen = this.pen;
    pen.globalCompositeOperation = this.tool === "erase" ? "destination-out" : "source-over";
    pen.strokeStyle = this.constructor.COLOUR;
    pen.lineWidth = Number(this.size.value);
    pen.lineCap = pen.lineJoin = "round";
    pen.beginPath();
    pen.moveTo(...from);
    pen.lineTo(to[0] + 0.01, to[1]);
    pen.stroke();
    pen.globalCompositeOperation = "source-over";
  }
  down(event) {
    if (!this.image) return;
    this.root.focus({preventScroll: true});
    this.view.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, this.at(event));
    if (this.pointers.size === 2) { if (this.drawing) { this.drawing = false; this.pen.putImageData(this.done.pop(), 0, 0); } return; }
    if (event.button === 1 || event.shiftKey) { this.panning = true; return; }
    if (event.button !== 0) return;
    this.keep();
    this.drawing = true;
    this.last = this.point(event);
    this.stroke(this.last, this.last);
  }
  move(event) {
    this.drawRing(event);
    const before = this.pointers.get(event.pointerId);
    if (!before) return;
    const now = this.at(event);
    this.pointers.set(event.pointerId, now);
    if (this.pointers.size === 2) {
      const [other] = [...this.pointers].filter(([id]) => id !== event.pointerId).map(([, spot]) => spot);
      const apart = (spot) => Math.hypot(spot[0] - other[0], spot[1] - other[1]) || 1;
      this.pan((now[0] - before[0]) / 2, (now[1] - before[1]) / 2);
      this.zoom(apart(now) / apart(before), (now[0] + other[0]) / 2, (now[1] + other[1]) / 2);
    } else if (this.panning) this.pan(now[0] - before[0], now[1] - before[1]);
    else if (this.drawing) for (const part of event.getCoalescedEvents?.().length ? event.getCoalescedEvents() : [event]) { const next = this.point(part); this.stroke(this.last, next); this.last = next; }
  }
  up(event) {
    this.pointers.delete(event.pointerId);
    this.panning = false;
    if (this.drawing) { this.drawing = false; this.changed(); this.mark(); }
  }
  drawRing(event) {
    if (!this.image || event.pointerType === "touch") { this.ring.hidden = true; return; }
    const [x, y] = this.at(event), across = Number(this.size.value) * this.scale;
    Object.assign(this.ring.style, {width: `${across}px`, height: `${across}px`, transform: `translate(${x - across / 2}px, ${y - across / 2}px)`});
    this.ring.hidden = false;
  }
  place() { for (const canvas of [this.picture, this.paint]) canvas.style.transform = `translate(${this.left}px, ${this.top}px) scale(${this.scale})`; }
  pan(x, y) { this.left += x; this.top += y; this.touched = true; this.place(); }
  zoom(by, x, y) {
    const scale = Math.min(32, Math.max(0.05, this.scale * by)), factor = scale / this.scale;
    this.left = x - (x - this.left) * factor;
    this.top = y - (y - this.top) * factor;
    this.scale = scale;
    this.touched = true;
    this.place();
  }
  fit() {
    if (!this.image || !this.view.clientWidth) return;
    this.scale = Math.min(this.view.clientWidth / this.picture.width, this.view.clientHeight / this.picture.height, 8);
    this.left = (this.view.clientWidth - this.picture.width * this.scale) / 2;
    this.top = (this.view.clientHeight - this.picture.height * this.scale) / 2;
    this.touched = false;
    this.place();
  }

  /* ---- handing in */
  changed() {
    this.dirty = true;
    this.mask = null;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => { if (!this.drawing) this.flush(); }, 500);
    this.mark();
  }

  painted() {
    const data = this.snapshot().data;
    for (let at = 3; at < data.length; at += 4) if (data[at] > 7) return true;
    return false;
  }

  /* The value with the mask as it is painted now; uploads it when that is still to be done. */
  async flush() {
    clearTimeout(this.timer);
    await this.opening;
    while (this.saving) await this.saving;
    if (!this.image) return "";
    if (this.dirty) { this.saving = this.upload(); try { await this.saving; } finally { this.saving = null; } }
    return {image: this.image, mask: this.mask};
  }

  async upload() {
    this.dirty = false;
    const image = this.image;
    if (!this.painted()) { this.mask = null; this.tell(); return; }
    const {width, height} = this.paint, out = darkroom.el("canvas", {width, height}), pen = out.getContext("2d");
    pen.drawImage(this.paint, 0, 0);
    pen.globalCompositeOperation = "source-in";
    pen.fillStyle = "#fff";
    pen.fillRect(0, 0, width, height);
    pen.globalCompositeOperation = "destination-over";
    pen.fillStyle = "#000";
    pen.fillRect(0, 0, width, height);
    try {
      const {id} = await darkroom.hand_in(await new Promise((resolve) => out.toBlob(resolve, "image/png")));
      if (!this.dirty && this.image === image) this.mask = id;  // else it was painted on, or belongs to the picture before
    } catch (error) { if (this.image === image) this.dirty = true; darkroom.say(error.message); }
    this.tell();
  }

  tell() { this.host.props.value = this.image ? {image: this.image, mask: this.mask} : ""; }
};
