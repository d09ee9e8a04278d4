"use strict";
/* Where a merge stands: the job view of a tab, without pictures. */
darkroom.mergeView = (host) => { darkroom.views.merge = new darkroom.MergeView(host); };

darkroom.MergeView = class extends darkroom.JobView {
  build() {
    super.build();
    for (const part of [this.stage, this.strip, this.actions, this.more]) part.remove();
  }

  update(job) {
    const before = this.jobs.get(job.id);
    super.update(job);
    if (this.isLive(before) && job.state === "done") darkroom.theShelf?.load(true);  // its card, and all pickers
  }

  sentence(job) {
    const left = job.seconds_left != null ? ` · ${darkroom.duration(job.seconds_left)} left` : "", name = job.request.name;
    if (job.state === "done") return `Done: ${name} is on the shelf.`;
    if (job.state === "cancelled") return `Stopped: ${name} was not made.`;
    if (job.state === "interrupted") return `Interrupted: Darkroom was closed before ${name} was made.`;
    if (job.state !== "running" || this.stopping === job.id) return super.sentence(job);
    return job.phase === "merging" ? `Merging ${name} · ${job.step} of ${job.steps} MB${left}` : "Reading the checkpoints …";
  }

  drawStage() { /* nothing to see */ }
};
