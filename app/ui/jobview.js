"use strict";
/* The output column of a tab: progress, live preview, results and the tab's queue, fed by /v1/jobs. */
darkroom.jobView = (host) => { darkroom.views[host.props.task] = new darkroom.JobView(host); };

darkroom.JobView = class {
  static LIVE = ["queued", "running"];
  static KEPT = 12;
  static begun = null;

  constructor(host) {
    this.host = host;
    this.task = host.props.task;
    this.key = "jobs." + this.task;
    this.ids = this.kept();
    this.jobs = new Map();
    this.current = this.pinned = this.selected = this.stream = null;
    this.heard = this.ticks = 0;
    this.build();
    host.watch("value", () => this.attach(host.props.value));
    for (const id of [...this.ids].reverse()) this.look(id);
    this.adopt();
    this.render();
    setInterval(() => this.tick(), 1000);
    document.addEventListener("visibilitychange", () => this.tick());
  }

  /* ---- drawing, once */
  build() {
    const {el} = darkroom;
    const say = (name, ...children) => (this[name] = el("div", {class: "dr-" + name}, ...children));
    this.text = el("span", {class: "dr-status-text", role: "status", "aria-live": "polite"});
    this.fill = el("div", {class: "dr-fill"});
    this.again = el("button", {type: "button", class: "dr-small dr-again", hidden: true, onclick: () => this.rerun()}, "Run again");
    this.live = el("img", {class: "dr-live", alt: "live preview", hidden: true});
    this.large = el("button", {type: "button", class: "dr-large", hidden: true, title: "Show large", onclick: () => this.enlarge()});
    this.empty = el("div", {class: "dr-empty"}, "What you make appears here.");
    this.parameters = el("pre", {class: "dr-infotext"});
    this.download = el("a", {class: "dr-small", download: ""}, "Download");
    say("stage", this.empty, this.live, this.large);
    say("strip");
    say("status", el("div", {class: "dr-line"}, this.text, this.again), el("div", {class: "dr-track"}, this.fill));
    say("actions", darkroom.sendButtons(this.host.trigger, () => this.output(), this.task === "txt2img" ? "txt2img" : null),
      darkroom.upscaleButton(this.host.trigger, () => this.output()), this.download);
    say("more", el("details", {}, el("summary", {}, "Parameters"), this.parameters));
    say("queue");
    this.strip.addEventListener("keydown", (event) => {
      if (event.key === "ArrowLeft" || event.key === "ArrowRight") { event.preventDefault(); this.step(event.key === "ArrowLeft" ? -1 : 1); }
    });
    this.host.element.firstElementChild.append(this.status, this.stage, this.strip, this.actions, this.more, this.queue);
  }

  /* ---- which jobs */
  kept() {
    const found = darkroom.store.get(this.key, []);
    return Array.isArray(found) ? found.filter((id) => /^[0-9a-f]{32}$/.test(id)) : [];
  }

  attach(id) {
    if (!id || this.ids.includes(id)) return;
    this.ids = [...new Set([id, ...this.ids, ...this.kept()])].slice(0, this.constructor.KEPT);  // what other windows began stays known
    darkroom.store.set(this.key, this.ids);
    this.pinned = this.selected = null;
    this.look(id);
  }

  /* Live jobs of this browser whose ids were not kept, as a reload came right after Generate; asked once for all tabs. */
  async adopt() {
    const found = await (this.constructor.begun ||= darkroom.ask("GET", "/v1/jobs?limit=50").catch(() => []));
    for (const job of [...found].reverse()) if ((job.request.base || job).task === this.task && this.isLive(job)) this.attach(job.id);
  }

  forget(id) {
    this.ids = this.ids.filter((known) => known !== id);
    this.jobs.delete(id);
    darkroom.store.set(this.key, this.ids);
    this.render();
  }

  async look(id) {
    try { this.update(await darkroom.ask("GET", `/v1/jobs/${id}`)); }
    catch (error) {
      if (error.status === 404) this.forget(id);
      else if (!error.status) { this.lost = true; this.render(); }
    }
  }

  update(job) {
    if (!this.ids.includes(job.id)) return;
    if (job.request.base) job.request = job.request.base;  // of a grid: what its pictures have in common
    this.lost = false;
    const before = this.jobs.get(job.id);
    if (before && !this.isLive(before) && this.isLive(job)) return;
    this.jobs.set(job.id, job);
    this.render();
    if (this.isLive(job)) this.follow(); else if (this.streaming === job.id) this.hush();
  }

  isLive(job) { return Boolean(job) && this.constructor.LIVE.includes(job.state); }

  choose() {
    const known = this.ids.map((id) => this.jobs.get(id)).filter(Boolean);
    const waiting = known.filter((job) => this.isLive(job)).reverse();
    const found = this.jobs.get(this.pinned) || waiting.find((job) => job.state === "running") || waiting[0] || known[0] || null;
    if (found?.id !== this.current) { this.current = found?.id ?? null; this.selected = null; this.live.hidden = true; this.live.removeAttribute("src"); this.previewed = null; }
    return found;
  }

  job() { return this.jobs.get(this.current) || null; }

  output() {
    const outputs = this.job()?.outputs || [], largest = Math.max(...outputs.map((output) => output.width * output.height));
    return outputs.find((output) => output.id === this.selected) || outputs.find((output) => output.kind === "video" || output.task === "grid")
      || outputs.find((output) => output.width * output.height === largest) || null;  // a first pass is not what was asked for
  }

  /* `name`: "seed" or "subseed" */
  seed(name) { const job = this.job(); return job ? String(this.output()?.[name] ?? job.request[name] ?? -1) : null; }

  /* ---- listening: one stream for the job that is shown, as a browser opens six connections to a host at most */
  shown() { return !document.hidden && this.host.element.getClientRects().length > 0; }

  follow() {
    const job = this.job();
    const wanted = this.shown() && this.isLive(job) ? job.id : null;
    if (wanted === this.streaming) return;
    this.hush();
    if (!wanted) return;
    this.streaming = wanted;
    this.stream = new EventSource(darkroom.url(`/v1/jobs/${wanted}/events`));
    this.stream.onmessage = (event) => { this.heard = Date.now(); this.update(darkroom.parse(event.data)); };
    this.stream.onerror = () => { if (this.stream?.readyState === 2) { this.hush(); this.look(wanted); } };
  }

  hush() { this.stream?.close(); this.stream = null; this.streaming = null; }

  tick() {
    this.ticks += 1;
    this.follow();
    this.armStop(this.isLive(this.job()));
    if (document.hidden && this.ticks % 5) return;
    for (const id of this.ids) {
      const job = this.jobs.get(id), streamed = id === this.streaming && Date.now() - this.heard < 4000;
      if ((!job || this.isLive(job)) && !streamed && this.ticks % 2 === 0) this.look(id);
    }
  }

  /* ---- acting */
  async stop(id) {
    const job = id ? this.jobs.get(id) : this.job();
    if (!this.isLive(job)) return;
    this.stopping = job.id;
    this.render();
    try { this.update(await darkroom.ask("DELETE", `/v1/jobs/${job.id}`)); } catch (error) { this.stopping = null; this.render(); darkroom.say(error.message); }
  }

  async rerun() {
    try { this.attach((await darkroom.ask("POST", `/v1/jobs/${this.current}/rerun`)).id); } catch (error) { darkroom.say(error.message); }
  }

  step(by) {
    const outputs = this.job()?.outputs || [], at = outputs.indexOf(this.output()) + by;
    if (outputs[at]) { this.selected = outputs[at].id; this.render(); this.strip.querySelector(".on")?.focus(); }
  }

  enlarge() {
    const job = this.job(), outputs = (job?.outputs || []).map((output) => ({...output, request: job.request}));
    darkroom.viewer.open(outputs, Math.max(0, outputs.findIndex((output) => output.id === this.output()?.id)), {trigger: this.host.trigger, onclose: (output) => { if (output) { this.selected = output.id; this.render(); } }});
  }

  /* ---- drawing, at every change */
  render() {
    const job = this.choose(), busy = this.isLive(job);
    this.armStop(busy);
    this.host.element.firstElementChild.classList.toggle("busy", busy);
    this.host.element.firstElementChild.classList.toggle("bare", !job);
    this.status.className = "dr-status " + (job?.state || "idle");
    this.text.textContent = this.lost ? "Connection lost; trying again …" : job ? this.sentence(job) : "";
    this.again.hidden = !job || busy || job.state === "done";
    this.fill.style.width = `${100 * this.fraction(job)}%`;
    this.drawStage(job, busy);
    this.drawStrip(job);
    this.drawQueue();
  }

  armStop(busy) {
    const stop = document.getElementById(this.task + "_stop");
    if (stop && stop.disabled === busy) stop.disabled = !busy;
  }

  sentence(job) {
    const several = job.pictures > 1, made = job.outputs.filter((output) => output.kind !== "video" && output.task !== "grid").length;
    const count = `${made} ${job.task === "zoom" ? "key" : "picture"}${made === 1 ? "" : "s"}${made < job.outputs.length ? (job.task === "grid" ? " and the grid" : " and the video") : ""}`;
    const left = job.seconds_left != null ? ` · ${darkroom.duration(job.seconds_left)} left` : "";
    if (this.stopping === job.id && this.isLive(job)) return "Stopping …";
    switch (job.state) {
      case "queued": return job.position > 0 ? `Queued · place ${job.position}` : "Queued";
      case "done": return `Done · ${count}${job.finished && job.started ? " in " + darkroom.duration(job.finished - job.started) : ""}`;
      case "cancelled": return `Stopped · ${made ? count + " kept" : "nothing was finished"}`;
      case "failed": return job.error || "This job failed.";
      case "interrupted": return `Interrupted: Darkroom was closed while it ran. ${made ? count + " kept." : ""}`;
    }
    const which = several ? `${job.task === "zoom" ? "Key" : "Picture"} ${job.picture} of ${job.pictures} · ` : "";
    switch (job.phase) {
      case "encoding": return which + "reading the prompt …";
      case "sampling": return `${which}${this.second(job) ? "hires pass, " : ""}step ${job.step} of ${job.steps}${left}`;
      case "decoding": return which + "developing …";
      case "upscaling":
        if (job.task !== "upscale") return which + "enlarging …";
        return job.steps > 1 ? `Enlarging · part ${job.step} of ${job.steps}${left}` : "Enlarging …";
      case "frames": return `Frame ${job.step} of ${job.steps}${left}`;
      case "saving": return which + "saving …";
      default: return "Loading the model …";
    }
  }

  /* Whether a job in two passes is past its first one: steps are counted over both. */
  second(job) { return Boolean(job.request?.enable_hr) && job.step > (job.request.steps || 0); }

  fraction(job) {
    if (!job || job.state === "queued") return 0;
    if (job.state !== "running") return 1;
    if (job.phase === "frames" || (job.phase === "upscaling" && job.task === "upscale")) return job.steps ? job.step / job.steps : 0;
    const inside = job.steps ? job.step / job.steps : job.phase === "decoding" || job.phase === "saving" ? 1 : 0;
    return job.pictures ? Math.min(1, (Math.max(0, job.picture - 1) + inside) / job.pictures) : 0;
  }

  drawStage(job, busy) {
    const output = this.output();
    const watching = busy && !this.selected;
    if (watching && job.state === "running" && job.step > 0) this.loadPreview(job);
    const live = watching && this.previewed === job.id;
    this.live.hidden = !live;
    this.large.hidden = live || !output;
    this.empty.hidden = live || Boolean(output);
    this.empty.textContent = busy ? "In the dark for now …" : job && !output ? "Nothing to show." : "What you make appears here.";
    this.actions.hidden = this.more.hidden = !output;
    if (!output) return;
    if (this.large.dataset.id !== output.id) {
      this.large.dataset.id = output.id;
      this.large.replaceChildren(darkroom.media(output));
      this.large.firstElementChild.style.maxWidth = `${4 * output.width}px`;
    }
    this.download.href = darkroom.url(output.url);
    this.download.setAttribute("download", output.url.split("/").pop());
    darkroom.tellParameters(this.parameters, output, job.request);
  }

  /* The latest picture wins; while one is on its way no other is asked for. */
  loadPreview(job) {
    if (this.loading) return;
    const next = new Image();
    this.loading = next;
    next.onload = () => { this.loading = null; if (this.current === job.id) { this.live.src = next.src; this.live.style.maxWidth = `${4 * (job.request.width || 512)}px`; this.previewed = job.id; this.render(); } };
    next.onerror = () => { this.loading = null; };
    if (this.asked === `${job.id}/${job.version}`) { this.loading = null; return; }
    this.asked = `${job.id}/${job.version}`;
    next.src = darkroom.url(`/v1/jobs/${job.id}/preview?v=${job.version}`);
  }

  drawStrip(job) {
    const outputs = job?.outputs || [], chosen = this.output()?.id, watching = this.isLive(job) && !this.selected;
    this.strip.hidden = outputs.length < 2 && !(this.isLive(job) && outputs.length);
    const key = [job?.id, ...outputs.map((output) => output.id), this.isLive(job)].join();
    if (this.drawn !== key) {
      this.drawn = key;
      this.strip.replaceChildren(...outputs.map((output, at) => darkroom.el("button", {type: "button", "data-id": output.id, "aria-label": `Result ${at + 1}`,
        class: output.kind === "video" ? "video" : "", onclick: () => { this.selected = output.id; this.render(); }}, darkroom.el("img", {src: darkroom.url(output.thumb), alt: "", loading: "lazy"}))));
      if (this.isLive(job)) this.strip.append(darkroom.el("button", {type: "button", class: "now", onclick: () => { this.selected = null; this.render(); }}, "live"));
    }
    for (const button of this.strip.children) button.classList.toggle("on", button.dataset.id ? !watching && button.dataset.id === chosen : watching);
  }

  drawQueue() {
    const {el} = darkroom, others = this.ids.map((id) => this.jobs.get(id)).filter((job) => job && job.id !== this.current);
    this.queue.hidden = !others.length;
    const key = others.map((job) => [job.id, job.state, job.position, job.outputs.length].join(":")).join();
    if (this.listed === key) return;
    this.listed = key;
    this.queue.replaceChildren(el("span", {class: "dr-hint"}, "Other jobs of this tab"), ...others.map((job) => el("div", {class: "dr-job " + job.state},
      el("button", {type: "button", class: "dr-show", title: "Show this job", onclick: () => { this.pinned = job.id; this.render(); this.follow(); }},
        job.outputs.length ? el("img", {src: darkroom.url(job.outputs[0].thumb), alt: "", loading: "lazy"}) : null,
        el("span", {}, this.sentence(job)), el("em", {}, job.request.prompt || job.request.name || job.request.parameters?.split("\n")[0] || "no prompt")),
      el("button", {type: "button", class: "dr-x", "aria-label": this.isLive(job) ? "Stop this job" : "Take it off the list",
        onclick: () => (this.isLive(job) ? this.stop(job.id) : this.forget(job.id))}, "✕"))));
  }
};
